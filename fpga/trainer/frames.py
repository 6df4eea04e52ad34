"""Frames between a host and a trainer's board: their form, their commands, and a codec in plain Python.

A frame is ``START``, sequence (1 byte), code (1), length of the payload (2), payload, CRC-32 (4) of all between start
and CRC; numbers little-endian, the CRC that of :func:`zlib.crc32`. The code of a request is a :class:`Command`, that
of an answer a :class:`Status`; an answer has its request's sequence number.

**One frame under way.** The board listens to nothing while it executes a frame and answers. The host sends the next
frame after the answer; without one it waits longer than ``TIMEOUT_S``, so that the board forgets a broken-off frame,
and sends the *same* frame again.

**What the board acts on.** Frames whose length is at most ``MAX_PAYLOAD`` and whose CRC matches. A begun frame that is
too long (known after its length), whose CRC differs or that stops for ``TIMEOUT_S`` is counted as dropped and gives no
answer; bytes between frames are skipped until the next ``START``.

**Sequence.** ``HELLO`` is taken with any number. Otherwise with last = number of the last frame taken: last + 1 (mod
256) is taken; last itself with the same command is a repeat: what changes nothing (``READ``, ``STATUS``) is answered
anew, of the rest the first answer comes again and nothing is executed; any other is answered ``SEQUENCE`` with the
expected number as payload, and not taken. A taken frame counts as the last whatever its answer. After power-up or reset
last is 0 with ``HELLO``.

**Answers.** ``UNKNOWN_COMMAND``, ``BAD_ARGUMENT`` and ``BUSY`` have no payload, and nothing has been done. They are
found in this order, before anything is executed: unknown command; payload of another length than the command's (for
``WRITE``: shorter than one byte behind its head): bad argument; busy; then the other bad arguments: no such space, a
broken last word, no words, words beyond the end of a space, words to ``LOGITS`` or ``RESULTS``, more than
``MAX_PAYLOAD`` bytes to read, a flag above 1, a shift above ``MAX_LR_SHIFT``, samples beyond the memory or none.
"""

import enum
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from lnsmadam.golden.trainer import words
from lnsmadam.golden.trainer.config import MAX_LR_SHIFT
from lnsmadam.golden.trainer.layout import Layout

#: Changes when a host and a board of different ages would misunderstand each other.
PROTOCOL_VERSION = 1

#: First byte of every frame.
START = 0xA5

#: Bytes of the longest payload: what one block RAM of an iCE40 holds.
MAX_PAYLOAD = 512

#: Sequence, code, length.
HEADER = struct.Struct("<BBH")
CRC_BYTES = 4

#: Bytes of a frame around its payload.
OVERHEAD = 1 + HEADER.size + CRC_BYTES

#: Space and address before the words of a ``WRITE``; space, address and count of a ``READ``.
WRITE_HEAD = struct.Struct("<BI")
READ_HEAD = struct.Struct("<BIH")


class Command(enum.IntEnum):
    """What a request asks for."""

    #: → :class:`Hello`.
    HELLO = 0
    #: ``WRITE_HEAD`` and words → nothing.
    WRITE = 1
    #: ``READ_HEAD`` → words.
    READ = 2
    #: :class:`Run` → nothing, at once; then the samples run.
    RUN = 3
    #: → :class:`Progress`.
    STATUS = 4
    #: → nothing, at once; the run ends after the sample that is being worked on.
    STOP = 5


class Status(enum.IntEnum):
    """What an answer says."""

    OK = 0
    UNKNOWN_COMMAND = 1
    BAD_ARGUMENT = 2
    #: A run is under way: only ``HELLO``, ``STATUS``, ``STOP`` and a ``WRITE`` to ``SAMPLES`` are executed.
    BUSY = 3
    #: The sequence number is neither the last nor the one after it; the payload is the expected one (1 byte).
    SEQUENCE = 4


class Space(enum.IntEnum):
    """What ``WRITE`` and ``READ`` address. 0 to 4 are the core's."""

    #: Address row · lanes + lane. A row is written whole and in order: its last lane's word commits it.
    WEIGHTS = 0
    INPUT_TRACKERS = 1
    NEURON_TRACKERS = 2
    #: 0 update count, 1 input noise, 2 neuron noise.
    REGISTERS = 3
    #: Of the last sample, two's complement; read only.
    LOGITS = 4
    #: Address sample · (inputs + 1) + index; the label behind the inputs.
    SAMPLES = 5
    #: Of the last run, at the sample's place; read only, see :class:`Result`.
    RESULTS = 6


def word_bytes(width: int) -> int:
    """Bytes of a word of ``width`` bits in a payload: 1, 2 or 4."""
    return 1 if width <= 8 else 2 if width <= 16 else 4


@dataclass(frozen=True)
class Region:
    """One space of a machine: words and the bits of each."""

    size: int
    width: int

    @property
    def bytes(self) -> int:
        """Bytes of a word in a payload."""
        return word_bytes(self.width)

    @property
    def words_per_write(self) -> int:
        """Words of the longest ``WRITE``."""
        return (MAX_PAYLOAD - WRITE_HEAD.size) // self.bytes

    @property
    def words_per_read(self) -> int:
        """Words of the longest ``READ``."""
        return MAX_PAYLOAD // self.bytes


#: Bits of a word of ``RESULTS``.
RESULT_BITS = 16


def regions(layout: Layout, capacity: int) -> dict[Space, Region]:
    """The spaces of a machine with a memory of ``capacity`` samples."""
    network, sizes = layout.network, words.spaces(layout)
    tracker_bits = network.state.log_width
    return {
        Space.WEIGHTS: Region(sizes[words.WEIGHTS], layout.word_bits),
        Space.INPUT_TRACKERS: Region(sizes.get(words.INPUT_TRACKERS, 0), tracker_bits),
        Space.NEURON_TRACKERS: Region(sizes.get(words.NEURON_TRACKERS, 0), tracker_bits),
        Space.REGISTERS: Region(sizes[words.REGISTERS], 32),
        Space.LOGITS: Region(network.sizes[-1], 32),
        Space.SAMPLES: Region(capacity * (network.sizes[0] + 1), layout.sample_width),
        Space.RESULTS: Region(capacity, RESULT_BITS),
    }


@dataclass(frozen=True)
class Frame:
    """A request or an answer.

    Parameters
    ----------
    sequence : int
    code : int
        A :class:`Command` or a :class:`Status`, or a number that is neither.
    payload : bytes
    """

    sequence: int
    code: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the line; ``ValueError`` if the payload is too long."""
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"Payload must be at most {MAX_PAYLOAD} bytes, not {len(self.payload)}")
        body = HEADER.pack(self.sequence, self.code, len(self.payload)) + self.payload
        return bytes([START]) + body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


class Decoder:
    """Finds frames in bytes as they come, by the rules of the board.

    Attributes
    ----------
    dropped : int
        Frames that were begun and not accepted.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._frame = bytearray()

    @property
    def in_frame(self) -> bool:
        """Whether a frame is begun and not ended."""
        return bool(self._frame)

    def feed(self, data: Iterable[int]) -> list[Frame]:
        """The frames that end in ``data``."""
        frames = []
        for byte in data:
            if not self._frame and byte != START:
                continue
            self._frame.append(byte)
            have = len(self._frame)
            if have < 1 + HEADER.size:
                continue
            sequence, code, length = HEADER.unpack_from(self._frame, 1)
            if length > MAX_PAYLOAD:
                self.silence()
            elif have == OVERHEAD + length:
                body, crc = self._frame[1:-CRC_BYTES], self._frame[-CRC_BYTES:]
                if zlib.crc32(body) == int.from_bytes(crc, "little"):
                    frames.append(Frame(sequence, code, bytes(body[HEADER.size :])))
                    self._frame.clear()
                else:
                    self.silence()
        return frames

    def silence(self) -> None:
        """The line has been silent for ``TIMEOUT_S``: a begun frame is dropped."""
        self.dropped += self.in_frame
        self._frame.clear()


def pack_words(words: Iterable[int], size: int) -> bytes:
    """Words as ``size`` bytes each; negative ones in two's complement."""
    mask = (1 << 8 * size) - 1
    return b"".join((int(word) & mask).to_bytes(size, "little") for word in words)


def unpack_words(data: Sequence[int], size: int) -> list[int]:
    """The inverse of :func:`pack_words`, unsigned."""
    return [int.from_bytes(bytes(data[n : n + size]), "little") for n in range(0, len(data), size)]


def write_payload(space: int, address: int, words: Iterable[int], size: int) -> bytes:
    """The payload of a ``WRITE`` of words of ``size`` bytes each."""
    return WRITE_HEAD.pack(space, address) + pack_words(words, size)


def read_payload(space: int, address: int, count: int) -> bytes:
    """The payload of a ``READ``."""
    return READ_HEAD.pack(space, address, count)


@dataclass(frozen=True)
class Hello:
    """The board's answer to ``HELLO``.

    Attributes
    ----------
    version : int
        ``PROTOCOL_VERSION`` of the board.
    digest : bytes
        8 bytes: the machine's digest.
    capacity : int
        Samples that the board's memory holds.
    lanes : int
    clock_hz : int
    """

    FORM: ClassVar[struct.Struct] = struct.Struct("<B8sIBI")
    version: int
    digest: bytes
    capacity: int
    lanes: int
    clock_hz: int

    def encode(self) -> bytes:
        return self.FORM.pack(*astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> "Hello":
        """``ValueError`` if this is no such payload."""
        return cls(*_unpack(cls.FORM, payload, "HELLO"))


@dataclass(frozen=True)
class Run:
    """The payload of ``RUN``: which samples, in which order, and how they are learned.

    Attributes
    ----------
    learn : bool
        Otherwise only classes are predicted.
    lr_shift : int
        Octaves by which the learning rate is lowered, 0 to 7.
    gate_on : bool
        Whether samples that are right by a margin are not learned from.
    gate_margin : int
        That margin, in ``2**-logit_bits`` octaves, 16 bits.
    shuffle : bool
        Whether in the order of :mod:`lnsmadam.golden.trainer.order`, otherwise ascending.
    first, count : int
        Samples ``first`` to ``first + count - 1`` of the memory, at least one.
    seed, epoch : int
        Of the order, 32 bits.
    """

    FORM: ClassVar[struct.Struct] = struct.Struct("<BBBHBIIII")
    learn: bool = True
    lr_shift: int = 0
    gate_on: bool = False
    gate_margin: int = 0
    shuffle: bool = False
    first: int = 0
    count: int = 1
    seed: int = 0
    epoch: int = 0

    def encode(self) -> bytes:
        return self.FORM.pack(*astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> "Run":
        """``ValueError`` if this is no such payload or a flag or shift is out of range."""
        learn, lr_shift, gate_on, gate_margin, shuffle, *rest = _unpack(cls.FORM, payload, "RUN")
        if max(learn, gate_on, shuffle) > 1 or lr_shift > MAX_LR_SHIFT:
            raise ValueError("Flags must be 0 or 1 and the shift of the learning rate from 0 to 7")
        return cls(bool(learn), lr_shift, bool(gate_on), gate_margin, bool(shuffle), *rest)


@dataclass(frozen=True)
class Progress:
    """The board's answer to ``STATUS``, of the present run or the last one.

    Attributes
    ----------
    busy : bool
    done, correct, gated : int
        Samples finished; predicted rightly; right by the margin and so not learned from.
    dropped : int
        Frames dropped since reset, at most 65535.
    """

    FORM: ClassVar[struct.Struct] = struct.Struct("<BIIII")
    busy: bool
    done: int
    correct: int
    gated: int
    dropped: int

    def encode(self) -> bytes:
        return self.FORM.pack(*astuple(self))

    @classmethod
    def decode(cls, payload: bytes) -> "Progress":
        """``ValueError`` if this is no such payload."""
        busy, *rest = _unpack(cls.FORM, payload, "STATUS")
        return cls(bool(busy), *rest)


#: Largest count that ``Progress.dropped`` reaches.
MAX_DROPPED = 0xFFFF

_CORRECT, _GATED = 14, 15


@dataclass(frozen=True)
class Result:
    """A word of ``RESULTS``."""

    predicted: int
    correct: bool
    gated: bool

    def encode(self) -> int:
        return self.predicted | self.correct << _CORRECT | self.gated << _GATED

    @classmethod
    def decode(cls, word: int) -> "Result":
        return cls(word & ((1 << _CORRECT) - 1), bool(word >> _CORRECT & 1), bool(word >> _GATED & 1))


def _unpack(form: struct.Struct, payload: bytes, name: str) -> tuple[Any, ...]:
    if len(payload) != form.size:
        raise ValueError(f"Payload of {name} must have {form.size} bytes, not {len(payload)}")
    return form.unpack(payload)
