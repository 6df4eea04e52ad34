"""Fused multiply-add against a reference of its own: float64 with the error of the sum, rounded to odd."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig, bf16_multiply_add, directed
from lnsmadam.golden.floats import FLOAT16, FLOAT32, FloatFormat
from lnsmadam.sim.stimulus import corner_words

CONFIG = Bf16MultiplyAddConfig()
NAN = 0x7FC0
TYPES = {"float16": (FLOAT16, np.float16), "e4m3": (FloatFormat(4, 3), ml_dtypes.float8_e4m3),
         "e5m2": (FloatFormat(5, 2), ml_dtypes.float8_e5m2)}  # fmt: skip


def to_odd(value, error, narrow):
    """``value + error`` (the error below half a last place) in a narrower type, the last bit 1 if inexact."""
    with np.errstate(all="ignore"):
        rounded = value.astype(narrow)
        rest = (value - rounded.astype(np.float64)) + error
    bits = rounded.view(np.uint32 if narrow is np.float32 else np.uint64)
    finite = np.isfinite(rounded) & (rest != 0)
    # Nearest may have gone away from zero: one word back is the one below.
    back = finite & ((rest < 0) != np.signbit(rounded)) & (rounded != 0)
    bits = np.where(back, bits - bits.dtype.type(1), bits) | finite.astype(bits.dtype)
    return bits.view(narrow)


def reference(a, b, c, dtype=ml_dtypes.bfloat16, nan=NAN):
    """The correctly rounded ``c + a * b``: the product is exact in float64, the sum's error is too.

    Rounded to odd with 24 bits, a sum keeps all that the second rounding (8 or 11 bits) needs.
    """
    with np.errstate(all="ignore"):
        a, b, c = (words.view(dtype).astype(np.float64) for words in (a, b, c))
        product = a * b
        total = product + c
        back = total - product
        error = (product - (total - back)) + (c - back)
        error = np.where(np.isfinite(total), error, 0)
        odd = to_odd(total, error, np.float32)
        result = odd.astype(dtype)
    words = result.view(np.uint16 if result.itemsize == 2 else np.uint8)
    return np.where(np.isnan(odd), words.dtype.type(nan), words)


def by_fractions(a, b, c):
    """One finite sum as an exact fraction, rounded by the definition: the nearest of all words, the even one of two."""
    values = np.arange(0x7F80, dtype=np.uint16)
    exact = sum((Fraction(float(x)) for x in [c]), Fraction(float(a)) * Fraction(float(b)))
    target = abs(exact)
    low, high = 0, len(values)  # The word after the largest finite one stands for 2**128.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if real(middle) <= target else (low, middle)
    below, above = target - real(low), real(high) - target
    word = low if below < above or (below == above and low % 2 == 0) else high
    return word | 0x8000 * (exact < 0)


def real(word):
    exponent, mantissa = divmod(word, 128)
    return Fraction(mantissa + 128 * (exponent > 0)) * Fraction(2) ** (max(exponent, 1) - 134)


def assert_same(got, want, a, b, c):
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), [f"{int(x[wrong[0]]):#06x}" for x in (a, b, c, got, want)]


def triples(rng, count):
    """Uniform and directed triples in turn."""
    columns = [rng.integers(0, 1 << 16, count, dtype=np.uint16) for _ in range(3)]
    for column, chosen in zip(columns, directed(CONFIG, rng, count // 2).values(), strict=True):
        column[: count // 2] = chosen
    return columns


def run(seed, count):
    columns = triples(np.random.default_rng(seed), count)
    assert_same(bf16_multiply_add(CONFIG, *columns), reference(*columns), *columns)


def test_random_and_directed_triples():
    for seed in range(3):
        run(seed, 1 << 20)


def test_directed_triples_tie():
    """Of either sign of the product: many sums are half-way between two words, also among the subnormal ones."""
    words = directed(CONFIG, np.random.default_rng(3), 1 << 16).values()
    with np.errstate(all="ignore"):
        a, b, c = (column.view(ml_dtypes.bfloat16).astype(np.float64) for column in words)
        for product in (a * b, -a * b):
            total = product + c
            exact = np.isfinite(total) & (total - product == c) & (total - c == product) & (total != 0)
            place = np.maximum(np.floor(np.log2(np.abs(np.where(exact, total, 1)))), -126) - 8
            is_tie = exact & (np.mod(np.ldexp(np.where(exact, total, 0), -place.astype(int)), 2) == 1)
            # Few among the subnormal ones: c has no bits below the smallest word, so the product must end half-way.
            assert is_tie.mean() > 0.06 and (is_tie & (np.abs(total) < 2.0**-126)).mean() > 0.001


@pytest.mark.slow
def test_a_hundred_million_triples():
    for seed in range(100, 220):
        run(seed, 1 << 20)


def test_every_corner_with_every_other():
    corners = corner_words(CONFIG.float_format)
    a, b, c = (column.ravel() for column in np.meshgrid(corners, corners, corners))
    assert len(a) > 20_000
    assert_same(bf16_multiply_add(CONFIG, a, b, c), reference(a, b, c), a, b, c)


def test_against_exact_fractions():
    """Also a check of the reference: definition by exact fractions, word by word."""
    rng = np.random.default_rng(5)
    a, b, c = triples(rng, 6000)
    finite = [(x & 0x7F80) != 0x7F80 for x in (a, b, c)]
    a, b, c = (x[finite[0] & finite[1] & finite[2]] for x in (a, b, c))
    got = bf16_multiply_add(CONFIG, a, b, c)
    values = [x.view(ml_dtypes.bfloat16).astype(np.float64) for x in (a, b, c)]
    want = np.array([by_fractions(*row) for row in zip(*values, strict=True)])
    # Exact zeros have no sign in a fraction.
    assert len(a) > 4000 and (got == want)[(want & 0x7FFF) != 0].all() and (got & 0x7FFF == want & 0x7FFF).all()
    assert_same(got, reference(a, b, c), a, b, c)


@pytest.mark.parametrize("a, b, c, want", [
    (0x3F80, 0x3F80, 0xBF80, 0x0000),  # 1·1 - 1: +0
    (0x8000, 0x3F80, 0x8000, 0x8000),  # -0 + -0
    (0x8000, 0x3F80, 0x0000, 0x0000),  # -0 + +0
    (0x7F80, 0x0000, 0x3F80, NAN),  # inf·0
    (0x7F80, 0x3F80, 0xFF80, NAN),  # inf - inf
    (0xFF80, 0x3F80, 0xFF80, 0xFF80),
    (0xFFFF, 0x0000, 0x0000, NAN),  # any NaN gives one NaN
    (0x7F7F, 0x4000, 0x0000, 0x7F80),  # overflow
    (0x7F80, 0x7F80, 0xFF7F, 0x7F80),
    (0x0080, 0x3F00, 0x0000, 0x0040),  # half the smallest normal number
    (0x0001, 0x3F00, 0x0000, 0x0000),  # a tie, to even
    (0x8001, 0x3F00, 0x0000, 0x8000),
    (0x0001, 0x3F40, 0x0000, 0x0001),
    (0x0001, 0x0001, 0x0001, 0x0001),
    (0x0001, 0x3F80, 0x007F, 0x0080),  # subnormals that add up to a normal number
    (0x3F81, 0x3F81, 0x0000, 0x3F82),
    (0x3F80, 0x3B80, 0x3F80, 0x3F80),  # 1 + 2**-8: a tie
    (0x3F80, 0x3B81, 0x3F80, 0x3F81),
    (0x3F80, 0x0001, 0x7F7F, 0x7F7F),
])  # fmt: skip
def test_known_results(a, b, c, want):
    assert bf16_multiply_add(CONFIG, a, b, c) == want


@pytest.mark.parametrize("name", TYPES)
def test_other_formats(name):
    fmt, dtype = TYPES[name]
    config = Bf16MultiplyAddConfig(float_format=fmt)
    rng = np.random.default_rng(1)
    for columns in (directed(config, rng, 1 << 19).values(), rng.integers(0, 1 << fmt.width, (3, 1 << 19))):
        a, b, c = (np.asarray(column).astype(fmt.dtype) for column in columns)
        assert_same(bf16_multiply_add(config, a, b, c), reference(a, b, c, dtype, fmt.nan), a, b, c)


def test_shapes_types_and_scalars():
    scalar = bf16_multiply_add(CONFIG, 0x3F80, 0x4000, 0)
    assert scalar.shape == () and scalar.dtype == np.uint16 and scalar == 0x4000
    block = bf16_multiply_add(CONFIG, np.full((2, 1, 3), 0x3F80), np.full((4, 1), 0x3F80), 0x3F80)
    assert block.shape == (2, 4, 3) and (block == 0x4000).all()
    assert bf16_multiply_add(CONFIG, np.zeros(0, np.uint16), 1, 1).shape == (0,)


def test_what_is_refused():
    with pytest.raises(ValueError, match="c must be in 0 … 65535, not 65536"):
        bf16_multiply_add(CONFIG, 0, 0, 65536)
    with pytest.raises(ValueError, match="a must be integers, not float64"):
        bf16_multiply_add(CONFIG, 1.5, 0, 0)
    for fmt in (FLOAT32, FloatFormat(8, 1), FloatFormat(2, 5)):
        with pytest.raises(ValueError, match="must have 2 to 10 mantissa bits and 3 to 8 exponent bits, not"):
            Bf16MultiplyAddConfig(float_format=fmt)
    with pytest.raises(ValueError, match="Pipeline of bf16_multiply_add must be from 0 to"):
        Bf16MultiplyAddConfig(pipeline=99)
