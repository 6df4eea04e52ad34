"""``base_factor * log2(1 + m)`` of a mantissa ``m``, rounded to an integer: the core of the conversions to LNS.

Two evaluation rules, each fixed by integers:

- *Thresholds*: the result is the number of thresholds ``2**((j + 1/2) / base_factor)`` at or below ``1 + m``. Cells
  of the mantissa's top ``log2(base_factor) + 1`` bits are narrower than the distance of two thresholds, so one stored
  count and one comparison of the remaining bits decide: correctly rounded for a mantissa of any length. A mantissa
  that is not longer than that is a table.
- *Segments*, for wide results: the mantissa itself (Mitchell 1962) and a straight line for what is missing to the
  log. Two bits below a step suffice; what lies below them is dropped.
"""

import functools
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.reference import round_nearest

Integers = npt.NDArray[np.int64]

#: Results up to this width are correctly rounded.
NEAREST_WIDTH = 10
# Beyond it thresholds are taken where they need at most this many cells' bits.
_FEW_BITS = 7
_LARGEST = 16384
_DIGITS = 60

# The fit compares integers of this many fraction bits, so that it finds the same coefficients on every machine.
_FIT_BITS = 16
# An error that leaves room below one step; the shortest slopes within it are taken.
_GOAL = 0.95
_CANDIDATES = 3


def log2_base_factor(fmt: LNSFormat) -> int:
    """log2 of the base factor of a format that splits into octaves.

    Raises
    ------
    ValueError
        It does not, or the format holds less than an octave either way.
    """
    largest = min(_LARGEST, 1 << (fmt.width - 2))
    if fmt.base_factor not in [1 << bits for bits in range(largest.bit_length())]:
        raise ValueError(
            f"Base factor must be a power of two from 1 to {largest} to convert {fmt.width} bits, not "
            f"{fmt.base_factor:g}"
        )
    return int(fmt.base_factor).bit_length() - 1


def _rounded_up(error: float) -> float:
    return float(np.ceil(error * 1e6) / 1e6)


@dataclass(frozen=True)
class Thresholds:
    """Correctly rounded log of a mantissa of ``mantissa_bits`` bits::

        top, low = mantissa split after index_bits bits
        result   = counts[top] + (low >= limits[top])

    Without low bits ``limits`` is empty and ``counts`` is the table of results.
    """

    log2_base_factor: int
    mantissa_bits: int
    counts: tuple[int, ...]
    limits: tuple[int, ...]

    rounding = "nearest"

    @property
    def boundaries(self) -> int:
        """Boundaries that its hardware places: the table, the comparison where there is one, the sum."""
        return 3 if self.limits else 2

    @property
    def index_bits(self) -> int:
        """Bits of the mantissa that choose a cell."""
        return (len(self.counts) - 1).bit_length()

    @property
    def low_bits(self) -> int:
        """Bits of the mantissa that are compared."""
        return self.mantissa_bits - self.index_bits

    def evaluate(self, mantissa: Integers) -> Integers:
        """Logs, 0 … ``base_factor``, of an array of mantissas."""
        top = mantissa >> self.low_bits
        result: Integers = np.array(self.counts, dtype=np.int64)[top]
        if self.limits:
            low = mantissa & ((1 << self.low_bits) - 1)
            result = result + (low >= np.array(self.limits, dtype=np.int64)[top])
        return result

    def max_error(self) -> float:
        """Largest error in steps over every mantissa, rounded up to six decimals: it is next to a threshold."""
        size = 1 << self.mantissa_bits
        worst = mpmath.mpf(0)
        with mpmath.workdps(_DIGITS):
            for above in _thresholds(self.log2_base_factor, self.mantissa_bits):
                for mantissa in (above - 1, above):
                    if 0 <= mantissa < size:
                        log = mpmath.log(1 + mpmath.mpf(mantissa) / size, 2) * (1 << self.log2_base_factor)
                        worst = max(worst, abs(log - mpmath.nint(log)))
        return _rounded_up(float(worst))


@functools.lru_cache(maxsize=32)
def _thresholds(log2_base_factor: int, mantissa_bits: int) -> tuple[int, ...]:
    """For each threshold the first mantissa above it; ``2**mantissa_bits`` where there is none."""
    with mpmath.workdps(_DIGITS):
        factor = 1 << log2_base_factor
        return tuple(
            int(mpmath.ceil(((mpmath.power(2, (j + mpmath.mpf(1) / 2) / factor)) - 1) * (1 << mantissa_bits)))
            for j in range(factor)
        )


def _make_thresholds(log2_base_factor: int, mantissa_bits: int) -> Thresholds:
    above = np.array(_thresholds(log2_base_factor, mantissa_bits), dtype=np.int64)
    index_bits = min(log2_base_factor + 1, mantissa_bits)
    while True:
        low_bits = mantissa_bits - index_bits
        first = np.arange(1 << index_bits, dtype=np.int64) << low_bits
        counts = np.searchsorted(above, first, side="right")
        if low_bits == 0:
            return Thresholds(log2_base_factor, mantissa_bits, tuple(counts.tolist()), ())
        # A cell without a threshold inside is one whose comparison always holds.
        next_above = np.append(above, 1 << 62)[counts]
        inside = next_above < first + (1 << low_bits)
        limits, counts = np.where(inside, next_above - first, 0), np.where(inside, counts, counts - 1)
        if counts[0] >= 0:
            return Thresholds(log2_base_factor, mantissa_bits, tuple(counts.tolist()), tuple(limits.tolist()))
        # A mantissa so short that none of the first cell's lies above its threshold.
        index_bits += 1


@dataclass(frozen=True)
class MantissaSegments:
    """Faithful log of a mantissa of ``mantissa_bits`` bits, in units of ``2**-FRACTION_BITS`` step until the end::

        field     = the mantissa's top log2_base_factor + FRACTION_BITS bits, zeros below a shorter one
        top, low  = field split after index_bits bits
        result    = field + intercepts[top] + (slopes[top] * low >> slope_shift) >> FRACTION_BITS

    Shifts round down; slopes are signed.
    """

    log2_base_factor: int
    mantissa_bits: int
    index_bits: int
    slope_shift: int
    intercepts: tuple[int, ...]
    slopes: tuple[int, ...]

    rounding = "faithful"
    FRACTION_BITS = 2

    @property
    def boundaries(self) -> int:
        """Boundaries that its hardware places: the table, two products, the line, the sum."""
        return 4

    @property
    def field_bits(self) -> int:
        """Bits of the mantissa that count."""
        return self.log2_base_factor + self.FRACTION_BITS

    @property
    def low_bits(self) -> int:
        """Bits that a slope multiplies."""
        return self.field_bits - self.index_bits

    def evaluate(self, mantissa: Integers) -> Integers:
        """Logs, 0 … ``base_factor``, of an array of mantissas."""
        dropped = self.mantissa_bits - self.field_bits
        field = mantissa >> dropped if dropped >= 0 else mantissa << -dropped
        top, low = field >> self.low_bits, field & ((1 << self.low_bits) - 1)
        line = np.array(self.intercepts)[top] + ((np.array(self.slopes)[top] * low) >> self.slope_shift)
        result: Integers = (field + line) >> self.FRACTION_BITS
        return result

    def ends(self) -> tuple[Integers, Integers]:
        """The first and the last mantissa of every field: the log rises, so no error between them is larger."""
        dropped = max(self.mantissa_bits - self.field_bits, 0)
        first = np.arange(1 << (self.mantissa_bits - dropped), dtype=np.int64) << dropped
        return first, first + (1 << dropped) - 1

    def max_error(self) -> float:
        """Largest error in steps over every mantissa, rounded up to six decimals."""
        worst = 0.0
        for mantissa in self.ends():
            log = np.log2(1 + mantissa * 2.0**-self.mantissa_bits) * (1 << self.log2_base_factor)
            worst = max(worst, float(np.abs(self.evaluate(mantissa) - log).max()))
        return _rounded_up(worst)


def _fit_line(
    residual: Integers, low: Integers, field: Integers, first: Integers, last: Integers, *, shift: int
) -> tuple[int, int, int]:
    """``(error, intercept, slope)`` of the best line of one segment; errors in units of ``2**-_FIT_BITS`` step."""
    fraction = MantissaSegments.FRACTION_BITS
    unit = 1 << (_FIT_BITS - fraction)
    run = max(int(low[-1] - low[0]), 1)
    chord = (int(residual[-1] - residual[0]) << shift) // (run * unit)
    best: tuple[int, int, int] | None = None
    for slope in range(chord - _CANDIDATES, chord + _CANDIDATES + 1):
        line = (slope * low) >> shift
        rest = residual - line * unit
        middle = (int(rest.max()) + int(rest.min())) // (2 * unit)
        for intercept in range(middle - _CANDIDATES, middle + _CANDIDATES + 1):
            result = (field + intercept + line) >> fraction << _FIT_BITS
            error = max(int((result - first).max()), int((last - result).max()))
            if best is None or (error, abs(slope), intercept) < (best[0], abs(best[2]), best[1]):
                best = error, intercept, slope
    assert best is not None
    return best


def _make_segments(log2_base_factor: int, mantissa_bits: int) -> MantissaSegments:
    factor, fraction = 1 << log2_base_factor, MantissaSegments.FRACTION_BITS
    # A segment of 2**-index_bits errs by base_factor / ln(2) / 16 * 4**-index_bits: 0.18 steps, or half of it.
    index_bits = log2_base_factor // 2
    draft = MantissaSegments(log2_base_factor, mantissa_bits, index_bits, 0, (), ())
    ends = []
    for mantissa in draft.ends():

        def exact(index: int, mantissa: Integers = mantissa) -> Any:
            return mpmath.log(1 + mpmath.mpf(int(mantissa[index])) / (1 << mantissa_bits), 2) * (factor << _FIT_BITS)

        ends.append(round_nearest(np.log2(1 + mantissa * 2.0**-mantissa_bits) * (factor << _FIT_BITS), exact, 1e-3))
    first, last = ends
    field = np.arange(len(first), dtype=np.int64) << max(draft.field_bits - mantissa_bits, 0)
    unit = 1 << (_FIT_BITS - fraction)
    # Rounding down takes half a step less half a unit on average.
    residual = (first + last) // 2 - field * unit + ((1 << _FIT_BITS) - unit) // 2
    low = field & ((1 << draft.low_bits) - 1)
    parts = [np.split(array, 1 << index_bits) for array in (residual, low, field, first, last)]
    for shift in range(2, draft.low_bits + 1):
        lines = [_fit_line(*columns, shift=shift) for columns in zip(*parts, strict=True)]
        if max(error for error, _, _ in lines) <= _GOAL * (1 << _FIT_BITS):
            break
    intercepts, slopes = zip(*((intercept, slope) for _, intercept, slope in lines), strict=True)
    fitted = MantissaSegments(log2_base_factor, mantissa_bits, index_bits, shift, intercepts, slopes)
    assert fitted.max_error() < 1, "a log would not be faithful"
    return fitted


MantissaLog = Thresholds | MantissaSegments


@functools.lru_cache(maxsize=64)
def mantissa_log(fmt: LNSFormat, mantissa_bits: int) -> MantissaLog:
    """The evaluation rule for results of ``fmt`` and mantissas of ``mantissa_bits`` bits below the leading one.

    Raises
    ------
    ValueError
        The format does not split into octaves.
    """
    bits = log2_base_factor(fmt)
    if fmt.width <= NEAREST_WIDTH or min(bits + 1, mantissa_bits) <= _FEW_BITS:
        return _make_thresholds(bits, mantissa_bits)
    return _make_segments(bits, mantissa_bits)


def normalise(magnitude: Integers, width: int) -> tuple[Integers, Integers]:
    """``(position, mantissa)``: where the leading one of positive magnitudes below ``2**width`` is, and the bits below
    it, left-aligned in ``width - 1`` bits. Of 0 both are 0."""
    position, rest = np.zeros_like(magnitude), magnitude
    for step in (32, 16, 8, 4, 2, 1):
        is_above = (rest >> step) > 0
        position = position + step * is_above
        rest = np.where(is_above, rest >> step, rest)
    return position, (magnitude << (width - 1 - position)) & ((1 << (width - 1)) - 1)
