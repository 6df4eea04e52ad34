"""A serial line, 8 data bits, no parity, one stop bit, as byte streams."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


def divisor_of(clock_hz: float, baud: int) -> int:
    """Clock cycles of one bit.

    Raises
    ------
    ValueError
        The nearest whole number is more than 2 % off, with which a byte's last bit may be misread, or is below 4.
    """
    divisor = round(clock_hz / baud) if baud > 0 else 0
    if divisor < 4 or abs(clock_hz / baud / divisor - 1) > 0.02:
        raise ValueError(f"Baud must divide the clock of {clock_hz:g} Hz to within 2 %, four times or more, not {baud}")
    return divisor


class UARTReceiver(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Bytes that arrive on ``rx``.

    A byte is sampled in the middle of each bit and appears at ``o`` half a bit after its stop bit began. A byte
    without stop bit is dropped, and so is one that arrives while another still waits at ``o``.

    Parameters
    ----------
    divisor : int
        Clock cycles of one bit, 4 or more.

    Members
    -------
    rx : ``In(1)``
        The line, asynchronous; idle is 1.
    o : ``Out(stream.Signature(8))``
    busy : ``Out(1)``
        A byte is on its way, or waits at ``o``.
    """

    rx: Signal
    o: stream.Interface
    busy: Signal

    def __init__(self, divisor: int):
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8)), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.rx_sync = FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self.divisor))
        bits = Signal(8)
        # A 1 above the received bits marks how many are still to come.
        marker = Signal(8)
        # For proofs: where it is.
        self.line, self.timer, self.bits, self.marker = rx, timer, bits, marker

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.FSM() as fsm:
            self.states = fsm
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") | ~rx | self.o.valid)
            with m.State("IDLE"):
                with m.If(~rx):
                    # The two registers of the synchroniser are already part of the first half bit.
                    m.d.sync += timer.eq(self.divisor // 2 - 1)
                    m.next = "START"
            with m.State("START"):
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self.divisor - 1), marker.eq(1)]
                    m.next = "DATA"
                    with m.If(rx):
                        # Shorter than half a bit: not a start.
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(timer == 0):
                    m.d.sync += [
                        timer.eq(self.divisor - 1),
                        bits.eq(Cat(bits[1:], rx)),
                        marker.eq(marker << 1),
                    ]
                    with m.If(marker[-1]):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(timer == 0):
                    m.next = "IDLE"
                    with m.If(~rx):
                        m.next = "BREAK"
                    with m.Elif(~self.o.valid | self.o.ready):
                        m.d.sync += [self.o.payload.eq(bits), self.o.valid.eq(1)]
            with m.State("BREAK"):
                with m.If(rx):
                    m.next = "IDLE"
        return m


class UARTTransmitter(wiring.Component):  # type: ignore[misc]
    """Sends bytes on ``tx``, one in ten bit times.

    Parameters
    ----------
    divisor : int
        Clock cycles of one bit.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
        The line; idle is 1.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, divisor: int):
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        # Data and stop bit, with a 1 more above: when only that is left, the stop bit is on the line.
        bits = Signal(10)
        # For proofs: where it is.
        self.timer, self.bits = timer, bits
        m.d.comb += self.i.ready.eq(bits == 0)
        with m.If(self.i.ready):
            with m.If(self.i.valid):
                m.d.sync += [
                    bits.eq(Cat(self.i.payload, Const(0b11, 2))),
                    self.tx.eq(0),
                    timer.eq(self.divisor - 1),
                ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divisor - 1), bits.eq(bits >> 1)]
            with m.If(bits != 1):
                m.d.sync += self.tx.eq(bits[0])
        return m


def connect_line(m: Module, platform: Any, top: Any, receiver: UARTReceiver, transmitter: UARTTransmitter) -> None:
    """Connects a line's two ends to the board's UART, or in simulation to the ports ``rx`` and ``tx`` of the top."""
    if platform is None:
        m.d.comb += [receiver.rx.eq(top.rx), top.tx.eq(transmitter.tx)]
        return
    uart = platform.request("uart", dir="-")
    m.submodules.rx_pin = rx_pin = io.Buffer("i", uart.rx)
    m.submodules.tx_pin = tx_pin = io.Buffer("o", uart.tx)
    m.d.comb += [receiver.rx.eq(rx_pin.i), tx_pin.o.eq(transmitter.tx)]
