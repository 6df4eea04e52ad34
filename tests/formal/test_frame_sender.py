import planted
import pytest
from listed import marked

from lnsmadam.fpga.trainer.sender import FrameSender
from lnsmadam.proof.formal import frame_sender
from lnsmadam.proof.formal.sby import prove


@pytest.mark.parametrize("proof", marked(frame_sender.proofs()))
def test_holds_for_every_answer(proof, proved):
    proved(proof)


#: What is changed in the sender, and what then does not hold.
FAULTS = {
    "length high byte first": (
        "self.length[8:], self.length[:8], self.code",
        "self.length[:8], self.length[8:], self.code",
        "the byte sent is the one due",
    ),
    "no start": ("self.o.payload.eq(START)", "self.o.payload.eq(self.sequence)", "the byte sent is the one due"),
    "CRC from above": ("CRC_BYTES - 1 - n, 8", "n, 8", "the byte sent is the one due"),
    "a byte too many": ("m.d.sync += left.eq(self.length)", "m.d.sync += left.eq(self.length + 1)", ""),
    "an empty payload is waited for": ("with m.If(self.length == 0):", "with m.If(0):", ""),
    "CRC not started anew": (
        "[self.idle.eq(1), self.crc.start.eq(1)]",
        "self.idle.eq(1)",
        "the CRC starts anew before each frame",
    ),
    "a byte that waits is counted again": (
        "self.payload.ready.eq(self.o.ready),\n                    self.crc.valid.eq(sent)",
        "self.payload.ready.eq(self.o.ready),\n                    self.crc.valid.eq(self.o.valid)",
        "the CRC gets each byte once",
    ),
    "a byte of the payload is lost": (
        "self.payload.ready.eq(self.o.ready)",
        "self.payload.ready.eq(1)",
        "a byte of the payload is taken when it is sent",
    ),
    "valid waits for ready": (
        "[self.o.valid.eq(1), self.o.payload.eq(crc[(left - 1)[:2]])]",
        "[self.o.valid.eq(self.payload.valid), self.o.payload.eq(crc[(left - 1)[:2]])]",
        "only the payload's source is waited for",
    ),
    "idle a byte too early": (
        'with m.If(sent & (left == 1)):\n                    m.next = "IDLE"',
        'with m.If(sent & (left == 2)):\n                    m.next = "IDLE"',
        "",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_sender_is_found(name):
    old, new, message = FAULTS[name]
    top = frame_sender.sender_top(planted.with_fault(FrameSender, old, new), has_processor=False)
    verdict = prove(*top, depth=14)
    assert not verdict.proved and verdict.is_inductive and verdict.trace
    assert message in verdict.failed
