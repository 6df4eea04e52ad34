"""The design that ``build`` puts on a board: units behind a serial line."""

from collections.abc import Sequence

from amaranth.hdl import Array, C, Cat, Module, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter, connect_line
from lnsmadam.hw.pipeline import UnitComponent

#: Bytes that wait while an answer is sent: a host that has no more than these under way loses none. What one block
#: RAM of an iCE40 holds.
WINDOW = 512


def bytes_of(width: int) -> int:
    """Bytes that hold a payload of ``width`` bits."""
    return -(-width // 8)


def check_units(units: Sequence[UnitComponent]) -> None:
    """Raises ``ValueError`` unless there are from 1 to 256 units, as many as a byte can number."""
    if not 1 <= len(units) <= 256:
        raise ValueError(f"Units must be from 1 to 256, not {len(units)}")


class PacketServer(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Sends packets through units and answers with their results.

    A packet is the unit's number in one byte and the payload of its ``i``, little-endian, in whole bytes; the
    answer is the payload of its ``o`` in the same form. One packet at a time; answers in the order of packets.
    The bytes behind a number that no unit has are skipped until the line has been silent for ``timeout`` cycles;
    a packet that stops in the middle is forgotten after the same time. Neither gives an answer.

    Parameters
    ----------
    units : sequence of UnitComponent
        1 to 256. Their place is their number. They become submodules.
    timeout : int
        Clock cycles.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Packets.
    o : ``Out(stream.Signature(8))``
        Answers.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, units: Sequence[UnitComponent], *, timeout: int):
        self.units, self.timeout = list(units), timeout
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for number, unit in enumerate(self.units):
            m.submodules[f"unit_{number}_{unit.config.unit}"] = unit
        operands = [Value.cast(unit.i.payload) for unit in self.units]
        answers = [Value.cast(unit.o.payload) for unit in self.units]
        bytes_in = [bytes_of(len(value)) for value in operands]
        bytes_out = [bytes_of(len(value)) for value in answers]

        number = Signal(range(max(len(self.units), 2)))
        left = Signal(range(max(bytes_in + bytes_out) + 1))
        payload = Signal(8 * max(bytes_in))
        result = Signal(8 * max(bytes_out))
        silence = Signal(range(self.timeout + 1))
        expired = Signal()
        m.d.comb += expired.eq(silence == self.timeout)

        # Bytes enter at the top: a payload of fewer bytes than the longest ends up in the upper ones.
        for value, n in zip(operands, bytes_in, strict=True):
            m.d.comb += value.eq(payload[len(payload) - 8 * n :])
        valid = Array(unit.o.valid for unit in self.units)[number]
        ready = Array(unit.i.ready for unit in self.units)[number]
        answer = Array(answers)[number]

        def table(values: list[int]) -> Value:
            return Array(C(value, left.shape()) for value in values)[number]

        with m.FSM():
            with m.State("NUMBER"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [number.eq(self.i.payload), silence.eq(0)]
                with m.If(self.i.valid):
                    m.next = "LENGTH"
                    with m.If(self.i.payload >= len(self.units)):
                        m.next = "SKIP"
            with m.State("LENGTH"):
                m.d.sync += left.eq(table(bytes_in))
                m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += silence.eq(silence + 1)
                with m.If(self.i.valid):
                    m.d.sync += [payload.eq(Cat(payload[8:], self.i.payload)), left.eq(left - 1), silence.eq(0)]
                    with m.If(left == 1):
                        m.next = "CALL"
                with m.Elif(expired):
                    m.next = "NUMBER"
            with m.State("CALL"):
                for n, unit in enumerate(self.units):
                    m.d.comb += unit.i.valid.eq(number == n)
                    # A unit without registers answers in the cycle of the call, if its answer is taken in it.
                    m.d.comb += unit.o.ready.eq(number == n)
                m.d.sync += [result.eq(answer), left.eq(table(bytes_out))]
                with m.If(ready):
                    m.next = "RESULT"
                    with m.If(valid):
                        m.next = "SEND"
            with m.State("RESULT"):
                for n, unit in enumerate(self.units):
                    m.d.comb += unit.o.ready.eq(number == n)
                m.d.sync += result.eq(answer)
                with m.If(valid):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(result[:8])]
                with m.If(self.o.ready):
                    m.d.sync += [result.eq(result >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "NUMBER"
            with m.State("SKIP"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += silence.eq(silence + 1)
                with m.If(self.i.valid):
                    m.d.sync += silence.eq(0)
                with m.Elif(expired):
                    m.next = "NUMBER"
        return m


class Top(wiring.Component):  # type: ignore[misc]
    """A :class:`PacketServer` on a serial line: the board's, or in simulation the ports.

    Parameters
    ----------
    units : sequence of UnitComponent
    divisor : int
        Clock cycles of one bit, see :func:`~lnsmadam.fpga.uart.divisor_of`.
    timeout : int
        Clock cycles, see :data:`lnsmadam.fpga.boards.TIMEOUT_S`.

    Members
    -------
    rx : ``In(1)``
        From the host.
    tx : ``Out(1)``
        To the host.
    """

    rx: Signal
    tx: Signal

    def __init__(self, units: Sequence[UnitComponent], *, divisor: int, timeout: int):
        self.divisor = divisor
        self.server = PacketServer(units, timeout=timeout)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UARTTransmitter(self.divisor)
        m.submodules.server = server = self.server
        m.submodules.waiting = waiting = fifo.SyncFIFOBuffered(width=8, depth=WINDOW)
        wiring.connect(m, receiver.o, waiting.w_stream)
        wiring.connect(m, waiting.r_stream, server.i)
        wiring.connect(m, server.o, transmitter.i)
        connect_line(m, platform, self, receiver, transmitter)
        return m
