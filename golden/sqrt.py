"""Square root of an LNS word: its log, halved."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import OneFormatConfig
from lnsmadam.golden.format import Words


@dataclass(frozen=True, kw_only=True)
class SqrtConfig(OneFormatConfig):
    """Configuration of ``sqrt``, for one format of operands and result."""

    pipeline: int = 1
    unit: ClassVar[str] = "sqrt"
    operands: ClassVar[tuple[str, ...]] = ("a",)
    has_invalid: ClassVar[bool] = True

    @property
    def max_pipeline(self) -> int:
        return 1

    def guarantee(self) -> dict[str, Any]:
        return {
            "rounding": "nearest",
            "max_error_ulp": 0.5,
            "checked": "every log: half of an odd log is a tie",
        }


def sqrt(config: SqrtConfig, a: npt.ArrayLike) -> tuple[Words, Words]:
    """Square root, the log halved and rounded to nearest (an odd log goes up: ``floor(log / 2 + 1/2)``).

    The root of a negative number is +0 and sets ``invalid``; the root of zero, of either sign, is +0 and does
    not.

    Parameters
    ----------
    a : array of words of ``config.format``

    Returns
    -------
    result : array of words of ``config.format``, same shape
    invalid : array of 0 and 1
    """
    fmt = config.format
    sign, log = fmt.unpack(a)
    is_zero = log == fmt.zero_log
    invalid = sign.astype(bool) & ~is_zero
    result = fmt.fit(np.zeros_like(log), (log + 1) >> 1, is_zero | invalid)
    return result, invalid.astype(np.uint8)[()]
