"""Fixed point to LNS against the real log: every number of narrow formats, every threshold of wide ones."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.linear_to_log import LinearToLogConfig, MagnitudeLog, directed, linear_to_log
from lnsmadam.golden.log_of_mantissa import normalise

EVERY = [
    (LNS6, FixedFormat(16, 8, signed=True)),
    (LNS8, FixedFormat(16, 12, signed=True)),
    (LNS8, FixedFormat(7, 2)),
    (LNS10, FixedFormat(16, 8)),
    (LNS12, FixedFormat(16, 8, signed=True)),
    (LNS16, FixedFormat(16, 8, signed=True)),
    (LNSFormat(4, 1), FixedFormat(9, -3)),
    (LNSFormat(4, 4), FixedFormat(2, 0, signed=True)),
    (LNSFormat(12, 1), FixedFormat(3, 8, signed=True)),
    (LNSFormat(8, 64), FixedFormat(16, 14)),
    (LNSFormat(8, 8, -20, 30), FixedFormat(12, 6, signed=True)),
    (LNSFormat(24, 16384), FixedFormat(16, 8)),
]


def exact_steps(fmt, integer, fraction_bits):
    """``base_factor * log2|value|`` as an mpmath number."""
    return (mpmath.log(abs(int(integer)), 2) - fraction_bits) * int(fmt.base_factor)


def check(reals, config, integers, words):
    """Range, sign, and the error of every result; equality with the nearest word where that is promised."""
    fmt, fraction_bits = config.format, config.linear_format.fraction_bits
    got = linear_to_log(config, words)
    got_sign, got_log, got_zero = reals.fields(fmt, got)
    nonzero = integers != 0
    magnitudes = np.where(nonzero, np.abs(integers), 1).astype(np.longdouble)
    steps = (np.log2(magnitudes) - fraction_bits) * int(fmt.base_factor)
    assert got_zero[~nonzero].all() and (got_sign[~nonzero] == 0).all()
    if config.guarantee()["rounding"] == "nearest":
        want = np.zeros(len(integers), dtype=np.int64)
        want[nonzero] = np.floor(steps[nonzero] + 0.5)
        with mpmath.workdps(60):
            for index in np.flatnonzero(nonzero & (np.abs(steps + 0.5 - np.rint(steps + 0.5)) < 1e-6)):
                want[index] = reals.floor_half(exact_steps(fmt, integers[index], fraction_bits))
        operands = {"a": (fmt, got), "result": fmt}
        reals.assert_same(got, reals.words_of(fmt, integers < 0, want, ~nonzero), operands)
    inside = nonzero & (steps > fmt.log_min) & (steps < fmt.log_max)
    worst = float(np.abs(got_log - steps)[inside].max(initial=0))
    assert worst <= config.guarantee()["max_error_ulp"] < 1
    assert not got_zero[inside].any() and (got_sign == (integers < 0))[inside].all()
    assert (got_log == fmt.log_max)[nonzero & (steps >= fmt.log_max + 1)].all()
    assert got_zero[nonzero & (steps <= fmt.log_min - 1)].all()
    return worst


@pytest.mark.parametrize("fmt, linear", EVERY, ids=str)
def test_every_number(fmt, linear, reals):
    config = LinearToLogConfig(format=fmt, linear_format=linear)
    words = np.arange(1 << linear.width)
    integers = words - ((words >> (linear.width - 1)) << linear.width) * linear.signed
    worst = check(reals, config, integers, words)
    if not linear.signed and fmt.is_full_range and fmt.log_width > 11:
        # Every mantissa occurs, so the stated maximum is reached.
        assert worst > config.guarantee()["max_error_ulp"] - 1e-5


@pytest.mark.parametrize("fmt", [LNS6, LNS8, LNS10, LNS12, LNS16, LNSFormat(4, 1)], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize(
    "linear", [FixedFormat(24, 8, signed=True), FixedFormat(40, 20), FixedFormat(62, 30, signed=True)], ids=str
)
def test_numbers_around_every_threshold(fmt, linear, reals):
    config = LinearToLogConfig(format=fmt, linear_format=linear)
    with mpmath.workdps(60):
        ties = [mpmath.power(2, (j + mpmath.mpf(1) / 2) / int(fmt.base_factor)) for j in range(int(fmt.base_factor))]
    integers = {0, 1, linear.maximum, linear.minimum, linear.maximum - 1}
    for octave in (0, 3, linear.width // 2, linear.width - 2):
        integers |= {int(tie * (1 << octave)) + near for tie in ties for near in (-1, 0, 1, 2)}
    integers |= {-integer for integer in integers if linear.signed}
    kept = np.array(sorted(x for x in integers if linear.minimum <= x <= linear.maximum), dtype=np.int64)
    assert len(kept) > 8
    check(reals, config, kept, linear.pack(kept))
    words = directed(config, np.random.default_rng(1), 20_000)["a"]
    check(reals, config, linear.unpack(words), words)


def test_normalise():
    for width in (2, 3, 24, 62):
        for position in range(width):
            for below in (0, (1 << position) - 1):
                got, mantissa = normalise(np.array([(1 << position) + below]), width)
                assert got[0] == position and mantissa[0] == below << (width - 1 - position)


def test_scalars_and_shapes():
    config = LinearToLogConfig()
    assert linear_to_log(config, 256) == 0 and linear_to_log(config, 0) == LNS8.zero
    assert linear_to_log(config, np.full((2, 3), 512)).tolist() == [[8] * 3] * 2


@pytest.mark.parametrize("options, message", [
    ({"format": SYNAPSE}, "Base factor must be a power of two from 1 to 16 to convert 6 bits, not 4.2323"),
    ({"format": LNSFormat(8, 0.5)}, "Base factor must be a power of two from 1 to 64 to convert 8 bits, not 0.5"),
    ({"format": LNSFormat(24, 32768)}, "Base factor must be a power of two from 1 to 16384"),
    ({"linear_format": FixedFormat(63)}, "Width of the operand must be from 2 to 62, not 63"),
    ({"linear_format": FixedFormat(1)}, "Width of the operand must be from 2 to 62, not 1"),
    ({"pipeline": 8}, "Pipeline of linear_to_log must be from 0 to 7 stages, not 8"),
])  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LinearToLogConfig(**options)


def test_magnitude_errors():
    with pytest.raises(ValueError, match="Width of a magnitude must be from 2 to 62, not 63"):
        MagnitudeLog(63, 0, LNS8)
