"""The sum of two numbers given by their logs, for results too wide for a table.

Fourteen boundaries, named for what stands behind them::

     1 operands    logs x and y, signs, which of them is zero
     2 difference  y - x
     3 distance    z = |y - x|, and the larger log
     4 field       segment number and offset of z       | z half normalised
     5 entry       the segment's intercept and slope    | leading zeros and mantissa of z
     6 rows        slope, or 0, for each offset bit     | the correction's intercept and slope; W = intercept +
                                                        | {zeros, mantissa}
     7 pairs       first sums of two rows               | rows of the correction; W + larger log
     8 quads                                            | pairs
     9 product                                          | quads
    10 smooth      product + correction's intercept     | product of the correction
    11 magnitude   all that W lacks
    12 total       larger log ± magnitude
    13 saturated   a log above the largest is the largest
    14 flushed     a log below the smallest, and exact cancellation, is +0

A multiplication is a sum of rows: the registers of a row hold the slope and are reset where the offset's bit is
0, so that the AND gates cost no LUT. The evaluation rule is that of :class:`lnsmadam.golden.segments.Segments`.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib.memory import Memory as BlockMemory

from lnsmadam.golden.log_sum import Memory, SumConfig
from lnsmadam.golden.segments import READ_BOUNDARIES, Segments
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.log_sum import Operand
from lnsmadam.hw.pipeline import Pipeline, out_of_range, word

# The order in which boundaries lose their register as there are fewer: first those between short sums, last those
# whose forced values would cost LUTs (rows) or that split the longest paths. The last boundary keeps its own.
_FIRST_TO_GO = (9, 11, 13, 2, 8, 4, 10, 12, 7, 3, 1, 6, 5, 14)


def registered_boundaries(config: SumConfig) -> frozenset[int]:
    """Which boundaries of a segmented sum hold a register."""
    kept = frozenset(READ_BOUNDARIES) if config.memory is Memory.BLOCK else frozenset()
    going = [boundary for boundary in _FIRST_TO_GO if boundary not in kept]
    going = going[: config.max_pipeline - config.pipeline]
    return frozenset(range(1, config.max_pipeline + 1)) - frozenset(going)


class _Product:
    """``factor * offset`` as a tree of registered sums, two at a time, behind consecutive boundaries.

    Parameters
    ----------
    low, high : int
        Smallest and largest ``factor``.
    """

    def __init__(self, m: Module, pipeline: Pipeline, name: str, low: int, high: int):
        self._m, self._pipeline, self._name = m, pipeline, name
        self._low, self._high = min(low, 0), max(high, 0)
        # Partial sums, each with the number of offset bits it has seen, least significant first.
        self._terms: list[tuple[Value, int]] = []

    def rows(self, factor, offset) -> None:
        """Behind this boundary: one row per bit of ``offset``."""
        self._terms = [
            (self._pipeline.register(factor, name=f"{self._name}_row{place}", force=[(~bit, 0)]), 1)
            for place, bit in enumerate(offset)
        ]

    def reduce(self) -> None:
        """Behind this boundary: half as many partial sums."""
        sums: list[tuple[Value, int]] = []
        for place, (lower, count) in enumerate(self._terms[::2]):
            bits = count
            total = lower
            if 2 * place + 1 < len(self._terms):
                upper, upper_count = self._terms[2 * place + 1]
                bits = count + upper_count
                total = Signal(self._shape(bits), name=f"{self._name}_sum{place}")
                # The lowest bits of the lower term pass by the adder.
                high_part = lower >> count
                self._m.d.comb += total.eq(Cat(lower[:count], upper + high_part))
            sums.append((self._pipeline.register(total, name=f"{self._name}_part{place}"), bits))
        self._terms = sums

    def _shape(self, bits: int):
        most = (1 << bits) - 1
        low, high = self._low * most, self._high * most
        return signed(signed_bits(low, high)) if low < 0 else unsigned(max(high.bit_length(), 1))

    @property
    def value(self) -> Value:
        """The product, once one partial sum is left."""
        assert len(self._terms) == 1
        return self._terms[0][0]


def lookup(m: Module, name: str, entries: list[int], width: int, address) -> Value:
    """``entries[address]`` as multiplexers, equal ones shared between all bits.

    Written out, because tools make a block RAM of a large ``case``.
    """
    shared: dict[tuple[int, ...], Value] = {}

    def select(column: tuple[int, ...], select_bits: int) -> Value:
        if len(set(column)) == 1:
            return Const(column[0])
        if column not in shared:
            half = len(column) // 2
            low, high = select(column[:half], select_bits - 1), select(column[half:], select_bits - 1)
            if column[:half] == column[half:]:
                return low
            shared[column] = Signal(name=f"{name}_{len(shared)}")
            m.d.comb += shared[column].eq(Mux(address[select_bits - 1], high, low))
        return shared[column]

    bits = (len(entries) - 1).bit_length()
    return Cat(select(tuple(entry >> place & 1 for entry in entries), bits) for place in range(width))


class _Constants:
    """A read-only table of several signed columns, in LUTs or in block RAM.

    Parameters
    ----------
    columns : dict of name to tuple of int
        Equally long, a power of two.
    """

    def __init__(self, m: Module, pipeline: Pipeline, name: str, columns: dict[str, tuple[int, ...]], block: bool):
        self._m, self._pipeline, self._name, self._block = m, pipeline, name, block
        self._shapes = {
            column: signed(signed_bits(min(values), max(values)))
            if min(values) < 0
            else unsigned(max(max(values).bit_length(), 1))
            for column, values in columns.items()
        }
        self._entries = []
        for row in zip(*columns.values(), strict=True):
            entry, lsb = 0, 0
            for value, shape in zip(row, self._shapes.values(), strict=True):
                entry |= (value & ((1 << shape.width) - 1)) << lsb
                lsb += shape.width
            self._entries.append(entry)
        self._width = lsb

    def read(self, address) -> dict[str, Value]:
        """The columns at ``address``, behind the boundary just begun."""
        if self._block:
            memory = BlockMemory(shape=unsigned(self._width), depth=len(self._entries), init=self._entries)
            memory.attrs["ram_style"] = "block"
            self._m.submodules[self._name] = memory
            port = memory.read_port()
            self._m.d.comb += [port.addr.eq(address), port.en.eq(self._pipeline.advance)]
            data = port.data
        else:
            table = lookup(self._m, self._name, self._entries, self._width, address)
            data = self._pipeline.register(table, name=f"{self._name}_entry")
        out, lsb = {}, 0
        for column, shape in self._shapes.items():
            part = data[lsb : lsb + shape.width]
            out[column] = part.as_signed() if shape.signed else part
            lsb += shape.width
        return out


def _normalise_stage(m: Module, value, step: int):
    """``(value shifted left by step if its step upper bits are 0, whether they are)``."""
    is_zero = Signal(name=f"zeros_{step}")
    m.d.comb += is_zero.eq(~value[-step:].any())
    return Mux(is_zero, (value << step)[: len(value)], value), is_zero


def segmented_sum(m: Module, pipeline: Pipeline, config: SumConfig, x: Operand, y: Operand) -> None:
    """Builds the datapath from both operands to ``o.payload.result``, all boundaries included.

    ``x.log`` may exceed the result's range; ``y.log`` may not.
    """
    segments: Segments = config.segments
    fmt = config.accumulator
    block = config.memory is Memory.BLOCK
    bits = max(signed_bits(*config.x_range), fmt.log_width)
    fraction = segments.fraction_bits
    near_bits = segments.near_bits

    pipeline.boundary()
    # Kept inverted, so that the difference below is an addition.
    not_x = Signal(signed(bits))
    m.d.comb += not_x.eq(~x.log)
    not_x = pipeline.register(not_x, name="not_x")
    y_log = pipeline.register(y.log, name="y")
    x_sign = pipeline.register(x.sign, name="x_sign")
    y_sign = pipeline.register(y.sign, name="y_sign")
    x_zero = pipeline.register(x.is_zero, name="x_zero")
    y_zero = pipeline.register(y.is_zero, name="y_zero")

    pipeline.boundary()
    is_alone = x_zero | y_zero
    difference = Signal(signed(bits + 1))
    m.d.comb += difference.eq(y_log + not_x + 1)
    difference = pipeline.register(difference, name="difference")
    # A zero y reads as the log below the smallest: where x is below that too, either choice is flushed.
    x_larger = pipeline.register((y_log + not_x + 1)[bits], name="x_larger", force=[(x_zero, 0)])
    subtract = pipeline.register(x_sign ^ y_sign, name="subtract", force=[(is_alone, 0)])
    not_x, y_log, is_alone = _held(pipeline, not_x=not_x, y=y_log, is_alone=is_alone)
    x_sign, y_sign = _held(pipeline, x_sign=x_sign, y_sign=y_sign)

    pipeline.boundary()
    negative = difference[-1]
    # -d = ~(d - 1): the adder adds the sign to every bit, and each LUT inverts.
    distance = Signal(bits)
    m.d.comb += distance.eq((difference[:bits] + negative.replicate(bits)) ^ negative.replicate(bits))
    distance = pipeline.register(distance, name="distance")
    # Subtraction is done as ~(~larger + magnitude): no carry into the adder, inversions inside its LUTs.
    larger = Mux(x_larger, ~not_x, y_log)[:bits] ^ subtract.replicate(bits)
    larger = pipeline.register(larger, name="larger")
    sign = pipeline.register(Mux(x_larger, x_sign, y_sign), name="sign")
    subtract = pipeline.register(subtract, name="subtract")
    is_alone = pipeline.register(is_alone, name="is_alone")

    pipeline.boundary()
    near = Signal()
    # Of narrow words with a large base factor no distance may reach so far.
    if missing := max(near_bits + 2 - bits, 0):
        distance = Cat(distance, Const(0, missing))
    octaves = distance[near_bits:]  # in units of four
    m.d.comb += near.eq(~octaves.any())
    is_log = near & subtract
    # Twice as long segments beyond: the field is shifted by one, its upper bit that of eight octaves.
    field = Mux(near, distance[:near_bits], Cat(distance[1:near_bits], octaves[1]))
    offset = field[: segments.segment_bits] ^ (~is_log).replicate(segments.segment_bits)
    offset = pipeline.register(offset, name="offset")
    index = pipeline.register(Cat(field[segments.segment_bits :], ~near, subtract), name="index")
    is_far = octaves[0] & octaves[1] | octaves[2:].any()
    is_far = pipeline.register(is_far, name="is_far", force=[(is_alone, 1)])
    steps = [1 << place for place in reversed(range((near_bits - 1).bit_length()))]
    value, zeros = distance[:near_bits], []
    for step in steps[: len(steps) // 2]:
        value, is_zero = _normalise_stage(m, value, step)
        zeros.append(is_zero)
    value = pipeline.register(value, name="normalised")
    zeros = [pipeline.register(is_zero, name=f"zero_{n}") for n, is_zero in enumerate(zeros)]
    is_log = pipeline.register(is_log, name="is_log")
    larger, sign, subtract = _held(pipeline, larger=larger, sign=sign, subtract=subtract)

    pipeline.boundary(memory=block)
    columns = {"intercept": segments.intercepts, "slope": segments.slopes}
    entry = _Constants(m, pipeline, "segments", columns, block).read(index)
    for step in steps[len(steps) // 2 :]:
        value, is_zero = _normalise_stage(m, value, step)
        zeros.append(is_zero)
    # z = 0 has no leading one.
    cancels = pipeline.register(is_log & ~value[-1], name="cancels")
    mantissa = pipeline.register(~value[:-1], name="mantissa", force=[(~is_log, 0)])
    zeros = pipeline.register(Cat(*reversed(zeros)), name="zeros", force=[(~is_log, 0)])
    offset, is_far = _held(pipeline, offset=offset, is_far=is_far)
    larger, sign, subtract = _held(pipeline, larger=larger, sign=sign, subtract=subtract)

    pipeline.boundary(memory=block)
    smooth = _Product(m, pipeline, "smooth", 0, max(segments.slopes))
    smooth.rows(entry["slope"], offset)
    columns = {"intercept": segments.log_intercepts, "slope": segments.log_slopes}
    logarithm = _Constants(m, pipeline, "logarithm", columns, block)
    correction = logarithm.read(mantissa[len(mantissa) - segments.log_index_bits :])
    low = mantissa[segments.log_drop : len(mantissa) - segments.log_index_bits]
    # W, then W + larger log. What a block memory gives comes late in its cycle: it is added a stage later.
    intercept, log_field = entry["intercept"], Cat(mantissa, zeros) << (fraction - 1)
    start = Signal(signed(1 + max(len(intercept), len(log_field) + 1)))
    total = Signal(signed(_total_bits(config) + fraction))
    if block:
        intercept, log_field = _held(pipeline, intercept=intercept, log_field=log_field)
    m.d.comb += start.eq(intercept + log_field)
    if not block:
        start = pipeline.register(start, name="start", force=[(is_far, 0)])
    low, is_far, cancels = _held(pipeline, low=low, is_far=is_far, cancels=cancels)
    larger, sign, subtract = _held(pipeline, larger=larger, sign=sign, subtract=subtract)

    pipeline.boundary()
    smooth.reduce()
    log_product = _Product(m, pipeline, "log", min(segments.log_slopes), max(segments.log_slopes))
    log_product.rows(correction["slope"], low)
    (log_intercept,) = _held(pipeline, log_intercept=correction["intercept"])
    if block:
        start = pipeline.register(start, name="start", force=[(is_far, 0)])
        (larger,) = _held(pipeline, larger=larger)
    m.d.comb += total.eq((larger.as_signed() << fraction) + start)
    if not block:
        (total,) = _held(pipeline, total=total)
    is_far, cancels, sign, subtract = _held(pipeline, is_far=is_far, cancels=cancels, sign=sign, subtract=subtract)

    for _ in range(2):
        pipeline.boundary()
        smooth.reduce()
        log_product.reduce()
        log_intercept, total = _held(pipeline, log_intercept=log_intercept, total=total)
        is_far, cancels, sign, subtract = _held(pipeline, is_far=is_far, cancels=cancels, sign=sign, subtract=subtract)

    pipeline.boundary()
    log_product.reduce()
    rest = pipeline.register((smooth.value >> segments.slope_shift) + log_intercept, name="rest")
    total, is_far, cancels = _held(pipeline, total=total, is_far=is_far, cancels=cancels)
    sign, subtract = _held(pipeline, sign=sign, subtract=subtract)

    pipeline.boundary()
    rest = pipeline.register(rest + (log_product.value >> segments.log_shift), name="rest", force=[(is_far, 0)])
    total, cancels = _held(pipeline, total=total, cancels=cancels)
    sign, subtract = _held(pipeline, sign=sign, subtract=subtract)

    pipeline.boundary()
    result = Signal(signed(_total_bits(config)))
    m.d.comb += result.eq((total + rest)[fraction : fraction + len(result)] ^ subtract.replicate(len(result)))
    result = pipeline.register(result, name="result")
    cancels, sign = _held(pipeline, cancels=cancels, sign=sign)

    pipeline.boundary()
    above, below = out_of_range(result, fmt)
    magnitude = pipeline.register(
        result[: fmt.log_width - 1], name="saturated", force=[(above, fmt.log_max & (fmt.log_mask >> 1))]
    )
    # Of a format whose largest log is negative, one above it may not be.
    negative = pipeline.register(result[-1], name="negative", force=[(above, 1)] if fmt.log_max < 0 else [])
    below = pipeline.register(below | cancels, name="below")
    sign = pipeline.register(sign, name="sign")

    pipeline.boundary()
    flushed = pipeline.register(Cat(magnitude, negative), name="result", force=[(below, fmt.zero)])
    sign = pipeline.register(sign, name="result_sign", force=[(below, 0)])
    pipeline.finish(result=word(sign, flushed, fmt))


def _held(pipeline: Pipeline, **values) -> list[Signal]:
    """Values that only wait behind this boundary."""
    return [pipeline.register(value, name=name) for name, value in values.items()]


def _total_bits(config: SumConfig) -> int:
    """Bits of the sum before the range rule, exact cancellation apart."""
    largest = max(config.x_range[1], config.accumulator.log_max) + config.accumulator.base_factor
    smallest = min(config.x_range[0], config.accumulator.zero_log)
    deepest = smallest + int(config.segments.evaluate(1, True))
    return signed_bits(int(deepest) - 1, int(largest) + 1)
