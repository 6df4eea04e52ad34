"""Gradient descent's update of bfloat16 weights, ``weight - lr * grad``: the baseline of ``madam_update``."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.format import Words
from lnsmadam.golden.fused import FusedConfig, fused, near_product


@dataclass(frozen=True, kw_only=True)
class SgdUpdateConfig(FusedConfig):
    """Configuration of ``sgd_update``; see :class:`~lnsmadam.golden.fused.FusedConfig`."""

    unit: ClassVar[str] = "sgd_update"

    @property
    def inputs(self) -> dict[str, Format]:
        return dict.fromkeys(("weight", "grad", "lr"), self.float_format)


def sgd_update(config: SgdUpdateConfig, weight: npt.ArrayLike, grad: npt.ArrayLike, lr: npt.ArrayLike) -> Words:
    """``weight - lr * grad``, rounded once to the nearest, ties to even: a fused multiply-add.

    Rounding the product first would be another, less exact, function. Corner cases as
    :func:`~lnsmadam.golden.fused.fused` has them.

    Parameters
    ----------
    weight, grad, lr : arrays of words of ``config.float_format``, shapes that broadcast

    Returns
    -------
    array of words of ``config.float_format``, broadcast shape
    """
    return fused(config.float_format, lr, grad, weight, subtract=True)


def directed(config: SgdUpdateConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Operands whose step and weight meet."""
    lr, grad, weight = near_product(config.float_format, rng, count)
    return {"weight": weight, "grad": grad, "lr": lr}
