"""Fixed point to LNS: the leading one's place is the octave, the log of the bits below it the rest."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import LNS8, FixedFormat, LNSFormat, Words
from lnsmadam.golden.log_of_mantissa import Integers, MantissaLog, mantissa_log, normalise

MAX_WIDTH = 62


@dataclass(frozen=True)
class MagnitudeLog:
    """The log of an unsigned fixed-point magnitude: what ``linear_to_log`` computes and others append.

    Parameters
    ----------
    width : int
        Bits of a magnitude, 2 to 62.
    fraction_bits : int
        A magnitude counts ``2**-fraction_bits``.
    format : LNSFormat
        Format of the result; its base factor a power of two.

    Raises
    ------
    ValueError
        The format does not split into octaves, or the width is out of range.
    """

    width: int
    fraction_bits: int
    format: LNSFormat

    def __post_init__(self) -> None:
        if not 2 <= self.width <= MAX_WIDTH:
            raise ValueError(f"Width of a magnitude must be from 2 to {MAX_WIDTH}, not {self.width}")
        _ = self.core

    @property
    def core(self) -> MantissaLog:
        """How the log of the mantissa is evaluated."""
        return mantissa_log(self.format, self.width - 1)

    @property
    def boundaries(self) -> int:
        """Boundaries that its hardware places: two of the normaliser, and those of the mantissa's log."""
        return 2 + self.core.boundaries

    def evaluate(self, magnitude: Integers) -> Integers:
        """Logs of positive magnitudes, not yet fitted to the range; of 0 some integer."""
        position, mantissa = normalise(magnitude, self.width)
        octave = position - self.fraction_bits
        return (octave << self.core.log2_base_factor) + self.core.evaluate(mantissa)


@dataclass(frozen=True, kw_only=True)
class LinearToLogConfig(UnitConfig):
    """Configuration of ``linear_to_log``.

    Parameters
    ----------
    format : LNSFormat
        Format of the result; its base factor a power of two.
    linear_format : FixedFormat
        Format of the operand, up to 62 bits.
    pipeline : int, optional
        By default all that the datapath offers.
    """

    format: LNSFormat = LNS8
    linear_format: FixedFormat = FixedFormat(24, 8, signed=True)
    unit: ClassVar[str] = "linear_to_log"

    def __post_init__(self) -> None:
        if not 2 <= self.linear_format.width <= MAX_WIDTH:
            raise ValueError(f"Width of the operand must be from 2 to {MAX_WIDTH}, not {self.linear_format.width}")
        super().__post_init__()

    @property
    def magnitude_log(self) -> MagnitudeLog:
        """The log of the operand's magnitude."""
        return MagnitudeLog(self.linear_format.width, self.linear_format.fraction_bits, self.format)

    @property
    def max_pipeline(self) -> int:
        return self.magnitude_log.boundaries + 2

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.linear_format}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.format}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.format.parameters(),
            "linear_format": self.linear_format.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        core = self.magnitude_log.core
        return {
            "rounding": core.rounding,
            "max_error_ulp": core.max_error(),
            "checked": f"every mantissa of {core.mantissa_bits} bits",
        }


def linear_to_log(config: LinearToLogConfig, a: npt.ArrayLike) -> Words:
    """The LNS word of a fixed-point number, under the range rule.

    Correctly rounded up to 10 bits, faithful beyond (``config.guarantee()`` has the worst case); 0 is +0.

    Parameters
    ----------
    a : array of words of ``config.linear_format``

    Returns
    -------
    array of words of ``config.format``, same shape
    """
    value = np.asarray(config.linear_format.unpack(a), dtype=np.int64)
    log = config.magnitude_log.evaluate(np.abs(value))
    return config.format.fit(value < 0, log, value == 0)


def directed(config: LinearToLogConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Numbers of every octave, half of them next to a number whose log lies half-way between two steps."""
    fmt = config.linear_format
    # The octave of each magnitude, and a log in steps and halves, found in float64.
    magnitude_bits = fmt.width - fmt.signed
    octave = rng.integers(0, magnitude_bits, count)
    plain = rng.integers(0, 1 << 62, count) >> (61 - octave)
    steps = octave + (rng.integers(0, int(config.format.base_factor), count) + 0.5) / config.format.base_factor
    near = np.exp2(np.minimum(steps, 61)).astype(np.int64) + rng.integers(-1, 2, count)
    magnitude = np.clip(np.where(rng.integers(0, 2, count), near, plain), 0, fmt.maximum)
    value = np.where(rng.integers(0, 2, count) & fmt.signed, -magnitude, magnitude)
    return {"a": np.asarray(fmt.pack(value))}
