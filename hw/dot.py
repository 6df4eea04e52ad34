"""Dot product of LNS words in a linear accumulator."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.log_sum import Memory
from lnsmadam.hw.adders import add
from lnsmadam.hw.antilog import (
    LastShift,
    block_table,
    chord_ends,
    mantissa_table,
    on_chord,
    shift_left,
    shifts_in_block,
)
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.log_of_mantissa import log_of_magnitude
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range, spread

#: The signals of one lane by name.
Lane = dict[str, Any]


class Dot(UnitComponent):
    """Adds products of LNS words into one fixed-point accumulator, ``lanes`` products a transfer.

    Computes ``result = sum(a_i * b_i)`` from the last transfer with ``first`` to the one with ``last``, which alone
    brings a result. A product is the antilog of the sum of two logs: a mantissa (table or chord) shifted by the
    octaves, cut below the accumulator's least bit, then its sign. The sum of these integers is exact; where it
    leaves the accumulator's range, ``overflow`` is set until the next ``first`` and the result is the largest of the
    sign that it left to. Zero operands add 0; after reset the sum is 0; ``last`` does not clear it. One transfer per
    cycle; a result appears at ``o`` :attr:`latency` cycles after the transfer with ``last``, later if ``o`` stalls.
    """

    config: DotConfig

    def elaborate(self, platform):
        # The accumulator stands beside the register of its sum. It is cleared on the edge that loads the addend of a
        # `first`: what is being added then only goes on to the result. So a new vector needs no multiplexer in front
        # of the adder. Bubbles add 0, and so does all that a reset finds in flight.
        m = Module()
        config = self.config
        always = {config.stages.index(name) + 1 for name in ("addend", "low_sum")}
        if config.memory is Memory.BLOCK:
            always.add(config.stages.index("mantissa") + 1)
        registered = spread(config.max_pipeline, config.pipeline, frozenset(always))
        self.registered = {name for number, name in enumerate(config.stages) if number + 1 in registered}
        self.pipeline = Pipeline(m, self, registered)
        fields = self.i.payload
        self.first = fields.first & self.pipeline.valid
        is_bubble = ~self.pipeline.valid
        self.pipeline.drop_unless(fields.last)
        names = [name for name in config.inputs if name not in ("first", "last")]
        pairs = [(fields[a], fields[b]) for a, b in zip(names[::2], names[1::2], strict=True)]
        addend, first_in_front = self._add_lanes(m, self._multiply(m, pairs, is_bubble))
        self._accumulate(m, addend, first_in_front)
        return m

    def _boundary(self, lanes: list[Lane], *, memory: bool = False, skip=(), force=None):
        """The next boundary: all signals of the lanes, but those in ``skip``, and ``first`` move behind it;
        returns whether it holds a register."""
        registered: bool = self.pipeline.boundary(memory=memory)
        for number, lane in enumerate(lanes):
            in_front = dict(lane)
            for name in [name for name in in_front if name not in skip]:
                forced = (force or {}).get(name, ()) if registered else ()
                forced = forced(in_front) if callable(forced) else forced
                lane[name] = self.pipeline.register(in_front[name], name=f"{name}_{number}", force=forced)
        self.first = self.pipeline.register(self.first, name="first")
        return registered

    def _multiply(self, m: Module, pairs, is_bubble) -> list[Lane]:
        """Signals in front of the boundary ``addend``: ``addend`` + ``carry`` of each lane, where the addend of a
        negative product is the complement of its magnitude, and its carry 1."""
        config, reset = self.config, self.pipeline.reset
        in_block = config.memory is Memory.BLOCK
        # A shift's bits go to the table, to two multiplexer stages, and to the last shift.
        last_bits = min(2, config.quotient_bits)
        early_bits = config.quotient_bits - last_bits
        if in_block:
            table_bits, low_bits = shifts_in_block(config), 0
        else:
            table_bits = min(early_bits, int(config.antilog is Antilog.TABLE))
            low_bits = (early_bits - table_bits + 1) // 2
        middle = table_bits + low_bits
        # A quotient of 0 shifts by half the range; the accumulator's least bit is so far above a mantissa's.
        half = 1 << (config.quotient_bits - 1)
        last_shift = LastShift(
            value_bits=config.mantissa_bits + (1 << early_bits),
            amount_bits=last_bits,
            unit_log=early_bits,
            drop=config.mantissa_bits + half - config.accumulator.fraction_bits,
            width=config.product_bits,
        )
        lanes: list[Lane] = [
            {
                "log": (a.log + b.log)[: config.operand.width],
                "sign": a.sign ^ b.sign,
                "zero_a": is_zero_log(a.log),
                "zero_b": is_zero_log(b.log),
            }
            for a, b in pairs
        ]
        registered = self._boundary(lanes)
        is_bubble = self.pipeline.register(is_bubble, name="bubble", force=[(reset, 1)] if registered else ())

        for number, lane in enumerate(lanes):
            log = lane.pop("log")
            bits = max(config.operand.width, config.remainder_bits + 1)
            long = Signal(signed(bits), name=f"long_{number}")
            lane["shift"] = Signal(config.quotient_bits, name=f"shift_{number}")
            lane["remainder"] = long[: config.remainder_bits]
            m.d.comb += [long.eq(log.as_signed()), lane["shift"].eq(long[config.remainder_bits :] ^ half)]
            adds_nothing = Signal(name=f"adds_nothing_{number}")
            zero = lane.pop("zero_a") | lane.pop("zero_b") | is_bubble
            m.d.comb += adds_nothing.eq(zero | reset if "mantissa" in self.registered else zero)
            lane["is_zero"] = adds_nothing
            table_shift = lane["shift"][:table_bits]
            if in_block:
                lane["value"] = block_table(
                    m, self.pipeline, config, f"table_{number}", lane["remainder"], table_shift, lane["sign"]
                )
                del lane["remainder"]
            elif config.antilog is Antilog.TABLE:
                remainder = lane.pop("remainder")
                lane["value"] = mantissa_table(m, config, remainder, table_shift, f"table_{number}")
            else:
                lane["start"], lane["rise"] = chord_ends(m, config, lane["remainder"], f"chord_{number}")
                lane["fraction"] = lane.pop("remainder")[: config.remainder_bits - config.chord_bits]
        in_flight = {"is_zero": [(reset, 1)], "sign": [(reset, 0)], "code": [(reset, last_shift.zero_code)]}
        clear_sign = {**in_flight, "sign": lambda lane: [(lane["is_zero"], 0)], "is_zero": ()}
        if in_block:
            self._encode(m, lanes, last_shift, early_bits)
        self._boundary(lanes, memory=in_block, skip=("value",) if in_block else (), force=clear_sign)
        if "mantissa" not in self.registered:
            for lane in lanes:
                lane["sign"] = lane["sign"] & ~lane["is_zero"]
        if config.antilog is Antilog.CHORD:
            for lane in lanes:
                lane["value"] = on_chord(lane.pop("start"), lane.pop("rise"), lane.pop("fraction"))
            self._boundary(lanes, force=in_flight)
        if not in_block:
            for lane in lanes:
                negative = lane["value"] ^ lane["sign"].replicate(len(lane["value"]))
                lane["value"] = shift_left(negative, lane["shift"], table_bits, middle, lane["sign"])
            self._boundary(lanes, force=in_flight)
            for lane in lanes:
                lane["value"] = shift_left(lane["value"], lane["shift"], middle, early_bits, lane["sign"])
            self._encode(m, lanes, last_shift, early_bits)
            self._boundary(lanes, force=in_flight)
        else:
            for lane in lanes:
                lane["value"] = shift_left(lane["value"], lane["shift"], middle, early_bits, lane["sign"])
        return [
            {"addend": last_shift.bits(lane["code"], lane["value"], lane["sign"]), "carry": lane["sign"]}
            for lane in lanes
        ]

    def _encode(self, m: Module, lanes: list[Lane], last_shift: LastShift, early_bits: int) -> None:
        for number, lane in enumerate(lanes):
            amount = lane["shift"][early_bits:]
            lane["code"] = last_shift.codes(m, amount, lane["sign"], lane["is_zero"], f"code_{number}")

    def _add_lanes(self, m: Module, lanes: list[Lane]) -> tuple[Lane, Any]:
        """The sum of the lanes behind the last of these boundaries, and ``first`` in front of the last register.

        Each adder takes the carry of its first operand and hands that of its second on.
        """
        clear = {"addend": [(self.pipeline.reset, 0)], "carry": [(self.pipeline.reset, 0)]}
        first_in_front = self.first
        self._boundary(lanes, force=clear)
        for lane in lanes:
            # The carry is the sign as well.
            lane["addend"] = Cat(lane["addend"], lane["carry"]).as_signed()
        for _ in range(self.config.tree_levels):
            pairs = list(zip(lanes[::2], lanes[1::2], strict=False))
            odd = [lanes[-1]] if len(lanes) % 2 else []
            lanes = [
                {"addend": add(m, x["addend"], y["addend"], x["carry"]), "carry": y["carry"]} for x, y in pairs
            ] + odd
            before = self.first
            if self._boundary(lanes, force=clear):
                first_in_front = before
        assert len(lanes) == 1
        return lanes[0], first_in_front

    def _accumulate(self, m: Module, addend: Lane, first_in_front) -> None:
        """From the boundary ``low_sum`` to the result.

        With a register at ``high_sum`` the upper half of the sum follows one stage behind the lower.
        """
        config, pipeline = self.config, self.pipeline
        width, result_bits = config.accumulator.width, config.result.width
        # Enough for the accumulator plus any addend.
        bits = max(width, config.addend_bits) + 1
        # An accumulator may be narrower than the addends; its sign stays in the upper half.
        split = min(bits // 2, width - 1) if "high_sum" in self.registered else 0
        low_accumulator = Signal(split, reset_less=True)
        high_accumulator = Signal(signed(width - split), reset_less=True)
        clear = [(pipeline.reset, 0)]

        def keep(accumulator, total, first):
            with m.If(pipeline.advance):
                m.d.sync += accumulator.eq(total)
                with m.If(first | pipeline.reset):
                    m.d.sync += accumulator.eq(0)

        value, carry = addend["addend"], addend["carry"]
        # Of addends that do not come to the upper half, that has the sign.
        value = Cat(value, value[-1].replicate(max(split + 1 - len(value), 0)))
        low, high = value[:split], value[split:].as_signed()
        if split:
            low_total = Signal(split + 1)
            m.d.comb += low_total.eq(add(m, Cat(low_accumulator, 0).as_signed(), Cat(low, 0).as_signed(), carry))
            keep(low_accumulator, low_total[:split], first_in_front)
            first_in_front = self.first
            first = self.first
            pipeline.boundary()
            low_total = pipeline.register(low_total, name="low_sum", force=clear)
            high = pipeline.register(high, name="high_addend", force=clear)
            self.first = pipeline.register(first, name="first")
            low_total, carry = low_total[:split], low_total[split]
        high_total = Signal(signed(bits - split))
        m.d.comb += high_total.eq(add(m, high_accumulator, high, carry))
        keep(high_accumulator, high_total, first_in_front)
        pipeline.boundary()
        high_total = pipeline.register(
            high_total, name="high_sum", force=clear if self.registered & {"low_sum", "high_sum"} else ()
        )
        if split:
            total = Cat(pipeline.register(low_total, name="low_sum"), high_total)
        else:
            total = high_total
        first = pipeline.register(self.first, name="first")
        if not split:
            assert not pipeline.boundary()

        def differ(value):
            return value.any() & ~value.all()

        pipeline.boundary()
        has_left, was_negative = Signal(), Signal(reset_less=True)
        leaves, negative = Signal(), Signal()
        kept = has_left & ~first
        m.d.comb += [leaves.eq(differ(total[width - 1 :]) | kept), negative.eq(Mux(kept, was_negative, total[-1]))]
        with m.If(pipeline.advance):
            m.d.sync += [has_left.eq(leaves), was_negative.eq(negative)]
        if "overflow" in self.registered:
            overflow, negative = has_left, was_negative
        else:
            overflow = leaves
        if result_bits < width:
            clips = differ(total[result_bits - 1 : width])
            overflow = overflow | pipeline.register(clips, name="clips")
        value = pipeline.register(total[: result_bits - 1], name="value")

        pipeline.boundary()
        value = pipeline.register(value, name="clipped", force=[(overflow, (1 << (result_bits - 1)) - 1)])
        negative = pipeline.register(negative, name="negative")
        overflow = pipeline.register(overflow, name="overflow")

        pipeline.boundary()
        value = pipeline.register(value, name="clipped", force=[(overflow & negative, 0)])
        negative = pipeline.register(negative, name="negative")
        overflow = pipeline.register(overflow, name="overflow")
        if config.lns_result and config.magnitude_log:
            self._to_lns(m, config.lns_result, config.magnitude_log, Cat(value, negative), overflow)
        else:
            pipeline.finish(result=Cat(value, negative), overflow=overflow)

    def _to_lns(self, m: Module, fmt: LNSFormat, spec: MagnitudeLog, value, overflow) -> None:
        """The fixed-point result as an LNS word."""
        pipeline, negative = self.pipeline, value[-1]
        magnitude = ((value ^ negative.replicate(len(value))) + negative)[: len(value)]
        pipeline.boundary()
        magnitude = pipeline.register(magnitude, name="absolute")
        live = {name: pipeline.register(v, name=name) for name, v in (("sign", negative), ("overflow", overflow))}
        log, is_zero, live = log_of_magnitude(m, pipeline, spec, magnitude, live)
        finish_in_range(pipeline, fmt, live["sign"], log, is_zero, overflow=live["overflow"])
