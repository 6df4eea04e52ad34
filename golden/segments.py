"""Gaussian logs of wide formats, where a table of every ``z`` would be too large.

``M(z)`` approximates ``base_factor * |log2(1 ± 2**(-z / base_factor))|`` in integers. Three facts keep it small:

- Beside its singularity the difference is a logarithm: ``-log2(1 - 2**-x) = -log2(x) + smooth(x)``. With
  ``z = 2**exponent * (1 + mantissa)`` the term ``-log2(z)`` is the exponent and mantissa themselves (Mitchell
  1962) and a small correction of the mantissa alone, the same for every octave.
- What remains is no more curved than the sum, so one grid of straight segments serves both: ``2**segment_bits``
  steps up to ``4 * base_factor``, twice as many from there to ``12 * base_factor``, zero beyond.
- Faithful asks for an error below one step, and rounding to an integer takes half of it. The other half is spent
  on long segments and short coefficients.
"""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.reference import gauss_log_exact, gauss_log_reals, round_nearest

Integers = npt.NDArray[np.int64]

# The fit compares integers of this many fraction bits, so that it finds the same coefficients on every machine.
_FIT_BITS = 16
# Bound on the error of a float64 magnitude in those units, with ample reserve: nearer to a tie, mpmath decides.
_FIT_MARGIN = 1e-4
# Slopes and intercepts tried on either side of the likeliest.
_CANDIDATES = 4

MEMORIES = ("logic", "block")
#: The base factors that have segments, in words; see :func:`is_segmentable`.
SEGMENTABLE = "a power of two from 4 to 2048"
# Errors, in steps, within which coefficients are chosen for their trailing zeros. In block RAM a bit costs nothing.
_TOLERANCES = {"logic": 0.98, "block": 0.0}


@dataclass(frozen=True)
class Segments:
    """Integer coefficients and evaluation rule of ``M(z)``, in units of ``2**-fraction_bits`` step until the end.

    With ``near = z < 4 * base_factor``, ``log_part = subtract and near``, and ``~`` a complement in the field's
    own width::

        field     = z % 2**near_bits                         if near else  (z // 2) % 2**(near_bits - 1)
                                                             + 2**(near_bits - 1) * (z >= 8 * base_factor)
        index     = {subtract, not near, field >> segment_bits}
        offset    = field % 2**segment_bits,  complemented unless log_part
        smooth    = intercepts[index] + (slopes[index] * offset >> slope_shift)

        zeros     = leading zeros of z in near_bits bits     if log_part else 0
        mantissa  = ~ bits of z below its leading one,       if log_part else 0
                    left-aligned in near_bits - 1 bits
        top, low  = mantissa split after log_index_bits bits, the last bit of low dropped where log_drop is 1
        logarithm = ({zeros, mantissa} << fraction_bits - 1) + log_intercepts[top] + (log_slopes[top] * low
                    >> log_shift)

        M         = smooth + logarithm >> fraction_bits      if z < 12 * base_factor else 0

    Shifts round down; ``log_slopes`` are signed. The sum's ``F(z)`` is ``M(z)``, the difference's ``-M(z)``.

    Attributes
    ----------
    log2_base_factor : int
        The base factor is this power of two.
    intercepts, slopes : tuples of int
        One entry per index: the near sum, the far sum, the near difference, the far difference.
    log_intercepts, log_slopes : tuples of int
        The correction of the mantissa.
    """

    log2_base_factor: int
    fraction_bits: int
    segment_bits: int
    slope_bits: int
    slope_shift: int
    log_index_bits: int
    log_drop: int
    log_shift: int
    intercepts: tuple[int, ...]
    slopes: tuple[int, ...]
    log_intercepts: tuple[int, ...]
    log_slopes: tuple[int, ...]

    #: Where segments become longer, and where the result is 0, in octaves.
    NEAR_OCTAVES: ClassVar[int] = 4
    FAR_OCTAVES: ClassVar[int] = 12

    @property
    def base_factor(self) -> int:
        """Steps per octave."""
        return 1 << self.log2_base_factor

    @property
    def near_bits(self) -> int:
        """Bits of a ``z`` below four octaves."""
        return self.log2_base_factor + 2

    @property
    def mantissa_bits(self) -> int:
        """Bits below the leading one of the largest near ``z``."""
        return self.near_bits - 1

    @property
    def low_bits(self) -> int:
        """Mantissa bits that the correction's slope multiplies."""
        return self.mantissa_bits - self.log_index_bits - self.log_drop

    @property
    def index_bits(self) -> int:
        """Bits of ``index`` without ``subtract``."""
        return 1 + self.near_bits - self.segment_bits

    @property
    def limit(self) -> int:
        """The first ``z`` from which ``M`` is 0."""
        return self.FAR_OCTAVES << self.log2_base_factor

    def index_and_offset(self, z: Integers, subtract: bool) -> tuple[Integers, Integers]:
        """``index`` and ``offset`` of every ``z`` below :attr:`limit`."""
        near = z < 1 << self.near_bits
        half = 1 << (self.near_bits - 1)
        far_field = ((z >> 1) & (half - 1)) + half * (z >= 2 << self.near_bits)
        field = np.where(near, z, far_field)
        mask = (1 << self.segment_bits) - 1
        offset = np.where(near & subtract, field & mask, ~field & mask)
        near_entries = 1 << (self.index_bits - 1)
        index: Integers = (field >> self.segment_bits) + near_entries * (~near + 2 * subtract)
        return index, offset

    def logarithm(self, z: Integers, subtract: bool) -> Integers:
        """``logarithm`` of every ``z`` below :attr:`limit`."""
        is_log = (z < 1 << self.near_bits) & subtract & (z > 0)
        _, exponent = np.frexp(np.where(is_log, z, 1))
        zeros = np.where(is_log, self.near_bits - exponent, 0)
        mantissa = np.where(is_log, ~(z << zeros) & ((1 << self.mantissa_bits) - 1), 0)
        field = (zeros << self.mantissa_bits) + mantissa
        top = mantissa >> (self.mantissa_bits - self.log_index_bits)
        low = (mantissa >> self.log_drop) & ((1 << self.low_bits) - 1)
        correction: Integers = np.array(self.log_intercepts)[top]
        correction = correction + ((np.array(self.log_slopes)[top] * low) >> self.log_shift)
        return correction + (field << (self.fraction_bits - 1))

    def evaluate(self, z: npt.ArrayLike, subtract: bool) -> Integers:
        """``F(z)``: the integer added to the larger operand's log.

        Parameters
        ----------
        z : array of int, any shape
            Distance of the logs, at least 0. The difference's logarithm of 0 is minus infinity, its entry 0.
        subtract : bool
            Whether the signs differ.

        Returns
        -------
        array of int64, the shape of ``z``; never positive for a difference
        """
        z = np.asarray(z, dtype=np.int64)
        if z.size and z.min() < 0:
            raise ValueError(f"z must be at least 0, not {z.min()}")
        inside = np.minimum(z, self.limit - 1)
        index, offset = self.index_and_offset(inside, subtract)
        smooth = np.array(self.intercepts)[index] + ((np.array(self.slopes)[index] * offset) >> self.slope_shift)
        magnitude = (smooth + self.logarithm(inside, subtract)) >> self.fraction_bits
        magnitude = np.where((z < self.limit) & ((z > 0) | (not subtract)), magnitude, 0)
        return -magnitude if subtract else magnitude

    def max_error(self) -> float:
        """Largest ``|F(z) - f(z)|`` over every ``z``, sum and difference, rounded up to six decimals.

        Beyond :attr:`limit` the error is ``|f|``, which falls; the limit itself is looked at.
        """
        worst = 0.0
        for subtract in (False, True):
            z = np.arange(int(subtract), self.limit + 1)
            reals = gauss_log_reals(z, self.base_factor, subtract)
            worst = max(worst, float(np.abs(self.evaluate(z, subtract) - reals).max()))
        return float(np.ceil(worst * 1e6) / 1e6)

    def describe(self) -> dict[str, Any]:
        """What fixes the bits, for a manifest; JSON types only."""
        return {
            "fraction_bits": self.fraction_bits,
            "segment_bits": self.segment_bits,
            "slope_shift": self.slope_shift,
            "log_index_bits": self.log_index_bits,
            "log_drop": self.log_drop,
            "log_shift": self.log_shift,
            "intercepts": list(self.intercepts),
            "slopes": list(self.slopes),
            "log_intercepts": list(self.log_intercepts),
            "log_slopes": list(self.log_slopes),
        }


def _trailing_zeros(value: int) -> int:
    return (value & -value).bit_length() - 1 if value else 64


@dataclass(frozen=True)
class _Line:
    """How a segment's coefficients are read: ``(intercept + (slope * offset >> shift)) * unit``."""

    shift: int
    unit: int
    #: Slopes that have a code.
    slopes: range

    def candidates(self, residual: Integers, offset: Integers) -> Iterator[tuple[int, int, Integers]]:
        """``(intercept, slope, values)`` of lines near ``residual``, whose ends give the slope."""
        first, last = int(np.argmin(offset)), int(np.argmax(offset))
        run = max(int(offset[last] - offset[first]), 1)
        chord = (int(residual[last] - residual[first]) << self.shift) // (run * self.unit)
        chord = min(max(chord, self.slopes.start), self.slopes.stop - 1)
        for slope in range(chord - _CANDIDATES, chord + _CANDIDATES + 2):
            if slope in self.slopes:
                line = (slope * offset) >> self.shift
                rest = residual - line * self.unit
                middle = int(rest.max() + rest.min()) // (2 * self.unit)
                for intercept in range(middle - _CANDIDATES, middle + _CANDIDATES + 2):
                    yield intercept, slope, intercept + line


def _best(
    line: _Line, wanted: Integers, offset: Integers, added: Integers | None = None, tolerance: int = 0
) -> tuple[int, int]:
    """Intercept and slope whose line is nearest to ``wanted``.

    With ``added``, in the line's units, what counts is the final integer, ``line + added`` rounded down to a step.
    Among lines within ``tolerance`` the one whose coefficients have the most trailing zeros is taken: each zero
    bit of a whole table is a table fewer.
    """
    step = 1 << _FIT_BITS
    # Rounding down takes half a step less half a unit on average.
    residual = wanted if added is None else wanted - added * line.unit + (step - line.unit) // 2
    best: tuple[tuple[int, ...], int, int] | None = None
    for intercept, slope, values in line.candidates(residual, offset):
        result = values * line.unit if added is None else (values + added) * line.unit // step * step
        error = int(np.abs(result - wanted).max())
        key: tuple[int, ...] = (1, error)
        if error <= tolerance:
            key = (0, -_trailing_zeros(intercept), -_trailing_zeros(slope), error)
        if best is None or key < best[0]:
            best = key, intercept, slope
    assert best is not None
    return best[1], best[2]


def _magnitudes(base_factor: int, z: Integers, subtract: bool) -> Integers:
    """``|f(z)|`` as integers of ``_FIT_BITS`` fraction bits, correctly rounded."""
    scale = 1 << _FIT_BITS
    sign = -1 if subtract else 1

    def exact(index: int) -> Any:
        return sign * scale * mpmath.mpf(gauss_log_exact(int(z[index]), base_factor, subtract))

    magnitudes: Integers = round_nearest(sign * scale * gauss_log_reals(z, base_factor, subtract), exact, _FIT_MARGIN)
    return magnitudes


def is_segmentable(base_factor: float) -> bool:
    """Whether :func:`fit_segments` takes the base factor."""
    return base_factor in [1 << bits for bits in range(2, 12)]


@functools.lru_cache(maxsize=32)
def fit_segments(base_factor: float, memory: str = "logic") -> Segments:
    """Segments of a base factor.

    Parameters
    ----------
    base_factor : float
        The accumulator's; a power of two, 4 to 2048.
    memory : str
        ``"logic"``: few, long segments, whose coefficients LUTs hold. ``"block"``: segments half as long, whose
        coefficients take three iCE40 block RAMs at base factor 2048 and leave smaller multiplications.

    Raises
    ------
    ValueError
        The base factor is none of these, or the memory is unknown.
    """
    if memory not in MEMORIES:
        raise ValueError(f"Memory must be one of {', '.join(MEMORIES)}, not {memory!r}")
    if not is_segmentable(base_factor):
        raise ValueError(f"Base factor of a segmented sum must be {SEGMENTABLE}, not {base_factor:g}")
    log2_base_factor = int(base_factor).bit_length() - 1
    mantissa_bits = log2_base_factor + 1
    # An error of (2**segment_bits)**2 * curvature / 16, the sum's curvature being ln(2) / (4 * base_factor) at
    # most: 0.35 steps at an odd log2_base_factor, half of it at an even one.
    segment_bits = (log2_base_factor + 5) // 2
    # A unit of slope is then a quarter to half a step at a segment's end.
    slope_bits = (log2_base_factor + 3) // 2
    # The correction's curvature is base_factor / ln(2) per squared mantissa at most: 0.18 steps, or 0.36.
    fraction_bits, log_index_bits, log_drop, log_shift = 3, log2_base_factor // 2, 1, 3
    if memory == "block":
        # A quarter of those errors and more for half the length: room for fewer fraction bits and coarser slopes.
        segment_bits, slope_bits = segment_bits - 1, slope_bits - 1
        fraction_bits, log_index_bits, log_shift = 2, min(8, mantissa_bits - 2), 2
    # Slopes stay below 1/2, so one of 2**slope_bits would be 1/2.
    slope_shift = slope_bits + 1 - fraction_bits
    draft = Segments(
        log2_base_factor, fraction_bits, segment_bits, slope_bits, slope_shift, log_index_bits, log_drop, log_shift,
        (), (), (), (),
    )  # fmt: skip
    fitted = _fit(draft, _TOLERANCES[memory])
    assert fitted.max_error() < 1, "a sum or difference would not be faithful"
    return fitted


def _fit(draft: Segments, tolerance: float) -> Segments:
    base_factor, step = draft.base_factor, 1 << _FIT_BITS
    unit = step >> draft.fraction_bits

    # The correction of the mantissa, whose complement is the table's argument.
    size = 1 << draft.mantissa_bits
    complement = np.arange(size)
    mantissa = size - 1 - complement

    def exact(index: int) -> Any:
        return step * base_factor * mpmath.log(1 + mpmath.mpf(int(mantissa[index])) / size, 2)

    logs = round_nearest(step * base_factor * np.log2(1 + mantissa / size), exact, _FIT_MARGIN)
    correction = mantissa * (step * base_factor // size) - logs
    low = (complement >> draft.log_drop) & ((1 << draft.low_bits) - 1)
    line = _Line(draft.log_shift, unit, range(-(1 << 20), 1 << 20))
    parts = np.split(complement, 1 << draft.log_index_bits)
    log_intercepts, log_slopes = zip(*(_best(line, correction[part], low[part]) for part in parts), strict=True)
    draft = dataclasses.replace(draft, log_intercepts=log_intercepts, log_slopes=log_slopes)

    # The smooth part takes up the correction's errors, so it is fitted on top of them.
    line = _Line(draft.slope_shift, unit, range(1 << draft.slope_bits))
    found: list[tuple[int, int]] = []
    for subtract in (False, True):
        z = np.arange(int(subtract), draft.limit)
        wanted = _magnitudes(base_factor, z, subtract)
        added = draft.logarithm(z, subtract)
        index, offset = draft.index_and_offset(z, subtract)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        for part in np.split(z - z[0], starts[1:]):
            found.append(_best(line, wanted[part], offset[part], added[part], int(tolerance * step)))
    intercepts, slopes = zip(*found, strict=True)
    return dataclasses.replace(draft, intercepts=intercepts, slopes=slopes)


# Places for a register in the datapath of a segmented sum (hw/segments.py), whatever the base factor.
_BOUNDARIES = 14
# Those of the two block memories' read ports: the segments' coefficients, the correction's.
READ_BOUNDARIES = (5, 6)


def min_pipeline(memory: str) -> int:
    """Fewest register stages of a segmented sum: those of its block memories."""
    return len(READ_BOUNDARIES) if memory == "block" else 0


def max_pipeline(memory: str) -> int:
    """Most register stages of a segmented sum."""
    return _BOUNDARIES
