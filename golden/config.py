"""What every unit's configuration offers to the model, the hardware, the benches and the manifest."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import FLAG, LNS8, FixedFormat, LNSFormat

#: What a field of a port may be.
Format = LNSFormat | FixedFormat | FloatFormat


@dataclass(frozen=True, kw_only=True)
class UnitConfig:
    """Base of the frozen objects that fix every bit of a unit.

    A subclass lists its formats and options as fields, and its ports as :attr:`inputs` and :attr:`outputs`.

    Parameters
    ----------
    pipeline : int, optional
        Register stages, which is also the latency in cycles. :attr:`min_pipeline` to :attr:`max_pipeline`, which is
        the default where a unit names no other.
    """

    pipeline: int = None  # type: ignore[assignment]  # filled in below

    #: The unit's name: the Verilog module, the registry's key, the command line's word.
    unit: ClassVar[str]
    #: The field of a transfer whose 1 says that a result follows; without one, a result follows every transfer.
    result_when: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if self.pipeline is None:
            object.__setattr__(self, "pipeline", self.max_pipeline)
        if not self.min_pipeline <= self.pipeline <= self.max_pipeline:
            raise ValueError(
                f"Pipeline of {self.unit} must be from {self.min_pipeline} to {self.max_pipeline} stages, "
                f"not {self.pipeline}"
            )

    @property
    def min_pipeline(self) -> int:
        """Fewest register stages: more than 0 where a memory reads on a clock edge."""
        return 0

    @property
    def max_pipeline(self) -> int:
        """Places of the datapath that can hold a register."""
        raise NotImplementedError

    @property
    def inputs(self) -> dict[str, Format]:
        """Fields of one transfer at ``i``, first field in the least significant bits."""
        raise NotImplementedError

    @property
    def outputs(self) -> dict[str, Format]:
        """Fields of one transfer at ``o``, first field in the least significant bits."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """What the manifest writes under ``parameters``, JSON types only."""
        raise NotImplementedError

    def guarantee(self) -> dict[str, Any]:
        """What the manifest writes under ``guarantee``: rounding, achieved maximum error, what was checked."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class OneFormatConfig(UnitConfig):
    """Base of units that compute one integer operation on logs of one format.

    Parameters
    ----------
    format : LNSFormat
        Format of the operands and of the result.
    """

    format: LNSFormat = LNS8

    #: Names of the operands, and whether a flag ``invalid`` stands beside the result.
    operands: ClassVar[tuple[str, ...]] = ("a", "b")
    has_invalid: ClassVar[bool] = False

    @property
    def inputs(self) -> dict[str, Format]:
        return dict.fromkeys(self.operands, self.format)

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.format, "invalid": FLAG} if self.has_invalid else {"result": self.format}

    def parameters(self) -> dict[str, Any]:
        return {**self.format.parameters(), "pipeline": self.pipeline}

    def guarantee(self) -> dict[str, Any]:
        return {"rounding": "exact", "max_error_ulp": 0.0, "checked": "exact by construction"}
