"""LNS to floating point against the real power of two, rounded by ml_dtypes, NumPy and mpmath: every word."""

import ml_dtypes
import mpmath
import numpy as np
import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.lns_to_float import LNSToFloatConfig, lns_to_float
from lnsmadam.proof.error.meaning_of_conversions import lns_to_float_meaning
from lnsmadam.proof.error.worst_error import search

TYPES = {BFLOAT16: (np.uint16, ml_dtypes.bfloat16), FLOAT16: (np.uint16, np.float16), FLOAT32: (np.uint32, np.float32)}
FORMATS = [LNS6, LNS8, LNS10, LNS12, LNS16, LNSFormat(4, 1), LNSFormat(16, 128), LNSFormat(12, 4), LNSFormat(17, 256)]


@pytest.mark.parametrize("float_format", TYPES, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_word(fmt, float_format, reals):
    config = LNSToFloatConfig(format=fmt, float_format=float_format)
    bits, kind = TYPES[float_format]
    words = np.arange(1 << fmt.width)
    got_words, overflow = lns_to_float(config, words)
    got = got_words.astype(bits).view(kind).astype(np.float64)
    sign, log, zero = reals.fields(fmt, words)
    values = np.where(zero, 0.0, np.exp2(log / fmt.base_factor))
    info = ml_dtypes.finfo(kind)
    largest, smallest = float(info.max), float(info.smallest_subnormal)
    exponent = np.floor(log / fmt.base_factor)
    ulp = np.exp2(np.maximum(exponent, np.log2(float(info.smallest_normal))) - info.nmant)
    assert np.isfinite(got).all() and (np.signbit(got) == (sign == 1) & (got != 0)).all()
    if config.guarantee()["rounding"] == "nearest":
        # Scaled to units of the last place; ties, which only powers of two are, to even.
        steps = values / ulp
        rounded = np.rint(steps)
        close = (np.abs(steps - np.floor(steps) - 0.5) < 1e-5) & ~zero & (log % int(fmt.base_factor) != 0)
        with mpmath.workdps(60):
            for index in np.flatnonzero(close):
                exact = mpmath.power(2, mpmath.mpf(int(log[index])) / int(fmt.base_factor)) / mpmath.mpf(ulp[index])
                rounded[index] = reals.floor_half(exact)
        want = rounded * ulp
        assert (overflow == (want > largest)).all()
        want = np.where(sign == 1, -1, 1) * np.minimum(want, largest)
        assert (got == want).all(), words[got != want][:5]
    else:
        assert fmt.width > 10 and fmt.base_factor > 128
    inside = values <= largest
    error = (np.abs(np.abs(got) - values) / ulp)[inside]
    # float64's own error is 2**-52 of the value, 2**-29 ulp of the longest format.
    assert error.max() <= config.guarantee()["max_error_ulp"] + 1e-6 < 1
    above = values >= largest + ulp
    assert (np.abs(got) == largest)[above].all() and overflow[above].all() and not overflow[inside].any()
    assert (got[values <= smallest / 2] == 0).all()


def test_subnormal_results_and_ties():
    config = LNSToFloatConfig(format=LNSFormat(16, 8), float_format=FLOAT16)
    words = LNSFormat(16, 8).pack(0, [8 * -24, 8 * -25, 8 * -25 + 1, 8 * -15, 8 * 16, 8 * 16 - 1])
    result, overflow = lns_to_float(config, words)
    # 2**-24 is the smallest; half of it is a tie and goes to 0, a little more does not.
    assert result.tolist()[:4] == [1, 0, 1, 0x200] and result[4] == 0x7BFF
    assert overflow.tolist() == [0, 0, 0, 0, 1, 0]


def test_narrow_floats():
    config = LNSToFloatConfig(format=LNSFormat(8, 1), float_format=FloatFormat(4, 1))
    words = np.arange(256)
    got, _ = lns_to_float(config, words)
    fmt = config.float_format
    values = np.clip(config.format.decode(words), -3.0 * 2**6, 3.0 * 2**6)
    assert (fmt.decode(got) == fmt.decode(fmt.encode(values))).all()


@pytest.mark.parametrize(
    "float_format", [FloatFormat(2, 1), FloatFormat(2, 3), FloatFormat(5, 2)], ids=lambda f: f.name
)
def test_narrow_floats_of_wide_words(float_format):
    """Mantissas that are rounded up to 2 stay within the guarantee, also far below the smallest subnormal number."""
    config = LNSToFloatConfig(format=LNS16, float_format=float_format)
    (measure,) = lns_to_float_meaning(config, lns_to_float, None)
    assert (worst := search(measure)).passed, worst
    values = LNS16.decode(np.arange(1 << 16))
    got = float_format.decode(lns_to_float(config, np.arange(1 << 16))[0])
    assert (got[np.abs(values) < 0.98 * 2.0 ** (float_format.quantum_log - 1)] == 0).all()


def test_scalars():
    assert lns_to_float(LNSToFloatConfig(), 0) == (0x3F80, 0)
    assert lns_to_float(LNSToFloatConfig(), LNS16.zero | LNS16.sign_bit) == (0, 0)


def test_errors():
    with pytest.raises(ValueError, match="Base factor must be a power of two from 1 to 16 to convert 6 bits, not 4.2"):
        LNSToFloatConfig(format=SYNAPSE)
    with pytest.raises(ValueError, match="Pipeline of lns_to_float must be from 0 to 5 stages, not 6"):
        LNSToFloatConfig(pipeline=6)
