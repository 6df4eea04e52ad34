"""``2**(remainder / base_factor)`` with enough bits to round what a shift leaves of it: the core of the conversions
from LNS.

Two evaluation rules, each fixed by integers:

- *Table*: the mantissa truncated. It is irrational or 1, so what a shift leaves of it is the truncated result at
  every octave, and the bit below the point rounds that correctly.
- *Product*, for large base factors: the mantissa of the remainder's upper bits times that of its lower bits, with two
  bits more. Rounding then errs by less than one unit.
"""

import functools
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.log_of_mantissa import NEAREST_WIDTH, log2_base_factor

Integers = npt.NDArray[np.int64]

# Beyond 10 bits a table is taken up to so many entries: 2**7.
_TABLE_BITS = 7
#: Most bits of a product's mantissa: its terms fit in 64 bits.
_PRODUCT_BITS = 30
_DIGITS = 60


def _powers(entries: int, log2_factor: int) -> list[Any]:
    """``2**(j / 2**log2_factor)`` as mpmath numbers."""
    return [mpmath.power(2, mpmath.mpf(j) / (1 << log2_factor)) for j in range(entries)]


@dataclass(frozen=True)
class PowerTable:
    """``entries[remainder]``: the mantissas in steps of ``2**-mantissa_bits``, truncated."""

    log2_base_factor: int
    mantissa_bits: int
    entries: tuple[int, ...]

    rounding = "nearest"

    @property
    def boundaries(self) -> int:
        """Boundaries that its hardware places: the table."""
        return 1

    @property
    def maximum(self) -> int:
        """The largest mantissa."""
        return max(self.entries)

    def evaluate(self, remainder: npt.ArrayLike) -> Integers:
        """Mantissas of an array of remainders."""
        mantissas: Integers = np.array(self.entries, dtype=np.int64)[np.asarray(remainder)]
        return mantissas

    def max_error(self) -> float:
        """Largest error of a mantissa shifted and rounded to an integer, over every remainder and shift."""
        return _max_error(self)


@dataclass(frozen=True)
class PowerProduct:
    """The product of two mantissas, in steps of ``2**-mantissa_bits``::

        top, low = remainder split, the lower low_bits below
        result   = uppers[top] + (uppers[top] * lowers[low] >> mantissa_bits + GUARD_BITS) >> GUARD_BITS

    ``uppers`` are mantissas and ``lowers`` mantissas less 1, both rounded to ``GUARD_BITS`` more bits.
    """

    log2_base_factor: int
    mantissa_bits: int
    uppers: tuple[int, ...]
    lowers: tuple[int, ...]

    rounding = "faithful"
    GUARD_BITS = 2

    @property
    def boundaries(self) -> int:
        """Boundaries that its hardware places: the tables, two products, the sum."""
        return 3

    @property
    def low_bits(self) -> int:
        """Bits of the remainder that choose the smaller factor."""
        return (len(self.lowers) - 1).bit_length()

    @property
    def maximum(self) -> int:
        """The largest mantissa; rounding may make it 2."""
        return int(self.evaluate(np.arange(1 << self.log2_base_factor)).max())

    def evaluate(self, remainder: npt.ArrayLike) -> Integers:
        """Mantissas of an array of remainders."""
        remainder = np.asarray(remainder)
        upper = np.array(self.uppers, dtype=np.int64)[remainder >> self.low_bits]
        lower = np.array(self.lowers, dtype=np.int64)[remainder & (len(self.lowers) - 1)]
        fine: Integers = upper + ((upper * lower) >> (self.mantissa_bits + self.GUARD_BITS))
        return fine >> self.GUARD_BITS

    def max_error(self) -> float:
        """Largest error of a mantissa shifted and rounded to an integer, over every remainder and shift."""
        return _max_error(self)


MantissaPower = PowerTable | PowerProduct


@functools.lru_cache(maxsize=64)
def _max_error(core: MantissaPower) -> float:
    remainder = np.arange(1 << core.log2_base_factor)
    reals = np.exp2(remainder.astype(np.longdouble) / (1 << core.log2_base_factor) + core.mantissa_bits)
    worst = 0.0
    for shift in range(core.mantissa_bits + 1):
        rounded = ((core.evaluate(remainder) >> shift) + 1) >> 1
        worst = max(worst, float(np.abs(rounded - np.ldexp(reals, -shift - 1)).max()))
    return float(np.ceil(worst * 1e6) / 1e6)


@functools.lru_cache(maxsize=64)
def mantissa_power(fmt: LNSFormat, mantissa_bits: int) -> MantissaPower:
    """The evaluation rule for logs of ``fmt`` and mantissas of ``mantissa_bits`` bits below the leading one.

    Raises
    ------
    ValueError
        The format does not split into octaves, or a product would have too many bits.
    """
    bits = log2_base_factor(fmt)
    with mpmath.workdps(_DIGITS):
        if fmt.width <= NEAREST_WIDTH or bits <= _TABLE_BITS:
            exact = (power * (1 << mantissa_bits) for power in _powers(1 << bits, bits))
            return PowerTable(bits, mantissa_bits, tuple(int(mpmath.floor(x)) for x in exact))
        if mantissa_bits > _PRODUCT_BITS:
            raise ValueError(
                f"Significant bits of a result must be at most {_PRODUCT_BITS} for base factor {fmt.base_factor:g}, "
                f"not {mantissa_bits}"
            )
        scale = 1 << (mantissa_bits + PowerProduct.GUARD_BITS)
        low_bits = bits // 2
        uppers = tuple(int(mpmath.nint(x * scale)) for x in _powers(1 << (bits - low_bits), bits - low_bits))
        lowers = tuple(int(mpmath.nint((x - 1) * scale)) for x in _powers(1 << low_bits, bits))
    product = PowerProduct(bits, mantissa_bits, uppers, lowers)
    assert product.max_error() < 1, "a result would not be faithful"
    return product
