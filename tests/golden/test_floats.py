"""Floating-point formats against ml_dtypes and NumPy's own types."""

import ml_dtypes
import numpy as np
import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat

TYPES = {BFLOAT16: ml_dtypes.bfloat16, FLOAT16: np.float16, FLOAT32: np.float32}


def values_of(fmt):
    """Reals around every kind of word, ties included."""
    rng = np.random.default_rng(3)
    words = rng.integers(0, 1 << fmt.width, 20_000, dtype=np.uint64)
    with np.errstate(invalid="ignore"):
        exact = fmt.decode(words)
        nudged = np.concatenate([exact, exact * (1 + 2.0 ** -(fmt.mantissa_bits + 2)), exact + fmt.decode(1) / 2])
    extremes = fmt.decode(fmt.max_word) * np.array([1, 1 + 2.0 ** -(fmt.mantissa_bits + 2), 1.5, -2, np.inf])
    return np.concatenate([nudged, extremes, [0.0, -0.0, np.nan], 2.0 ** (fmt.quantum_log - np.arange(4))])


@pytest.mark.parametrize("fmt", TYPES, ids=lambda fmt: fmt.name)
def test_decode_is_that_of_the_library(fmt):
    rng = np.random.default_rng(2)
    every = np.arange(1 << 16) if fmt.width == 16 else rng.integers(0, 1 << fmt.width, 1 << 20, dtype=np.uint64)
    words = np.asarray(every).astype(fmt.dtype)
    with np.errstate(invalid="ignore"):
        want = words.view(TYPES[fmt]).astype(np.float64)
    np.testing.assert_array_equal(fmt.decode(words), want)
    assert (np.signbit(fmt.decode(words)) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("fmt", TYPES, ids=lambda fmt: fmt.name)
def test_encode_rounds_like_the_library(fmt):
    values = values_of(fmt)
    # float64 → bfloat16 must not pass by float32, which would round twice: the exact way is the library's own.
    with np.errstate(over="ignore", invalid="ignore"):
        want = values.astype(TYPES[fmt]).view(fmt.dtype)
    got = fmt.encode(values)
    is_nan = np.isnan(values)
    assert (got[is_nan] == fmt.nan).all()
    wrong = np.flatnonzero((got != want) & ~is_nan)
    assert not len(wrong), [(values[i], got[i], want[i]) for i in wrong[:3]]


@pytest.mark.parametrize("fmt", [BFLOAT16, FLOAT16, FloatFormat(4, 3), FloatFormat(2, 1)], ids=lambda fmt: fmt.name)
def test_words_survive_decode_and_encode(fmt):
    words = np.arange(1 << fmt.width)
    ordinary = ~fmt.is_nan(words)
    assert (fmt.encode(fmt.decode(words))[ordinary] == words[ordinary]).all()
    assert (fmt.pack(*fmt.unpack(words)) == words).all()
    assert fmt.is_infinite(words).sum() == 2
    assert np.isnan(fmt.decode(words)).sum() == fmt.is_nan(words).sum() == 2 * ((1 << fmt.mantissa_bits) - 1)


def test_wrong_formats_and_fields():
    with pytest.raises(ValueError, match="Exponent bits must be an integer from 2 to 8, not 9"):
        FloatFormat(9, 7)
    with pytest.raises(ValueError, match="Mantissa bits must be an integer from 1 to 23, not 0"):
        FloatFormat(8, 0)
    with pytest.raises(ValueError, match="Mantissa must be in 0 … 127, not 128"):
        BFLOAT16.pack(0, 1, 128)
    with pytest.raises(ValueError, match="word must be in 0 … 65535"):
        BFLOAT16.decode(1 << 16)
