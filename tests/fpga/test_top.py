"""The board's design in Amaranth's simulator: bytes in on the line, bytes out on the line."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from lnsmadam.fpga import link
from lnsmadam.fpga.top import Top, check_units
from lnsmadam.fpga.uart import divisor_of
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import LNS8, LNS16, FixedFormat
from lnsmadam.golden.madam_update import MadamUpdateConfig
from lnsmadam.golden.madam_update import model as madam_model
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.hw.pipeline import Pipeline, UnitComponent

DIVISOR = 4
#: Cycles of silence after which a packet counts as broken off: 25 byte times.
TIMEOUT = 1000

NARROW = MultiplyConfig(format=LNS8, pipeline=0)
WIDE = MultiplyConfig(format=LNS16, pipeline=2)


class Line:
    """Host's end of the serial line of a simulated design.

    ``script`` holds bytes to send, integers: cycles to pause, and floats: cycles to hold the line low.
    """

    def __init__(self, script, cycles, units=None):
        self.script, self.cycles, self.received = script, cycles, bytearray()
        self.units = units or [Multiply(NARROW), Multiply(WIDE)]

    def run(self):
        top = Top(self.units, divisor=DIVISOR, timeout=TIMEOUT)
        simulator = Simulator(top)
        simulator.add_clock(1e-6)

        async def sender(ctx):
            for item in self.script:
                if isinstance(item, int):
                    await ctx.tick().repeat(item)
                    continue
                if isinstance(item, float):
                    ctx.set(top.rx, 0)
                    await ctx.tick().repeat(int(item))
                    ctx.set(top.rx, 1)
                    continue
                for byte in item:
                    for bit in (0, *((byte >> k) & 1 for k in range(8)), 1):
                        ctx.set(top.rx, bit)
                        await ctx.tick().repeat(DIVISOR)

        async def receiver(ctx):
            for _ in range(self.cycles):
                await ctx.tick()
                if ctx.get(top.tx):
                    continue
                await ctx.tick().repeat(DIVISOR // 2)
                assert ctx.get(top.tx) == 0, "start bit shorter than half a bit"
                byte = 0
                for k in range(8):
                    await ctx.tick().repeat(DIVISOR)
                    byte |= ctx.get(top.tx) << k
                await ctx.tick().repeat(DIVISOR)
                assert ctx.get(top.tx) == 1, "no stop bit"
                self.received.append(byte)

        simulator.add_testbench(sender, background=True)
        simulator.add_testbench(receiver)
        simulator.run()
        return bytes(self.received)


def packets_and_answers(count, seed):
    """Packets to alternate units, each as bytes, and the answers that the golden model gives."""
    rng = np.random.default_rng(seed)
    packets, answers = [], []
    for n in range(count):
        config, size = (NARROW, 1) if n % 2 == 0 else (WIDE, 2)
        a, b = (int(x) for x in rng.integers(0, 1 << 8 * size, 2))
        packets.append(bytes([n % 2]) + a.to_bytes(size, "little") + b.to_bytes(size, "little"))
        answers.append(int(multiply(config, a, b)).to_bytes(size, "little"))
    return packets, answers


def test_both_units_answer_without_pause():
    packets, answers = packets_and_answers(12, seed=1)
    sent = b"".join(packets)
    assert Line([50, sent], cycles=100 + 44 * len(sent)).run() == b"".join(answers)


def test_a_host_may_pause_anywhere():
    packets, answers = packets_and_answers(4, seed=2)
    script = [item for packet in packets for item in (packet[:1], 300, packet[1:], 7)]
    assert Line(script, cycles=4 * 700).run() == b"".join(answers)


@dataclass(frozen=True, kw_only=True)
class RepeatConfig(UnitConfig):
    """Five times the byte that comes in."""

    pipeline: int = 1
    unit = "repeat"
    max_pipeline = 1
    inputs = {"byte": FixedFormat(8, 0, signed=False)}
    outputs = {f"copy_{n}": FixedFormat(8, 0, signed=False) for n in range(5)}

    def parameters(self):
        return {}


class Repeat(UnitComponent):
    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m, self)
        pipeline.boundary()
        byte = pipeline.register(self.i.payload.byte, name="byte")
        pipeline.finish(**dict.fromkeys(self.config.outputs, byte))
        return m


def test_packets_wait_while_longer_answers_are_sent():
    # Two bytes in for five out: most of the packets have come before a third of the answers has left.
    payload = bytes(range(7, 47))
    sent = b"".join(bytes([0, byte]) for byte in payload)
    line = Line([sent], cycles=44 * 5 * len(payload), units=[Repeat(RepeatConfig())])
    assert line.run() == b"".join(bytes([byte]) * 5 for byte in payload)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (b"\x02\x00\x01", "a unit number that is not there"),
        (b"\xff\x00\x00\x00\x01\x02", "the highest unit number"),
        (b"\x01\x34\x12\x01", "a packet without its last byte"),
        (b"\x00", "a packet of its number alone"),
    ],
)
def test_a_broken_packet_is_forgotten_after_silence(broken, what):
    packets, answers = packets_and_answers(2, seed=3)
    script = [broken, TIMEOUT + 50, *packets]
    assert Line(script, cycles=2600).run() == b"".join(answers), what


def test_a_packet_may_pause_for_less_than_the_timeout():
    packets, answers = packets_and_answers(2, seed=4)
    script = [packets[0][:2], TIMEOUT - 60, packets[0][2:], *packets[1:]]
    assert Line(script, cycles=2000).run() == b"".join(answers)


@pytest.mark.parametrize(("cycles", "what"), [(15.0 * DIVISOR, "a break"), (1.0, "a glitch")])
def test_what_is_no_byte_is_dropped(cycles, what):
    packets, answers = packets_and_answers(2, seed=5)
    script = [20, cycles, 20, packets[0][:1], cycles, 20, packets[0][1:], packets[1]]
    assert Line(script, cycles=1200).run() == b"".join(answers), what


def test_link_packs_what_the_top_understands():
    ports = link.describe([Multiply(NARROW), Multiply(WIDE)])
    packets, answers = packets_and_answers(8, seed=6)
    a = np.array([int.from_bytes(p[1:3], "little") for p in packets[1::2]], dtype=np.uint16)
    b = np.array([int.from_bytes(p[3:5], "little") for p in packets[1::2]], dtype=np.uint16)
    assert ports[1].pack({"a": a, "b": b}) == b"".join(packets[1::2])
    np.testing.assert_array_equal(ports[1].unpack(b"".join(answers[1::2]))["result"], multiply(WIDE, a, b))


def test_multiply_add_and_madam_update_answer_as_their_models():
    add, update = MultiplyAddConfig(), MadamUpdateConfig()
    ports = link.describe([MultiplyAdd(add), MadamUpdate(update)])
    rng = np.random.default_rng(7)
    count = 6
    words = [
        {name: rng.integers(0, 1 << fmt.width, count).astype(np.uint32) for name, fmt in config.inputs.items()}
        for config in (add, update)
    ]
    results = [{"result": multiply_add(add, **words[0])}, madam_model(update)(words[1], 0)]
    script, wanted = [], b""
    for n in range(count):
        for port, fields, result in zip(ports, words, results, strict=True):
            script.append(port.pack({name: array[n] for name, array in fields.items()}))
            value = sum(int(result[f["name"]][n]) << f["lsb"] for f in port.output["fields"])
            wanted += value.to_bytes(port.answer_bytes, "little")
    line = Line(script, cycles=44 * len(b"".join(script)) + 300, units=[MultiplyAdd(add), MadamUpdate(update)])
    assert line.run() == wanted


def test_divisor():
    assert divisor_of(12e6, 115200) == 104
    for baud in (0, -1, 5_000_000, 3_500_000):
        with pytest.raises(ValueError, match="Baud must divide"):
            divisor_of(12e6, baud)


def test_number_of_units():
    check_units([None] * 256)
    for count in (0, 257):
        with pytest.raises(ValueError, match=f"Units must be from 1 to 256, not {count}"):
            check_units([None] * count)
