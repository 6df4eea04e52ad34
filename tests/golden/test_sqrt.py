"""Square root: every word of every preset against mpmath, and xlns where the root is exact."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNS8, LNS10, PRESETS, LNSFormat
from lnsmadam.golden.sqrt import SqrtConfig, sqrt

FORMATS = [*PRESETS.values(), LNSFormat(7, 3.7), LNSFormat(8, 10, -9, 40)]


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_word(fmt, reals):
    words = np.arange(1 << fmt.width)
    sign, log, zero = reals.fields(fmt, words)
    half = {}
    with mpmath.workdps(50):
        factor = mpmath.mpf(fmt.base_factor)
        for value in np.unique(log[~zero])[:: max(1, len(np.unique(log)) // 2000)].tolist():
            root = mpmath.sqrt(mpmath.power(2, value / factor))
            half[value] = reals.floor_half(factor * mpmath.log(root, 2))
    chosen = zero | np.isin(log, list(half))
    words, sign, log, zero = words[chosen], sign[chosen], log[chosen], zero[chosen]
    want = reals.words_of(fmt, 0, np.array([half.get(int(value), 0) for value in log]), zero | (sign == 1))
    got, invalid = sqrt(SqrtConfig(format=fmt), words)
    reals.assert_same(got, want, {"a": (fmt, words), "result": fmt})
    assert invalid.dtype == np.uint8 and (invalid == ((sign == 1) & ~zero)).all()


@pytest.mark.parametrize("fmt", [LNS8, LNS10], ids=lambda fmt: fmt.name)
def test_against_xlns(fmt, reals, outside):
    """Even logs of positive numbers: xlns cuts half a step off toward zero, and knows no square root of a negative."""
    words = np.arange(1 << fmt.width)
    sign, log, zero = reals.fields(fmt, words)
    words = words[(sign == 0) & ~zero & (log % 2 == 0)]
    want = reals.words_of(fmt, *outside.parts(outside.array(fmt, words) ** 0.5))
    reals.assert_same(sqrt(SqrtConfig(format=fmt), words)[0], want, {"a": (fmt, words), "result": fmt})


def test_shapes_types_and_checks():
    result, invalid = sqrt(SqrtConfig(), 9)
    assert (result, invalid) == (5, 0) and result.shape == invalid.shape == ()
    result, invalid = sqrt(SqrtConfig(), [[127, 128], [LNS8.zero, LNS8.zero | LNS8.sign_bit]])
    assert result.tolist() == [[0, LNS8.zero], [LNS8.zero] * 2] and invalid.tolist() == [[0, 1], [0, 0]]
    with pytest.raises(ValueError, match=r"must be in 0 … 255"):
        sqrt(SqrtConfig(), [0, 300])
    for pipeline in (-1, 2):
        with pytest.raises(ValueError, match=f"Pipeline of sqrt must be from 0 to 1 stages, not {pipeline}"):
            SqrtConfig(pipeline=pipeline)
