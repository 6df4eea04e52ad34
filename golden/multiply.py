"""Multiplication of LNS words: one addition of logs."""

from dataclasses import dataclass
from typing import ClassVar

import numpy.typing as npt

from lnsmadam.golden.config import OneFormatConfig
from lnsmadam.golden.format import Words


@dataclass(frozen=True, kw_only=True)
class MultiplyConfig(OneFormatConfig):
    """Configuration of ``multiply``, for one format of operands and result."""

    pipeline: int = 2
    unit: ClassVar[str] = "multiply"

    @property
    def max_pipeline(self) -> int:
        return 2


def multiply(config: MultiplyConfig, a: npt.ArrayLike, b: npt.ArrayLike) -> Words:
    """``a * b`` under the range rule; exact where it neither saturates nor underflows to +0.

    Parameters
    ----------
    a, b : arrays of words of ``config.format``, shapes that broadcast

    Returns
    -------
    array of words of ``config.format``, broadcast shape
    """
    fmt = config.format
    sign_a, log_a = fmt.unpack(a)
    sign_b, log_b = fmt.unpack(b)
    is_zero = (log_a == fmt.zero_log) | (log_b == fmt.zero_log)
    return fmt.fit(sign_a ^ sign_b, log_a + log_b, is_zero)
