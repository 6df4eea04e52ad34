"""What is proved of the sender of frames, for every answer, payload, pause and reset.

The checker counts the bytes on the line, says which must come next, and runs a CRC-32 of its own over them, a shift
register that takes one bit after the other. Beside the sender is the CRC processor that it has in the server.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Module, ResetSignal, Signal
from amaranth.lib import crc

from lnsmadam.fpga.trainer.frames import CRC_BYTES, HEADER, OVERHEAD, START
from lnsmadam.fpga.trainer.sender import FrameSender
from lnsmadam.golden.format import FixedFormat
from lnsmadam.proof.formal.frame_parser import ALL_ONES, CRC_BITS, advanced
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode
from lnsmadam.proof.formal.stream import StreamRules

Top = tuple[Module, list[Signal]]

#: Start, sequence, code, length.
HEAD_BYTES = 1 + HEADER.size


class Line:
    """Follows the line as the frames' definition says.

    Attributes
    ----------
    inside : Signal
        A frame was begun, and not all of it is taken.
    count : Signal
        Its bytes that are taken.
    in_payload, in_crc : Signal
        Where the next byte is.
    due : Signal
        The next byte; in the payload, that of its source.
    crc : Signal
        The register over all bytes behind the start that are taken.
    taken, is_body : Signal
        The next byte is taken now; it is one that the CRC is of.
    """

    def __init__(self, m: Module, sender: Any):
        o, length = sender.o, sender.length
        self.inside = Signal(name="inside")
        # As many as the port of the length can say.
        self.count = Signal(range(OVERHEAD + (1 << len(length))), name="count")
        self.in_payload, self.in_crc = Signal(name="in_payload"), Signal(name="in_crc")
        self.due, self.crc = Signal(8, name="byte_due"), Signal(CRC_BITS, name="crc_of_bytes", attrs={"keep": 1})
        field = Signal(CRC_BITS, name="field_due")
        end = Signal.like(self.count, name="payload_s_end")
        self.taken, self.is_body = taken, is_body = Signal(name="byte_taken"), Signal(name="is_body")
        head = Array([START, sender.sequence, sender.code, length[:8], length[8:]])
        m.d.comb += [
            taken.eq(o.valid & o.ready),
            end.eq(HEAD_BYTES + length),
            self.in_payload.eq(self.inside & (self.count >= HEAD_BYTES) & (self.count < end)),
            self.in_crc.eq(self.inside & (self.count >= end)),
            is_body.eq((self.count > 0) & ~self.in_crc),
            field.eq(~self.crc),
            self.due.eq(head[self.count[:3]]),
        ]
        with m.If(self.in_payload):
            m.d.comb += self.due.eq(sender.payload.payload)
        with m.If(self.in_crc):
            m.d.comb += self.due.eq(field.word_select((self.count - end)[:2], 8))
        self.end = end
        with m.If(~self.inside):
            m.d.sync += [self.inside.eq(sender.start), self.count.eq(0), self.crc.eq(ALL_ONES)]
        with m.Elif(taken):
            m.d.sync += [self.count.eq(self.count + 1), self.inside.eq(self.count != end + CRC_BYTES - 1)]
            with m.If(is_body):
                m.d.sync += self.crc.eq(advanced(m, self.crc, o.payload))


def sender_top(make: Callable[..., Any] = FrameSender, *, has_processor: bool = True) -> Top:
    """The sender and its CRC processor beside the checker.

    Without the processor, what the checker's register says of the bytes taken is what the sender reads, and nothing is
    claimed but what is seen at its ports: so a fault shows in seconds, and in the first cycles from reset.
    """
    m = Module()
    sender = opened(m, "sender", make())
    start, valid, byte, ready = (
        Signal(name="start"),
        Signal(name="valid"),
        Signal(8, name="byte"),
        Signal(name="ready"),
    )
    sequence, code, length = Signal(8, name="sequence"), Signal(8, name="code"), Signal(10, name="length")
    m.d.comb += [
        sender.start.eq(start),
        sender.payload.valid.eq(valid),
        sender.payload.payload.eq(byte),
        sender.o.ready.eq(ready),
        sender.sequence.eq(sequence),
        sender.code.eq(code),
        sender.length.eq(length),
    ]
    line = Line(m, sender)
    o = sender.o
    # The two assumptions: what a frame is to say stands while it is sent, and the source of a payload keeps the rules
    # from its first byte's turn to the last's.
    said, was_inside, was_said = Cat(sequence, code, length), Signal(reset_less=True), Signal(26, reset_less=True)
    m.d.sync += [was_inside.eq(line.inside & ~ResetSignal()), was_said.eq(said)]
    m.d.comb += Assume(~(was_inside & line.inside) | (said == was_said))
    m.submodules.payload_rules = StreamRules(valid & line.in_payload, ready, byte, is_assumed=True)
    m.submodules.o_rules = StreamRules.of(o, name="o")
    m.d.comb += [
        Assert(~o.valid | line.inside, "nothing is sent but frames that were begun"),
        Assert(~o.valid | (o.payload == line.due), "the byte sent is the one due"),
        Assert(~line.inside | (o.valid == (~line.in_payload | valid)), "only the payload's source is waited for"),
        Assert(
            (sender.payload.ready & valid) == (line.in_payload & valid & ready),
            "a byte of the payload is taken when it is sent",
        ),
        Assert(sender.idle == ~line.inside, "it is idle if and only if all is taken"),
    ]
    _claim_crc_use(m, sender, line)
    if has_processor:
        m.submodules.processor = processor = crc.catalog.CRC32_ISO_HDLC().create()
        m.d.comb += [
            *(getattr(processor, name).eq(getattr(sender.crc, name)) for name in ("start", "valid", "data")),
            sender.crc.crc.eq(processor.crc),
            Assert(~line.inside | (processor.crc == ~line.crc), "the CRC is of the bytes taken"),
        ]
        _claim_place(m, sender, line)
    else:
        is_out = was_inside & sender.idle & (length == 1)
        m.d.comb += [sender.crc.crc.eq(~line.crc), Cover(is_out, "an answer with a byte of payload is out")]
    return m, [start, valid, byte, ready, sequence, code, length]


def _claim_crc_use(m: Module, sender: Any, line: Line) -> None:
    """That the CRC processor starts before a frame's first byte, and gets each byte behind the start once."""
    use = sender.crc
    m.d.comb += [
        Assert(line.inside | (use.start & ~use.valid), "the CRC starts anew before each frame"),
        Assert(~line.inside | ~use.start, "the CRC does not start anew within a frame"),
        Assert(~line.inside | (use.valid == (line.taken & line.is_body)), "the CRC gets each byte once"),
        Assert(~use.valid | (use.data == sender.o.payload), "the CRC gets the byte that is sent"),
    ]


def _claim_place(m: Module, sender: Any, line: Line) -> None:
    """What induction needs: where the sender is, by what is taken."""
    state, left, count = sender.states.ongoing, sender.left, line.count
    in_head = line.inside & (count > 0) & (count < HEAD_BYTES)
    places = {
        "IDLE": ~line.inside,
        "START": line.inside & (count == 0),
        "HEADER": in_head,
        "PAYLOAD": line.in_payload,
        "CRC": line.in_crc,
    }
    for name, there in places.items():
        m.d.comb += Assert(state(name) == there, f"the sender is in {name} where the frame is")
    m.d.comb += [
        Assert(~in_head | (left == HEAD_BYTES - count), "bytes of the head are counted"),
        Assert(~line.in_payload | (left == line.end - count), "bytes of the payload are counted"),
        Assert(~line.in_crc | (left == line.end + CRC_BYTES - count), "bytes of the CRC are counted"),
        Assert(~line.inside | (count < line.end + CRC_BYTES), "no byte comes behind the CRC"),
    ]


_SHOWN = {
    "start": 1, "sequence": 8, "code": 8, "length": 10, "valid": 1, "byte": 8, "ready": 1, "inside": 1, "count": 11,
    "byte_due": 8, "crc_of_bytes": 32,
}  # fmt: skip


#: From its start, a byte in each cycle.
_ANSWER_CYCLES = 1 + OVERHEAD + 1


def proofs() -> Iterable[Proof]:
    """All of them."""
    shown = {name: FixedFormat(bits) for name, bits in _SHOWN.items()}
    yield Proof(
        "frames", "sender", "an answer is sent as start, sequence, code, length, payload and the CRC-32 of all behind "
        "the start; nothing else is, and o holds what is not taken", "CRC-32", sender_top,
        shown, Mode.INDUCTION, depth=2, script=("prep -top top -flatten", "memory_map -rom-only"),
    )  # fmt: skip
    yield Proof(
        "frames", "answer", f"an answer with a byte of payload can be out {_ANSWER_CYCLES} cycles after reset",
        "CRC-32", partial(sender_top, has_processor=False), shown, Mode.COVER, depth=_ANSWER_CYCLES + 1,
    )  # fmt: skip
