"""Any text of a format is refused in one line or round-trips; any format's words and numbers belong together."""

import math

import click
import numpy as np
from configurations import fixed_formats, float_formats, lns_formats
from hypothesis import example
from hypothesis import strategies as st
from properties import property_of

from lnsmadam.cli.options import FixedFormatType, FloatFormatType, LNSFormatType
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import FixedFormat
from lnsmadam.sim.ports import format_of

numbers = st.one_of(
    st.integers(-2, 70).map(str), st.floats().map(repr), st.sampled_from(["9" * 400, "9" * 5000, "1_0", "٣", "", " 8", "0x8"])  # noqa: E501
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=8),
    st.builds("{}:{}".format, numbers, numbers),
    st.builds("levels:{}:{}".format, numbers, numbers),
    st.sampled_from(["lns8", "LNS16", "synapse", "bfloat16", "Float32", ":", "levels", "levels:", "levels:2:"]),
)


def spelled(fmt):
    """A format as the command line takes it; of LNS formats those that a text can say."""
    if isinstance(fmt, FloatFormat):
        return f"{fmt.exponent_bits}:{fmt.mantissa_bits}"
    if isinstance(fmt, FixedFormat):
        return f"{fmt.width}:{fmt.fraction_bits}"
    return f"{fmt.width}:{fmt.base_factor!r}" if fmt.is_full_range else None


def format_texts(text):
    for kind in (LNSFormatType(), FixedFormatType(), FloatFormatType()):
        try:
            fmt = kind.convert(text, None, None)
        except click.UsageError as error:
            assert error.message and len(error.message) < 20000
            continue
        again = spelled(fmt)
        assert again is None or kind.convert(again, None, None) == fmt
        assert format_of(fmt.describe()) == fmt


format_texts = example(text=f"levels:{'9' * 400}:60")(example(text=f"8:{'9' * 400}")(format_texts))
test_texts, test_many_texts = property_of("format_texts", text=texts)(format_texts)


def words_of(fmt, seed):
    """Every word of a narrow format, or some of a wide one, its ends among them."""
    if fmt.width <= 10:
        return np.arange(1 << fmt.width, dtype=np.uint64)
    rng = np.random.default_rng(seed)
    ends = np.array([0, 1, (1 << fmt.width - 1) - 1, 1 << fmt.width - 1, (1 << fmt.width) - 1], np.uint64)
    return np.concatenate([ends, rng.integers(0, 1 << fmt.width, 500, np.uint64)])


def lns_words(fmt, seed):
    words = words_of(fmt, seed)
    sign, log = fmt.unpack(words)
    # A word is its sign and its log, by the definition of two's complement.
    assert all(
        (int(word) >> fmt.width - 1, int(word) & (1 << fmt.width - 1) - 1)
        == (s, lg % (1 << fmt.width - 1)) for word, s, lg in zip(words, sign, log, strict=True)
    )  # fmt: skip
    reals = fmt.decode(words)
    zero = log == -(1 << fmt.width - 2)
    assert (reals[zero] == 0).all() and not np.signbit(reals[zero]).any()
    held = zero | (log >= fmt.log_min) & (log <= fmt.log_max)
    plus = np.where(zero, words & ((1 << fmt.width - 1) - 1), words)
    assert (fmt.pack(sign[held], log[held]) == plus[held]).all()
    order = np.argsort(log[~zero & (sign == 0)], kind="stable")
    ascending = reals[~zero & (sign == 0)][order]
    assert (ascending[1:] >= ascending[:-1]).all()
    # Words that float64 tells apart come back from their numbers.
    plain = held & ~zero & np.isfinite(reals) & (np.abs(reals) > 1e-300) & (fmt.base_factor < 2**40)
    assert (fmt.encode(reals[plain]) == words[plain]).all()
    top = fmt.decode(fmt.max_word)
    for value in (math.inf, 1e308, -math.inf):
        if value in (math.inf, -math.inf) or math.log2(value) * fmt.base_factor > fmt.log_max + 1:
            word = fmt.encode(value, saturate=True)
            assert int(word) == (fmt.max_word | (fmt.sign_bit if value < 0 else 0)), (value, top)


test_lns, test_many_lns = property_of("lns_formats", fmt=lns_formats(), seed=st.integers(0, 99))(lns_words)


def fixed_words(fmt, seed):
    words = words_of(fmt, seed)
    if fmt.width > 62:
        words = words[words < 1 << 62]
    integers = fmt.unpack(words)
    want = [int(word) - (fmt.signed and int(word) >> fmt.width - 1) * (1 << fmt.width) for word in words]
    assert integers.tolist() == want and (fmt.pack(integers) == words).all()
    assert min(want) >= fmt.minimum and max(want) <= fmt.maximum
    assert (fmt.decode(words) == np.array(want, float) * 2.0**-fmt.fraction_bits).all()


test_fixed, test_many_fixed = property_of("fixed_formats", fmt=fixed_formats, seed=st.integers(0, 99))(fixed_words)


def float_words(fmt, seed):
    words = words_of(fmt, seed)
    reals = fmt.decode(words)
    is_nan = np.isnan(reals)
    assert (fmt.encode(reals[~is_nan]) == words[~is_nan]).all()
    assert (fmt.encode(reals[is_nan]) == fmt.nan).all()
    plus = ~is_nan & (words < fmt.sign_bit)
    order = np.argsort(words[plus], kind="stable")
    assert (np.diff(reals[plus][order][np.isfinite(reals[plus][order])]) >= 0).all()


test_floats, test_many_floats = property_of("float_formats", fmt=float_formats, seed=st.integers(0, 99))(float_words)
