import pytest
from amaranth.hdl import Elaboratable, Module, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from planted import Greedy, boundary_without_reset

from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw import multiply, pipeline
from lnsmadam.hw.dot import Dot
from lnsmadam.hw.interface import PORTS, AxisPorts, Interface
from lnsmadam.hw.multiply import Multiply
from lnsmadam.proof.formal.proof import check
from lnsmadam.proof.formal.sby import Mode, prove
from lnsmadam.proof.formal.stream import InFlight, StreamRules, stream_proof

STAYS, EMPTY = "o: what is not taken stays", "o: nothing is valid after reset"
COUNT = "transfers in minus transfers out are what is held"
PLACE = pipeline.place_register


@pytest.mark.parametrize("interface", Interface)
def test_unit(proved, interface):
    proved(stream_proof(MultiplyConfig(), Multiply, "lns8", interface))


@pytest.mark.parametrize("stages", [0, 1])
def test_shallow(proved, stages):
    proved(stream_proof(MultiplyConfig(pipeline=stages), Multiply, "lns8"))


def test_results_of_some_transfers(proved):
    proved(stream_proof(DotConfig(), Dot, "lns8"))


def failed(config=None, make=Multiply, interface=Interface.STREAM):
    """The assertion that does not hold, by its message."""
    verdict = check(stream_proof(config or MultiplyConfig(), make, "planted", interface))
    assert not verdict.proved and verdict.is_inductive
    return verdict.failed


def test_register_without_enable(monkeypatch):
    def place(m, value, *, enable=None, **options):
        return PLACE(m, value, enable=None if options["name"] == "result_2" else enable, **options)

    monkeypatch.setattr(pipeline, "place_register", place)
    assert failed() == STAYS


def test_valid_not_cleared(monkeypatch):
    # The last stage.
    monkeypatch.setattr(pipeline.Pipeline, "boundary", boundary_without_reset(1))
    assert failed() in (EMPTY, COUNT)


def test_ready_that_ignores_a_waiting_result(monkeypatch):
    monkeypatch.setattr(multiply, "Pipeline", Greedy)
    assert failed() in (STAYS, COUNT)


def test_last_that_does_not_wait(monkeypatch):
    class Straight(AxisPorts):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            m.d.comb += self.m_axis_tlast.eq(self.s_axis_tlast)
            return m

    monkeypatch.setitem(PORTS, Interface.AXIS, Straight)
    assert failed(interface=Interface.AXIS) == STAYS


class Buffer(wiring.Component):
    """Somebody else's design: a queue between two streams."""

    i: In(stream.Signature(4))
    o: Out(stream.Signature(4))

    def __init__(self, loses=False):
        super().__init__()
        self.loses = loses
        self.fifo = fifo.SyncFIFO(width=4, depth=2)
        self.level = Signal.like(self.fifo.level)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = self.fifo
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            # A fault: what arrives when it is full is taken, and lost.
            self.i.ready.eq(1 if self.loses else queue.w_rdy),
            self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
            self.level.eq(queue.level),
        ]
        return m


class BufferTop(Elaboratable):
    def __init__(self, dut):
        self.dut = dut
        self.inputs = [Value.cast(dut.i.payload), dut.i.valid, dut.o.ready]

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        m.submodules.i_rules = StreamRules.of(dut.i, is_assumed=True)
        m.submodules.o_rules = StreamRules.of(dut.o, name="o")
        i, o = dut.i, dut.o
        m.submodules.in_flight = InFlight(i.valid & i.ready, o.valid & o.ready, dut.level)
        return m


def test_other_designs():
    script = ("prep -top top -flatten", "memory_map")
    top = BufferTop(Buffer())
    assert prove(top, top.inputs, mode=Mode.BOUNDED, depth=8, script=script).proved
    top = BufferTop(Buffer(loses=True))
    verdict = prove(top, top.inputs, mode=Mode.BOUNDED, depth=8, script=script)
    assert not verdict.proved and verdict.failed == COUNT
