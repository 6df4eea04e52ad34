"""Executes the commands of :mod:`~lnsmadam.fpga.trainer.frames` on a trainer."""

from collections.abc import Callable, Mapping

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.trainer.frames import (
    MAX_PAYLOAD,
    READ_HEAD,
    WRITE_HEAD,
    Command,
    Hello,
    Progress,
    Region,
    Run,
    Space,
    Status,
)
from lnsmadam.fpga.trainer.receiver import FrameReceiver
from lnsmadam.fpga.trainer.sender import FrameSender
from lnsmadam.golden.trainer.config import MAX_LR_SHIFT
from lnsmadam.golden.trainer.machine import ADDRESS_BITS, DATA_BITS
from lnsmadam.hw.trainer.replay import index_bits

#: Payload bytes of each command but ``WRITE``.
LENGTHS: dict[int, int] = {
    Command.HELLO: 0,
    Command.READ: READ_HEAD.size,
    Command.RUN: Run.FORM.size,
    Command.STATUS: 0,
    Command.STOP: 0,
}

#: Where the seed begins in a ``RUN``; the epoch is behind it.
KEY_PLACE = Run.FORM.size - 8

#: A number that is no :class:`Space`.
NO_SPACE = 7

#: A word to or from a space, as the core's ``access`` takes it, but with all numbers of spaces.
REQUEST = data.StructLayout({"address": ADDRESS_BITS, "space": 3, "write": 1, "data": DATA_BITS})

#: Bytes through which every word passes, of whatever size.
WORD_BYTES = DATA_BITS // 8


class TrainerServer(wiring.Component):  # type: ignore[misc]  # Amaranth has no types
    """Takes requests as bytes, acts on a trainer, and answers.

    One request at a time: bytes that come before its answer is out are forgotten.

    Parameters
    ----------
    hello : Hello
        What the board says of itself.
    regions : Space → Region
        What can be addressed.
    timeout : int
        Cycles of silence that end a begun frame.

    Members
    -------
    i, o : ``In(stream.Signature(8))``, ``Out(stream.Signature(8))``
        The line.
    access : ``Out(stream.Signature(REQUEST))``
        One word to or from a space; the next after its answer.
    answer : ``In(stream.Signature(32))``
        The word that was read, or anything after a write.
    learn, lr_shift, gate_on, gate_margin : ``Out``
        Of the run; stand still while ``busy``.
    start : ``Out(1)``
        A run begins: ``first``, ``count`` and ``shuffle`` hold.
    key : ``Out(stream.Signature(8))``
        The 8 bytes of seed and epoch, all before ``start``; ``key_first`` with the first.
    stop : ``Out(1)``
    busy : ``In(1)``
        A run is under way.
    done, correct, gated : ``In``
        Its counts.
    active, held : ``Out(1)``, ``Out(1)``
        A frame is being received, executed or answered; one is executed or answered, and bytes are forgotten.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, hello: Hello, regions: Mapping[Space, Region], *, timeout: int):
        self.hello, self.regions, self.timeout = hello, dict(regions), timeout
        index = index_bits(hello.capacity)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "access": Out(stream.Signature(REQUEST)),
                "answer": In(stream.Signature(DATA_BITS)),
                "learn": Out(1),
                "lr_shift": Out(range(MAX_LR_SHIFT + 1)),
                "gate_on": Out(1),
                "gate_margin": Out(16),
                "shuffle": Out(1),
                "first": Out(index),
                "count": Out(index),
                "start": Out(1),
                "key": Out(stream.Signature(8)),
                "key_first": Out(1),
                "stop": Out(1),
                "busy": In(1),
                "done": In(index),
                "correct": In(index),
                "gated": In(index),
                "active": Out(1),
                "held": Out(1),
            }
        )

    def _of_space(self, number: Callable[[Region], int], space: Value) -> Value:
        """A number by space; 0 where there is none."""
        values = {int(s): number(region) for s, region in self.regions.items()}
        width = max(values.values()).bit_length()
        return Array(C(values.get(s, 0), width) for s in range(NO_SPACE + 1))[space]

    @staticmethod
    def _number(m: Module, number: Value, register: Signal, bad: Signal) -> None:
        """Keeps an argument of 32 bits that must fit in a register."""
        m.d.sync += register.eq(number)
        with m.If(number[len(register) :] != 0):
            m.d.sync += bad.eq(1)

    def _run_arguments(
        self, m: Module, place: Value, shifted: Value, address: Signal, words: Signal, bad: Signal
    ) -> None:
        """Keeps the byte at ``place`` of a ``RUN``, the top one of ``shifted``."""
        byte = shifted[-8:]
        with m.Switch(place):
            for at, register in ((0, self.learn), (1, self.lr_shift), (2, self.gate_on), (5, self.shuffle)):
                with m.Case(at):
                    self._number(m, byte, register, bad)
            with m.Case(3, 4):
                m.d.sync += self.gate_margin.eq(shifted[-16:])
            with m.Case(9):
                self._number(m, shifted, address, bad)
            with m.Case(13):
                self._number(m, shifted, words, bad)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver(timeout=self.timeout)
        m.submodules.sender = sender = FrameSender()
        # One processor for both directions: while a frame is held, only the sender needs it.
        m.submodules.crc = processor = crc.catalog.CRC32_ISO_HDLC().create()
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        for name in ("start", "valid", "data"):
            of = {user: getattr(user.crc, name) for user in (receiver, sender)}
            m.d.comb += getattr(processor, name).eq(Mux(receiver.held, of[sender], of[receiver]))
        for user in (receiver, sender):
            m.d.comb += [user.crc.crc.eq(processor.crc), user.crc.match.eq(processor.match_detected)]

        command = receiver.command
        expected, last_command, last_status = Signal(8, init=1), Signal(8, init=Command.HELLO), Signal(Status)
        status = Signal(Status)
        # The frame is not taken: its number does not follow.
        refused = Signal()

        # The payload's bytes in order. A byte stands at receiver.data one cycle after the cursor has come to it.
        cursor, stable, byte_taken = Signal.like(receiver.length), Signal(), Signal()
        m.d.comb += receiver.address.eq(cursor[:-1])
        m.d.sync += stable.eq(1)
        with m.If(byte_taken):
            m.d.sync += [cursor.eq(cursor - 1), stable.eq(0)]

        # Words pass through here, lowest byte first: in from above, out from below.
        word = Signal(8 * WORD_BYTES)
        byte = Signal(8)
        shifted = Signal.like(word)
        m.d.comb += [byte.eq(receiver.data), shifted.eq(Cat(word[8:], byte))]

        # As wide as the largest space, and as the longest answer or run; larger numbers are bad arguments.
        address = Signal(range(max(region.size for region in self.regions.values()) + 1))
        words = Signal(range(max(self.hello.capacity, MAX_PAYLOAD) + 1))
        space = Signal(3)
        bad = Signal()
        # Counts the bytes of arguments, of words and of constant answers.
        place = Signal(range(max(Run.FORM.size, Hello.FORM.size, Progress.FORM.size) + 1))
        log_bytes = Signal(2)
        m.d.comb += log_bytes.eq(self._of_space(lambda region: region.bytes.bit_length() - 1, space))
        end = Signal(len(address) + 1)
        m.d.comb += [
            self.first.eq(address),
            self.count.eq(words),
            self.access.payload.address.eq(address),
            self.access.payload.space.eq(space),
            self.access.payload.write.eq(command == Command.WRITE),
            self.access.payload.data.eq(word),
            self.key.payload.eq(receiver.data),
            sender.sequence.eq(receiver.sequence),
            sender.code.eq(status),
        ]
        answer_length = Signal.like(sender.length)
        m.d.comb += sender.length.eq(answer_length)

        def answer(m: Module, what: Status, length: int = 0) -> None:
            m.d.sync += [status.eq(what), answer_length.eq(length), place.eq(0)]
            m.next = "ANSWER"

        # For proofs: its parts, and where it is.
        self.receiver, self.sender, self.processor = receiver, sender, processor
        self.expected, self.last_command, self.last_status = expected, last_command, last_status
        self.status, self.refused, self.stable = status, refused, stable
        with m.FSM() as self.states:
            m.d.comb += [self.held.eq(receiver.held), self.active.eq(receiver.held | receiver.receiving)]
            with m.State("IDLE"):
                m.d.sync += [cursor.eq(receiver.length), stable.eq(0), place.eq(0), bad.eq(0), space.eq(Space.RESULTS)]
                with m.If(receiver.held):
                    m.next = "SEQUENCE"
            with m.State("SEQUENCE"):
                following = Signal(8)
                same = Signal()
                m.d.comb += [
                    following.eq(receiver.sequence + 1),
                    same.eq((following == expected) & (command == last_command)),
                ]
                m.d.sync += refused.eq(0)
                with m.If((command == Command.HELLO) | (receiver.sequence == expected)):
                    m.d.sync += [expected.eq(following), last_command.eq(command)]
                    m.next = "COMMAND"
                with m.Elif(same & ((command == Command.READ) | (command == Command.STATUS))):
                    m.next = "COMMAND"
                with m.Elif(same):
                    answer(m, last_status)
                with m.Else():
                    m.d.sync += refused.eq(1)
                    answer(m, Status.SEQUENCE, 1)
            with m.State("COMMAND"):
                length = Array(C(LENGTHS.get(n, 0), 5) for n in range(8))[command[:3]]
                long_enough = receiver.length > WRITE_HEAD.size
                with m.If(command > max(Command)):
                    answer(m, Status.UNKNOWN_COMMAND)
                with m.Elif(Mux(command == Command.WRITE, ~long_enough, receiver.length != length)):
                    answer(m, Status.BAD_ARGUMENT)
                with m.Elif(self.busy & ((command == Command.READ) | (command == Command.RUN))):
                    answer(m, Status.BUSY)
                with m.Elif(command == Command.HELLO):
                    answer(m, Status.OK, Hello.FORM.size)
                with m.Elif(command == Command.STATUS):
                    answer(m, Status.OK, Progress.FORM.size)
                with m.Elif(command == Command.STOP):
                    m.d.comb += self.stop.eq(1)
                    answer(m, Status.OK)
                with m.Else():
                    m.next = "ARGUMENTS"
            with m.State("ARGUMENTS"):
                is_key = (command == Command.RUN) & (place >= KEY_PLACE)
                m.d.comb += [
                    self.key.valid.eq(stable & is_key),
                    self.key_first.eq(place == KEY_PLACE),
                    byte_taken.eq(stable & (~is_key | self.key.ready)),
                ]
                with m.If(byte_taken):
                    m.d.sync += [word.eq(shifted), place.eq(place + 1)]
                    with m.If(command == Command.RUN):
                        self._run_arguments(m, place, shifted, address, words, bad)
                    with m.Else(), m.Switch(place):
                        with m.Case(0):
                            m.d.sync += space.eq(Mux(byte[3:] != 0, NO_SPACE, byte[:3]))
                        with m.Case(4):
                            self._number(m, shifted, address, bad)
                            with m.If(command == Command.WRITE):
                                m.next = "CHECK"
                        with m.Case(6):
                            self._number(m, shifted[16:], words, bad)
                            m.next = "CHECK"
                    with m.If((command == Command.RUN) & (place == Run.FORM.size - 1)):
                        m.next = "CHECK"
            with m.State("CHECK"):
                # Behind the head of a WRITE the cursor counts the bytes of words.
                with m.If(command == Command.WRITE):
                    m.d.sync += words.eq(cursor >> log_bytes)
                    with m.If((log_bytes[0] & cursor[0]) | (log_bytes[1] & (cursor[:2] != 0))):
                        m.d.sync += bad.eq(1)
                with m.If(command == Command.READ):
                    with m.If((words << log_bytes) > MAX_PAYLOAD):
                        m.d.sync += bad.eq(1)
                m.next = "ADD"
                with m.If((command == Command.WRITE) & self.busy & (space != Space.SAMPLES)):
                    answer(m, Status.BUSY)
            with m.State("ADD"):
                m.d.sync += end.eq(address + words)
                m.next = "RANGE"
            with m.State("RANGE"):
                read_only = (space == Space.LOGITS) | (space == Space.RESULTS)
                size = self._of_space(lambda region: region.size, space)
                m.d.sync += [answer_length.eq(words << log_bytes), status.eq(Status.OK), place.eq(0)]
                with m.If(bad | (words == 0) | (end > size) | ((command == Command.WRITE) & read_only)):
                    answer(m, Status.BAD_ARGUMENT)
                with m.Elif(command == Command.RUN):
                    m.d.comb += self.start.eq(1)
                    answer(m, Status.OK)
                with m.Elif(command == Command.READ):
                    m.d.comb += sender.start.eq(1)
                    m.next = "ACCESS"
                with m.Else():
                    m.next = "GATHER"
            with m.State("GATHER"):
                # A word of fewer bytes is filled with zeros from above.
                with m.If((place >> log_bytes) != 0):
                    m.d.comb += byte.eq(0)
                with m.Else():
                    m.d.comb += byte_taken.eq(stable)
                with m.If(byte_taken | ((place >> log_bytes) != 0)):
                    m.d.sync += [word.eq(shifted), place.eq(place + 1)]
                    with m.If(place == WORD_BYTES - 1):
                        m.d.sync += place.eq(0)
                        m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += self.access.valid.eq(1)
                with m.If(self.access.ready):
                    m.next = "RESULT"
            with m.State("RESULT"):
                m.d.comb += self.answer.ready.eq(1)
                m.d.sync += word.eq(self.answer.payload)
                with m.If(self.answer.valid):
                    m.d.sync += [address.eq(address + 1), words.eq(words - 1)]
                    m.next = "SEND"
                    with m.If(command == Command.WRITE):
                        m.next = "GATHER"
                        with m.If(words == 1):
                            answer(m, Status.OK)
            with m.State("SEND"):
                m.d.comb += [sender.payload.valid.eq(1), sender.payload.payload.eq(word[:8])]
                with m.If(sender.payload.ready):
                    m.d.sync += [word.eq(shifted), place.eq(place + 1)]
                    with m.If(((place + 1) >> log_bytes) != 0):
                        m.d.sync += place.eq(0)
                        m.next = "ACCESS"
                        with m.If(words == 0):
                            m.next = "FINISH"
            with m.State("ANSWER"):
                with m.If(~refused):
                    m.d.sync += last_status.eq(status)
                # STATUS begins with it; it stands still from here on.
                m.d.sync += word.eq(self.busy)
                m.d.comb += sender.start.eq(1)
                m.next = "CONSTANT"
            with m.State("CONSTANT"):
                # STATUS: a counter is read whole when its first byte is next, so that none of it is of a later time.
                hello = Array(C(b, 8) for b in self.hello.encode())[place]
                counter = Array([self.done, self.correct, self.gated, receiver.dropped])[place[2:4]]
                m.d.comb += sender.payload.valid.eq(1)
                with m.If(refused):
                    m.d.comb += sender.payload.payload.eq(expected)
                with m.Elif(command == Command.HELLO):
                    m.d.comb += sender.payload.payload.eq(hello)
                with m.Else():
                    m.d.comb += sender.payload.payload.eq(word[:8])
                with m.If(sender.payload.ready):
                    m.d.sync += [word.eq(Mux(place[:2] == 0, counter, shifted)), place.eq(place + 1)]
                with m.If(sender.idle):
                    m.d.comb += receiver.release.eq(1)
                    m.next = "IDLE"
            with m.State("FINISH"):
                with m.If(sender.idle):
                    m.d.comb += receiver.release.eq(1)
                    m.next = "IDLE"
        return m
