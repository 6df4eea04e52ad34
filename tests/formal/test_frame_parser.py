import zlib

import planted
import pytest
from amaranth.lib import crc
from listed import marked

from lnsmadam.fpga.trainer.receiver import FrameReceiver
from lnsmadam.proof import frame_parser
from lnsmadam.proof.sby import Mode, prove


@pytest.mark.parametrize("proof", marked(frame_parser.proofs()))
def test_holds_for_every_line(proof, proved):
    proved(proof)


def test_the_checker_s_crc_is_zlib_s():
    register = frame_parser.ALL_ONES
    for byte in b"123456789":
        register = frame_parser._run_on(register ^ byte, 8)
    assert register ^ frame_parser.ALL_ONES == zlib.crc32(b"123456789")


#: What is changed in the parser, and what then does not hold.
FAULTS = {
    "dropped frame is held": ("with m.If(~self.crc.match):", "with m.If(0):", "a frame is held"),
    "length one too long": ("with m.If(length > MAX_PAYLOAD):", "with m.If(length > MAX_PAYLOAD + 1):", ""),
    "CRC not started anew": ("self.i.ready.eq(1), self.crc.start.eq(1)]", "self.i.ready.eq(1)]", "the CRC starts anew"),
    "held a byte too early": ("with m.If(left == 1):", 'with m.If(left == (2 if part == "CRC" else 1)):', ""),
    "count that skips": ("self.dropped.eq(self.dropped + 1)", "self.dropped.eq(self.dropped + 2)", ""),
    "no end of silence": ("silence == self.timeout - 1", "silence == self.timeout", ""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_parser_is_found(name):
    old, new, message = FAULTS[name]
    verdict = prove(
        *frame_parser.receiver_top(planted.with_fault(FrameReceiver, old, new)), mode=Mode.INDUCTION, depth=2
    )
    assert not verdict.proved
    assert message in verdict.failed and verdict.trace


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
