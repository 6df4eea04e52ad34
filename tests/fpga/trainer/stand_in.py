"""A core for tests of what is around it: the trainer's ports, a memory behind them, and an easy rule of learning."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.trainer.frames import Space, regions
from lnsmadam.golden.trainer.machine import ADDRESS_BITS, DATA_BITS
from lnsmadam.hw.trainer.access import result_layout


def turn(register, predicted):
    """Register 1 after a learned sample."""
    return (register << 1 & 0xFFFFFFFF | register >> 31) ^ predicted


def outcome(words, label, label_bits, gate_on):
    """What the stand-in says of a sample: predicted, correct, gated."""
    predicted = 0
    for word in words:
        predicted = (predicted + int(word)) % (1 << label_bits)
    return predicted, predicted == label, gate_on and predicted == label


class StandIn(wiring.Component):
    """Predicts the sum of a sample's words, mod 2**label_bits; a learned sample adds 1 to register 0,
    and its prediction to register 1 rotated left, by XOR.

    ``hold`` keeps it from finishing samples. Logit n reads as n + 1, two's complement of its negative.
    """

    def __init__(self, config):
        self.config = config
        request = data.StructLayout({"address": ADDRESS_BITS, "space": 3, "write": 1, "data": DATA_BITS})
        super().__init__(
            {
                "samples": In(stream.Signature(config.sample_width)),
                "learn": In(1),
                "lr_shift": In(3),
                "gate_on": In(1),
                "gate_margin": In(16),
                "results": Out(stream.Signature(result_layout(config))),
                "access": In(stream.Signature(request)),
                "answer": Out(stream.Signature(DATA_BITS)),
                "idle": Out(1),
                "hold": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, spaces = self.config, regions(self.config.layout, 2)
        access, answer, result = self.access.payload, self.answer, self.results.payload
        ports = {}
        for space in (Space.WEIGHTS, Space.INPUT_TRACKERS, Space.NEURON_TRACKERS):
            if spaces[space].size:
                words = memory.Memory(shape=spaces[space].width, depth=spaces[space].size, init=[])
                m.submodules[space.name.lower()] = words
                write, read = words.write_port(), words.read_port()
                ports[space] = read
                m.d.comb += [
                    write.addr.eq(access.address),
                    read.addr.eq(access.address),
                    write.data.eq(access.data),
                    write.en.eq(self.access.valid & self.access.ready & access.write & (access.space == space)),
                ]
        registers = [Signal(32, name=f"register_{n}") for n in range(3)]
        taken = Signal(data.StructLayout({"address": ADDRESS_BITS, "space": 3, "write": 1, "data": DATA_BITS}))

        left = Signal(range(config.network.sizes[0] + 2), init=config.network.sizes[0])
        total = Signal(config.label_bits)
        m.d.comb += self.idle.eq((left == config.network.sizes[0]) & ~self.results.valid & ~self.samples.valid)
        # An access goes before the next sample, and waits for the end of this one.
        between = (left == config.network.sizes[0]) & ~self.results.valid
        m.d.comb += self.samples.ready.eq(~self.results.valid & ~self.hold & ~(between & self.access.valid))
        with m.If(self.results.ready):
            m.d.sync += self.results.valid.eq(0)
        with m.If(self.samples.valid & self.samples.ready):
            m.d.sync += [left.eq(left - 1), total.eq(total + self.samples.payload)]
            with m.If(left == 0):
                same = total == self.samples.payload
                m.d.sync += [
                    left.eq(config.network.sizes[0]),
                    total.eq(0),
                    Cat(result.predicted, result.correct, result.gated).eq(Cat(total, same, same & self.gate_on)),
                    self.results.valid.eq(1),
                ]
                with m.If(self.learn & ~(same & self.gate_on)):
                    # The second register tells in which order samples came.
                    m.d.sync += [
                        registers[0].eq(registers[0] + 1),
                        registers[1].eq(registers[1].rotate_left(1) ^ total),
                    ]

        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.access.ready.eq(between)
                m.d.sync += taken.eq(access)
                with m.If(self.access.valid & self.access.ready):
                    with m.If(access.write & (access.space == Space.REGISTERS)), m.Switch(access.address):
                        for n, register in enumerate(registers):
                            with m.Case(n):
                                m.d.sync += register.eq(access.data)
                    m.next = "FIND"
            with m.State("FIND"):
                with m.Switch(taken.space):
                    for space, port in ports.items():
                        with m.Case(space):
                            m.d.sync += answer.payload.eq(port.data)
                    with m.Case(Space.REGISTERS), m.Switch(taken.address):
                        for n, register in enumerate(registers):
                            with m.Case(n):
                                m.d.sync += answer.payload.eq(register)
                    with m.Case(Space.LOGITS):
                        m.d.sync += answer.payload.eq(-(taken.address + 1))
                m.d.sync += answer.valid.eq(1)
                m.next = "ANSWER"
            with m.State("ANSWER"):
                with m.If(answer.ready):
                    m.d.sync += answer.valid.eq(0)
                    m.next = "WAIT"
        return m
