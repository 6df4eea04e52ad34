import planted
import pytest

from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter
from lnsmadam.proof.formal import serial_line
from lnsmadam.proof.formal.sby import Mode, prove

TOPS = {UARTReceiver: serial_line.receiver_top, UARTTransmitter: serial_line.transmitter_top}


@pytest.mark.parametrize("proof", list(serial_line.proofs()), ids=str)
def test_holds_for_every_line(proof, proved):
    proved(proof)


#: What is changed in which end, and what then does not hold.
FAULTS = {
    "glitch taken for a start": (
        UARTReceiver,
        "with m.If(rx):\n                        # Sh",
        "with m.If(0):  # Sh",
        "a byte comes if and only if its start and stop bit were there",
    ),
    "byte without a stop bit": (
        UARTReceiver,
        'with m.If(~rx):\n                        m.next = "BREAK"',
        'with m.If(0):\n                        m.next = "BREAK"',
        "a byte comes if and only if its start and stop bit were there",
    ),
    "sample too late": (
        UARTReceiver,
        "timer.eq(self.divisor // 2 - 1)",
        "timer.eq(self.divisor // 2)",
        "it has the bits that were on the line",
    ),
    "no stop bit": (UARTTransmitter, "Const(0b11, 2)", "Const(0b01, 2)", "the line has the bit of the frame"),
    "bits in the wrong order": (
        UARTTransmitter,
        "Cat(self.i.payload,",
        "Cat(self.i.payload[::-1],",
        "the line has the bit of the frame",
    ),
}

DIVISOR = 5


def _line(inputs, generator):
    """Bytes with and without a stop bit, glitches and pauses; for the transmitter, bytes at random."""
    while "rx" not in inputs:
        yield {}
    while True:
        yield from ({"rx": 1} for _ in range(generator.choice((1, 3, 9))))
        if generator.random() < 0.3:
            yield from ({"rx": 0} for _ in range(generator.randrange(1, DIVISOR // 2 + 1)))
            continue
        for bit in (0, *(generator.getrandbits(1) for _ in range(8)), int(generator.random() < 0.8)):
            yield from ({"rx": bit} for _ in range(DIVISOR))


@pytest.mark.parametrize("component", TOPS)
def test_what_shows_the_faults_shows_none_without_them(component, failures):
    assert failures(serial_line, lambda: TOPS[component](DIVISOR), _line) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_line_is_found(name, failures):
    component, old, new, message = FAULTS[name]
    wrong = planted.with_fault(component, old, new)
    verdict = prove(*TOPS[component](DIVISOR, wrong), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.failed and verdict.trace
    # From reset too, not only in a state that induction cannot exclude.
    assert message in failures(serial_line, lambda: TOPS[component](DIVISOR, wrong), _line)
