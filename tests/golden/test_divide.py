"""Division: every pair against exact arithmetic on values, and xlns."""

import numpy as np
import pytest

from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.format import LNS6, LNS8, LNS10, SYNAPSE, LNSFormat

FORMATS = [LNS6, LNS8, LNS10, SYNAPSE, LNSFormat(7, 3.7), LNSFormat(4, 1), LNSFormat(8, 10, -9, 40)]


def pairs(fmt):
    a, b = np.meshgrid(np.arange(1 << fmt.width), np.arange(1 << fmt.width), indexing="ij")
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_pair(fmt, reals):
    a, b = pairs(fmt)
    (sign_a, log_a, zero_a), (sign_b, log_b, zero_b) = reals.fields(fmt, a), reals.fields(fmt, b)
    steps = fmt.base_factor * np.log2(np.exp2(log_a / fmt.base_factor) / np.exp2(log_b / fmt.base_factor))
    assert np.abs(steps - np.round(steps)).max() < 1e-6
    want = reals.words_of(fmt, sign_a ^ sign_b, np.round(steps).astype(int), zero_a)
    largest = np.where(sign_a == 1, fmt.sign_bit, 0) + fmt.log_max % (1 << fmt.width - 1)
    want = np.where(zero_b, np.where(zero_a, fmt.zero, largest), want)
    got, invalid = divide(DivideConfig(format=fmt), a, b)
    reals.assert_same(got, want, {"a": (fmt, a), "b": (fmt, b), "result": fmt})
    assert invalid.dtype == np.uint8 and (invalid == zero_b).all()


@pytest.mark.parametrize("fmt", [LNS8, LNS10], ids=lambda fmt: fmt.name)
def test_against_xlns(fmt, reals, outside):
    """Without divisors of zero, where xlns defines nothing."""
    a, b = pairs(fmt)
    defined = ~reals.fields(fmt, b)[2]
    a, b = a[defined], b[defined]
    want = reals.words_of(fmt, *outside.parts(outside.array(fmt, a) / outside.array(fmt, b)))
    got, _ = divide(DivideConfig(format=fmt), a, b)
    reals.assert_same(got, want, {"a": (fmt, a), "b": (fmt, b), "result": fmt})


def test_shapes_types_and_checks():
    result, invalid = divide(DivideConfig(), 8, LNS8.zero | LNS8.sign_bit)
    assert (result, invalid) == (63, 1) and result.shape == invalid.shape == ()
    result, invalid = divide(DivideConfig(), [[9], [8]], [1, LNS8.zero, 2])
    assert result.tolist() == [[8, 63, 7], [7, 63, 6]] and invalid.tolist() == [[0, 1, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match=r"must be in 0 … 255"):
        divide(DivideConfig(), -1, 2)
    for pipeline in (-1, 3):
        with pytest.raises(ValueError, match=f"Pipeline of divide must be from 0 to 2 stages, not {pipeline}"):
            DivideConfig(pipeline=pipeline)
