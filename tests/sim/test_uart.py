"""A design behind its serial line in Verilator: bytes, other levels, and time that passes only when asked."""

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from lnsmadam.fpga.uart import UARTReceiver, UARTTransmitter
from lnsmadam.sim.uart import SimulatedUART

DIVISOR = 8


class Echo(wiring.Component):
    """Says every byte again plus one."""

    def __init__(self, busy):
        super().__init__({"rx": wiring.In(1, init=1), "tx": Out(1, init=1), **({"busy": Out(1)} if busy else {})})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UARTReceiver(DIVISOR)
        m.submodules.transmitter = transmitter = UARTTransmitter(DIVISOR)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            transmitter.i.valid.eq(receiver.o.valid),
            transmitter.i.payload.eq(receiver.o.payload + 1),
            receiver.o.ready.eq(transmitter.i.ready),
            self.tx.eq(transmitter.tx),
        ]
        if hasattr(self, "busy"):
            m.d.comb += self.busy.eq(~transmitter.i.ready)
        return m


def simulated(busy):
    text = verilog.convert(Echo(busy), name="echo", emit_src=False, strip_internal_attrs=True)
    return SimulatedUART(text, "echo", divisor=DIVISOR, patience=500)


@pytest.fixture(scope="module")
def line():
    with simulated(busy=False) as line:
        yield line


def test_bytes_go_and_come(line):
    for byte in (0x00, 0x41, 0x80, 0xFE, 0xFF):
        assert line.write(bytes([byte])) == 1
        assert line.unsent == 1 and line.in_waiting == 0
        assert line.read(1) == bytes([(byte + 1) % 256])
    line.write(b"abcdefgh")
    assert line.read(8) == b"bcdefghi"
    assert line.unsent == 0 and line.broken == 0 and line.busy


def test_reading_ends_with_its_patience(line):
    before = line.cycles
    assert line.read(3) == b""
    assert line.cycles - before == 500
    before = line.cycles
    line.write(b"\x10")
    assert line.read(4) == b"\x11"
    assert line.cycles - before == 10 * DIVISOR + 500


def test_what_came_already_is_read_in_no_time(line):
    line.write(b"\x30\x31")
    assert line.run(10_000, 2) < 10_000
    before = line.cycles
    assert line.in_waiting == 2 and line.read(1) == b"\x31" and line.read(1) == b"\x32"
    assert line.cycles == before


def test_time_stands_still_between_calls(line):
    line.write(b"\x20")
    before = line.cycles
    assert line.in_waiting == 0 and line.cycles == before
    assert line.run(1000, until_sent=True) == 10 * DIVISOR == line.cycles - before
    assert line.unsent == 0 and line.run(1000, 1) < 12 * DIVISOR and line.in_waiting == 1
    line.reset_input_buffer()
    assert line.in_waiting == 0 and line.take(5) == b""


def test_levels_and_other_rates(line):
    line.put_levels(0x30 << 1 | 0x200, 10, DIVISOR)
    assert line.read(1) == b"\x31"
    # At half the rate the start bit is seen twice, the second time as the lowest bit.
    line.put(b"\xff", 2 * DIVISOR)
    assert line.read(1) == b"\xff"
    # Low for longer than a byte is none.
    line.put_levels(0, 1, 12 * DIVISOR)
    assert line.read(1) == b""
    line.write(b"\x07")
    assert line.read(1) == b"\x08"


def test_reset_ends_a_byte(line):
    line.write(b"\x00")
    line.run(5 * DIVISOR)
    line.discard()
    line.reset()
    assert line.read(1) == b"" and line.unsent == 0
    line.write(b"\x07")
    assert line.read(1) == b"\x08"


def test_busy_is_the_designs():
    with simulated(busy=True) as line:
        assert not line.busy
        line.write(b"\x01")
        line.run(1000, until_sent=True)
        line.run(4)
        assert line.busy
        assert line.read(1) == b"\x02"
        line.run(2 * DIVISOR)
        assert not line.busy
