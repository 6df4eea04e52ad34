"""Dot product of LNS words: products by adding logs, summed in a linear fixed-point accumulator."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import Antilog, antilog_error, mantissas, octave_bits
from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import FLAG, LNS8, FixedFormat, LNSFormat, Words, check_words
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.log_sum import Memory

MAX_LANES = 64
#: Widest accumulator, and widest sum of one transfer's products: one more of them still fits 64 bits.
MAX_BITS = 62
#: Most steps per octave of a table, and of chords (whose error is tried on every remainder).
MAX_TABLE_FACTOR, MAX_CHORD_FACTOR = 1 << 10, 1 << 20
#: Widest operands whose products are looked up in a table of all pairs.
_MEMO_WIDTH = 8

Integers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class DotConfig(UnitConfig):
    """Configuration of ``dot``.

    Parameters
    ----------
    operand : LNSFormat
        Format of both vectors. Its base factor is a power of two: logs split into octaves and a remainder.
    lanes : int
        Products per cycle, 1 to 64.
    accumulator : FixedFormat, optional
        Signed. By default ``mantissa_bits + 1`` fraction bits, so that products from 1/2 up lose nothing, and the
        fewest bits that hold any sum of ``length`` products: those of ``length * largest_product``, and a sign.
    length : int
        Products that the derived accumulator must hold the sum of.
    result : FixedFormat, optional
        By default the accumulator's; or one with fewer bits above the same point, which saturates.
    lns_result : LNSFormat, optional
        The result leaves as an LNS word of this format: the fixed-point result, converted by what ``linear_to_log``
        does. Its base factor must be a power of two. By default the fixed-point result itself.
    antilog : Antilog, optional
        By default a table up to 32 steps per octave, chords beyond.
    mantissa_bits : int, optional
        Bits of a mantissa below the point; by default 4 more than a remainder has, at least 7.
    chord_bits : int, optional
        Of chords: bits of the remainder that address their table; by default the upper half.
    memory : Memory
        Logic alone, or block RAM for the mantissas.
    pipeline : int, optional
        Register stages from the transfer with ``last`` to its result; by default all that the datapath has places
        for. At least 2: the addend's and the accumulator's.
    """

    operand: LNSFormat = LNS8
    lanes: int = 1
    accumulator: FixedFormat = None  # type: ignore[assignment]  # filled in below
    length: int = 256
    result: FixedFormat = None  # type: ignore[assignment]
    lns_result: LNSFormat | None = None
    antilog: Antilog = None  # type: ignore[assignment]
    mantissa_bits: int = None  # type: ignore[assignment]
    chord_bits: int = None  # type: ignore[assignment]
    memory: Memory = Memory.LOGIC
    unit: ClassVar[str] = "dot"
    result_when: ClassVar[str | None] = "last"

    def __post_init__(self) -> None:
        def fill(name: str, value: Any) -> None:
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

        bits = octave_bits(self.operand.base_factor)
        fill("antilog", Antilog.TABLE if bits <= 5 else Antilog.CHORD)
        object.__setattr__(self, "antilog", Antilog(self.antilog))
        object.__setattr__(self, "memory", Memory(self.memory))
        fill("mantissa_bits", max(7, bits + 4))
        fill("chord_bits", (bits + 1) // 2)
        if not 1 <= self.lanes <= MAX_LANES:
            raise ValueError(f"Lanes must be from 1 to {MAX_LANES}, not {self.lanes}")
        if self.length < 1:
            raise ValueError(f"Length must be at least 1, not {self.length}")
        if not max(1, bits) <= self.mantissa_bits <= 32:
            raise ValueError(f"Mantissa bits must be from {max(1, bits)} to 32, not {self.mantissa_bits}")
        if not 0 <= self.chord_bits <= bits:
            raise ValueError(f"Chord bits must be from 0 to {bits}, not {self.chord_bits}")
        limit = MAX_TABLE_FACTOR if self.antilog is Antilog.TABLE else MAX_CHORD_FACTOR
        if self.base_factor > limit:
            raise ValueError(f"Base factor of a {self.antilog.value} must be at most {limit}, not {self.base_factor}")
        if self.memory is Memory.BLOCK and self.antilog is not Antilog.TABLE:
            raise ValueError("Block RAM holds a table of mantissas, not chords")
        if self.accumulator is None:
            fraction_bits = self.mantissa_bits + 1
            width = (self.length * self.largest_product_at(fraction_bits)).bit_length() + 1
            if width > MAX_BITS:
                raise ValueError(
                    f"Accumulator of {self.length} products of this format would need {width} bits, above {MAX_BITS}"
                )
            fill("accumulator", FixedFormat(width, fraction_bits, signed=True))
        fill("result", self.accumulator)
        if not self.accumulator.signed or not 2 <= self.accumulator.width <= MAX_BITS:
            raise ValueError(f"Accumulator must be signed, of 2 to {MAX_BITS} bits, not {self.accumulator}")
        if self.addend_bits > MAX_BITS:
            raise ValueError(f"Products of one transfer would need {self.addend_bits} bits, above {MAX_BITS}")
        if self.product_bits < 1:
            raise ValueError(
                f"Every product is below the accumulator's least bit, 2**{-self.accumulator.fraction_bits}"
            )
        if (
            not self.result.signed
            or not 2 <= self.result.width <= self.accumulator.width
            or self.result.fraction_bits != self.accumulator.fraction_bits
        ):
            raise ValueError(
                f"Result must be signed, with the accumulator's {self.accumulator.fraction_bits} fraction bits and "
                f"2 to {self.accumulator.width} bits, not {self.result.width}:{self.result.fraction_bits}"
            )
        _ = self.magnitude_log  # raises for a format that does not split into octaves
        super().__post_init__()

    @property
    def base_factor(self) -> int:
        """Steps per octave."""
        return int(self.operand.base_factor)

    @property
    def remainder_bits(self) -> int:
        """Bits of a log below one octave."""
        return octave_bits(self.operand.base_factor)

    @property
    def quotient_bits(self) -> int:
        """Bits of a product's octaves, a two's-complement integer; a product's log has ``operand.width`` bits."""
        return max(self.operand.width - self.remainder_bits, 1)

    @property
    def mantissas(self) -> npt.NDArray[np.int64]:
        """The mantissa of every remainder, in steps of ``2**-mantissa_bits``."""
        return mantissas(self.antilog, self.base_factor, self.mantissa_bits, self.chord_bits)

    def largest_product_at(self, fraction_bits: int) -> int:
        """The largest product's magnitude, in steps of ``2**-fraction_bits``."""
        quotient, remainder = divmod(2 * self.operand.code_max, self.base_factor)
        shift = quotient + fraction_bits - self.mantissa_bits
        mantissa = int(self.mantissas[remainder])
        return mantissa << shift if shift >= 0 else mantissa >> -shift

    @property
    def largest_product(self) -> int:
        """The largest product's magnitude, in the accumulator's steps."""
        return self.largest_product_at(self.accumulator.fraction_bits)

    @property
    def product_bits(self) -> int:
        """Bits of a product's magnitude: those of the largest octave."""
        return (1 << (self.quotient_bits - 1)) + self.accumulator.fraction_bits

    @property
    def tree_levels(self) -> int:
        """Levels of the tree that adds the lanes."""
        return (self.lanes - 1).bit_length()

    @property
    def magnitude_log(self) -> MagnitudeLog | None:
        """The log of the fixed-point result's magnitude, where the result is an LNS word."""
        if self.lns_result is None:
            return None
        return MagnitudeLog(self.result.width, self.result.fraction_bits, self.lns_result)

    @property
    def addend_bits(self) -> int:
        """Bits of the sum of one transfer's products: a sign, and one more bit a level of the tree."""
        return self.product_bits + 1 + self.tree_levels

    @property
    def stages(self) -> tuple[str, ...]:
        """Places for a register, in the order of the datapath."""
        chord = ("chord",) if self.antilog is Antilog.CHORD else ()
        shift = ("mantissa",) if self.memory is Memory.BLOCK else ("mantissa", *chord, "shift_low", "shift_middle")
        tree = tuple(f"tree_{level}" for level in range(self.tree_levels))
        log = self.magnitude_log
        to_lns = ("magnitude", *(f"to_log_{n}" for n in range(log.boundaries)), "fit") if log else ()
        return ("log", *shift, "addend", *tree, "low_sum", "high_sum", "overflow", "clip_high", "clip_low", *to_lns)

    @property
    def min_pipeline(self) -> int:
        return 3 if self.memory is Memory.BLOCK else 2

    @property
    def max_pipeline(self) -> int:
        return len(self.stages)

    @property
    def inputs(self) -> dict[str, Format]:
        names = ["a", "b"] if self.lanes == 1 else [f"{name}_{i}" for i in range(self.lanes) for name in "ab"]
        return {**dict.fromkeys(names, self.operand), "first": FLAG, "last": FLAG}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.lns_result or self.result, "overflow": FLAG}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.operand.parameters(),
            "lanes": self.lanes,
            "accumulator": self.accumulator.describe(),
            "result": self.result.describe(),
            **({"lns_result": self.lns_result.describe()} if self.lns_result else {}),
            "length": self.length,
            "antilog": self.antilog.value,
            "mantissa_bits": self.mantissa_bits,
            **({"chord_bits": self.chord_bits} if self.antilog is Antilog.CHORD else {}),
            "memory": self.memory.value,
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        log = self.magnitude_log
        rounding = "each product toward zero at the accumulator's least bit, the sum exact"
        bound = "sum over the products of max_antilog_error * |product| + least_bit"
        error = antilog_error(self.antilog, self.base_factor, self.mantissa_bits, self.chord_bits)
        return {
            "rounding": f"{rounding}, its log {log.core.rounding}" if log else rounding,
            "max_antilog_error": error,
            # As of the other units, in steps of the log: what its rounding adds to the bound on the sum.
            **({"max_error_ulp": log.core.max_error()} if log else {}),
            "error_bound": f"{bound}, then max_error_ulp of its log" if log else bound,
            "least_bit": 2.0**-self.accumulator.fraction_bits,
            "checked": f"all {self.base_factor} remainders",
            "safe_length": self.safe_length,
        }

    @property
    def safe_length(self) -> int:
        """Products whose sum never overflows, whatever they are."""
        return min(self.accumulator.maximum, self.result.maximum) // max(self.largest_product, 1)


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


def directed(config: DotConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Vectors of a few transfers up to a thousand, of products of any size, small ones, or those about the range."""
    columns: dict[str, Words] = {}
    fmt = config.operand
    # A vector of LENGTH products cannot leave a derived accumulator; the longest ones here are longer than the default.
    ends = np.repeat(rng.choice([0.5, 0.1, 0.01, 0.001], -(-count // 1024)), 1024)[:count]
    last = rng.random(count) < ends
    first = np.concatenate([[True], last[:-1]]) ^ (rng.random(count) < 0.02 * (ends > 0.005))
    vector: npt.NDArray[np.int64] = np.cumsum(last) - last
    # A vector's logs lie below a limit of its own, in some of them close below; half have the format's.
    vectors = int(last.sum()) + 1
    limit = rng.integers(fmt.code_min, fmt.code_max + 1, vectors)
    limit[rng.random(vectors) < 0.5] = fmt.code_max
    is_long = np.bincount(vector, minlength=vectors) > 256
    is_close = (rng.random(vectors) < 0.5) | is_long
    reach = np.where(is_close, 1 + config.base_factor // 2, 2 * fmt.code_max + 2)
    # Sums whose products have one sign leave the range sooner.
    signs = np.where(is_long, rng.integers(0, 2, vectors), rng.choice([0.0, 0.1, 0.5, 1.0], vectors))
    # Half of the long ones come back into the range, where only the flag still knows that they left it.
    place = np.arange(count) - np.searchsorted(vector, vector)
    turns = (rng.random(vectors) < 0.5) & is_long
    returns = turns[vector] & (place > 0.6 * np.bincount(vector, minlength=vectors)[vector])
    for name in config.inputs:
        log = limit[vector] - rng.integers(0, reach[vector])
        log = np.where(rng.random(count) < 0.03, fmt.zero_log, np.maximum(log, fmt.zero_log))
        sign = ((rng.random(count) < signs[vector]) ^ returns) & (name[0] == "a")
        sign ^= rng.random(count) < 0.03
        columns[name] = ((log & fmt.log_mask) | (sign.astype(np.int64) << fmt.log_width)).astype(fmt.dtype)
    columns["first"], columns["last"] = first.astype(np.uint8), last.astype(np.uint8)
    return columns
