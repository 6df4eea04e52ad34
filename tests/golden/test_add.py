"""Addition and subtraction: every pair against the real-number answer, and xlns."""

import numpy as np
import pytest

from lnsmadam.golden.add import AddConfig, add, directed
from lnsmadam.golden.format import LNS8, LNS10, LNS16
from lnsmadam.golden.log_sum import Memory


def pairs(fmt):
    words = np.arange(1 << fmt.width)
    a, b = np.meshgrid(words, words, indexing="ij")
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("subtract", [0, 1])
def test_every_pair(sum_formats, reals, subtract):
    fmt = sum_formats[1]
    a, b = pairs(fmt)
    (sign_a, log_a, zero_a), (sign_b, log_b, zero_b) = reals.fields(fmt, a), reals.fields(fmt, b)
    want = reals.sum_words(fmt, sign_a, log_a, zero_a, sign_b ^ subtract, log_b, zero_b)
    got = add(AddConfig(accumulator=fmt), a, b, subtract)
    reals.assert_same(got, want, {"a": (fmt, a), "b": (fmt, b), "result": fmt})


@pytest.mark.parametrize("fmt", [LNS8, LNS10])
@pytest.mark.parametrize("subtract", [0, 1])
def test_against_xlns(fmt, subtract, reals, outside):
    """xlns rounds the ideal sum too. It does not define exact cancellation, which is left out."""
    a, b = pairs(fmt)
    x, y = outside.array(fmt, a), outside.array(fmt, b)
    want = reals.words_of(fmt, *outside.parts(x - y if subtract else x + y))
    (sign_a, log_a, zero_a), (sign_b, log_b, _) = reals.fields(fmt, a), reals.fields(fmt, b)
    defined = (log_a != log_b) | (sign_a == sign_b ^ subtract) | zero_a
    got = add(AddConfig(accumulator=fmt), a, b, subtract)
    operands = {"a": (fmt, a[defined]), "b": (fmt, b[defined]), "result": fmt}
    reals.assert_same(got[defined], want[defined], operands)


def test_memory_and_pipeline_change_no_bit():
    a, b = pairs(LNS8)
    want = add(AddConfig(), a, b, 1)
    assert (add(AddConfig(memory=Memory.BLOCK, pipeline=1), a, b, 1) == want).all()


def test_identities(reals):
    for fmt in (LNS8, LNS16):
        config = AddConfig(accumulator=fmt)
        words = np.arange(1 << fmt.width)
        _, _, zero = reals.fields(fmt, words)
        assert (add(config, words, words, 1) == fmt.zero).all()
        assert (add(config, words, words ^ fmt.sign_bit) == fmt.zero).all()
        assert (add(config, words, fmt.zero) == np.where(zero, fmt.zero, words)).all()
        assert (add(config, fmt.zero | fmt.sign_bit, words, 1) == np.where(zero, fmt.zero, words ^ fmt.sign_bit)).all()


def test_shapes_and_types():
    config = AddConfig()
    assert add(config, 0, 0) == 8 and add(config, 0, 0).shape == () and add(config, 0, 0).dtype == np.uint8
    assert add(config, np.zeros((2, 1), int), np.zeros(3, int), [0, 1, 0]).tolist() == [[8, 64, 8], [8, 64, 8]]


@pytest.mark.parametrize("words, message", [
    ((256, 0, 0), r"must be in 0 … 255"), ((0, -1, 0), r"must be in 0 … 255"),
    ((0, 0, 2), r"subtract must be in 0 … 1"), ((0.5, 0, 0), "must be integers, not float64"),
])  # fmt: skip
def test_words_are_checked(words, message):
    with pytest.raises(ValueError, match=message):
        add(AddConfig(), *words)


def test_directed_operands(reals):
    config = AddConfig(accumulator=LNS16)
    words = directed(config, np.random.default_rng(0), 4000)
    assert {name: column.dtype.type for name, column in words.items()} == {
        name: fmt.dtype for name, fmt in config.inputs.items()}  # fmt: skip
    distance = np.abs(reals.fields(LNS16, words["a"])[1] - reals.fields(LNS16, words["b"])[1])
    assert {0, 1, 2} <= set(distance.tolist()) and 0.4 < words["subtract"].mean() < 0.6
