"""Multiplication: every pair against exact arithmetic on values, and xlns."""

import numpy as np
import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.multiply import MultiplyConfig, multiply

FORMATS = [LNS6, LNS8, LNS10, SYNAPSE, LNSFormat(7, 3.7), LNSFormat(4, 1), LNSFormat(8, 10, -9, 40)]


def pairs(fmt):
    a, b = np.meshgrid(np.arange(1 << fmt.width), np.arange(1 << fmt.width), indexing="ij")
    return a.ravel(), b.ravel()


def product_words(fmt, reals, a, b):
    """From the real values: their product's log is an integer but for rounding errors of float64."""
    half = fmt.zero_log
    parts = [reals.fields(fmt, words) for words in (a, b)]
    values = [np.where(zero, 0, (1 - 2 * sign) * np.exp2(np.where(zero, 0, log) / fmt.base_factor))
              for sign, log, zero in parts]  # fmt: skip
    value = values[0] * values[1]
    zero = value == 0
    steps = fmt.base_factor * np.log2(np.abs(np.where(zero, 1, value)))
    assert np.abs(steps - np.round(steps)).max() < 1e-6 and half < 0
    return reals.words_of(fmt, value < 0, np.round(steps).astype(int), zero)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_pair(fmt, reals):
    a, b = pairs(fmt)
    got = multiply(MultiplyConfig(format=fmt), a, b)
    reals.assert_same(got, product_words(fmt, reals, a, b), {"a": (fmt, a), "b": (fmt, b), "result": fmt})


@pytest.mark.parametrize("fmt", [LNS8, LNS10], ids=lambda fmt: fmt.name)
def test_against_xlns(fmt, reals, outside):
    a, b = pairs(fmt)
    want = reals.words_of(fmt, *outside.parts(outside.array(fmt, a) * outside.array(fmt, b)))
    got = multiply(MultiplyConfig(format=fmt), a, b)
    reals.assert_same(got, want, {"a": (fmt, a), "b": (fmt, b), "result": fmt})


def test_sample_of_lns16(reals):
    a, b = np.random.default_rng(4).integers(0, 1 << 16, (2, 100_000))
    got = multiply(MultiplyConfig(format=LNS16), a, b)
    reals.assert_same(got, product_words(LNS16, reals, a, b), {"a": (LNS16, a), "b": (LNS16, b), "result": LNS16})


def test_shapes_types_and_checks():
    config = MultiplyConfig()
    assert multiply(config, 8, 8) == 16 and multiply(config, 8, 8).shape == ()
    assert multiply(config, [[1], [2]], [3, 4]).tolist() == [[4, 5], [5, 6]]
    assert multiply(config, [1], [2]).dtype == np.uint8
    with pytest.raises(ValueError, match=r"must be in 0 … 255, not 256 … 256"):
        multiply(config, 1, 256)
    with pytest.raises(ValueError, match="must be integers"):
        multiply(config, 1.0, 2)
    for pipeline in (-1, 3):
        with pytest.raises(ValueError, match=f"Pipeline of multiply must be from 0 to 2 stages, not {pipeline}"):
            MultiplyConfig(pipeline=pipeline)
