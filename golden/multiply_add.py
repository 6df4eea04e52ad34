"""Multiply-add of LNS words: ``c + a * b`` with one rounding."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.format import LNS8, LNSFormat, Words, check_words
from lnsmadam.golden.log_sum import SumConfig, log_sum, near

#: Widest operands whose results are looked up in tables made from the definition.
_MEMO_WIDTH = 8


@dataclass(frozen=True, kw_only=True)
class MultiplyAddConfig(SumConfig):
    """Configuration of ``multiply_add``.

    Parameters
    ----------
    operand : LNSFormat
        Format of a and b.
    accumulator : LNSFormat, optional
        Format of c and of the result; by default that of the operands. Its base factor must be an integer
        multiple of theirs.
    approximator, memory, pipeline
        See :class:`~lnsmadam.golden.log_sum.SumConfig`.
    """

    operand: LNSFormat = LNS8
    accumulator: LNSFormat = None  # type: ignore[assignment]  # filled in below
    unit: ClassVar[str] = "multiply_add"

    def __post_init__(self) -> None:
        if self.accumulator is None:
            object.__setattr__(self, "accumulator", self.operand)
        multiple = self.accumulator.base_factor / self.operand.base_factor
        if not multiple.is_integer() or multiple < 1:
            raise ValueError(
                f"Base factor of the accumulator must be an integer multiple of the operands' "
                f"{self.operand.base_factor:g}, not {self.accumulator.base_factor:g}"
            )
        super().__post_init__()

    @property
    def multiple(self) -> int:
        """Steps of the accumulator per step of the operands."""
        return int(self.accumulator.base_factor / self.operand.base_factor)

    @property
    def x_range(self) -> tuple[int, int]:
        return 2 * self.multiple * self.operand.code_min, 2 * self.multiple * self.operand.code_max

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.operand, "b": self.operand, "c": self.accumulator}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.accumulator}

    def parameters(self) -> dict[str, Any]:
        assert self.approximator is not None
        return {
            **self.operand.parameters(),
            "accumulator": self.accumulator.parameters(),
            "approximator": self.approximator.value,
            "memory": self.memory.value,
            "pipeline": self.pipeline,
        }


def multiply_add(config: MultiplyAddConfig, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Words:
    """``c + a * b``, rounded once, under the range rule.

    Correctly rounded up to 10 bits, faithful beyond (``config.guarantee()`` has the worst case). The product is
    exact and never saturated before the sum; exact cancellation and underflow are +0.

    Parameters
    ----------
    a, b : arrays of words of ``config.operand``, shapes that broadcast
    c : array of words of ``config.accumulator``

    Returns
    -------
    array of words of ``config.accumulator``, broadcast shape
    """
    if max(config.operand.width, config.accumulator.width) <= _MEMO_WIDTH:
        return _look_up(config, a, b, c)
    return multiply_add_by_definition(config, a, b, c)


def multiply_add_by_definition(
    config: MultiplyAddConfig, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike
) -> Words:
    """:func:`multiply_add` step by step; the quick way for narrow formats is made from it and tested against it."""
    sign, log, is_zero = _product(config, a, b)
    sign_c, log_c = config.accumulator.unpack(c)
    return log_sum(config, sign, log, is_zero, sign_c, log_c, log_c == config.accumulator.zero_log)


def _product(config: MultiplyAddConfig, a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Words, Words, Words]:
    operand = config.operand
    sign_a, log_a = operand.unpack(a)
    sign_b, log_b = operand.unpack(b)
    is_zero = (log_a == operand.zero_log) | (log_b == operand.zero_log)
    return sign_a ^ sign_b, config.multiple * (log_a + log_b), is_zero


@functools.lru_cache(maxsize=8)
def _memo(config: MultiplyAddConfig) -> tuple[Words, Words]:
    """Two tables: (a, b) → row of the second, shifted to make room for c; (row, c) → result."""
    width, c_width = config.operand.width, config.accumulator.width
    words = np.arange(1 << width)
    sign, log, is_zero = _product(config, words[:, None], words[None, :])
    # One row per distinct product: sign, log and zero in one integer key.
    keys = np.where(is_zero, -(1 << 30), 2 * log + sign)
    distinct, row = np.unique(keys, return_inverse=True)
    zero = distinct == -(1 << 30)
    sign_c, log_c = config.accumulator.unpack(np.arange(1 << c_width))
    result = log_sum(
        config,
        np.where(zero, 0, distinct & 1)[:, None],
        np.where(zero, 0, distinct >> 1)[:, None],
        zero[:, None],
        sign_c[None, :],
        log_c[None, :],
        (log_c == config.accumulator.zero_log)[None, :],
    )
    return (row.ravel() << c_width).astype(np.int32), result.ravel()


def _look_up(config: MultiplyAddConfig, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Words:
    rows, result = _memo(config)
    width = config.operand.width
    a = check_words(a, width, "a")
    b = check_words(b, width, "b")
    c = check_words(c, config.accumulator.width, "c")
    shape = np.broadcast_shapes(a.shape, b.shape, c.shape)
    a, b, c = (np.broadcast_to(array, shape).reshape(-1) for array in (a, b, c))
    out = np.empty(a.size, dtype=config.accumulator.dtype)
    # Blocks that stay in the cache: the intermediate indices never go to memory.
    for start in range(0, a.size, block := 1 << 14):
        part = slice(start, start + block)
        index = a[part].astype(np.intp)
        index <<= width
        index |= b[part].astype(np.intp, copy=False)
        index = rows.take(index).astype(np.intp)
        index |= c[part].astype(np.intp, copy=False)
        result.take(index, out=out[part], mode="clip")
    return out.reshape(shape)[()]


def directed(config: MultiplyAddConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Operands whose product and c are close on every scale, where uniform ones of a wide format seldom meet."""
    words = {name: rng.integers(0, 1 << fmt.width, count) for name, fmt in config.inputs.items()}
    _, log, _ = _product(config, words["a"], words["b"])
    words["c"] = near(config.accumulator, log, rng)
    return {name: words[name].astype(fmt.dtype) for name, fmt in config.inputs.items()}
