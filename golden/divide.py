"""Division of LNS words: one subtraction of logs."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import OneFormatConfig
from lnsmadam.golden.format import Words


@dataclass(frozen=True, kw_only=True)
class DivideConfig(OneFormatConfig):
    """Configuration of ``divide``, for one format of operands and result."""

    pipeline: int = 2
    unit: ClassVar[str] = "divide"
    has_invalid: ClassVar[bool] = True

    @property
    def max_pipeline(self) -> int:
        return 2


def divide(config: DivideConfig, a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Words, Words]:
    """``a / b`` under the range rule; exact where it neither saturates nor underflows to +0.

    ``x / 0`` is the largest value with the sign of x, for a zero has none, and ``0 / 0`` is +0; both set
    ``invalid``.

    Parameters
    ----------
    a, b : arrays of words of ``config.format``, shapes that broadcast

    Returns
    -------
    result : array of words of ``config.format``, broadcast shape
    invalid : array of 0 and 1
    """
    fmt = config.format
    sign_a, log_a = fmt.unpack(a)
    sign_b, log_b = fmt.unpack(b)
    by_zero = log_b == fmt.zero_log
    quotient = np.where(by_zero, fmt.log_max + 1, log_a - log_b)
    result = fmt.fit(np.where(by_zero, sign_a, sign_a ^ sign_b), quotient, log_a == fmt.zero_log)
    invalid = np.broadcast_to(by_zero, quotient.shape)
    return result, invalid.astype(np.uint8)[()]
