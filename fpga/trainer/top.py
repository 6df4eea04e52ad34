"""The design that ``build`` puts on a board for a network that learns: a trainer, its samples, and the serial line."""

from typing import Any

from amaranth.hdl import ClockDomain, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.pll import BoardClock
from lnsmadam.fpga.trainer.frames import PROTOCOL_VERSION, Hello, Space, regions
from lnsmadam.fpga.trainer.identity import machine_digest
from lnsmadam.fpga.trainer.server import TrainerServer
from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter, connect_line
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.emit import to_verilog
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.replay import Replay, SampleMemory

#: Name of the module that :func:`emit_top` writes.
NAME = "trainer_board"


class TrainerDevice(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """A trainer that is commanded in bytes.

    Parameters
    ----------
    machine : TrainerConfig
    capacity : int
        Samples that its memory holds.
    timeout : int
        Cycles of silence that end a begun frame.
    clock_hz : int
        For the host's information.
    kind : SampleMemory
    core : Component, optional
        By default ``Trainer(machine)``; a test's stand-in has the same ports.

    Members
    -------
    i, o : ``In(stream.Signature(8))``, ``Out(stream.Signature(8))``
        Frames, see :mod:`lnsmadam.fpga.trainer.frames`.
    busy : ``Out(1)``
        0: nothing happens until a byte comes.
    """

    i: stream.Interface
    o: stream.Interface
    busy: Signal

    def __init__(
        self,
        machine: TrainerConfig,
        *,
        capacity: int,
        timeout: int,
        clock_hz: int,
        kind: SampleMemory = SampleMemory.BLOCK,
        core: Any = None,
    ):
        hello = Hello(PROTOCOL_VERSION, machine_digest(machine.network), capacity, machine.lanes, clock_hz)
        self.core = Trainer(machine) if core is None else core
        self.replay = Replay(machine, capacity, kind)
        self.server = TrainerServer(hello, regions(machine.layout, capacity), timeout=timeout)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.server = server = self.server
        m.submodules.replay = replay = self.replay
        m.submodules.core = core = self.core
        wiring.connect(m, wiring.flipped(self.i), server.i)
        wiring.connect(m, server.o, wiring.flipped(self.o))
        wiring.connect(m, replay.samples, core.samples)
        wiring.connect(m, core.results, replay.results)
        wiring.connect(m, server.key, replay.key)
        for name in ("key_first", "start", "stop", "first", "count", "shuffle"):
            m.d.comb += getattr(replay, name).eq(getattr(server, name))
        for name in ("busy", "done", "correct", "gated"):
            m.d.comb += getattr(server, name).eq(getattr(replay, name))
        for name in ("learn", "lr_shift", "gate_on", "gate_margin"):
            m.d.comb += getattr(core, name).eq(getattr(server, name))
        m.d.comb += self.busy.eq(server.active | replay.busy | ~core.idle)

        # The core has the spaces below SAMPLES. One access at a time: an answer can only be of its own side.
        request, of_replay = server.access.payload, Signal()
        m.d.comb += [
            of_replay.eq(request.space >= Space.SAMPLES),
            core.access.payload.as_value().eq(request.as_value()),
            replay.access.payload.address.eq(request.address),
            replay.access.payload.results.eq(request.space == Space.RESULTS),
            replay.access.payload.write.eq(request.write),
            replay.access.payload.data.eq(request.data),
            core.access.valid.eq(server.access.valid & ~of_replay),
            replay.access.valid.eq(server.access.valid & of_replay),
            server.access.ready.eq(Mux(of_replay, replay.access.ready, core.access.ready)),
            server.answer.valid.eq(Mux(of_replay, replay.answer.valid, core.answer.valid)),
            server.answer.payload.eq(Mux(of_replay, replay.answer.payload, core.answer.payload)),
            core.answer.ready.eq(server.answer.ready & ~of_replay),
            replay.answer.ready.eq(server.answer.ready & of_replay),
        ]
        return m


class TrainerTop(wiring.Component):  # type: ignore[misc]
    """A :class:`TrainerDevice` on a serial line: the board's, or in simulation the ports.

    Parameters
    ----------
    device : TrainerDevice
    divisor : int
        Clock cycles of one bit, see :func:`~lnsmadam.fpga.uart.divisor_of`.
    clock : BoardClock, optional
        What makes the board's clock; by default the board's own.

    Members
    -------
    rx : ``In(1)``
        From the host.
    tx : ``Out(1)``
        To the host.
    busy : ``Out(1)``
        0: nothing happens until ``rx`` falls.
    """

    rx: Signal
    tx: Signal
    busy: Signal

    def __init__(self, device: TrainerDevice, *, divisor: int, clock: BoardClock | None = None):
        self.device, self.divisor, self.clock = device, divisor, clock
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(self.divisor)
        m.submodules.device = device = self.device
        if self.clock is not None:
            m.domains.sync = ClockDomain()
            m.submodules.clock = self.clock
        wiring.connect(m, receiver.o, device.i)
        wiring.connect(m, device.o, transmitter.i)
        m.d.comb += self.busy.eq(device.busy | receiver.busy | ~receiver.rx | ~transmitter.i.ready)
        connect_line(m, platform, self, receiver, transmitter)
        return m


def emit_top(
    machine: TrainerConfig,
    *,
    capacity: int,
    divisor: int,
    timeout: int,
    clock_hz: int,
    kind: SampleMemory = SampleMemory.BLOCK,
) -> str:
    """The Verilog of a :class:`TrainerTop`: module ``trainer_board`` with the ports clk, rst, rx, tx and busy."""
    device = TrainerDevice(machine, capacity=capacity, timeout=timeout, clock_hz=clock_hz, kind=kind)
    return to_verilog(TrainerTop(device, divisor=divisor), NAME)
