"""LNS to fixed point: the mantissa of the remainder, shifted by the octave and rounded."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import FLAG, LNS8, FixedFormat, LNSFormat, Words
from lnsmadam.golden.log_of_mantissa import log2_base_factor
from lnsmadam.golden.mantissa_of_log import MantissaPower, mantissa_power

MAX_WIDTH = 62


@dataclass(frozen=True, kw_only=True)
class LogToLinearConfig(UnitConfig):
    """Configuration of ``log_to_linear``.

    Parameters
    ----------
    format : LNSFormat
        Format of the operand; its base factor a power of two.
    linear_format : FixedFormat
        Format of the result, up to 62 bits.
    pipeline : int, optional
        By default all that the datapath offers.
    """

    format: LNSFormat = LNS8
    linear_format: FixedFormat = FixedFormat(24, 8, signed=True)
    unit: ClassVar[str] = "log_to_linear"

    def __post_init__(self) -> None:
        if not 2 <= self.linear_format.width <= MAX_WIDTH:
            raise ValueError(f"Width of the result must be from 2 to {MAX_WIDTH}, not {self.linear_format.width}")
        super().__post_init__()

    @property
    def point(self) -> int:
        """A log of 0 is ``2**point`` halves of the result's last bit."""
        return self.linear_format.fraction_bits + 1

    @property
    def magnitude_bits(self) -> int:
        """Bits of the largest magnitude."""
        return self.linear_format.width - self.linear_format.signed

    @property
    def top(self) -> int:
        """log2 of the mantissa's leading one in halves of the last bit, in the highest octave that fits."""
        highest = (self.format.code_max >> log2_base_factor(self.format)) + self.point
        return max(min(highest, self.magnitude_bits), 1)

    @property
    def core(self) -> MantissaPower:
        """How mantissas are evaluated."""
        return mantissa_power(self.format, self.top)

    @property
    def max_pipeline(self) -> int:
        # A shift in two parts, the rounding with the sign, the range.
        return self.core.boundaries + 4

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.format}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.linear_format, "overflow": FLAG}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.format.parameters(),
            "linear_format": self.linear_format.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        return {
            "rounding": self.core.rounding,
            "max_error_ulp": self.core.max_error(),
            "checked": f"every remainder 0…{(1 << self.core.log2_base_factor) - 1} in every octave",
        }


def log_to_linear(config: LogToLinearConfig, a: npt.ArrayLike) -> tuple[Words, Words]:
    """The fixed-point number nearest to an LNS word, and a flag.

    Correctly rounded (a magnitude of half a unit more than an integer goes up) for words of up to 10 bits and base
    factors up to 128; faithful beyond: less than one unit of the last place.

    Parameters
    ----------
    a : array of words of ``config.format``

    Returns
    -------
    result : array of words of ``config.linear_format``, same shape
        Saturated at ± the format's largest integer; negative numbers are 0 in an unsigned one.
    overflow : array of 0 and 1
        Whether the rounded number has no code of its own (in an unsigned format, also: is negative), or is the
        smallest integer of a signed format.
    """
    core, linear = config.core, config.linear_format
    sign, log = config.format.unpack(a)
    shift = core.mantissa_bits - (log >> core.log2_base_factor) - config.point
    mantissa = core.evaluate(log & ((1 << core.log2_base_factor) - 1))
    magnitude = ((mantissa >> np.clip(shift, 0, core.mantissa_bits + 2)) + 1) >> 1
    # Where all logs are beyond the largest integer, so is the code of zero, if it is taken for a log.
    is_zero = log == config.format.zero_log
    magnitude = np.where(is_zero, 0, magnitude)
    is_above = (shift < 0) & ~is_zero | (magnitude > linear.maximum)
    if not linear.signed:
        overflow = np.where(sign == 1, magnitude != 0, is_above)
        value = np.where(sign == 1, 0, np.where(is_above, linear.maximum, magnitude))
    else:
        overflow = is_above
        value = np.where(is_above, linear.maximum, magnitude) * (1 - 2 * sign)
    return linear.pack(value), overflow.astype(np.uint8)[()]
