"""Mantissas of every remainder against high precision."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.antilog import Antilog, antilog_error, antilog_table, mantissas, octave_bits


def real(remainder, base_factor):
    return mpmath.mpf(2) ** (mpmath.mpf(int(remainder)) / base_factor)


@pytest.mark.parametrize("entries, bits", [(1, 7), (2, 1), (8, 7), (8, 3), (32, 20), (1024, 14), (64, 32)])
def test_entries_are_exactly_rounded(entries, bits):
    with mpmath.workdps(50):
        want = [int(mpmath.floor(real(j, entries) * 2**bits + mpmath.mpf(1) / 2)) for j in range(entries + 1)]
    assert antilog_table(entries, bits).tolist() == want


@pytest.mark.parametrize("antilog, base_factor, bits, chord_bits", [
    (Antilog.TABLE, 8, 7, 0), (Antilog.TABLE, 32, 9, 0), (Antilog.CHORD, 128, 11, 4), (Antilog.CHORD, 2048, 15, 6),
    (Antilog.CHORD, 8, 7, 0), (Antilog.CHORD, 8, 7, 3), (Antilog.CHORD, 1024, 24, 2),
])  # fmt: skip
def test_error_is_the_largest_over_all_remainders(antilog, base_factor, bits, chord_bits):
    got = mantissas(antilog, base_factor, bits, chord_bits)
    with mpmath.workdps(50):
        errors = [abs(mpmath.mpf(int(m)) / 2**bits / real(r, base_factor) - 1) for r, m in enumerate(got)]
    assert len(errors) == base_factor
    assert antilog_error(antilog, base_factor, bits, chord_bits) == pytest.approx(float(max(errors)), rel=1e-6)
    # A chord between two exact points is off by (w ln 2)^2 / 8 at most; the table and the cut add a step each.
    width = 0 if antilog is Antilog.TABLE else 2.0**-chord_bits
    chord = (width * np.log(2)) ** 2 / 8 * (1 + width)
    assert max(errors) <= chord + (0.5 if antilog is Antilog.TABLE else 2) * 2.0**-bits
    assert np.all(np.diff(got) >= 0) and got[0] == 1 << bits and got[-1] < 2 << bits


def test_chord_has_a_fourteenth_of_the_slope_one_error():
    mitchell = max(float((mpmath.mpf(1) + mpmath.mpf(r) / 1024) / real(r, 1024) - 1) for r in range(256))
    assert antilog_error(Antilog.CHORD, 1024, 24, 2) < mitchell / 10


@pytest.mark.parametrize("factor", [6, 0.5, 3.7, 12])
def test_base_factor_must_be_a_power_of_two(factor):
    with pytest.raises(ValueError, match=f"Base factor must be a power of two, not {factor}"):
        octave_bits(factor)
