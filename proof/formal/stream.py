"""The rules of a stream, as assertions or assumptions of a proof.

Any circuit with streams can be proved with them, not only units of this project::

    class Top(Elaboratable):
        def __init__(self):
            self.dut = MyFilter()  # streams `i` and `o`, reset by the domain `sync`
            self.inputs = [Value.cast(self.dut.i.payload), self.dut.i.valid, self.dut.o.ready]

        def elaborate(self, platform):
            m = Module()
            m.submodules.dut = self.dut
            m.submodules.i_rules = StreamRules.of(self.dut.i, is_assumed=True)
            m.submodules.o_rules = StreamRules.of(self.dut.o)
            i, o = self.dut.i, self.dut.o
            held = self.dut.fifo.level  # what it says it holds
            m.submodules.in_flight = InFlight(i.valid & i.ready, o.valid & o.ready, held)
            return m

    top = Top()
    verdict = prove(top, top.inputs, mode=Mode.INDUCTION, depth=1)

Ports under other names (AXI4-Stream) are given one by one: ``StreamRules(tvalid, tready, Cat(tdata, tlast))``. Reset is
a free input of every cycle.
"""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    ClockDomain,
    Const,
    DomainRenamer,
    Elaboratable,
    Fragment,
    Module,
    ResetSignal,
    Signal,
    Value,
)

from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.interface import PORTS, Interface
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode

Make = Callable[[Any], UnitComponent]


class StreamRules(Elaboratable):  # type: ignore[misc]
    """Watches one stream.

    1. What is valid and not taken is there in the next cycle too, with the same payload.
    2. In the cycle after a reset nothing is valid.

    Both are inductive over one cycle where the circuit's state holds what it offers. That ``valid`` does not wait for
    ``ready`` is no matter of one run: :mod:`lnsmadam.proof.formal.pipeline` proves that it is a register, or
    ``i.valid``.

    Parameters
    ----------
    valid, ready, payload : values
    reset : value, optional
        By default that of the domain ``sync``.
    is_assumed : bool
        The environment's side: the rules are assumed, not asserted. Rule 1 alone: an environment that keeps rule 2 too
        is a special case.
    name : str
        Of the stream, in messages.
    """

    def __init__(
        self,
        valid: Value,
        ready: Value,
        payload: Any,
        *,
        reset: Value | None = None,
        is_assumed: bool = False,
        name: str = "stream",
    ):
        self.valid, self.ready, self.payload = Value.cast(valid), Value.cast(ready), Value.cast(payload)
        self.reset = ResetSignal(allow_reset_less=True) if reset is None else Value.cast(reset)
        self.is_assumed, self.name = is_assumed, name

    @classmethod
    def of(cls, stream: Any, **options: Any) -> "StreamRules":
        """The rules of an interface of Amaranth's ``lib.stream``."""
        return cls(stream.valid, stream.ready, stream.payload, **options)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # What was is not lost in a reset.
        is_waiting, was_reset = Signal(reset_less=True), Signal(reset_less=True)
        offered = Signal(len(self.payload), reset_less=True)
        m.d.sync += [
            is_waiting.eq(self.valid & ~self.ready & ~self.reset),
            was_reset.eq(self.reset),
            offered.eq(self.payload),
        ]
        holds = ~is_waiting | (self.valid & (self.payload == offered))
        if self.is_assumed:
            m.d.comb += Assume(holds)
        else:
            m.d.comb += [
                Assert(holds, f"{self.name}: what is not taken stays"),
                Assert(~was_reset | ~self.valid, f"{self.name}: nothing is valid after reset"),
            ]
        return m


class InFlight(Elaboratable):  # type: ignore[misc]
    """Counts transfers in minus transfers out since reset: they are what the circuit holds, so nothing is lost and
    nothing invented.

    Parameters
    ----------
    arrives, leaves : values of 1 bit
        A transfer that brings a result happens at the input; one happens at the output.
    held : value
        How many the circuit holds, by its own registers: valid bits, a level.
    reset : value, optional
        By default that of the domain ``sync``.
    """

    def __init__(self, arrives: Any, leaves: Any, held: Any, *, reset: Value | None = None):
        self.arrives, self.leaves, self.held = Value.cast(arrives), Value.cast(leaves), Value.cast(held)
        self.reset = ResetSignal(allow_reset_less=True) if reset is None else Value.cast(reset)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # One bit more than what is held, so that fewer than none is not mistaken for many.
        count = Signal(len(self.held) + 1, reset_less=True)
        m.d.sync += count.eq(count + self.arrives - self.leaves)
        with m.If(self.reset):
            m.d.sync += count.eq(0)
        m.d.comb += Assert(count == self.held, "transfers in minus transfers out are what is held")
        return m


class StreamTop(Elaboratable):  # type: ignore[misc]
    """A unit whose streams are watched: ``i`` is assumed to keep the rules, ``o`` asserted, and transfers are counted.

    Parameters
    ----------
    unit : UnitComponent
    interface : Interface
        Under which ports.

    Attributes
    ----------
    inputs : list of Signal
    """

    def __init__(self, unit: UnitComponent, interface: Interface = Interface.STREAM):
        self.unit = unit
        ports: Any = PORTS[interface](unit)
        self.dut = ports.component
        match interface:
            case Interface.STREAM:
                i, o = unit.i, unit.o
                self._i = (i.valid, i.ready, Value.cast(i.payload))
                self._o = (o.valid, o.ready, Value.cast(o.payload))
            case Interface.AXIS:
                dut = self.dut
                self._i = (dut.s_axis_tvalid, dut.s_axis_tready, Cat(dut.s_axis_tdata, dut.s_axis_tlast))
                self._o = (dut.m_axis_tvalid, dut.m_axis_tready, Cat(dut.m_axis_tdata, dut.m_axis_tlast))
            case Interface.FLAT:
                dut, config = self.dut, unit.config
                results = [f"out_{name}" if name in config.inputs else name for name in config.outputs]
                self._i = (dut.in_valid, dut.in_ready, Cat(getattr(dut, name) for name in config.inputs))
                self._o = (dut.out_valid, dut.out_ready, Cat(getattr(dut, name) for name in results))
        self.inputs = [
            signal for signal in (*self._i[0]._rhs_signals(), *self._i[2]._rhs_signals(), *self._o[1]._rhs_signals())
        ]
        if interface is Interface.AXIS and unit.config.pipeline:
            self.inputs += [self.dut.aclk, self.dut.aresetn]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        dut = self.dut
        # Without registers there is no reset.
        reset = None if self.unit.config.pipeline else Const(0, 1)
        if hasattr(dut, "aclk"):
            # The unit's clock is made inside; the rules have one of their own on the same wire.
            m.domains.sync = domain = ClockDomain()
            m.d.comb += [domain.clk.eq(dut.aclk), domain.rst.eq(~dut.aresetn)]
            dut = DomainRenamer("inside")(dut)
        # The valid bits are known once the unit is elaborated.
        m.submodules.dut = Fragment.get(dut, platform)
        m.submodules.i_rules = StreamRules(*self._i, reset=reset, name="i", is_assumed=True)
        m.submodules.o_rules = StreamRules(*self._o, reset=reset, name="o")
        arrives = self._i[0] & self._i[1]
        if (when := self.unit.config.result_when) is not None:
            arrives = arrives & self.unit.i.payload[when]
        held = sum(self.unit.valids, Const(0, 1))
        m.submodules.in_flight = InFlight(arrives, self._o[0] & self._o[1], held, reset=reset)
        return m


def stream_proof(
    config: UnitConfig, make: Make, label: str, interface: Interface = Interface.STREAM, **options: Any
) -> Proof:
    """That a configuration's ``o`` keeps the rules and no transfer is lost or invented, whatever happens at ``i``,
    ``o.ready`` and reset."""

    def top() -> tuple[Elaboratable, Sequence[Signal]]:
        watched = StreamTop(make(config), interface)
        return watched, watched.inputs

    under = "" if interface is Interface.STREAM else f"-{interface.value}"
    ports = {Interface.STREAM: "o", Interface.AXIS: "m_axis", Interface.FLAT: "out"}[interface]
    return Proof(
        config.unit,
        f"stream{under}",
        f"{ports} holds what is not taken, is empty after reset; transfers in - out = valid stages",
        label,
        top,
        mode=Mode.INDUCTION,
        # The rules are inductive over one cycle; what breaks them, two stages show from reset in so many.
        depth=5,
        **options,
    )
