"""The segmented Gaussian logs: faithful at every z, bits as the rule says, coefficients the same everywhere."""

import dataclasses

import mpmath
import numpy as np
import pytest

from lnsmadam.golden import segments as segments_module
from lnsmadam.golden.segments import MEMORIES, Segments, fit_segments, max_pipeline, min_pipeline

BASE_FACTORS = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
ALL = [(base_factor, memory) for base_factor in BASE_FACTORS for memory in MEMORIES]


def reals(z, base_factor, subtract):
    """The Gaussian log in extended precision, from its definition."""
    power = np.exp2(-z.astype(np.longdouble) / base_factor)
    return base_factor * np.log2(1 - power if subtract else 1 + power)


def by_rule(segments: Segments, z: int, subtract: bool) -> int:
    """One value from the rule in the docstring of Segments, on Python integers."""
    gamma, fraction = segments.base_factor, segments.fraction_bits
    if z >= 12 * gamma or (subtract and z == 0):
        return 0
    near = z < 4 * gamma
    log_part = subtract and near
    near_bits = (4 * gamma - 1).bit_length()
    field = z % (1 << near_bits) if near else z // 2 % (1 << near_bits - 1) + (z >= 8 * gamma) * (1 << near_bits - 1)
    top = field >> segments.segment_bits
    index = top | (not near) << near_bits - segments.segment_bits | subtract << near_bits + 1 - segments.segment_bits
    offset = field % (1 << segments.segment_bits)
    if not log_part:
        offset = (1 << segments.segment_bits) - 1 - offset
    smooth = segments.intercepts[index] + (segments.slopes[index] * offset >> segments.slope_shift)
    zeros, mantissa = 0, 0
    if log_part:
        bits = format(z, f"0{near_bits}b")
        zeros = bits.index("1")
        below = bits[zeros + 1 :].ljust(near_bits - 1, "0")
        mantissa = int("".join("10"[int(bit)] for bit in below), 2)
    mantissa_text = format(mantissa, f"0{near_bits - 1}b")
    low_text = mantissa_text[segments.log_index_bits :]
    low_text = low_text[: len(low_text) - segments.log_drop]
    top = int(mantissa_text[: segments.log_index_bits], 2)
    logarithm = (zeros << near_bits - 1 | mantissa) << fraction - 1
    logarithm += segments.log_intercepts[top] + (segments.log_slopes[top] * int(low_text, 2) >> segments.log_shift)
    magnitude = smooth + logarithm >> fraction
    return -magnitude if subtract else magnitude


@pytest.mark.parametrize("base_factor, memory", ALL)
def test_faithful_at_every_z(base_factor, memory):
    segments = fit_segments(base_factor, memory)
    worst = 0.0
    for subtract in (False, True):
        z = np.arange(int(subtract), 16 * base_factor)
        error = np.abs(segments.evaluate(z, subtract) - reals(z, base_factor, subtract))
        at = int(error.argmax())
        assert error[at] < 1, f"z {z[at]}, subtract {subtract}: off by {error[at]}"
        worst = max(worst, float(error[at]))
    assert segments.max_error() == pytest.approx(worst, abs=2e-6)


@pytest.mark.parametrize("memory", MEMORIES)
def test_worst_errors_in_mpmath(memory):
    segments = fit_segments(2048, memory)
    with mpmath.workdps(40):
        for subtract in (False, True):
            z = np.arange(int(subtract), 12 * 2048 + 1)
            error = np.abs(segments.evaluate(z, subtract) - reals(z, 2048, subtract))
            for worst in z[np.argsort(error)[-50:]]:
                power = mpmath.power(2, -mpmath.mpf(int(worst)) / 2048)
                exact = 2048 * mpmath.log(1 - power if subtract else 1 + power, 2)
                got = int(segments.evaluate(int(worst), subtract))
                assert abs(got - exact) < 1, f"z {worst}, subtract {subtract}: {got} for {exact}"


@pytest.mark.parametrize("base_factor, memory", ALL)
def test_bits_are_those_of_the_rule(base_factor, memory):
    segments = fit_segments(base_factor, memory)
    for subtract in (False, True):
        # Every z of the small ones; of the others every segment, and the octaves' ends.
        step = max(1, base_factor // 128)
        ends = np.concatenate([(base_factor << place >> 4) + np.arange(-3, 4) for place in range(9)])
        z = np.unique(np.concatenate([np.arange(0, 16 * base_factor, step), np.arange(300), ends[ends >= 0]]))
        got = segments.evaluate(z, subtract)
        want = [by_rule(segments, int(value), subtract) for value in z]
        wrong = np.flatnonzero(got != want)
        assert not wrong.size, f"z {z[wrong[0]]}, subtract {subtract}: {got[wrong[0]]}, not {want[wrong[0]]}"


def test_shapes_and_signs():
    segments = fit_segments(128)
    assert segments.evaluate(0, False) == pytest.approx(128, abs=1)
    assert segments.evaluate(0, True) == 0
    assert segments.evaluate(np.zeros((2, 3), dtype=np.uint8), False).shape == (2, 3)
    assert segments.evaluate(np.array([], dtype=np.int64), True).shape == (0,)
    z = np.arange(1, 16 * 128)
    assert (segments.evaluate(z, True) <= 0).all() and (segments.evaluate(z, False) >= 0).all()
    assert not segments.evaluate(np.arange(12 * 128, 1 << 17), True).any()


@pytest.mark.parametrize("base_factor, memory", [(128, "logic"), (512, "block")])
def test_coefficients_do_not_depend_on_the_last_bits_of_floats(base_factor, memory, monkeypatch):
    expected = fit_segments(base_factor, memory)
    original, generator = segments_module.gauss_log_reals, np.random.default_rng(3)

    def noisy(z, base_factor, subtract):
        values = original(z, base_factor, subtract)
        return values * (1 + 1e-13 * generator.uniform(-1, 1, values.shape))

    monkeypatch.setattr(segments_module, "gauss_log_reals", noisy)
    assert fit_segments.__wrapped__(base_factor, memory) == expected


def test_hashable_and_equal():
    assert fit_segments(64) == fit_segments(64.0) and hash(fit_segments(64)) == hash(fit_segments(64.0))
    assert fit_segments(64, "logic") != fit_segments(64, "block")


def test_block_variant_fits_three_block_rams():
    segments = fit_segments(2048, "block")
    # Bits of a column, without the sign that all but the slopes have.
    bits = [max(value if value >= 0 else ~value for value in column).bit_length() for column in (
        segments.intercepts, segments.slopes, segments.log_intercepts, segments.log_slopes)]  # fmt: skip
    assert len(segments.intercepts) == 256 and bits[0] + 1 + bits[1] <= 32
    assert len(segments.log_intercepts) == 256 and bits[2] + 1 + bits[3] + 1 <= 16


@pytest.mark.parametrize("name, position, change", [
    ("intercepts", 3, 9), ("slopes", 40, 6), ("log_intercepts", 7, -9), ("log_slopes", 30, 3),
])  # fmt: skip
def test_a_wrong_coefficient_shows(name, position, change):
    segments = fit_segments(2048)
    values = list(getattr(segments, name))
    values[position] += change
    assert dataclasses.replace(segments, **{name: tuple(values)}).max_error() > 1


@pytest.mark.parametrize("base_factor", [100, 2, 4096, 0.5, 2049, 12.3])
def test_base_factor_is_refused(base_factor):
    with pytest.raises(ValueError, match="power of two from 4 to 2048"):
        fit_segments(base_factor)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Memory must be one of logic, block, not 'rom'"):
        fit_segments(64, "rom")
    with pytest.raises(ValueError, match="z must be at least 0, not -1"):
        fit_segments(64).evaluate([3, -1], False)


def test_pipeline_limits():
    assert min_pipeline("logic") == 0 and min_pipeline("block") == 2
    assert max_pipeline("logic") == max_pipeline("block") == 14
