"""LNS to floating point: the octave is the exponent, the mantissa of the remainder rounded the mantissa."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import BFLOAT16, FloatFormat
from lnsmadam.golden.format import FLAG, LNS16, LNSFormat, Words
from lnsmadam.golden.mantissa_of_log import MantissaPower, mantissa_power


@dataclass(frozen=True, kw_only=True)
class LNSToFloatConfig(UnitConfig):
    """Configuration of ``lns_to_float``.

    Parameters
    ----------
    format : LNSFormat
        Format of the operand; its base factor a power of two.
    float_format : FloatFormat
        Format of the result.
    pipeline : int, optional
        By default all that the datapath offers.
    """

    format: LNSFormat = LNS16
    float_format: FloatFormat = BFLOAT16
    unit: ClassVar[str] = "lns_to_float"

    @property
    def core(self) -> MantissaPower:
        """How mantissas are evaluated: one bit more than the result has, to round."""
        return mantissa_power(self.format, self.float_format.mantissa_bits + 1)

    @property
    def exponents(self) -> tuple[int, int]:
        """Smallest and largest biased exponent of an operand other than 0, in a float without limits."""
        bits, bias = self.core.log2_base_factor, self.float_format.bias
        return (self.format.code_min >> bits) + bias, (self.format.code_max >> bits) + bias

    @property
    def has_subnormals(self) -> bool:
        """Whether an operand lies below the normal numbers."""
        return self.exponents[0] < 1

    @property
    def max_pipeline(self) -> int:
        # The shift of subnormal numbers in two parts, the rounding, the range.
        return self.core.boundaries + 2 + 2 * self.has_subnormals

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.format}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.float_format, "overflow": FLAG}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.format.parameters(),
            "float_format": self.float_format.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        return {
            "rounding": self.core.rounding,
            "max_error_ulp": self.core.max_error(),
            "checked": f"every remainder 0…{(1 << self.core.log2_base_factor) - 1}, normal and subnormal",
        }


def lns_to_float(config: LNSToFloatConfig, a: npt.ArrayLike) -> tuple[Words, Words]:
    """The floating-point number nearest to an LNS word, and a flag.

    Correctly rounded for words of up to 10 bits and base factors up to 128, faithful beyond: less than one unit of
    the last place. The only tie, half the smallest subnormal number, goes to the even 0. Zero, and what rounds to
    it, is +0.

    Parameters
    ----------
    a : array of words of ``config.format``

    Returns
    -------
    result : array of words of ``config.float_format``, same shape
        Beyond the largest finite number: that one.
    overflow : array of 0 and 1
        Whether the rounded number is beyond the largest finite one.
    """
    core, fmt = config.core, config.float_format
    sign, log = config.format.unpack(a)
    remainder = log & ((1 << core.log2_base_factor) - 1)
    exponent = (log >> core.log2_base_factor) + fmt.bias
    down = np.clip(1 - exponent, 0, fmt.mantissa_bits + 2)
    rounded = ((core.evaluate(remainder) >> down) + 1) >> 1
    is_tie = (remainder == 0) & (down == fmt.mantissa_bits + 1)
    # Below half the smallest subnormal number is nothing, even where a mantissa was rounded up to 2.
    is_nothing = is_tie | (down > fmt.mantissa_bits + 1) | (log == config.format.zero_log)
    # The leading one counts as one step of the exponent, and so does a mantissa that rounds up to 2.
    bits = ((np.maximum(exponent, 1) - 1) << fmt.mantissa_bits) + rounded
    bits = np.where(is_nothing, 0, bits)
    overflow = bits >= fmt.infinity
    bits = np.where(overflow, fmt.max_word, bits) | np.where(bits == 0, 0, sign) << (fmt.width - 1)
    return bits.astype(fmt.dtype)[()], overflow.astype(np.uint8)[()]
