"""Square of an LNS word: its log, doubled."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import OneFormatConfig
from lnsmadam.golden.format import Words


@dataclass(frozen=True, kw_only=True)
class SquareConfig(OneFormatConfig):
    """Configuration of ``square``, for one format of operands and result."""

    pipeline: int = 1
    unit: ClassVar[str] = "square"
    operands: ClassVar[tuple[str, ...]] = ("a",)

    @property
    def max_pipeline(self) -> int:
        return 1


def square(config: SquareConfig, a: npt.ArrayLike) -> Words:
    """``a * a`` under the range rule; exact where it neither saturates nor underflows to +0.

    Parameters
    ----------
    a : array of words of ``config.format``

    Returns
    -------
    array of words of ``config.format``, same shape
    """
    fmt = config.format
    _, log = fmt.unpack(a)
    return fmt.fit(np.zeros_like(log), 2 * log, log == fmt.zero_log)
