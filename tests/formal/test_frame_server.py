import planted
import pytest
from listed import marked

from lnsmadam.fpga.trainer.server import TrainerServer
from lnsmadam.proof.formal import frame_server
from lnsmadam.proof.formal.sby import Mode, prove


@pytest.mark.parametrize("proof", marked(frame_server.proofs()))
def test_holds_for_every_frame(proof, proved):
    proved(proof)


def _failed(top, old, new, depth, **options):
    """What does not hold of a server with a fault, in the cycles from reset."""
    script = frame_server.WITHOUT_RECEIVER if top is frame_server.server_top else frame_server.WITHOUT_PARTS
    verdict = prove(*top(planted.with_fault(TrainerServer, old, new), **options), depth=depth, script=script)
    assert not verdict.proved and verdict.is_inductive and verdict.trace
    return verdict.failed


def test_a_server_that_begins_before_the_crc_is_found():
    wrong = planted.with_fault(TrainerServer, "with m.If(receiver.held):", "with m.If(receiver.receiving):")
    verdict = prove(*frame_server.server_top(wrong), mode=Mode.INDUCTION, depth=4)
    assert not verdict.proved and verdict.is_inductive and verdict.failed == "it works on a held frame"


_HELLO = "m.d.comb += sender.payload.payload.eq(hello)"

#: What is changed in the server, and what then does not hold of it without its receiver.
FAULTS = {
    "a byte that changes while it waits": (
        _HELLO,
        f"{_HELLO}\n"
        "                with m.Elif(place == 0):\n"
        "                    m.d.comb += sender.payload.payload.eq(self.busy)",
        "o: what is not taken stays",
    ),
    "the CRC of the receiver": (
        "Mux(receiver.held, of[sender], of[receiver])",
        "Mux(sender.idle, of[receiver], of[sender])",
        "the CRC is the sender's while it sends",
    ),
    "a status that changes while it is sent": (
        "m.d.comb += sender.payload.valid.eq(1)\n",
        "m.d.comb += sender.payload.valid.eq(1)\n                m.d.sync += status.eq(Status.OK)\n",
        "number, status and length of an answer stand until it is out",
    ),
    "an answer on top of another": (
        'm.d.comb += sender.start.eq(1)\n                m.next = "CONSTANT"',
        "m.d.comb += sender.start.eq(1)\n"
        "                with m.If(~sender.idle):\n"
        '                    m.next = "CONSTANT"',
        "an answer is begun only when the one before is out",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_server_is_found(name):
    assert _failed(frame_server.server_top, *FAULTS[name][:2], 12, has_receiver=False) == FAULTS[name][2]


@pytest.mark.slow
def test_an_access_that_is_taken_back_is_found():
    """Behind the arguments of READ."""
    old, new = "m.d.comb += self.access.valid.eq(1)", "m.d.comb += self.access.valid.eq(~self.busy)"
    failed = _failed(frame_server.server_top, old, new, 24, has_receiver=False)
    assert failed == "access: what is not taken stays"


def test_a_key_that_does_not_wait_is_found():
    """In a step of induction: the frame of a run has too many bytes for a search from reset."""
    old, new = "byte_taken.eq(stable & (~is_key | self.key.ready))", "byte_taken.eq(stable)"
    top = frame_server.server_top(planted.with_fault(TrainerServer, old, new))
    verdict = prove(*top, mode=Mode.INDUCTION, depth=2, script=frame_server.WHOLE)
    assert not verdict.proved and verdict.failed == "key: what is not taken stays"


_TAKES = "m.d.sync += [expected.eq(following), last_command.eq(command)]"

#: What is changed in how the server looks at numbers, and what then does not hold.
FAULTS_OF_NUMBERS = {
    "every number is taken": ("(receiver.sequence == expected)", "(receiver.sequence >= 0)", ""),
    "a repeat is executed": (
        "with m.Elif(same & ((command == Command.READ) | (command == Command.STATUS))):",
        "with m.Elif(same):",
        "a frame that is not taken does not",
    ),
    "a repeat is answered OK": (
        "answer(m, last_status)",
        "answer(m, Status.OK)",
        "a repeated frame is answered as the first time",
    ),
    "a refusal is remembered as an answer": (
        "with m.If(~refused):",
        "with m.If(1):",
        "a repeated frame is answered as the first time",
    ),
    "a refusal moves the number": (
        "m.d.sync += refused.eq(1)",
        "m.d.sync += [refused.eq(1), expected.eq(following)]",
        "the number expected is left by a frame that is not taken",
    ),
    "a repeat moves the number": (
        "with m.Elif(same):\n",
        "with m.Elif(same):\n                    m.d.sync += expected.eq(expected + 1)\n",
        "the number expected is left by a frame that is not taken",
    ),
    "the number moves by two": (
        _TAKES,
        "m.d.sync += [expected.eq(following + 1), last_command.eq(command)]",
        "the number expected",
    ),
    "the number moves twice": (
        "m.d.sync += last_status.eq(status)",
        "m.d.sync += [last_status.eq(status), expected.eq(expected + (last_command == Command.RUN))]",
        "the number expected",
    ),
    "the number does not move": (_TAKES, "m.d.sync += last_command.eq(command)", "the number after"),
    "the command is not remembered": (_TAKES, "m.d.sync += expected.eq(following)", ""),
    "the refusal stays": (
        "m.d.sync += refused.eq(0)",
        "m.d.sync += refused.eq(refused)",
        "a repeated frame is answered as the first time",
    ),
    "the wrong number is named": (
        "m.d.comb += sender.payload.payload.eq(expected)",
        "m.d.comb += sender.payload.payload.eq(receiver.sequence)",
        "the payload of SEQUENCE is the number expected",
    ),
    "it stops, and says that it is busy": (
        "m.d.comb += self.stop.eq(1)\n                    answer(m, Status.OK)",
        "m.d.comb += self.stop.eq(1)\n                    answer(m, Status.BUSY)",
        "what is not answered OK has done nothing",
    ),
    "a frame without an answer": (
        'm.d.comb += sender.start.eq(1)\n                m.next = "CONSTANT"',
        'm.next = "CONSTANT"',
        "no frame is released without an answer",
    ),
}


#: Those for which a dialogue takes three frames, and what is seen of them in the first.
LONG = {
    "a refusal is remembered as an answer": "a foreign frame leaves the last answer",
    "the refusal stays": "what is foreign is refused",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in FAULTS_OF_NUMBERS]
)
def test_a_fault_of_numbers_is_found(name):
    """By a dialogue from reset, without the help that induction has."""
    old, new, message = FAULTS_OF_NUMBERS[name]
    assert message in _failed(frame_server.numbers_top, old, new, 18, has_help=False)


@pytest.mark.parametrize("name", LONG)
def test_a_fault_of_numbers_is_found_inside(name):
    assert _failed(frame_server.numbers_top, *FAULTS_OF_NUMBERS[name][:2], 18) == LONG[name]
