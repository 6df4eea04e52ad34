"""What is proved of the serial line: the form of every byte, and how soon each end is at rest again.

For every input in every cycle, resets included. The checker counts bits and cycles by itself.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal

from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter
from lnsmadam.golden.format import FixedFormat
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode

Top = tuple[Module, list[Signal]]

#: Start bit, data, stop bit.
BITS = 10
DATA_BITS = 8


def transmitter_cycles(divisor: int) -> int:
    """Cycles that the transmitter takes for a byte."""
    return BITS * divisor


def receiver_cycles(divisor: int) -> int:
    """Cycles from the first low one on the synchronised line to the end of a byte, in the middle of its stop bit."""
    return divisor // 2 + (BITS - 1) * divisor


def transmitter_top(divisor: int, make: Callable[[int], Any] = UARTTransmitter) -> Top:
    """The transmitter beside a count of bits and cycles."""
    m = Module()
    transmitter = make(divisor)
    opened(m, "transmitter", transmitter)
    valid, payload = Signal(name="valid"), Signal(8, name="payload")
    m.d.comb += [transmitter.i.valid.eq(valid), transmitter.i.payload.eq(payload)]

    sends, data = Signal(name="sends"), Signal(8, name="byte_taken")
    bit, cycle = Signal(range(BITS), name="bit_sent"), Signal(range(divisor), name="cycle_of_bit")
    frame = Cat(Const(0, 1), data, Const(1, 1))
    cycles = Signal(range(transmitter_cycles(divisor) + 2), name="cycles")
    with m.If(~sends):
        with m.If(valid & transmitter.i.ready):
            m.d.sync += [sends.eq(1), data.eq(payload), bit.eq(0), cycle.eq(0), cycles.eq(1)]
    with m.Else():
        m.d.sync += [cycle.eq(cycle + 1), cycles.eq(cycles + 1)]
        with m.If(cycle == divisor - 1):
            m.d.sync += [cycle.eq(0), bit.eq(bit + 1)]
            with m.If(bit == BITS - 1):
                m.d.sync += sends.eq(0)
    total = transmitter_cycles(divisor)
    m.d.comb += [
        Assert(transmitter.tx == Mux(sends, frame.bit_select(bit, 1), 1), "the line has the bit of the frame"),
        Assert(transmitter.i.ready == ~sends, "a byte is taken if and only if the one before is out"),
        Assert(~sends | (cycles <= total), f"the line is idle again after {total} cycles"),
        # What induction needs.
        Assert(~sends | (bit < BITS), "the bit exists"),
        Assert(~sends | (cycle < divisor), "the cycle exists"),
        Assert(~sends | (cycles == bit * divisor + cycle + 1), "cycles are counted"),
        Assert(~sends | (transmitter.timer == divisor - 1 - cycle), "the timer counts the cycles of a bit"),
        Assert(~sends | (transmitter.bits == Cat(data, Const(3, 2)) >> bit), "the register has the bits to come"),
        Assert(sends | (transmitter.bits == 0), "nothing is left"),
    ]
    return m, [valid, payload]


def receiver_top(divisor: int, make: Callable[[int], Any] = UARTReceiver) -> Top:
    """The receiver beside a reader that samples the line by itself.

    The line is low in cycle 0. It must be low in cycle divisor // 2, the bits are those each ``divisor`` cycles later,
    and the stop bit is high.
    """
    m = Module()
    receiver = make(divisor)
    opened(m, "receiver", receiver)
    rx, ready = Signal(init=1, name="rx"), Signal(name="ready")
    m.d.comb += [receiver.rx.eq(rx), receiver.o.ready.eq(ready)]

    half = divisor // 2
    line, early = Signal(init=1, name="line_read", reset_less=True), Signal(init=1, name="line_early", reset_less=True)
    m.d.sync += [early.eq(rx), line.eq(early)]
    reads, starts, breaks = Signal(name="reads"), Signal(name="starts"), Signal(name="breaks")
    cycle, count = Signal(range(divisor + 1), name="cycle"), Signal(range(BITS), name="samples")
    samples, cycles = Signal(DATA_BITS, name="byte_read"), Signal(range(receiver_cycles(divisor) + 3), name="cycles")
    valid, payload = Signal(name="byte_waits"), Signal(8, name="byte_waiting")
    m.d.sync += [cycle.eq(cycle + 1), cycles.eq(cycles + 1)]
    with m.If(ready):
        m.d.sync += valid.eq(0)
    with m.If(breaks):
        m.d.sync += breaks.eq(~line)
    with m.Elif(starts):
        with m.If(cycle == half):
            m.d.sync += [starts.eq(0), reads.eq(~line), cycle.eq(1), count.eq(0)]
    with m.Elif(reads):
        with m.If(cycle == divisor):
            m.d.sync += [cycle.eq(1), count.eq(count + 1)]
            with m.If(count < DATA_BITS):
                m.d.sync += samples.bit_select(count[:3], 1).eq(line)
            with m.Else():
                m.d.sync += [reads.eq(0), breaks.eq(~line)]
                with m.If(line & (~valid | ready)):
                    m.d.sync += [valid.eq(1), payload.eq(samples)]
    with m.Elif(~line):
        m.d.sync += [starts.eq(1), cycle.eq(1), cycles.eq(1)]

    was_valid, was_ready, was_payload = Signal(), Signal(), Signal(8)
    was_hunting = Signal()
    hunts = ~(reads | starts | breaks)
    m.d.sync += [was_valid.eq(receiver.o.valid), was_ready.eq(ready), was_payload.eq(receiver.o.payload)]
    m.d.sync += was_hunting.eq(hunts)
    state, total = receiver.states.ongoing, receiver_cycles(divisor)
    top = (receiver.bits >> (DATA_BITS - count)[:4])[:DATA_BITS]
    kept = (samples & ((1 << count) - 1))[:DATA_BITS]
    m.d.comb += [
        Assert(receiver.o.valid == valid, "a byte comes if and only if its start and stop bit were there"),
        Assert(~valid | (receiver.o.payload == payload), "it has the bits that were on the line"),
        Assert(
            ~(was_valid & ~was_ready) | (receiver.o.valid & (receiver.o.payload == was_payload)),
            "a byte that waits stands still",
        ),
        Assert(~(was_hunting & receiver.o.valid) | was_valid, "no byte comes without a start"),
        Assert(~(starts | reads) | (cycles <= total), f"it listens again within {total} cycles, once the line is high"),
        Assert(receiver.busy == ~(hunts & line & ~valid), "it is busy from the start to the byte's end"),
        # What induction needs.
        Assert(receiver.line == line, "the line is two cycles late"),
        Assert(state("IDLE") == hunts, "it is idle where nothing is read"),
        Assert(state("START") == starts, "it looks for the start bit's middle"),
        Assert(state("DATA") == (reads & (count < DATA_BITS)), "it reads bits"),
        Assert(state("STOP") == (reads & (count == DATA_BITS)), "it looks for the stop bit"),
        Assert(state("BREAK") == breaks, "it waits for a high line"),
        Assert(~(starts & (reads | breaks)) & ~(reads & breaks), "it does one thing at a time"),
        Assert(~starts | ((cycle >= 1) & (cycle <= half) & (receiver.timer == half - cycle)), "half a bit is counted"),
        Assert(~starts | (cycles == cycle), "the cycles of a start are counted"),
        Assert(~reads | ((cycle >= 1) & (cycle <= divisor) & (receiver.timer == divisor - cycle)), "bits are counted"),
        Assert(~reads | (cycles == half + count * divisor + cycle), "the cycles of a byte are counted"),
        Assert(~reads | (count <= DATA_BITS), "the bit exists"),
        Assert(~state("DATA") | (receiver.marker == 1 << count), "the marker counts bits"),
        Assert(~reads | (top == kept), "the register has the bits so far"),
    ]
    return m, [rx, ready]


#: Even, odd, the smallest, and one as on a board.
DIVISORS = (4, 5, 16, 104)

_SHOWN_SENT = {"tx": 1, "sends": 1, "byte_taken": 8, "bit_sent": 4, "cycle_of_bit": 7}
_SHOWN_READ = {"rx": 1, "line_read": 1, "samples": 4, "byte_read": 8, "byte_waits": 1, "byte_waiting": 8}


def proofs() -> Iterable[Proof]:
    """All of them."""
    for divisor in DIVISORS:
        for name, statement, top, shown in (
            (
                "transmitter",
                f"a byte is sent as start bit, 8 bits and stop bit, and the line is idle again after 10 · {divisor} = "
                f"{transmitter_cycles(divisor)} cycles",
                transmitter_top,
                _SHOWN_SENT,
            ),
            (
                "receiver",
                "a start bit gives one byte if its stop bit comes and the byte before has left, a low line of less "
                f"than half a bit none; once the line is high it listens again within {divisor // 2} + 9 · {divisor} = "
                f"{receiver_cycles(divisor)} cycles",
                receiver_top,
                _SHOWN_READ,
            ),
        ):
            formats = {name: FixedFormat(bits) for name, bits in shown.items()}
            yield Proof(
                "uart", name, statement, f"divisor {divisor}", partial(top, divisor), formats, Mode.INDUCTION, depth=2
            )
