"""Dot product of LNS words: products by adding logs, summed in a linear fixed-point accumulator."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import Words, check_words

#: Widest operands whose products are looked up in a table of all pairs.
_MEMO_WIDTH = 8

Integers = npt.NDArray[Any]


def products(config: DotConfig, a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Every product of two arrays of words, in the accumulator's steps: int64, broadcast shape."""
    sign_a, log_a = config.operand.unpack(a)
    sign_b, log_b = config.operand.unpack(b)
    log = log_a + log_b
    mantissa = config.mantissas[log & (config.base_factor - 1)]
    shift = (log >> config.remainder_bits) + (config.accumulator.fraction_bits - config.mantissa_bits)
    magnitude = (mantissa << np.maximum(shift, 0)) >> np.minimum(np.maximum(-shift, 0), 63)
    is_zero = (log_a == config.operand.zero_log) | (log_b == config.operand.zero_log)
    return np.where(is_zero, 0, np.where(sign_a != sign_b, -magnitude, magnitude))


@functools.lru_cache(maxsize=8)
def _memo(config: DotConfig) -> Integers:
    """The product of every pair of words, ``a`` in the index's upper bits."""
    words = np.arange(1 << config.operand.width)
    table = products(config, words[:, None], words[None, :]).ravel()
    return table.astype(np.int32) if config.product_bits < 32 else table


def _products(config: DotConfig, a: Words, b: Words) -> Integers:
    """:func:`products` of words that were checked, by the quicker way."""
    if config.operand.width > _MEMO_WIDTH:
        return products(config, a, b)
    index = a.astype(np.uint16) << np.uint16(config.operand.width)
    index |= b
    # Every index is in the table: "clip" spares the check.
    return _memo(config).take(index, mode="clip")


def dot(config: DotConfig, a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Words, Words]:
    """Dot products of vectors along the last axis, as the hardware gives them from ``first`` to ``last``.

    A vector whose length is no multiple of the lanes ends with zeros; one of length 0 gives 0.

    Parameters
    ----------
    a, b : arrays of words of ``config.operand``, shapes that broadcast

    Returns
    -------
    result : array of words of ``config.lns_result``, or else of ``config.result``
        The broadcast shape without its last axis.
    overflow : array of 0 or 1, the same shape
        Whether the running sum left the accumulator's range after any transfer (then the result is the largest of
        the sign that it left to), or the result its own (then it is its largest).
    """
    a = check_words(a, config.operand.width, "a")
    b = check_words(b, config.operand.width, "b")
    if not a.ndim or not b.ndim:
        raise ValueError("Vectors must have an axis to sum over")
    dtype = config.operand.dtype
    a, b = np.broadcast_arrays(a.astype(dtype, copy=False), b.astype(dtype, copy=False))
    shape, length = a.shape[:-1], a.shape[-1]
    rows = int(np.prod(shape, dtype=np.int64))
    a, b = a.reshape(rows, length), b.reshape(rows, length)
    total = np.zeros(rows, dtype=np.int64)
    state = _State(total, np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool))
    checked = length * config.largest_product > config.accumulator.maximum
    # Blocks that stay in the cache, of whole transfers.
    columns = -(-min(max(length, 1), 1 << 15) // config.lanes) * config.lanes
    height = max((1 << 15) // columns, 1)
    for row in range(0, rows, height):
        part = slice(row, row + height)
        for column in range(0, length, columns):
            across = slice(column, column + columns)
            values = _products(config, a[part, across], b[part, across])
            if checked:
                state.add(config, part, values)
            else:
                total[part] += values.sum(axis=1, dtype=np.int64)
    result, overflow = _finish(config, state.total, state.overflow, state.negative)
    return result.reshape(shape)[()], overflow.reshape(shape)[()]


@dataclass
class _State:
    """Running sums of rows, whether they have left the range, and whether to the negative side."""

    total: npt.NDArray[np.int64]
    overflow: npt.NDArray[np.bool_]
    negative: npt.NDArray[np.bool_]

    def add(self, config: DotConfig, part: slice, values: Integers) -> None:
        """Adds products along the last axis, transfer by transfer."""
        if self._add_far_from_the_ends(config, part, values):
            return
        if config.lanes > 1:
            ends = np.arange(0, values.shape[1], config.lanes)
            values = np.add.reduceat(values, ends, axis=1, dtype=np.int64)
        # A sum that wraps has left the range before.
        sums = np.cumsum(values, axis=1, dtype=np.int64)
        sums += self.total[part, None]
        low, high = config.accumulator.minimum, config.accumulator.maximum
        wrong = (sums.min(axis=1) < low) | (sums.max(axis=1) > high)
        self.total[part] = sums[:, -1]
        rows = np.flatnonzero(wrong & ~self.overflow[part])
        if len(rows):
            sums = sums[rows]
            leaves = ((sums < low) | (sums > high)).argmax(axis=1)
            self.overflow[part][rows] = True
            self.negative[part][rows] = sums[np.arange(len(rows)), leaves] < 0

    def _add_far_from_the_ends(self, config: DotConfig, part: slice, values: Integers, group: int = 64) -> bool:
        """The quick way: adds groups of products where even the largest could not lead out of the range in between.

        Returns whether it did.
        """
        width = values.shape[1]
        reach = min(group, width) * max(int(values.max(initial=0)), -int(values.min(initial=0)))
        limit = config.accumulator.maximum - reach
        if limit < 0:
            return False
        whole = width // group * group
        sums = values[:, :whole].reshape(len(values), whole // group, group).sum(axis=2, dtype=np.int64)
        rest = values[:, whole:].sum(axis=1, dtype=np.int64)
        running = np.cumsum(np.column_stack([self.total[part], sums, rest]), axis=1)
        if self.overflow[part].any() or running.max() > limit or running.min() < -limit:
            return False
        self.total[part] = running[:, -1]
        return True


def _finish(config: DotConfig, total: Integers, overflow: Words, negative: Words) -> tuple[Words, Words]:
    """Words of the result and of the flag."""
    fmt = config.result
    clipped = np.clip(total, fmt.minimum, fmt.maximum)
    result = np.where(overflow, np.where(negative, fmt.minimum, fmt.maximum), clipped)
    flag = (overflow | (clipped != total)).astype(np.uint8)
    if config.lns_result is None or config.magnitude_log is None:
        return np.asarray(fmt.pack(result)), flag
    log = config.magnitude_log.evaluate(np.abs(result))
    return np.asarray(config.lns_result.fit(result < 0, log, result == 0)), flag


def model(config: DotConfig) -> Callable[[dict[str, Words], int], dict[str, Words]]:
    """The unit since its reset: field arrays and the index of the first transfer → results of those with ``last``.

    Chunks must follow each other; one that begins at 0 is taken as the first behind a reset.
    """
    total, left, was_negative = 0, False, False

    def run(fields: dict[str, Words], start: int) -> dict[str, Words]:
        nonlocal total, left, was_negative
        if start == 0:
            total, left, was_negative = 0, False, False
        names = [name for name in config.inputs if name not in ("first", "last")]
        values = sum(
            products(config, fields[a], fields[b]) for a, b in zip(names[::2], names[1::2], strict=True)
        ) + np.zeros(len(fields["first"]), dtype=np.int64)
        first = fields["first"].astype(bool)
        if not len(values):
            return {"result": np.zeros(0, config.outputs["result"].dtype), "overflow": np.zeros(0, np.uint8)}
        last = fields["last"].astype(bool)
        # The vector a transfer belongs to; 0 is the one that the chunk before left open.
        vector = np.cumsum(first)
        running = np.cumsum(values)
        starts = np.flatnonzero(first)
        base = np.concatenate([[-total], running[starts] - values[starts]])
        running = running - base[vector]
        outside = (running < config.accumulator.minimum) | (running > config.accumulator.maximum)
        # Index of each vector's first transfer outside; the state's comes before all.
        leaves = np.full(len(starts) + 1, len(values))
        where = np.flatnonzero(outside)
        np.minimum.at(leaves, vector[where], where)
        sides = np.zeros(len(leaves), dtype=bool)
        inside = leaves < len(values)
        sides[inside] = running[leaves[inside]] < 0
        if left:
            leaves[0], sides[0] = -1, was_negative
        overflow, negative = leaves[vector] <= np.arange(len(values)), sides[vector]
        total, left, was_negative = int(running[-1]), bool(overflow[-1]), bool(negative[-1])
        results = _finish(config, running[last], overflow[last], negative[last])
        return dict(zip(config.outputs, results, strict=True))

    return run
