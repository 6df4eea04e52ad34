"""Frames out of a stream of bytes, as :mod:`~lnsmadam.fpga.trainer.frames` defines them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.trainer.frames import CRC_BYTES, HEADER, MAX_DROPPED, MAX_PAYLOAD, START

#: What one user of a shared :class:`amaranth.lib.crc.Processor` drives and reads.
CRC_USE = wiring.Signature({"start": Out(1), "valid": Out(1), "data": Out(8), "crc": In(32), "match": In(1)})


class FrameReceiver(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Finds frames in bytes and holds one whose CRC matches until it has been answered.

    Takes a byte in every cycle but the one after a header and the one after a frame. While a frame is held, bytes
    are taken and forgotten. Of a frame that is not accepted nothing is seen but that ``dropped`` counts.

    Parameters
    ----------
    timeout : int
        Cycles of silence that end a begun frame, 2 or more: a byte is taken in cycle t, none comes in cycles t + 1 to
        t + ``timeout``.

    Members
    -------
    i : ``In(stream.Signature(8))``
    crc : ``Out(CRC_USE)``
        Not used while a frame is held.
    held : ``Out(1)``
        A frame has been accepted; the next three stand still.
    sequence, command, length : ``Out(8)``, ``Out(8)``, ``Out(10)``
    release : ``In(1)``
        Forget the held frame; listen again.
    address : ``In(9)``
    data : ``Out(8)``
        The payload, one cycle after its address: byte k is at ``length - k`` (mod 512).
    receiving : ``Out(1)``
        In the middle of a frame.
    dropped : ``Out(16)``
        Frames begun and not accepted; stays at its largest value.
    """

    i: stream.Interface

    def __init__(self, *, timeout: int):
        self.timeout = timeout
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "crc": Out(CRC_USE),
                "held": Out(1),
                "sequence": Out(8),
                "command": Out(8),
                "length": Out(range(MAX_PAYLOAD + 1)),
                "release": In(1),
                "address": In(range(MAX_PAYLOAD)),
                "data": Out(8),
                "receiving": Out(1),
                "dropped": Out(range(MAX_DROPPED + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.payload = payload = memory.Memory(
            shape=8, depth=MAX_PAYLOAD, init=[], attrs={"ram_style": "block"}
        )
        write, read = payload.write_port(), payload.read_port()
        # The header, its first byte lowest. Shifted in: registers alone, no logic before them.
        head = Signal(8 * HEADER.size)
        length = Signal(16)
        m.d.comb += [
            read.addr.eq(self.address),
            self.data.eq(read.data),
            Cat(self.sequence, self.command, length).eq(head),
            self.length.eq(length),
        ]
        # Bytes to come of the frame's present part. Counting down, it also places the payload.
        left = Signal(range(MAX_PAYLOAD + 1))
        # Cycles without a byte, less 1. From 0 up: iCE40 breaks a carry chain whose registers have different resets.
        silence = Signal(range(self.timeout))
        expired, drop = Signal(), Signal()
        # For proofs: where it is.
        self.memory, self.head, self.left, self.silence = payload, head, left, silence
        m.d.comb += expired.eq(silence == self.timeout - 1)
        m.d.comb += [write.addr.eq(left[:-1]), write.data.eq(self.i.payload), self.crc.data.eq(self.i.payload)]
        m.d.sync += silence.eq(Mux(self.i.valid, 0, silence + 1))
        with m.If(drop & (self.dropped != MAX_DROPPED)):
            m.d.sync += self.dropped.eq(self.dropped + 1)

        with m.FSM() as fsm:
            self.states = fsm
            m.d.comb += self.receiving.eq(~fsm.ongoing("IDLE") & ~fsm.ongoing("HELD"))
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), self.crc.start.eq(1)]
                m.d.sync += left.eq(HEADER.size)
                with m.If(self.i.valid & (self.i.payload == START)):
                    m.next = "HEADER"
            for part, following in (("HEADER", "LENGTH"), ("PAYLOAD", "CRC"), ("CRC", "CHECK")):
                with m.State(part):
                    m.d.comb += [self.i.ready.eq(1), self.crc.valid.eq(self.i.valid)]
                    if part == "PAYLOAD":
                        m.d.comb += write.en.eq(self.i.valid)
                    with m.If(self.i.valid):
                        m.d.sync += left.eq(left - 1)
                        if part == "HEADER":
                            m.d.sync += head.eq(Cat(head[8:], self.i.payload))
                        with m.If(left == 1):
                            m.d.sync += left.eq(CRC_BYTES)
                            m.next = following
                    with m.Elif(expired):
                        m.d.comb += drop.eq(1)
                        m.next = "IDLE"
            with m.State("LENGTH"):
                with m.If(length > MAX_PAYLOAD):
                    m.d.comb += drop.eq(1)
                    m.next = "IDLE"
                with m.Elif(length == 0):
                    m.next = "CRC"
                with m.Else():
                    m.d.sync += left.eq(length)
                    m.next = "PAYLOAD"
            with m.State("CHECK"):
                m.next = "HELD"
                with m.If(~self.crc.match):
                    m.d.comb += drop.eq(1)
                    m.next = "IDLE"
            with m.State("HELD"):
                m.d.comb += [self.held.eq(1), self.i.ready.eq(1)]
                with m.If(self.release):
                    m.next = "IDLE"
        return m
