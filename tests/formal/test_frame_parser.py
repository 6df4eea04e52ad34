import zlib

import planted
import pytest
from amaranth.lib import crc
from listed import marked

from lnsmadam.fpga.trainer.frames import HEADER, MAX_PAYLOAD, START
from lnsmadam.fpga.trainer.receiver import FrameReceiver
from lnsmadam.proof.formal import frame_parser
from lnsmadam.proof.formal.sby import Mode, prove


@pytest.mark.parametrize("proof", marked(frame_parser.proofs()))
def test_holds_for_every_line(proof, proved):
    proved(proof)


def test_the_checker_s_crc_is_zlib_s():
    register = frame_parser.ALL_ONES
    for byte in b"123456789":
        register = frame_parser._run_on(register ^ byte, 8)
    assert register ^ frame_parser.ALL_ONES == zlib.crc32(b"123456789")


HELD = "a frame is held if and only if its length and its CRC-32 are right"
COUNTED = "every other frame is counted once as dropped"
#: What is changed in the parser, and what then does not hold.
FAULTS = {
    "dropped frame is held": ("with m.If(~self.crc.match):", "with m.If(0):", HELD),
    "length one too long": ("with m.If(length > MAX_PAYLOAD):", "with m.If(length > MAX_PAYLOAD + 1):", COUNTED),
    "CRC not started anew": (
        "self.i.ready.eq(1), self.crc.start.eq(1)]",
        "self.i.ready.eq(1)]",
        "the CRC starts anew before each frame",
    ),
    "held a byte too early": ("with m.If(left == 1):", 'with m.If(left == (2 if part == "CRC" else 1)):', HELD),
    "count that skips": ("self.dropped.eq(self.dropped + 1)", "self.dropped.eq(self.dropped + 2)", COUNTED),
    "no end of silence": ("silence == self.timeout - 1", "silence == self.timeout", COUNTED),
}


def _frames(inputs, generator):
    """Frames, of which some are too long or have a wrong CRC, with a pause after every byte, and some with silence."""
    while True:
        length = generator.choice((0, 1, 2, 3, MAX_PAYLOAD + 1, MAX_PAYLOAD + 2))
        body = HEADER.pack(generator.getrandbits(8), generator.getrandbits(8), length)
        body += generator.randbytes(min(length, 3))
        field = zlib.crc32(body) ^ (generator.random() < 0.4) << generator.randrange(32)
        for byte in (START, *body, *field.to_bytes(4, "little")):
            for pause in range(2 if generator.random() < 0.9 else generator.choice((3, 4, 5))):
                yield {"valid": pause == 0, "payload": byte, "release": generator.random() < 0.2}


def test_what_shows_the_faults_shows_none_without_them(failures):
    assert failures(frame_parser, frame_parser.receiver_top, _frames) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_parser_is_found(name, failures):
    old, new, message = FAULTS[name]
    wrong = planted.with_fault(FrameReceiver, old, new)
    verdict = prove(*frame_parser.receiver_top(wrong), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.failed and verdict.trace
    # From reset too, not only in a state that induction cannot exclude.
    assert message in failures(frame_parser, lambda: frame_parser.receiver_top(wrong), _frames)


def test_a_wrong_polynomial_is_found():
    wrong = crc.Algorithm(
        crc_width=32, polynomial=0x04C11DB5, initial_crc=0xFFFFFFFF, reflect_input=True, reflect_output=True,
        xor_output=0xFFFFFFFF,
    )  # fmt: skip
    verdict = prove(*frame_parser.register_top(wrong(8).create), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.is_inductive


def test_a_comparison_of_31_bits_is_found():
    """A field that is wrong in its last bit has another residue; the claim that it does not fails."""
    verdict = prove(*frame_parser.residue_top(frame_parser.ALL_ONES >> 1))
    assert not verdict.proved
    assert verdict.failed == "the residue stands if and only if the field is right"
