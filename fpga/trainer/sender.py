"""Answers as frames, see :mod:`~lnsmadam.fpga.trainer.frames`."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.trainer.frames import CRC_BYTES, HEADER, MAX_PAYLOAD, START
from lnsmadam.fpga.trainer.receiver import CRC_USE


class FrameSender(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Puts a frame around a payload.

    Parameters
    ----------
    None

    Members
    -------
    start : ``In(1)``
        Send a frame; taken while ``idle``. The next three must stand from the cycle behind it until ``idle`` again.
    sequence, code, length : ``In(8)``, ``In(8)``, ``In(10)``
    payload : ``In(stream.Signature(8))``
        ``length`` bytes; taken when their turn comes.
    o : ``Out(stream.Signature(8))``
    crc : ``Out(CRC_USE)``
        Used from ``start`` until ``idle``.
    idle : ``Out(1)``
    """

    payload: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "sequence": In(8),
                "code": In(8),
                "length": In(range(MAX_PAYLOAD + 1)),
                "payload": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "crc": Out(CRC_USE),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = self.left = Signal(range(MAX_PAYLOAD + 1))
        header = Array([self.length[8:], self.length[:8], self.code, self.sequence])
        crc = Array(self.crc.crc.word_select(CRC_BYTES - 1 - n, 8) for n in range(CRC_BYTES))
        sent = Signal()
        m.d.comb += [sent.eq(self.o.valid & self.o.ready), self.crc.data.eq(self.o.payload)]
        with m.If(sent):
            m.d.sync += left.eq(left - 1)
        with m.FSM() as self.states:
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), self.crc.start.eq(1)]
                with m.If(self.start):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(START)]
                with m.If(sent):
                    m.d.sync += left.eq(HEADER.size)
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(header[(left - 1)[:2]]),
                    self.crc.valid.eq(sent),
                ]
                with m.If(sent & (left == 1)):
                    m.d.sync += left.eq(self.length)
                    m.next = "PAYLOAD"
                    with m.If(self.length == 0):
                        m.d.sync += left.eq(CRC_BYTES)
                        m.next = "CRC"
            with m.State("PAYLOAD"):
                m.d.comb += [
                    self.o.valid.eq(self.payload.valid),
                    self.o.payload.eq(self.payload.payload),
                    self.payload.ready.eq(self.o.ready),
                    self.crc.valid.eq(sent),
                ]
                with m.If(sent & (left == 1)):
                    m.d.sync += left.eq(CRC_BYTES)
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(crc[(left - 1)[:2]])]
                with m.If(sent & (left == 1)):
                    m.next = "IDLE"
        return m
