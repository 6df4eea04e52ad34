"""Register placement, the range rule as a circuit, and what the components' shapes refuse."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.sim import Simulator

from lnsmadam.golden.format import FLAG, LNS6, LNS8, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw.lns import LNS, is_zero_log, layout_of, shape_of
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.pipeline import out_of_range, spread, word
from lnsmadam.units import UNITS


def test_spread_chooses_as_many_as_asked():
    for boundaries, pipeline in itertools.product(range(1, 15), range(15)):
        if pipeline <= boundaries:
            chosen = spread(boundaries, pipeline)
            assert len(chosen) == pipeline and chosen <= set(range(1, boundaries + 1))
            assert not pipeline or boundaries in chosen
            # Evenly: no two gaps differ by more than one.
            gaps = np.diff([0, *sorted(chosen)])
            assert not pipeline or gaps.max() - gaps.min() <= 1, (boundaries, pipeline, chosen)


def test_spread_keeps_what_must_stay():
    for boundaries, pipeline, always in itertools.product(range(1, 9), range(1, 9), range(1, 9)):
        if pipeline <= boundaries and always <= boundaries:
            chosen = spread(boundaries, pipeline, frozenset({always}))
            assert len(chosen) == pipeline and always in chosen
    with pytest.raises(AssertionError):
        spread(3, 4)
    with pytest.raises(AssertionError):
        spread(3, 1, frozenset({1, 2}))


def run(m, bench):
    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("fmt", [LNS6, SYNAPSE, LNSFormat(4, 1), LNSFormat(6, 4, -15, 14)], ids=str)
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_out_of_range(fmt, extra):
    m, log = Module(), Signal(signed(fmt.log_width + extra))
    flags = Signal(2)
    m.d.comb += flags.eq(Cat(*out_of_range(log, fmt)))
    got = []
    values = range(-(1 << fmt.log_width + extra - 1), 1 << fmt.log_width + extra - 1)

    async def bench(ctx):
        for value in values:
            ctx.set(log, value)
            got.append(ctx.get(flags))

    run(m, bench)
    assert got == [(value > fmt.log_max) + 2 * (value < fmt.log_min) for value in values]


def test_word_and_zero():
    m, log, sign = Module(), Signal(signed(8)), Signal()
    bits, zero, low = Signal(6), Signal(), Signal(signed(5))
    m.d.comb += [bits.eq(word(sign, log, LNS6)), low.eq(log), zero.eq(is_zero_log(low))]

    async def bench(ctx):
        for value, negative in itertools.product(range(-16, 16), range(2)):
            ctx.set(log, value)
            ctx.set(sign, negative)
            assert ctx.get(bits) == value % 32 + 32 * negative
            assert ctx.get(zero) == (value == -16)

    run(m, bench)


def test_component_in_amaranths_own_simulator():
    """The unit as a user of Amaranth has it: golden words in, golden words out, latency as stated."""
    unit = Multiply(MultiplyConfig(pipeline=2))
    seen = []

    async def bench(ctx):
        ctx.set(unit.o.ready, 1)
        ctx.set(unit.i.valid, 1)
        ctx.set(unit.i.payload, {"a": 0x88, "b": 3})
        for cycle in range(4):
            seen.append((ctx.get(unit.o.valid), ctx.get(unit.o.payload.result) if cycle >= 2 else None))
            await ctx.tick()
            ctx.set(unit.i.valid, 0)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(0, None), (0, None), (1, 0x8B), (0, seen[3][1])]
    assert unit.latency == 2 and unit.interval == 1


def test_shapes():
    assert LNS(LNS8) == LNS(LNSFormat(8, 8)) and hash(LNS(LNS8)) == hash(LNS(LNSFormat(8, 8)))
    # The same bits, another meaning.
    assert LNS(LNS8) != LNS(LNSFormat(8, 4)) and LNS(LNS8) != LNS(LNSFormat(8, 8, -62))
    assert shape_of(FLAG) == shape_of(FixedFormat(1)) and shape_of(FixedFormat(5, 2, True)) == signed(5)
    layout = layout_of({"a": LNS8, "flag": FLAG, "b": LNS6})
    assert layout.size == 15 and layout["flag"].offset == 8 and layout["b"].offset == 9


def test_constants_are_golden_words():
    shape = LNS(LNS8)
    assert Signal(shape, init=0x88).as_value().init == 0x88
    # Nothing said: +0, not the number one.
    assert Signal(shape).as_value().init == LNS8.zero
    for bad in (256, -1, 1.5, "8"):
        with pytest.raises(ValueError, match=r"Word must be in 0 … 255, not"):
            shape.const(bad)
    assert shape.from_bits(7) == 7


def only_looked_at(component):
    """A component that no circuit will use; Amaranth would warn of that."""
    component._MustUse__silence = True
    return component


@pytest.mark.parametrize("name", UNITS)
def test_latency_is_the_configurations(name):
    unit = UNITS[name]
    config = unit.config()
    component = only_looked_at(unit.build(config))
    assert component.latency == config.pipeline == config.max_pipeline or name in ("madam_update", "adam_update")
    assert component.interval == 1


def test_formats_of_the_ports():
    component = only_looked_at(Multiply(MultiplyConfig(format=LNS16)))
    assert component.i.payload.a.shape() == LNS(LNS16) and component.o.payload.shape().size == 16
