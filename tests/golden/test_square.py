"""Square: every word of every preset against exact arithmetic on values, and xlns."""

import numpy as np
import pytest

from lnsmadam.golden.format import LNS8, LNS10, PRESETS, LNSFormat
from lnsmadam.golden.square import SquareConfig, square

FORMATS = [*PRESETS.values(), LNSFormat(7, 3.7), LNSFormat(8, 10, -9, 40)]


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_every_word(fmt, reals):
    words = np.arange(1 << fmt.width)
    _, log, zero = reals.fields(fmt, words)
    steps = fmt.base_factor * np.log2(np.exp2(log / np.longdouble(fmt.base_factor)) ** 2)
    assert np.abs(steps - np.round(steps)).max() < 1e-6
    want = reals.words_of(fmt, 0, np.round(steps).astype(int), zero)
    reals.assert_same(square(SquareConfig(format=fmt), words), want, {"a": (fmt, words), "result": fmt})


@pytest.mark.parametrize("fmt", [LNS8, LNS10], ids=lambda fmt: fmt.name)
def test_against_xlns(fmt, reals, outside):
    words = np.arange(1 << fmt.width)
    number = outside.array(fmt, words)
    want = reals.words_of(fmt, *outside.parts(number * number))
    reals.assert_same(square(SquareConfig(format=fmt), words), want, {"a": (fmt, words), "result": fmt})


def test_shapes_types_and_checks():
    assert square(SquareConfig(), 136) == 16 and square(SquareConfig(), 8).shape == ()
    assert square(SquareConfig(), [[1, 2]]).tolist() == [[2, 4]]
    with pytest.raises(ValueError, match=r"must be in 0 … 255"):
        square(SquareConfig(), 256)
    for pipeline in (-1, 2):
        with pytest.raises(ValueError, match=f"Pipeline of square must be from 0 to 1 stages, not {pipeline}"):
            SquareConfig(pipeline=pipeline)
