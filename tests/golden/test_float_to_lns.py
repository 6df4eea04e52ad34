"""Floating point to LNS against the real log: every word of the 16-bit formats, float32 around every threshold."""

import ml_dtypes
import mpmath
import numpy as np
import pytest

from lnsmadam.golden.float_to_lns import FloatToLNSConfig, directed, float_to_lns
from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, LNSFormat

TYPES = {BFLOAT16: (np.uint16, ml_dtypes.bfloat16), FLOAT16: (np.uint16, np.float16), FLOAT32: (np.uint32, np.float32)}
FORMATS = [LNS6, LNS8, LNS10, LNS12, LNS16, LNSFormat(16, 8), LNSFormat(4, 1), LNSFormat(20, 2048, -40_000, 70_000)]


def check(reals, config, words):
    fmt = config.format
    bits, kind = TYPES[config.float_format]
    with np.errstate(invalid="ignore"):
        values = np.asarray(words).astype(bits).view(kind).astype(np.float64)
    got, invalid, infinite = float_to_lns(config, words)
    assert (invalid == np.isnan(values)).all() and (infinite == np.isinf(values)).all()
    got_sign, got_log, got_zero = reals.fields(fmt, got)
    nothing = np.isnan(values) | (values == 0)
    assert got_zero[nothing].all() and (got_sign[got_zero] == 0).all()
    assert (got_log == fmt.log_max)[np.isinf(values)].all()
    assert (got_sign == np.signbit(values))[~got_zero].all()
    regular = np.isfinite(values) & (values != 0)
    values, got, got_log, got_zero = values[regular], got[regular], got_log[regular], got_zero[regular]
    steps = np.log2(np.abs(values)) * fmt.base_factor
    if config.guarantee()["rounding"] == "nearest":
        want = np.floor(steps + 0.5).astype(np.int64)
        with mpmath.workdps(60):
            for index in np.flatnonzero(np.abs(steps + 0.5 - np.rint(steps + 0.5)) < 1e-7):
                exact = mpmath.log(mpmath.mpf(abs(float(values[index]))), 2) * int(fmt.base_factor)
                want[index] = reals.floor_half(exact)
        reals.assert_same(got, reals.words_of(fmt, values < 0, want), {"a": (fmt, got), "result": fmt})
    inside = (steps > fmt.log_min) & (steps < fmt.log_max)
    worst = float(np.abs(got_log - steps)[inside].max(initial=0))
    assert worst <= config.guarantee()["max_error_ulp"] + 1e-9 < 1 and not got_zero[inside].any()
    assert (got_log == fmt.log_max)[steps >= fmt.log_max + 1].all() and got_zero[steps <= fmt.log_min - 1].all()
    return worst


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("float_format", [BFLOAT16, FLOAT16], ids=lambda fmt: fmt.name)
def test_every_word(fmt, float_format, reals):
    config = FloatToLNSConfig(format=fmt, float_format=float_format)
    worst = check(reals, config, np.arange(1 << 16))
    if fmt.log_max > 2 * fmt.base_factor:
        # Every mantissa occurs, so the stated maximum is reached.
        assert worst > config.guarantee()["max_error_ulp"] - 1e-5
    if float_format == BFLOAT16 or fmt.width <= 10:
        assert config.guarantee()["rounding"] == "nearest"


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_float32_around_every_threshold(fmt, reals):
    config = FloatToLNSConfig(format=fmt, float_format=FLOAT32)
    base_factor = int(fmt.base_factor)
    ties = np.floor((np.exp2((np.arange(base_factor) + 0.5) / base_factor) - 1) * (1 << 23)).astype(np.int64)
    mantissas = np.unique(np.clip(ties[:, None] + np.arange(-1, 3), 0, (1 << 23) - 1))
    reach = min(fmt.log_max // base_factor + 2, 127)
    exponents = np.unique([0, 1, 127 - reach, 126, 127, 128, 126 + reach, 254, 255])
    words = (exponents[:, None] << 23 | mantissas).ravel()
    check(reals, config, np.concatenate([words, words | 1 << 31]))
    check(reals, config, directed(config, np.random.default_rng(1), 200_000)["a"])


def test_narrow_floats_of_no_type_of_their_own(reals):
    for float_format in (FloatFormat(2, 1), FloatFormat(5, 2), FloatFormat(4, 3)):
        config = FloatToLNSConfig(format=LNSFormat(12, 1), float_format=float_format)
        words = np.arange(1 << float_format.width)
        values = float_format.decode(words)
        got, _, _ = float_to_lns(config, words)
        regular = np.isfinite(values) & (values != 0)
        # Base factor 1: no log is half-way, and float64 decides.
        want = np.floor(np.log2(np.abs(values[regular])) + 0.5).astype(np.int64)
        want = reals.words_of(config.format, values[regular] < 0, want)
        reals.assert_same(got[regular], want, {"a": (config.format, want), "result": config.format})


def test_scalars():
    one, infinity, nan = 0x3F80, 0xFF80, 0x7FC1
    assert float_to_lns(FloatToLNSConfig(), one) == (0, 0, 0)
    assert float_to_lns(FloatToLNSConfig(), infinity) == (LNS16.max_word | LNS16.sign_bit, 0, 1)
    assert float_to_lns(FloatToLNSConfig(), nan) == (LNS16.zero, 1, 0)


def test_errors():
    with pytest.raises(ValueError, match="Base factor must be a power of two from 1 to 16 to convert 6 bits, not 4.2"):
        FloatToLNSConfig(format=SYNAPSE)
    with pytest.raises(ValueError, match="Pipeline of float_to_lns must be from 0 to 3 stages, not 4"):
        FloatToLNSConfig(pipeline=4)
