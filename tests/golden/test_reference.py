"""Rounding of reals: where float64 cannot decide, mpmath must have been asked."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden import reference
from lnsmadam.golden.reference import gauss_log_exact, gauss_log_reals, round_gauss_log, round_log2, round_nearest


def test_round_nearest_asks_only_near_ties():
    asked = []

    def exact(index):
        asked.append(index)
        return [mpmath.mpf("0.4999"), mpmath.mpf("2.5") - mpmath.mpf(10) ** -30, None, mpmath.mpf("-1.5")][index]

    rounded = round_nearest(np.array([0.5, 2.5, 7.3, -1.5]), exact)
    assert rounded.tolist() == [0, 2, 7, -1] and asked == [0, 1, 3]


def test_round_nearest_margin():
    assert round_nearest(np.array([0.6]), lambda index: mpmath.mpf("0.4"), margin=0.2).tolist() == [0]
    assert round_nearest(np.array([0.6]), lambda index: mpmath.mpf("0.4")).tolist() == [1]
    assert round_nearest(np.array([]), lambda index: 1 / 0).tolist() == []


@pytest.mark.parametrize("base_factor", [1, 3.7, 8, 2048, 1e6, 1e9])
def test_round_log2(base_factor, reals):
    generator = np.random.default_rng(2)
    values = np.exp2(generator.uniform(-1000, 1000, 300))
    ties = np.exp2((generator.integers(-500, 500, 300) + 0.5) / base_factor)
    values = np.concatenate([values, ties, np.nextafter(ties, 0), [5e-324, 1.7e308, 1.0]])
    got = round_log2(values.reshape(-1, 3), base_factor).ravel()
    with mpmath.workdps(60):
        for value, log in zip(values, got, strict=True):
            assert log == reals.floor_half(mpmath.mpf(base_factor) * mpmath.log(mpmath.mpf(float(value)), 2)), value


@pytest.mark.parametrize("base_factor", [0.5, 3.7, 8, 2048, 1e6, 1e10])
@pytest.mark.parametrize("subtract", [False, True])
def test_gauss_logs(base_factor, subtract, reals):
    z = np.arange(int(subtract), 300)
    real, rounded = gauss_log_reals(z, base_factor, subtract), round_gauss_log(z, base_factor, subtract)
    with mpmath.workdps(60):
        for index, argument in enumerate(z):
            exact = reals.exact_sum_log(base_factor, 0, -int(argument), subtract)
            assert abs(gauss_log_exact(int(argument), base_factor, subtract) - exact) < mpmath.mpf(10) ** -35
            assert abs(real[index] - exact) <= 1e-7 * max(1, base_factor / 4096)
            assert rounded[index] == reals.floor_half(exact), f"z {argument}: {rounded[index]} for {exact}"


@pytest.mark.parametrize("base_factor, error", [(3.5, 5e-8), (1e9 + 0.5, 5e-5)])
def test_an_inexact_float_does_not_decide_a_tie(base_factor, error, monkeypatch):
    """``log2(1 + 1)`` is one octave, half a step from two integers: however float64 errs, it goes up."""
    z = np.zeros(2, dtype=np.int64)
    monkeypatch.setattr(
        reference, "gauss_log_reals", lambda *arguments: np.array([base_factor - error, base_factor + error])
    )
    assert round_gauss_log(z, base_factor, False).tolist() == [base_factor + 0.5] * 2
