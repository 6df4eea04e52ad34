"""What fixes every bit of the Madam update: formats, tables, rounding, random bits."""

import enum
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import LNS8, LNS16, FixedFormat, LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_tables import AntilogTable, Table, rms_error, rms_table, step_antilog

# Magnitudes of steps are int32 in the model.
_MAX_QUANTITY_BITS = 28
_POWERS_OF_TWO = frozenset(2.0**n for n in range(24))


class Rounding(enum.Enum):
    """How a fraction becomes an integer: ``floor(x + 1/2)``, or ``floor(x + u)`` with u random."""

    NEAREST = "nearest"
    STOCHASTIC = "stochastic"


class Variant(enum.Enum):
    """What one unit of a step is, and what the learning rate means.

    MADAM: a step of the weight's log. INTEGER: the same, the learning rate being ``lr_factor``, the steps that a
    normalised gradient of 1 moves the weight. ROUNDED: 1/128 octave, as LNS-Madam rounds the gradient.
    """

    MADAM = "madam"
    INTEGER = "integer"
    ROUNDED = "rounded"


@dataclass(frozen=True, kw_only=True)
class MadamUpdateConfig(UnitConfig):
    """Configuration of ``madam_update``.

    Parameters
    ----------
    weight_format, grad_format : LNSFormat
        Weights may have any base factor; the state's must be an integer multiple of the gradients'.
    state_format : FixedFormat
        ``grad_rms``, log2 of the RMS gradient in octaves; signed. ``fraction_bits`` 4 is a base factor of 16.
        The most negative integer means that no gradient has been seen.
    variant : Variant
    rounding, state_rounding : Rounding
        Of the step, and of ``grad_rms``.
    beta_shift : int
        beta = 1 - 2**-beta_shift, 1 to 20.
    grad_bound : float
        Largest normalised gradient.
    step_fraction_bits : int, optional
        Bits below the point of what is rounded to the step. By default 4 where an octave has 2048 units, one more
        for each halving, at most 9: with coarse weights a usual step is a fraction of a unit.
    state_fraction_bits : int
        Bits below the point of what is rounded to the new state.
    lr_format : FixedFormat
        ``lr_log`` in octaves, with the state's fraction bits: log2 of what a normalised gradient of 1 moves the
        weight, in the variant's unit.
    coarse_outliers : bool
        Whether the state moves by a coarser amount (1/8 or 1/64 step) under a gradient far above its RMS, which
        halves the table's logic.
    mantissa_bits : int, optional
        Of the antilog; by default the fewest whose error, over all arguments, is below one step.
    lfsr : LFSRConfig
        A draw's low bits round the state, those above the step.
    """

    weight_format: LNSFormat = LNS16
    grad_format: LNSFormat = LNS8
    state_format: FixedFormat = FixedFormat(12, 4, signed=True)
    variant: Variant = Variant.MADAM
    rounding: Rounding = Rounding.STOCHASTIC
    state_rounding: Rounding = Rounding.STOCHASTIC
    beta_shift: int = 10
    grad_bound: float = 10.0
    step_fraction_bits: int = None  # type: ignore[assignment]  # filled in below
    state_fraction_bits: int = 8
    coarse_outliers: bool = True
    lr_format: FixedFormat = None  # type: ignore[assignment]
    mantissa_bits: int = None  # type: ignore[assignment]
    lfsr: LFSRConfig = LFSRConfig(bits=17)
    pipeline: int = 12
    unit: ClassVar[str] = "madam_update"

    def __post_init__(self) -> None:
        for name, kind in (("variant", Variant), ("rounding", Rounding), ("state_rounding", Rounding)):
            object.__setattr__(self, name, kind(getattr(self, name)))
        state = self.state_format
        if not state.signed or not 0 <= state.fraction_bits <= 11 or not 4 <= state.width <= 24:
            raise ValueError(f"State format must be signed, 4 to 24 bits wide with 0 to 11 fraction bits, not {state}")
        multiple = self.base_factor / self.grad_format.base_factor
        if not multiple.is_integer():
            raise ValueError(
                f"Base factor of the state must be an integer multiple of the gradients' "
                f"{self.grad_format.base_factor:g}, not {self.base_factor}"
            )
        if self.variant is Variant.ROUNDED and (self.weight_format.base_factor / 128) not in _POWERS_OF_TWO:
            raise ValueError(
                f"Base factor of weights must be 128 times a power of two for the variant rounded, "
                f"not {self.weight_format.base_factor:g}"
            )
        if self.step_fraction_bits is None:
            octave = self.weight_format.base_factor / self.step_unit
            bits = min(max(15 - math.floor(math.log2(octave)), 4), 9)
            object.__setattr__(self, "step_fraction_bits", bits)
        for name, value, low, high in (
            ("Beta shift", self.beta_shift, 1, 20),
            ("State fraction bits", self.state_fraction_bits, 1, 16),
            ("Step fraction bits", self.step_fraction_bits, 1, 16),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if self.base_factor * self.beta_shift % 2:
            raise ValueError(f"Beta shift must be even for a state of base factor 1, not {self.beta_shift}")
        if not 1 <= self.grad_bound <= 1024:
            raise ValueError(f"Gradient bound must be from 1 to 1024, not {self.grad_bound}")
        if self.lr_format is None:
            # -8 to 8 octaves.
            bits = 4 + state.fraction_bits
            object.__setattr__(self, "lr_format", FixedFormat(bits, state.fraction_bits, signed=True))
        if not self.lr_format.signed or self.lr_format.fraction_bits != state.fraction_bits:
            raise ValueError(f"Format of lr_log must be signed with {state.fraction_bits} fraction bits")
        self._check_state_range()
        self._choose_mantissa()
        if self.random_bits > self.lfsr.bits:
            raise ValueError(f"Bits per draw must be at least {self.random_bits}, not {self.lfsr.bits}")
        super().__post_init__()

    def _check_state_range(self) -> None:
        table, highest = self.rms_table, self.grad_multiple * self.grad_format.log_max
        lowest = self.grad_multiple * self.grad_format.log_min - self.first_offset
        gap = min(max(self.log_max - (highest - self.first_offset), 0), table.shape[1] - 1)
        if lowest <= self.log_min or self.log_max < highest or table[0, gap] > 0:
            raise ValueError(
                f"State format must reach from {lowest / self.base_factor:g} to beyond "
                f"{highest / self.base_factor:g} octaves, not {self.log_min / self.base_factor:g} … "
                f"{self.log_max / self.base_factor:g}"
            )
        decay = int(table[0, -1]) + (self.half_state if self.state_rounding is Rounding.NEAREST else 0)
        if decay >= 0:
            raise ValueError(
                f"State would never decay: {self.state_rounding.value} rounding of {-table[0, -1]} / "
                f"{1 << self.state_fraction_bits} steps (more fraction bits, or a smaller beta shift)"
            )

    def _choose_mantissa(self) -> None:
        largest = math.log2(self.grad_bound) + self.lr_format.maximum / self.base_factor
        quantity_bits = math.floor(largest) + 1 + self.step_fraction_bits
        if quantity_bits > _MAX_QUANTITY_BITS:
            raise ValueError(
                f"Steps must fit in {_MAX_QUANTITY_BITS} bits, not {quantity_bits}: "
                "narrow lr_log, or use fewer fraction bits"
            )
        fewest = next(bits for bits in range(1, 24) if self._antilog(bits).max_error < 1)
        if self.mantissa_bits is None:
            object.__setattr__(self, "mantissa_bits", fewest)
        if not fewest <= self.mantissa_bits <= 24:
            raise ValueError(f"Mantissa bits must be from {fewest} to 24, not {self.mantissa_bits}")

    def _antilog(self, mantissa_bits: int) -> AntilogTable:
        return step_antilog(
            self.base_factor, self.grad_bound, self.lr_format.maximum, self.step_fraction_bits, mantissa_bits
        )

    @property
    def base_factor(self) -> int:
        """Steps of the state, of lr_log and of bias_log per octave."""
        return 1 << self.state_format.fraction_bits

    @property
    def grad_multiple(self) -> int:
        """Steps of the state per step of a gradient's log."""
        return int(self.base_factor / self.grad_format.base_factor)

    @property
    def first_offset(self) -> int:
        """``-log2(1 - beta) / 2``, in steps of the state."""
        return self.base_factor * self.beta_shift // 2

    @property
    def log_min(self) -> int:
        """Smallest state but the code for no gradient seen."""
        return self.state_format.minimum + 1

    @property
    def log_max(self) -> int:
        """Largest state."""
        return self.state_format.maximum

    @property
    def initial_state(self) -> int:
        """The word of ``grad_rms`` before the first gradient."""
        return int(self.state_format.pack(self.state_format.minimum))

    @property
    def half_state(self) -> int:
        """One half, in units of the state's fraction."""
        return 1 << (self.state_fraction_bits - 1)

    @property
    def step_unit(self) -> int:
        """Weight steps in one unit of the variant."""
        return int(self.weight_format.base_factor / 128) if self.variant is Variant.ROUNDED else 1

    @property
    def _rms_options(self) -> tuple[int, int, int, bool]:
        return self.base_factor, self.beta_shift, self.state_fraction_bits, self.coarse_outliers

    @property
    def rms_table(self) -> Table:
        """See :func:`~lnsmadam.golden.madam_tables.rms_table`."""
        return rms_table(*self._rms_options)

    @property
    def is_two_sided(self) -> bool:
        """Whether the rows of :attr:`rms_table` differ."""
        return bool((self.rms_table[0] != self.rms_table[1]).any())

    @property
    def antilog(self) -> AntilogTable:
        """See :class:`~lnsmadam.golden.madam_tables.AntilogTable`."""
        return self._antilog(self.mantissa_bits)

    @property
    def quantity_bits(self) -> int:
        """Bits of the largest step, those below the point included."""
        return int(self.antilog.quantities.max()).bit_length()

    @property
    def random_bits(self) -> int:
        """Bits of a draw that are used."""
        state = self.state_fraction_bits if self.state_rounding is Rounding.STOCHASTIC else 0
        return state + (self.step_fraction_bits if self.rounding is Rounding.STOCHASTIC else 0)

    @property
    def bias_format(self) -> FixedFormat:
        """``bias_log`` in octaves: from that of the first update, ``log2(1 - beta) / 2``, to 0."""
        bits = (self.first_offset - 1).bit_length() + 1
        return FixedFormat(bits, self.state_format.fraction_bits, signed=True)

    @property
    def weight_max_format(self) -> FixedFormat:
        """``weight_max_log``: a log of the weight format."""
        return FixedFormat(self.weight_format.log_width, 0, signed=True)

    @property
    def min_pipeline(self) -> int:
        """A unit with random bits has a clock, and at least one register."""
        return int(self.random_bits > 0)

    @property
    def max_pipeline(self) -> int:
        return 14

    @property
    def inputs(self) -> dict[str, Format]:
        return {
            "weight": self.weight_format,
            "grad_rms": self.state_format,
            "grad": self.grad_format,
            "lr_log": self.lr_format,
            "bias_log": self.bias_format,
            "weight_max_log": self.weight_max_format,
        }

    @property
    def outputs(self) -> dict[str, Format]:
        return {"weight": self.weight_format, "grad_rms": self.state_format}

    def parameters(self) -> dict[str, Any]:
        return {
            "weight": self.weight_format.describe(),
            "grad": self.grad_format.describe(),
            "state": self.state_format.describe(),
            "variant": self.variant.value,
            "rounding": self.rounding.value,
            "state_rounding": self.state_rounding.value,
            "beta_shift": self.beta_shift,
            "grad_bound": self.grad_bound,
            "step_fraction_bits": self.step_fraction_bits,
            "state_fraction_bits": self.state_fraction_bits,
            "coarse_outliers": self.coarse_outliers,
            "mantissa_bits": self.mantissa_bits,
            "lfsr": self.lfsr.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        table, antilog = self.rms_table, self.antilog
        return {
            "rounding": self.rounding.value,
            # Both are errors before rounding, in steps of the result; rounded up.
            "max_error_ulp": math.ceil(antilog.max_error * self.step_unit * 1e6) / 1e6,
            "grad_rms_max_error_ulp": math.ceil(rms_error(*self._rms_options) * 1e6) / 1e6,
            "checked": (
                f"before rounding: all {antilog.quantities.shape[1]} logs of a step, clipped and not, and below; "
                f"all {table.shape[1]} distances of the running RMS, and beyond"
            ),
        }
