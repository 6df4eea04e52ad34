"""LNS to fixed point against the real power of two: every word."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.log_to_linear import LogToLinearConfig, log_to_linear

CASES = [
    *((fmt, FixedFormat(24, 8, signed=True)) for fmt in (LNS6, LNS8, LNS10, LNS12, LNS16)),
    (LNS8, FixedFormat(8, 4, signed=True)),
    (LNS8, FixedFormat(8, 4)),
    (LNS10, FixedFormat(5, -4)),
    (LNS10, FixedFormat(62, 50, signed=True)),
    (LNS16, FixedFormat(9, 4)),
    (LNS16, FixedFormat(30, 20, signed=True)),
    (LNSFormat(4, 1), FixedFormat(2, 0, signed=True)),
    (LNSFormat(8, 1), FixedFormat(16, 4, signed=True)),
    (LNSFormat(8, 8, -20, 30), FixedFormat(12, 6, signed=True)),
    (LNSFormat(18, 16384), FixedFormat(20, 10)),
]


def exact_magnitude(fmt, log, fraction_bits):
    """``2**(log / base_factor)`` in units of the last place, as an mpmath number."""
    return mpmath.power(2, mpmath.mpf(int(log)) / int(fmt.base_factor) + fraction_bits)


@pytest.mark.parametrize("fmt, linear", CASES, ids=str)
def test_every_word(fmt, linear, reals):
    config = LogToLinearConfig(format=fmt, linear_format=linear)
    words = np.arange(1 << fmt.width)
    got, overflow = log_to_linear(config, words)
    sign, log, zero = reals.fields(fmt, words)
    got = got.astype(np.int64)
    got = got - ((got >> (linear.width - 1)) << linear.width) * linear.signed

    magnitudes = np.exp2(log / np.longdouble(fmt.base_factor) + linear.fraction_bits)
    magnitudes = np.where(zero, 0, magnitudes)
    rounded = np.floor(magnitudes + 0.5)
    close = ~zero & (np.abs(magnitudes + 0.5 - np.rint(magnitudes + 0.5)) < 1e-6 + magnitudes * 2.0**-60)
    with mpmath.workdps(60):
        for index in np.flatnonzero(close & (magnitudes < 2.0**62)):
            rounded[index] = reals.floor_half(exact_magnitude(fmt, log[index], linear.fraction_bits))

    largest = (1 << (linear.width - linear.signed)) - 1
    is_negative = sign == 1
    if config.guarantee()["rounding"] == "nearest":
        want = np.minimum(rounded, largest)
        want = np.where(is_negative, -want if linear.signed else 0, want)
        assert (got == want).all(), words[got != want][:5]
        is_lost = is_negative & (rounded > 0) if not linear.signed else np.zeros_like(zero)
        assert (overflow == ((rounded > largest) & (linear.signed | ~is_negative) | is_lost)).all()
    else:
        assert (fmt.width, fmt.base_factor) > (10, 128)
    inside = (magnitudes < largest) & (linear.signed | ~is_negative)
    error = np.abs(np.abs(got) - magnitudes)[inside]
    assert inside.any() and error.max() <= config.guarantee()["max_error_ulp"] < 1
    assert ((got < 0) == (is_negative & (got != 0)))[inside].all() and not overflow[inside & (rounded <= largest)].any()
    above = (magnitudes >= largest + 1) & (linear.signed | ~is_negative)
    assert (np.abs(got) == largest)[above].all() and overflow[above].all()
    assert (got[zero] == 0).all() and not overflow[zero].any()


def test_scalars():
    config = LogToLinearConfig()
    assert log_to_linear(config, 0) == (256, 0)
    assert log_to_linear(config, LNS8.zero) == (0, 0) == log_to_linear(config, LNS8.zero | LNS8.sign_bit)


@pytest.mark.parametrize("options, message", [
    ({"format": SYNAPSE}, "Base factor must be a power of two from 1 to 16 to convert 6 bits, not 4.2323"),
    ({"linear_format": FixedFormat(63)}, "Width of the result must be from 2 to 62, not 63"),
    ({"format": LNS16, "linear_format": FixedFormat(60, 50)}, "Significant bits of a result must be at most 30 for"),
    ({"pipeline": 6}, "Pipeline of log_to_linear must be from 0 to 5 stages, not 6"),
])  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        LogToLinearConfig(**options)
