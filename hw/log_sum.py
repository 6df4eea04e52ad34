"""The sum of two numbers given by their logs, for results narrow enough for a table.

Seven boundaries (six where d itself addresses a block RAM), named for what stands behind them::

    1 operands    logs x and y, their signs; a zero is a log so small that it cannot matter
    2 difference  d = y - x
    3 distance    |d|, and the larger log          (addressed by d: the block RAM's read port)
    4 magnitude   the table's |f(|d|)|             (addressed by d: no such boundary)
    5 total       larger log ± magnitude
    6 saturated   a log above the largest is the largest
    7 flushed     a log below the smallest, and exact cancellation, is +0

Where a value must be forced, it is forced in a register, whose set or reset costs no LUT.
"""

import functools
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib.memory import Memory as BlockMemory

from lnsmadam.golden.log_sum import Memory, SumConfig, is_addressed_by_difference
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.lut_network import Table, look_up
from lnsmadam.hw.pipeline import Pipeline, out_of_range, word


@dataclass(frozen=True)
class SumCodes:
    """How a sum's datapath writes its logs; changes no bit of the result.

    Attributes
    ----------
    log_bits : int
        Bits of the signed logs of both operands.
    zero_x, zero_y : int
        Logs that stand for zero. They meet every other log so far away, or so far below the result's range,
        that the datapath needs no further word about zeros.
    index_bits : int
        Bits of the distance |d| (of d, in a small block RAM) that address the table; its entries beyond are 0.
    total_bits : int
        Bits of the sum before the range rule.
    kill : int
        Magnitude that takes any log of two equal operands below the range.
    """

    log_bits: int
    zero_x: int
    zero_y: int
    index_bits: int
    total_bits: int
    kill: int


class _Trial:
    """The datapath's sum on integers, to try codes before a circuit has them."""

    def __init__(self, config: SumConfig, index_bits: int, kill: int):
        self._config, self._index_bits, self.kill = config, index_bits, kill

    def total(self, x: np.ndarray, y: np.ndarray, subtract: bool) -> np.ndarray:
        """Sum of the logs x and y before the range rule."""
        d = y - x
        if is_addressed_by_difference(self._config):
            span = 1 << self._index_bits
            d = (d + span // 2) % span - span // 2
        steps = self._config.gauss_logs[int(subtract)]
        steps = steps[np.minimum(np.abs(d), len(steps) - 1)]
        return np.asarray(np.maximum(x, y) + (np.where(d == 0, -self.kill, steps) if subtract else steps))

    def agrees(self, x: np.ndarray, y: np.ndarray, exact: np.ndarray, subtract: bool) -> bool:
        """Whether the sums are, under the range rule, the logs ``exact``."""
        return bool((self._in_range(self.total(x, y, subtract)) == self._in_range(exact)).all())

    def _in_range(self, log: np.ndarray) -> np.ndarray:
        fmt = self._config.accumulator
        return np.where(log < fmt.log_min, fmt.zero_log, np.minimum(log, fmt.log_max))


@functools.lru_cache(maxsize=64)
def sum_codes(config: SumConfig) -> SumCodes:
    """The narrowest codes that are right for every pair of logs, found by trying all of them.

    Of wide results, where trying takes long, zeros have the lowest codes.
    """
    fmt = config.accumulator
    low, high = config.x_range
    x, y = np.arange(low, high + 1), np.arange(fmt.code_min, fmt.code_max + 1)
    # A power of two that takes the largest log with an equal partner below the range, above the magnitude's bits.
    # The table's entry there is arbitrary in those: the sum may lie lower by all of them.
    kill = 1 << max((fmt.code_max - fmt.log_min).bit_length(), magnitude_bits(config))
    slack = (1 << magnitude_bits(config)) - 1
    log_bits = max(signed_bits(low), signed_bits(high), fmt.log_width)
    for index_bits in _index_bits(config):
        trial = _Trial(config, index_bits, kill)
        if is_addressed_by_difference(config) and not _is_clear(config, trial):
            continue
        for bits in range(log_bits, log_bits + 5):
            floor = -(1 << (bits - 1))
            found: list[SumCodes] = []
            # Two zeros must not cancel: their codes differ.
            for zero_y in range(floor + 1, fmt.code_min) if config.is_narrow else (floor + 1,):
                marks = np.array([floor]), np.array([zero_y])
                if all(
                    trial.agrees(x, marks[1], x, subtract)
                    and trial.agrees(marks[0], y, y, subtract)
                    and trial.agrees(*marks, np.array([floor]), subtract)
                    for subtract in (False, True)
                ):
                    cancelling = zero_y if low <= zero_y else fmt.code_min
                    lowest = min(zero_y + int(config.gauss_logs[1].min()), cancelling - kill - slack)
                    total = max(signed_bits(lowest), signed_bits(high + int(config.gauss_logs[0].max())))
                    found.append(SumCodes(bits, floor, zero_y, index_bits, total, kill))
            if found:
                return min(found, key=lambda codes: codes.total_bits)
    raise ValueError(f"No code for zero keeps clear of the other logs for {fmt}")


def _index_bits(config: SumConfig) -> range:
    """Bits of the table's address to try: what its entries need, and more where the address wraps."""
    bits = (len(config.gauss_logs[0]) - 2).bit_length()
    if config.memory is Memory.LOGIC:
        return range(bits, bits + 1)
    if not is_addressed_by_difference(config):
        # The last address stands for every distance beyond: its entry is 0.
        bits = (len(config.gauss_logs[0]) - 1).bit_length()
        return range(bits, bits + 1)
    return range(bits + 2, max(bits, config.z_max.bit_length()) + 4)


def _is_clear(config: SumConfig, trial: _Trial) -> bool:
    """Whether no pair of logs meets, by a wrapped address, a table entry that is not its own and that matters."""
    fmt = config.accumulator
    low, high = config.x_range
    x = np.arange(low, high + 1)
    exact = _Trial(config, 32, trial.kill)
    return all(
        trial.agrees(x, np.array([y]), exact.total(x, np.array([y]), subtract), subtract)
        for y in range(fmt.code_min, fmt.code_max + 1)
        for subtract in (False, True)
    )


@dataclass(frozen=True)
class Operand:
    """One side of the sum: sign, signed log, and whether it is zero."""

    sign: Value
    log: Value
    is_zero: Value


#: Boundaries that keep their register, by the number of registers, where the constants are in logic. The order
#: in which they go: first the cheap last step, then the shortest neighbours meet.
_IN_LOGIC = {
    7: (1, 2, 3, 4, 5, 6, 7),
    6: (1, 2, 3, 4, 5, 7),
    5: (1, 3, 4, 5, 7),
    4: (1, 3, 4, 7),
    3: (1, 4, 7),
    2: (3, 7),
}
#: The same where d addresses a block RAM, whose read port stands at boundary 3.
_BY_DIFFERENCE = {6: (1, 2, 3, 4, 5, 6), 5: (1, 2, 3, 4, 6), 4: (1, 3, 4, 6), 3: (1, 3, 6), 2: (3, 6), 1: (3,)}
#: The same where |d| does, at boundary 4.
_BY_DISTANCE = {**_IN_LOGIC, 2: (4, 7), 1: (4,)}


def registered_boundaries(config: SumConfig) -> frozenset[int]:
    """Which boundaries of :func:`log_sum` hold a register."""
    if is_addressed_by_difference(config):
        return frozenset(_BY_DIFFERENCE[config.pipeline])
    if config.memory is Memory.BLOCK:
        return frozenset(_BY_DISTANCE[config.pipeline])
    return frozenset(_IN_LOGIC.get(config.pipeline, (7,) * config.pipeline))


def log_sum(m: Module, pipeline: Pipeline, config: SumConfig, x: Operand, y: Operand) -> None:
    """Builds the datapath from both operands to ``o.payload.result``, all boundaries included.

    ``x.log`` may exceed the result's range; ``y.log`` may not.
    """
    codes = sum_codes(config)
    fmt = config.accumulator
    bits, shape = codes.log_bits, signed(codes.log_bits)

    pipeline.boundary()
    # Kept inverted, so that the difference below is an addition.
    not_x = Signal(shape)
    y_log = Signal(shape)
    m.d.comb += [not_x.eq(~x.log), y_log.eq(y.log)]
    not_x = pipeline.register(not_x, name="not_x", force=[(x.is_zero, Const(~codes.zero_x, shape))])
    y_log = pipeline.register(y_log, name="y", force=[(y.is_zero, Const(codes.zero_y, shape))])
    x_sign = pipeline.register(x.sign, name="x_sign")
    subtract = pipeline.register(x.sign ^ y.sign, name="subtract")

    pipeline.boundary()
    difference = Signal(signed(bits + 1))
    m.d.comb += difference.eq(y_log + not_x + 1)
    d = pipeline.register(difference, name="difference")
    not_x = pipeline.register(not_x, name="not_x")
    y_log = pipeline.register(y_log, name="y")
    x_sign = pipeline.register(x_sign, name="x_sign")
    subtract = pipeline.register(subtract, name="subtract")

    x_larger = d[-1]
    larger = Mux(x_larger, ~not_x, y_log)
    sign = x_sign ^ (subtract & ~x_larger)
    if is_addressed_by_difference(config):
        magnitude = _block_table(m, pipeline, config, Cat(d[: codes.index_bits], subtract))
        larger = pipeline.register(larger, name="larger")
        sign = pipeline.register(sign, name="sign")
        subtract = pipeline.register(subtract, name="subtract")
    elif config.memory is Memory.BLOCK:
        pipeline.boundary()
        index, far = _distance(m, d, codes.index_bits)
        index = pipeline.register(index, name="distance", force=[(far, (1 << codes.index_bits) - 1)])
        larger = pipeline.register(larger, name="larger")
        sign = pipeline.register(sign, name="sign")
        subtract = pipeline.register(subtract, name="subtract")

        magnitude = _block_table(m, pipeline, config, Cat(index, subtract))
        larger = pipeline.register(larger, name="larger")
        sign = pipeline.register(sign, name="sign")
        subtract = pipeline.register(subtract, name="subtract")
    else:
        pipeline.boundary()
        index, far = _distance(m, d, codes.index_bits)
        index = pipeline.register(index, name="distance")
        far = pipeline.register(far, name="far")
        larger = pipeline.register(larger, name="larger")
        sign = pipeline.register(sign, name="sign")
        subtract = pipeline.register(subtract, name="subtract")

        pipeline.boundary()
        magnitude = look_up(m, sum_table(config), Cat(index, subtract), "table")
        # Far apart, all of it is forced to 0, the sign of the addend included.
        magnitude = pipeline.register(magnitude, name="magnitude", force=[(far, 0)])
        larger = pipeline.register(larger, name="larger")
        sign = pipeline.register(sign, name="sign")
        subtract = pipeline.register(subtract, name="subtract", force=[(far, 0)])

    pipeline.boundary()
    # -magnitude is ~magnitude + 1; the table holds the inverted bits, the sign of the addend is `subtract`, and
    # the 1 enters the carry chain below its first bit. `keep` is 0 where x and y cancel: it stands in for one
    # of the addend's sign bits, which takes the sum below the range.
    steps, keep = magnitude[:-1], magnitude[-1]
    kill_bit = codes.kill.bit_length() - 1
    below, above = kill_bit - len(steps), codes.total_bits - kill_bit - 1
    addend = Cat(steps, subtract.replicate(below), keep, subtract.replicate(above))
    total = Signal(signed(codes.total_bits + 1))
    m.d.comb += total.eq(Cat(Const(1, 1), larger).as_signed() + Cat(subtract, addend).as_signed())
    total = total[1:].as_signed()
    total = pipeline.register(total, name="total")
    sign = pipeline.register(sign, name="sign")

    pipeline.boundary()
    above, below = out_of_range(total, fmt)
    result = pipeline.register(
        total[: fmt.log_width - 1], name="saturated", force=[(above, fmt.log_max & (fmt.log_mask >> 1))]
    )
    # Of a format whose largest log is negative, one above it may not be.
    negative = pipeline.register(total[-1], name="negative", force=[(above, 1)] if fmt.log_max < 0 else [])
    below = pipeline.register(below, name="below")
    sign = pipeline.register(sign, name="sign")

    pipeline.boundary()
    flushed = pipeline.register(Cat(result, negative), name="result", force=[(below, fmt.zero)])
    sign = pipeline.register(sign, name="result_sign", force=[(below, 0)])
    pipeline.finish(result=word(sign, flushed, fmt))


def _distance(m: Module, d, index_bits: int):
    """``(|d|`` below ``2**index_bits``, whether it is not below)``."""
    negative = d[-1]
    magnitude = Signal(index_bits + 1)
    # -d = ~(d - 1): the adder adds the sign to every bit, and each LUT inverts.
    low = d[: index_bits + 1] + negative.replicate(index_bits + 1)
    m.d.comb += magnitude.eq(low[: index_bits + 1] ^ negative.replicate(index_bits + 1))
    # d + 2**index_bits underflows only where a borrow has left bits that differ from the sign's.
    borrow_free = magnitude[-1] ^ d[index_bits]
    upper = d[index_bits:-1]
    far = Mux(negative, ~(upper.all() & borrow_free), upper.any())
    return magnitude[:index_bits], far


def sum_table(config: SumConfig) -> Table:
    """The table that the datapath reads: the addend's low bits, below one bit that is 0 at exact cancellation.

    The address is ``subtract`` above |d|, or above d in a small block RAM. The addend of a subtraction is negative: its
    entries are inverted.
    """
    codes = sum_codes(config)
    span = 1 << codes.index_bits
    d = np.arange(span)
    if is_addressed_by_difference(config):
        d = (d + span // 2) % span - span // 2
    bits = magnitude_bits(config)
    entries: list[int] = []
    cares: list[int] = []
    for subtract in (False, True):
        table = config.gauss_logs[int(subtract)]
        steps = np.abs(table[np.minimum(np.abs(d), len(table) - 1)])
        for delta, step in zip(d, steps, strict=True):
            cancels = subtract and delta == 0
            inverted = (1 << bits) - 1 - int(step) + (1 << bits) * (not cancels)
            entries.append(inverted if subtract else int(step))
            cares.append(1 << bits if cancels else (2 << bits) - 1)
    return Table(codes.index_bits + 1, bits + 1, tuple(entries), tuple(cares))


def magnitude_bits(config: SumConfig) -> int:
    """Bits of the largest |f| in the tables."""
    return max(int(np.abs(table).max()).bit_length() for table in config.gauss_logs)


def _block_table(m: Module, pipeline: Pipeline, config: SumConfig, address):
    table = sum_table(config)
    memory = BlockMemory(shape=unsigned(table.output_bits), depth=len(table.entries), init=table.entries)
    memory.attrs["ram_style"] = "block"
    m.submodules.table = memory
    pipeline.boundary(memory=True)
    port = memory.read_port()
    m.d.comb += [port.addr.eq(address), port.en.eq(pipeline.advance)]
    return port.data
