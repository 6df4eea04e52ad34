import planted
import pytest

from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter
from lnsmadam.proof import serial_line
from lnsmadam.proof.sby import Mode, prove

TOPS = {UARTReceiver: serial_line.receiver_top, UARTTransmitter: serial_line.transmitter_top}


@pytest.mark.parametrize("proof", list(serial_line.proofs()), ids=str)
def test_holds_for_every_line(proof, proved):
    proved(proof)


#: What is changed in which end.
FAULTS = {
    "glitch taken for a start": (UARTReceiver, "with m.If(rx):\n                        # Sh", "with m.If(0):  # Sh"),
    "byte without a stop bit": (
        UARTReceiver,
        'with m.If(~rx):\n                        m.next = "BREAK"',
        'with m.If(0):\n                        m.next = "BREAK"',
    ),
    "sample too late": (UARTReceiver, "timer.eq(self.divisor // 2 - 1)", "timer.eq(self.divisor // 2)"),
    "no stop bit": (UARTTransmitter, "Const(0b11, 2)", "Const(0b01, 2)"),
    "bits in the wrong order": (UARTTransmitter, "Cat(self.i.payload,", "Cat(self.i.payload[::-1],"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_line_is_found(name):
    component, old, new = FAULTS[name]
    verdict = prove(*TOPS[component](5, planted.with_fault(component, old, new)), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.failed and verdict.trace
