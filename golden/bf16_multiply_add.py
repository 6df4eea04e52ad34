"""Fused multiply-add of bfloat16 words, ``c + a * b``: the baseline of ``multiply_add``."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.format import Words
from lnsmadam.golden.fused import FusedConfig, fused, near_product


@dataclass(frozen=True, kw_only=True)
class Bf16MultiplyAddConfig(FusedConfig):
    """Configuration of ``bf16_multiply_add``; see :class:`~lnsmadam.golden.fused.FusedConfig`."""

    unit: ClassVar[str] = "bf16_multiply_add"

    @property
    def inputs(self) -> dict[str, Format]:
        return dict.fromkeys(("a", "b", "c"), self.float_format)


def bf16_multiply_add(config: Bf16MultiplyAddConfig, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Words:
    """``c + a * b``, rounded once to the nearest, ties to even.

    Corner cases as :func:`~lnsmadam.golden.fused.fused` has them: IEEE 754's, with one NaN.

    Parameters
    ----------
    a, b, c : arrays of words of ``config.float_format``, shapes that broadcast

    Returns
    -------
    array of words of ``config.float_format``, broadcast shape
    """
    return fused(config.float_format, a, b, c)


def directed(config: Bf16MultiplyAddConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Operands whose product and c meet."""
    return dict(zip(config.inputs, near_product(config.float_format, rng, count), strict=True))
