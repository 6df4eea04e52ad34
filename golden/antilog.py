"""Mantissas ``2**(remainder / base_factor)`` of numbers given by their logs: a table, or a few chords.

A log of ``quotient * base_factor + remainder`` steps is ``2**quotient`` times the mantissa of its remainder, which
lies from 1 to 2.
"""

import enum
import functools

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.reference import round_nearest

Integers = npt.NDArray[np.int64]


class Antilog(enum.Enum):
    """How mantissas are evaluated."""

    TABLE = "table"
    CHORD = "chord"


def octave_bits(base_factor: float) -> int:
    """log2 of a base factor that is a power of two; raises ``ValueError`` for others."""
    factor = int(base_factor)
    if factor != base_factor or factor < 1 or factor & (factor - 1):
        raise ValueError(f"Base factor must be a power of two, not {base_factor:g}")
    return factor.bit_length() - 1


@functools.lru_cache(maxsize=32)
def antilog_table(entries: int, mantissa_bits: int) -> Integers:
    """``2**(j / entries)`` for j from 0 to ``entries``, in steps of ``2**-mantissa_bits``, exactly rounded."""
    j = np.arange(entries + 1)
    return round_nearest(
        np.exp2(j / entries) * 2.0**mantissa_bits,
        lambda index: mpmath.mpf(2) ** (mpmath.mpf(index) / entries + mantissa_bits),
        # A few ulp of float64.
        margin=2.0 ** (mantissa_bits - 48),
    )


@functools.lru_cache(maxsize=32)
def mantissas(antilog: Antilog, base_factor: int, mantissa_bits: int, chord_bits: int) -> Integers:
    """The mantissa of every remainder, in steps of ``2**-mantissa_bits``.

    Of a chord, ``start + (end - start) * t`` truncated: start and end are exactly rounded entries of a table of
    ``2**chord_bits``, addressed by the remainder's upper bits, and t is the fraction that its lower bits make. Its
    slope at ``1 / entries = w`` octaves is ``(2**w - 1) / w`` of the start, which has 14 times less error at 4
    entries than Mitchell's slope of 1.
    """
    if antilog is Antilog.TABLE:
        return antilog_table(base_factor, mantissa_bits)[:-1]
    ends = antilog_table(1 << chord_bits, mantissa_bits)
    low_bits = octave_bits(base_factor) - chord_bits
    remainder = np.arange(base_factor)
    j, t = remainder >> low_bits, remainder & ((1 << low_bits) - 1)
    return np.asarray(ends[j] + ((np.diff(ends)[j] * t) >> low_bits), dtype=np.int64)


def antilog_error(antilog: Antilog, base_factor: int, mantissa_bits: int, chord_bits: int) -> float:
    """Largest relative error of a mantissa, over all remainders."""
    table = mantissas(antilog, base_factor, mantissa_bits, chord_bits)
    reals = np.exp2(np.arange(base_factor) / base_factor)
    return float(np.abs(table * 2.0**-mantissa_bits / reals - 1).max())
