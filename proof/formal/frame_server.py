"""What is proved of the server of frames: that it acts on held frames alone, and on each as its number says.

Its receiver is proved by itself (:mod:`~lnsmadam.proof.formal.frame_parser`), and so is its sender
(:mod:`~lnsmadam.proof.formal.frame_sender`). What they rely on, or are relied on for, is asserted of the whole server.
The proof of numbers has a server without them: it assumes what is asserted there of the receiver, and nothing of the
sender, so that a fault shows in a few cycles from reset.
"""

from collections.abc import Callable, Iterable
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, ResetSignal, Signal

from lnsmadam.fpga.trainer.frames import Command, Hello, Status, regions
from lnsmadam.fpga.trainer.server import TrainerServer
from lnsmadam.golden.format import FixedFormat
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode
from lnsmadam.proof.formal.stream import StreamRules

Top = tuple[Module, list[Signal]]

#: Samples of the server's board.
_CAPACITY = 600


#: Tables become logic: a table kept as a memory may have any content where induction begins.
WHOLE = ("prep -top top -flatten", "memory_map -rom-only")


def without(*parts: str) -> tuple[str, ...]:
    """A script that makes all outputs of parts of the server free in every cycle."""
    return ("hierarchy -top top", *(f"cutpoint top.server/{part}" for part in parts), *WHOLE)


#: The receiver alone: the first frame is held in any cycle, and is answered byte by byte.
WITHOUT_RECEIVER = without("receiver")
#: An answer may be out in the cycle after its start.
WITHOUT_PARTS = without("receiver", "sender", "crc")


def _server(m: Module, make: Callable[..., Any]) -> tuple[Any, list[Signal]]:
    """A server with everything around it free."""
    machine = TrainerConfig(network=network_preset("FX", (3, 2, 2)), lanes=1)
    hello = Hello(1, bytes(8), _CAPACITY, machine.lanes, 1)
    server = opened(m, "server", make(hello, regions(machine.layout, _CAPACITY), timeout=3))
    return server, [
        server.i.valid, server.i.payload, server.o.ready, server.access.ready, server.answer.valid,
        server.answer.payload, server.key.ready, server.busy, server.done, server.correct, server.gated,
    ]  # fmt: skip


def _holds_frames(m: Module, receiver: Any, is_assumed: bool) -> None:
    """That a held frame stands still until it is released, and then is held no longer."""
    head = Cat(receiver.sequence, receiver.command, receiver.length)
    m.submodules.frame_rules = StreamRules(
        receiver.held, receiver.release, head, is_assumed=is_assumed, name="held frame"
    )
    ended = Signal(reset_less=True)
    m.d.sync += ended.eq(receiver.release | ResetSignal())
    if is_assumed:
        m.d.comb += Assume(~ended | ~receiver.held)
    else:
        m.d.comb += Assert(~ended | ~receiver.held, "a frame is held no longer than until its release")


def server_top(make: Callable[..., Any] = TrainerServer, *, has_receiver: bool = True) -> Top:
    """The whole server; or for ``WITHOUT_RECEIVER``, with the receiver's part of the claims as assumptions."""
    m = Module()
    server, inputs = _server(m, make)
    receiver, sender, state = server.receiver, server.sender, server.states.ongoing
    held, command = receiver.held, receiver.command
    # One signal each, so that a counterexample names what was done.
    acts = {
        "reads or writes": server.access.valid,
        "starts a run": server.start,
        "stops a run": server.stop,
        "sends a key": server.key.valid,
        "answers": server.o.valid,
    }
    for what, acting in acts.items():
        m.d.comb += Assert(~acting | held, f"it {what} only while a frame is held")
    is_access = (command == Command.READ) | (command == Command.WRITE)
    m.d.comb += [
        Assert(~server.start | (command == Command.RUN), "only RUN starts a run"),
        Assert(~server.stop | (command == Command.STOP), "only STOP stops one"),
        Assert(~server.access.valid | is_access, "only READ and WRITE access"),
        # What induction needs.
        Assert(state("IDLE") | held, "it works on a held frame"),
        Assert(~state("IDLE") | sender.idle, "an answer is out before the next frame"),
    ]
    _claim_ways(m, server)
    _holds_frames(m, receiver, is_assumed=not has_receiver)
    m.submodules.o_rules = StreamRules.of(server.o, name="o")
    m.submodules.access_rules = StreamRules.of(server.access, name="access")
    if has_receiver:
        m.submodules.key_rules = StreamRules.of(server.key, name="key")
        # What induction needs of a byte of the payload: a second port at the memory, for which the receiver is opened.
        inside = receiver.elaborate(None)
        receiver.elaborate = lambda platform: inside
        port = receiver.memory.read_port(domain="comb")
        m.d.comb += [
            port.addr.eq(receiver.address),
            Assert(~(held & server.stable) | (receiver.data == port.data), "a byte stands where the cursor is"),
        ]
    _claim_parts_use(m, server)
    return m, inputs


def _claim_ways(m: Module, server: Any) -> None:
    """What induction needs: the states that each command comes to."""
    command = server.receiver.command
    read, write, run = (command == what for what in (Command.READ, Command.WRITE, Command.RUN))
    ways = {
        "READ, WRITE and RUN": (read | write | run, ("ARGUMENTS", "CHECK", "ADD", "RANGE")),
        "READ and WRITE": (read | write, ("ACCESS", "RESULT")),
        "WRITE": (write, ("GATHER",)),
        "READ": (read, ("SEND", "FINISH")),
    }
    for commands, (is_one, names) in ways.items():
        for name in names:
            m.d.comb += Assert(~server.states.ongoing(name) | is_one, f"only {commands} come to {name}")


def _claim_parts_use(m: Module, server: Any) -> None:
    """What the sender's own proof relies on, and the receiver's on its CRC."""
    receiver = server.receiver
    sender, processor, state = server.sender, server.processor, server.states.ongoing
    head = Cat(sender.sequence, sender.code, sender.length)
    was_sending, head_sent = Signal(reset_less=True), Signal.like(head)
    m.d.sync += [was_sending.eq(~sender.idle & ~ResetSignal()), head_sent.eq(head)]
    sends = ~sender.idle | sender.start
    used = Cat(processor.start, processor.valid, processor.data)
    m.d.comb += [
        Assert(~sender.start | sender.idle, "an answer is begun only when the one before is out"),
        Assert(
            ~(was_sending & ~sender.idle) | (head == head_sent),
            "number, status and length of an answer stand until it is out",
        ),
        Assert(
            ~sends | (used == Cat(sender.crc.start, sender.crc.valid, sender.crc.data)),
            "the CRC is the sender's while it sends",
        ),
        Assert(~sends | (sender.crc.crc == processor.crc), "the sender reads the CRC"),
        Assert(
            receiver.held | (used == Cat(receiver.crc.start, receiver.crc.valid, receiver.crc.data)),
            "the CRC is the receiver's while no frame is held",
        ),
        Assert(receiver.crc.match == processor.match_detected, "the receiver reads whether it matches"),
    ]
    # What induction needs.
    is_read = server.receiver.command == Command.READ
    reads = (state("ACCESS") | state("RESULT") | state("SEND")) & is_read
    m.d.comb += Assert(sender.idle | state("CONSTANT") | state("FINISH") | reads, "it waits for its answer")


class Numbers:
    """What the frames' definition says of the number of the frame that is held.

    Exactly one of the four kinds is high for each frame.

    Attributes
    ----------
    last, last_command, last_status : Signal
        Of the last frame taken, and what was answered.
    taken : Signal
        It follows, or is a ``HELLO``.
    anew : Signal
        It is the last again, of a command that changes nothing.
    repeated : Signal
        It is the last again, of another command.
    foreign : Signal
    has_acted : Signal
        Something was begun for this frame.
    is_answered : Signal
        Its answer was begun.
    moves, has_moved : Signal
        The server's number has changed in this cycle, and before for this frame.
    was_expected : Signal
        That number a cycle ago.
    """

    def __init__(self, m: Module, server: Any):
        receiver, sender = server.receiver, server.sender
        number, command = receiver.sequence, receiver.command
        self.last = Signal(8, name="last_number")
        self.last_command = Signal(8, init=Command.HELLO, name="last_command_taken")
        self.last_status = Signal(len(sender.code), init=Status.OK, name="last_answer")
        self.taken, self.anew = Signal(name="is_taken"), Signal(name="is_anew")
        self.repeated, self.foreign = Signal(name="is_repeated"), Signal(name="is_foreign")
        self.has_acted, self.is_answered = Signal(name="has_acted"), Signal(name="is_answered")
        self.moves, self.has_moved = Signal(name="moves"), Signal(name="has_moved")
        self.was_expected = Signal(8, init=1, name="expected_before")
        m.d.comb += self.moves.eq(server.expected != self.was_expected)
        m.d.sync += [
            self.was_expected.eq(server.expected),
            self.has_moved.eq(~receiver.release & (self.has_moved | self.moves)),
        ]
        changes_nothing = (command == Command.READ) | (command == Command.STATUS)
        is_next, is_same = Signal(name="is_next"), Signal(name="is_same")
        m.d.comb += [
            is_next.eq((command == Command.HELLO) | (number == (self.last + 1)[:8])),
            is_same.eq((number == self.last) & (command == self.last_command)),
            self.taken.eq(receiver.held & is_next),
            self.anew.eq(receiver.held & ~is_next & is_same & changes_nothing),
            self.repeated.eq(receiver.held & ~is_next & is_same & ~changes_nothing),
            self.foreign.eq(receiver.held & ~is_next & ~is_same),
        ]
        with m.If(server.access.valid | server.start | server.stop):
            m.d.sync += self.has_acted.eq(1)
        with m.If(sender.start):
            m.d.sync += self.is_answered.eq(1)
        with m.If(receiver.release):
            m.d.sync += [self.has_acted.eq(0), self.is_answered.eq(0)]
            with m.If(self.taken):
                m.d.sync += [self.last.eq(number), self.last_command.eq(command), self.last_status.eq(sender.code)]


def numbers_top(make: Callable[..., Any] = TrainerServer, *, has_help: bool = True) -> Top:
    """The server for ``WITHOUT_PARTS``, beside what the definition says; with what only induction needs, or without."""
    m = Module()
    server, inputs = _server(m, make)
    _holds_frames(m, server.receiver, is_assumed=True)
    numbers = Numbers(m, server)
    _claim_acts(m, server, numbers)
    _claim_expected(m, server, numbers)
    _claim_answers(m, server, numbers)
    if has_help:
        _claim_state(m, server, numbers)
        _claim_ways(m, server)
    for name in ("taken", "anew", "repeated", "foreign"):
        m.d.comb += Cover(getattr(numbers, name) & server.receiver.release, f"a frame that is {name} is answered")
    return m, inputs


def _claim_acts(m: Module, server: Any, numbers: Numbers) -> None:
    """That what is not taken does nothing, and what is taken nothing twice."""
    acts = {
        "start a run": server.start,
        "stop a run": server.stop,
        "write": server.access.valid & server.access.payload.write,
        "send a key": server.key.valid,
    }
    for what, acting in acts.items():
        m.d.comb += Assert(numbers.taken | ~acting, f"a frame that is not taken does not {what}")
    m.d.comb += [
        Assert(numbers.taken | numbers.anew | ~server.access.valid, "only what is taken or read again accesses"),
        Assert(~((server.start | server.stop) & numbers.has_acted), "a frame starts or stops a run once"),
    ]


def _claim_expected(m: Module, server: Any, numbers: Numbers) -> None:
    """That the number expected follows that of the last frame taken, and moves once."""
    expected, was, moves = server.expected, numbers.was_expected, numbers.moves
    is_follower = numbers.taken & (server.receiver.command != Command.HELLO)
    m.d.comb += [
        Assert(
            numbers.taken | (expected == (numbers.last + 1)[:8]),
            "the number expected is left by a frame that is not taken",
        ),
        Assert(~(is_follower & moves) | (expected == (was + 1)[:8]), "the number expected moves by one"),
        Assert(~(moves & numbers.has_moved), "the number expected moves once for a frame"),
        Assert(
            ~(numbers.taken & numbers.is_answered) | (expected == (server.receiver.sequence + 1)[:8]),
            "the number after that of a taken frame is expected",
        ),
    ]


def _claim_answers(m: Module, server: Any, numbers: Numbers) -> None:
    """That each frame has one answer, of the status that its number says."""
    sender, answered = server.sender, numbers.is_answered
    payload = sender.payload.payload
    m.d.comb += [
        Assert(~sender.start | (server.receiver.held & ~answered), "a frame is answered once"),
        Assert(~server.receiver.release | answered, "no frame is released without an answer"),
        Assert(~answered | (sender.sequence == server.receiver.sequence), "an answer has its frame's number"),
        Assert(
            ~(answered & numbers.foreign) | ((sender.code == Status.SEQUENCE) & (sender.length == 1)),
            "a number that does not follow is answered SEQUENCE",
        ),
        Assert(
            ~(numbers.foreign & sender.payload.valid) | (payload == server.expected),
            "the payload of SEQUENCE is the number expected",
        ),
        Assert(
            ~(answered & numbers.repeated) | ((sender.code == numbers.last_status) & (sender.length == 0)),
            "a repeated frame is answered as the first time",
        ),
        Assert(
            ~(answered & (numbers.taken | numbers.anew)) | (sender.code != Status.SEQUENCE),
            "a number that follows is not answered SEQUENCE",
        ),
        Assert(
            ~(answered & numbers.has_acted) | (sender.code == Status.OK), "what is not answered OK has done nothing"
        ),
    ]


def _claim_state(m: Module, server: Any, numbers: Numbers) -> None:
    """What induction needs: where the server is, by what is known of the frame."""
    state, command = server.states.ongoing, server.receiver.command
    knows_not = state("IDLE") | state("SEQUENCE")
    answers = state("ANSWER") | state("CONSTANT")
    executes = ~knows_not & ~answers
    is_read = command == Command.READ
    reads = (state("ACCESS") | state("RESULT") | state("SEND")) & is_read
    accesses = state("ACCESS") | state("RESULT") | state("GATHER") | state("SEND") | state("FINISH")
    repeats_nothing = (numbers.last_command == Command.READ) | (numbers.last_command == Command.STATUS)
    is_told = server.last_status == numbers.last_status
    after = (server.receiver.sequence + 1)[:8]
    m.d.comb += [
        Assert(state("IDLE") | server.receiver.held, "it works on a held frame"),
        Assert(knows_not | ~numbers.taken | (server.expected == after), "the number has moved behind SEQUENCE"),
        Assert(~numbers.moves | state("COMMAND"), "the number moves from SEQUENCE to COMMAND"),
        Assert(~numbers.has_moved | ~(knows_not | state("COMMAND")), "it has not moved before"),
        Assert(~executes | numbers.taken | numbers.anew, "it executes what is taken or read again"),
        Assert(~knows_not | (server.expected == (numbers.last + 1)[:8]), "the number is not looked at yet"),
        Assert(~knows_not | (server.last_command == numbers.last_command), "the last command is known"),
        Assert(~knows_not | repeats_nothing | is_told, "the last answer is known"),
        Assert(
            knows_not | ~numbers.taken | (server.last_command == command), "the command of a taken frame is the last"
        ),
        Assert(knows_not | numbers.taken | (server.last_command == numbers.last_command), "of another it is not"),
        Assert(~numbers.repeated | ~repeats_nothing, "a repeat is of what has an answer"),
        Assert(~numbers.repeated | knows_not | is_told, "a repeat leaves the last answer"),
        Assert(~numbers.foreign | repeats_nothing | is_told, "a foreign frame leaves the last answer"),
        Assert(knows_not | (server.refused == numbers.foreign), "what is foreign is refused"),
        Assert(~numbers.is_answered | state("CONSTANT") | state("FINISH") | reads, "an answer is sent"),
        Assert(~(state("CONSTANT") | state("FINISH") | reads) | numbers.is_answered, "what is sent was begun"),
        Assert(~(reads | state("FINISH")) | (server.status == Status.OK), "what is read is answered OK"),
        Assert(
            ~answers | ~numbers.foreign | ((server.status == Status.SEQUENCE) & (server.sender.length == 1)),
            "a foreign frame comes to its answer",
        ),
        Assert(
            ~answers | ~numbers.repeated | ((server.status == numbers.last_status) & (server.sender.length == 0)),
            "a repeat comes to its answer",
        ),
        Assert(~answers | numbers.foreign | numbers.repeated | (server.status != Status.SEQUENCE), "others to theirs"),
        Assert(~state("CONSTANT") | ~numbers.taken | (server.last_status == server.status), "the answer is remembered"),
        Assert(
            ~numbers.has_acted | accesses | (answers & (server.status == Status.OK)), "what has acted is answered OK"
        ),
        Assert(numbers.last_status != Status.SEQUENCE, "no frame that was taken was answered SEQUENCE"),
    ]


_SHOWN = {
    "held": 1, "sequence": 8, "command": 8, "release": 1, "busy": 1, "last_number": 8, "last_command_taken": 8,
    "last_answer": 3, "expected": 8, "o__valid": 1, "o__ready": 1, "o__payload": 8,
}  # fmt: skip


def proofs() -> Iterable[Proof]:
    """All of them."""
    shown = {name: FixedFormat(bits) for name, bits in _SHOWN.items()}
    board = "3-2-2 1 lane FX"
    yield Proof(
        "frames", "server", "reads, writes, starts, stops and answers only while a frame is held; o, access and key "
        "hold what is not taken", board, server_top, shown, Mode.INDUCTION, depth=2, script=WHOLE,
    )  # fmt: skip
    yield Proof(
        "frames", "numbers", "a frame whose number does not follow does nothing and is told which does (HELLO is taken "
        "with any); the last one again is answered the same and not executed (READ and STATUS are, anew); none has two "
        "answers or goes without one, and only what is taken moves the number, by one (HELLO to one behind its own)",
        board, numbers_top, shown, Mode.INDUCTION, depth=12, script=WITHOUT_PARTS,
    )  # fmt: skip
