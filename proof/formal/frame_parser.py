"""What is proved of the frames between a host and a trainer's board, for every sequence of bytes, pauses and resets.

The checker reads the line itself: it counts the bytes of a frame, keeps its head, and runs a CRC-32 of its own over
them, a shift register that takes one bit after the other. What the parser holds is compared with that in every cycle.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Cover, Module, Mux, Signal
from amaranth.lib import crc

from lnsmadam.fpga.trainer.frames import (
    CRC_BYTES,
    HEADER,
    MAX_DROPPED,
    MAX_PAYLOAD,
    OVERHEAD,
    START,
)
from lnsmadam.fpga.trainer.receiver import FrameReceiver
from lnsmadam.golden.format import FixedFormat
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode

Top = tuple[Module, list[Signal]]

#: The CRC-32 of zlib, for bits that leave at the low end; it starts at all ones, and its complement is sent.
POLYNOMIAL = 0xEDB88320
CRC_BITS = 8 * CRC_BYTES
ALL_ONES = (1 << CRC_BITS) - 1

_CRC = crc.catalog.CRC32_ISO_HDLC()

#: Bytes of the longest frame behind its start.
LONGEST = OVERHEAD - 1 + MAX_PAYLOAD


def advanced(m: Module, register: Any, bits: Iterable[Any]) -> Any:
    """A CRC register after these bits, one after the other."""
    for bit in bits:
        # A signal for each step: values that use the one before twice would double in size each time.
        moved = Signal(CRC_BITS, name="moved")
        m.d.comb += moved.eq((register >> 1) ^ Mux(register[0] ^ bit, POLYNOMIAL, 0))
        register = moved
    return register


def _run_on(register: int, bits: int) -> int:
    """A register after bits of 0."""
    for _ in range(bits):
        register = register >> 1 ^ (POLYNOMIAL if register & 1 else 0)
    return register


#: The register behind a frame whose field is right: all ones of difference, run on over the field.
RESIDUE = _run_on(ALL_ONES, CRC_BITS)


def cycles_to_listen(timeout: int) -> int:
    """Cycles from a frame's start until the parser listens or holds: ``LONGEST`` bytes, each at the end of its time,
    and one cycle each for length and CRC."""
    return LONGEST * timeout + 2


class Reader:
    """Follows a line as the frames' definition says, and keeps what a frame must have been.

    Parameters
    ----------
    m : Module
    i : stream
        The line.
    release : Value
        The held frame is answered.
    timeout : int

    Attributes
    ----------
    inside : Signal
        A frame is begun and not ended.
    count : Signal
        Its bytes behind the start.
    sequence, code, length, field, crc : Signal
        Its parts so far, and the register over all but the field.
    fresh : Signal
        Its length has come with the last byte.
    held : Signal
        The last frame was good and is not answered.
    dropped : Signal
    elapsed : Signal
        Cycles inside.
    place, byte : Signal
        Any place in the payload, and what came there.
    """

    def __init__(self, m: Module, i: Any, release: Any, timeout: int, place: Signal):
        self.inside, self.held, self.fresh = Signal(name="inside"), Signal(name="frame_held"), Signal(name="fresh")
        self.count = Signal(range(LONGEST + 1), name="count")
        self.sequence, self.code = Signal(8, name="sequence_read"), Signal(8, name="code_read")
        self.length = Signal(16, name="length_read", attrs={"keep": 1})
        self.field = Signal(CRC_BITS, name="field_read", attrs={"keep": 1})
        self.crc = Signal(CRC_BITS, name="crc_of_bytes", attrs={"keep": 1})
        self.dropped = Signal(range(MAX_DROPPED + 1), name="frames_dropped")
        self.quiet = Signal(range(timeout), name="quiet")
        self.elapsed = Signal(range(cycles_to_listen(timeout) + 2), name="elapsed")
        self.place, self.byte = Signal(9, name="place_chosen"), Signal(8, name="byte_there")
        body = Signal(11, name="body_bytes")
        taken = Signal(name="byte_taken")
        drop = Signal(name="frame_ends_badly")
        self.is_whole, self.is_long = Signal(name="is_whole"), Signal(name="is_long")
        self.is_good = Signal(name="is_good")
        m.d.comb += [
            taken.eq(i.valid & i.ready),
            body.eq(self.length + HEADER.size),
            self.is_long.eq(self.fresh & (self.length > MAX_PAYLOAD)),
            self.is_whole.eq((self.count >= HEADER.size) & ~self.is_long & (self.count == body + CRC_BYTES)),
            self.is_good.eq(self.field == ~self.crc),
        ]
        self.body = body
        m.d.sync += [
            self.quiet.eq(Mux(i.valid, 0, self.quiet + 1)),
            self.fresh.eq(0),
            self.elapsed.eq(self.elapsed + 1),
        ]
        with m.If(self.held):
            with m.If(release):
                m.d.sync += self.held.eq(0)
        with m.Elif(~self.inside):
            with m.If(taken & (i.payload == START)):
                m.d.sync += [
                    self.inside.eq(1), self.count.eq(0), self.crc.eq(ALL_ONES), self.field.eq(0), self.elapsed.eq(0),
                    self.place.eq(place),
                ]  # fmt: skip
        with m.Elif(self.is_long):
            m.d.comb += drop.eq(1)
        with m.Elif(self.is_whole):
            m.d.comb += drop.eq(~self.is_good)
            m.d.sync += [self.held.eq(self.is_good), self.inside.eq(0)]
        with m.Elif(taken):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If((self.count < HEADER.size) | (self.count < body)):
                m.d.sync += self.crc.eq(advanced(m, self.crc, i.payload))
            with m.Else():
                m.d.sync += self.field.word_select((self.count - body)[:2], 8).eq(i.payload)
            for number, part in enumerate((self.sequence, self.code, self.length[:8], self.length[8:])):
                with m.If(self.count == number):
                    m.d.sync += part.eq(i.payload)
            with m.If(self.count == HEADER.size - 1):
                m.d.sync += self.fresh.eq(1)
            with m.If(self.count == self.place + HEADER.size):
                m.d.sync += self.byte.eq(i.payload)
        with m.Elif(~i.valid & ~self.fresh & (self.quiet == timeout - 1)):
            m.d.comb += drop.eq(1)
        with m.If(drop):
            m.d.sync += self.inside.eq(0)
            with m.If(self.dropped != MAX_DROPPED):
                m.d.sync += self.dropped.eq(self.dropped + 1)


def claim_parsed(m: Module, reader: Reader, receiver: Any, timeout: int) -> None:
    """That a parser holds what the reader has read, and the invariants by which it follows."""
    state, count, body = receiver.states.ongoing, reader.count, reader.body
    is_head, is_field = count < HEADER.size, count >= body
    whole = Cat(reader.sequence, reader.code, reader.length)
    m.d.comb += [
        Assert(receiver.held == reader.held, "a frame is held if and only if its length and its CRC-32 are right"),
        Assert(receiver.dropped == reader.dropped, "every other frame is counted once as dropped"),
        Assert(
            ~receiver.held | (Cat(receiver.sequence, receiver.command, receiver.length, Const(0, 6)) == whole),
            "the head that is held is the one that came",
        ),
        Assert(~receiver.held | (reader.length <= MAX_PAYLOAD), "a held frame has a payload of at most 512 bytes"),
        Assert(~reader.held | reader.is_good, "the CRC-32 of a held frame is its field"),
        Assert(
            ~reader.inside | (reader.elapsed < cycles_to_listen(timeout)),
            f"a begun frame ends within {cycles_to_listen(timeout)} cycles",
        ),
    ]
    # What induction needs: where the parser is, by what has been read.
    inside = reader.inside
    places = {
        "IDLE": ~inside & ~reader.held,
        "HEADER": inside & is_head,
        "LENGTH": inside & reader.fresh,
        "PAYLOAD": inside & ~is_head & ~reader.fresh & ~is_field,
        "CRC": inside & ~is_head & ~reader.fresh & is_field & ~reader.is_whole,
        "CHECK": inside & ~is_head & ~reader.fresh & reader.is_whole,
        "HELD": reader.held,
    }
    for name, there in places.items():
        m.d.comb += Assert(state(name) == there, f"the parser is in {name} where the frame is")
    m.d.comb += [
        Assert(~(inside & reader.held), "no frame is begun while one is held"),
        Assert(~reader.fresh | (inside & (count == HEADER.size)), "the length is fresh behind the head"),
        Assert(~inside | is_head | reader.fresh | (reader.length <= MAX_PAYLOAD), "the length is in range"),
        Assert(~inside | is_head | (count <= body + CRC_BYTES) | reader.is_long, "no byte comes behind the frame"),
        Assert(~inside | (reader.quiet == receiver.silence), "silence is counted"),
        Assert(~inside | (reader.quiet < timeout), "silence ends"),
        Assert(~(reader.fresh | state("CHECK")) | (reader.quiet == 0), "a byte has just come"),
        Assert(
            ~inside | (reader.elapsed <= count * timeout + reader.quiet + (~is_head & ~reader.fresh)),
            "each byte comes within its time",
        ),
        Assert(~state("HEADER") | (receiver.left == HEADER.size - count), "bytes of the head are counted"),
        Assert(~state("PAYLOAD") | (receiver.left == body - count), "bytes of the payload are counted"),
        Assert(~reader.fresh | (receiver.left == CRC_BYTES), "no byte of the payload is counted yet"),
        Assert(~state("CRC") | (receiver.left == body + CRC_BYTES - count), "bytes of the CRC are counted"),
    ]
    head = receiver.head
    for number in range(1, HEADER.size + 1):
        there = (count == number) if number < HEADER.size else (count >= number)
        m.d.comb += Assert(
            ~inside | ~there | (head[len(head) - 8 * number :] == whole[: 8 * number]), "the head is kept as it came"
        )
    m.d.comb += Assert(~reader.held | (head == whole), "the head stays")
    _claim_crc_use(m, reader, receiver)


def _claim_crc_use(m: Module, reader: Reader, receiver: Any) -> None:
    """That the CRC processor starts before a frame's first byte, and gets each byte behind the start once."""
    use, i, inside = receiver.crc, receiver.i, reader.inside
    m.d.comb += [
        Assert(inside | reader.held | (use.start & ~use.valid), "the CRC starts anew before each frame"),
        Assert(~inside | ~use.start, "the CRC does not start anew within a frame"),
        Assert(~inside | (use.valid == (i.valid & i.ready)), "the CRC gets each byte of a frame once"),
        Assert(~use.valid | (use.data == i.payload), "the CRC gets the byte that came"),
    ]


def register_top(make: Callable[[], Any] = _CRC.create) -> Top:
    """The CRC processor beside a register that takes bit by bit."""
    m = Module()
    m.submodules.processor = processor = make()
    start, valid, byte = Signal(name="start"), Signal(name="valid"), Signal(8, name="byte")
    own = Signal(CRC_BITS, init=ALL_ONES, name="own_register")
    m.d.comb += [processor.start.eq(start), processor.valid.eq(valid), processor.data.eq(byte)]
    begun = Signal(CRC_BITS, name="begun")
    m.d.comb += begun.eq(Mux(start, ALL_ONES, own))
    m.d.sync += own.eq(Mux(valid, advanced(m, begun, byte), begun))
    m.d.comb += [
        Assert(processor.crc == ~own, "the register is the one that takes bit by bit"),
        Assert(processor.match_detected == (own == RESIDUE), "a match is the register's residue"),
    ]
    return m, [start, valid, byte]


def residue_top(complement: int = ALL_ONES) -> Top:
    """Any register, run on over any field."""
    m = Module()
    before, field = Signal(CRC_BITS, name="before"), Signal(CRC_BITS, name="field")
    is_right = Signal()
    m.d.comb += [
        is_right.eq(field == before ^ complement),
        Assert(
            is_right == (advanced(m, before, field) == RESIDUE), "the residue stands if and only if the field is right"
        ),
    ]
    return m, [before, field]


def receiver_top(make: Callable[..., Any] = FrameReceiver, timeout: int = 3) -> Top:
    """The parser beside the reader, with a CRC processor that says what :func:`register_top` and :func:`residue_top`
    prove of it: a match behind a frame's last byte, if and only if the field is right."""
    m = Module()
    receiver = make(timeout=timeout)
    opened(m, "receiver", receiver)
    valid, payload = Signal(name="valid"), Signal(8, name="payload")
    release, address = Signal(name="release"), Signal(9, name="address")
    place, elsewhere, register = (
        Signal(9, name="place"),
        Signal(name="match_elsewhere"),
        Signal(CRC_BITS, name="register"),
    )
    m.d.comb += [
        receiver.i.valid.eq(valid),
        receiver.i.payload.eq(payload),
        receiver.release.eq(release),
        receiver.address.eq(address),
        receiver.crc.crc.eq(register),
    ]
    reader = Reader(m, receiver.i, release, timeout, place)
    at_end = reader.inside & reader.is_whole
    m.d.comb += receiver.crc.match.eq(Mux(at_end, reader.is_good, elsewhere))
    claim_parsed(m, reader, receiver, timeout)
    _claim_payload(m, reader, receiver)
    was_ready, was_dropped = Signal(init=1), Signal(16)
    m.d.sync += [was_ready.eq(receiver.i.ready), was_dropped.eq(receiver.dropped)]
    m.d.comb += [
        Assert(receiver.i.ready | was_ready, "of two cycles it takes a byte in one"),
        Assert((receiver.dropped - was_dropped)[:16] <= 1, "the count of dropped frames rises by one at most"),
        Assert(receiver.dropped >= was_dropped, "the count of dropped frames does not fall"),
    ]
    return m, [valid, payload, release, address, place, elsewhere, register]


def _claim_payload(m: Module, reader: Reader, receiver: Any) -> None:
    """That the payload is read as it came, at any place."""
    port = receiver.memory.read_port(domain="comb")
    where = (reader.length - reader.place)[:9]
    exists, asked = reader.place < reader.length, Signal()
    has_come = reader.held | (reader.inside & (reader.count > reader.place + HEADER.size))
    m.d.comb += port.addr.eq(where)
    m.d.sync += asked.eq(reader.held & (receiver.address == where))
    m.d.comb += [
        Assert(
            ~(has_come & exists & (reader.inside | reader.held) & ~reader.is_long) | (port.data == reader.byte),
            "the memory has the payload's bytes",
        ),
        Assert(
            ~(asked & reader.held & exists) | (receiver.data == reader.byte), "what is read of a payload is what came"
        ),
        Assert(~asked | reader.held | ~reader.inside, "no frame is begun in the cycle of an answer's end"),
    ]


def good_frame_top(make: Callable[..., Any] = FrameReceiver) -> Top:
    """The parser beside the reader, with the CRC processor that it has in the server; a good frame is to come."""
    m = Module()
    receiver = make(timeout=3)
    opened(m, "receiver", receiver)
    m.submodules.processor = processor = _CRC.create()
    valid, payload = Signal(name="valid"), Signal(8, name="payload")
    m.d.comb += [
        receiver.i.valid.eq(valid),
        receiver.i.payload.eq(payload),
        *(getattr(processor, name).eq(getattr(receiver.crc, name)) for name in ("start", "valid", "data")),
        receiver.crc.match.eq(processor.match_detected),
    ]
    reader = Reader(m, receiver.i, receiver.release, 3, Signal(9))
    is_good = receiver.held & reader.held & (receiver.length == 1)
    m.d.comb += Cover(is_good, "a frame with a byte of payload is held")
    return m, [valid, payload]


_SHOWN = {
    "valid": 1, "payload": 8, "inside": 1, "frame_held": 1, "held": 1, "count": 10, "length_read": 16, "field_read": 32,
    "crc_of_bytes": 32, "dropped": 16, "frames_dropped": 16, "own_register": 32, "start": 1, "byte": 8, "before": 32,
    "field": 32,
}  # fmt: skip

#: Ten bytes, and one cycle each for length and CRC.
_GOOD_CYCLES = OVERHEAD + 1 + 2

#: Cycles of silence: the fewest, and a few more.
TIMEOUTS = (2, 3, 5)


def proofs() -> Iterable[Proof]:
    """All of them."""
    shown = {name: FixedFormat(bits) for name, bits in _SHOWN.items()}
    yield Proof(
        "frames", "crc-register", "the CRC register is one that takes bit by bit", "CRC-32", register_top, shown,
        Mode.INDUCTION, depth=2,
    )  # fmt: skip
    yield Proof(
        "frames", "crc-residue", "the register matches if and only if the field is the CRC of the bytes before it",
        "CRC-32", residue_top, shown,
    )  # fmt: skip
    yield Proof(
        "frames", "good-frame", f"a frame with a byte of payload can be held {_GOOD_CYCLES} cycles after reset",
        "CRC-32", good_frame_top, shown, Mode.COVER, depth=_GOOD_CYCLES + 1,
    )  # fmt: skip
    for timeout in TIMEOUTS:
        yield Proof(
            "frames",
            "parser",
            "a frame is held if and only if its length is at most 512 and its CRC-32 is right, and is kept as it came; "
            "every other is counted once; the parser listens or holds again within "
            f"{LONGEST} · {timeout} + 2 = {cycles_to_listen(timeout)} cycles",
            f"timeout {timeout}",
            partial(receiver_top, timeout=timeout),
            shown,
            Mode.INDUCTION,
            depth=2,
            is_long=timeout > 3,
        )
