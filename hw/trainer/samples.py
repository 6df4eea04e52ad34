"""Takes samples in while others are learned."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig


class Samples(wiring.Component):
    """Writes a sample's inputs into the one of two buffers that is not in use, and keeps its label.

    Parameters
    ----------
    config : TrainerConfig

    Members
    -------
    i : ``In(stream.Signature(sample_width))``
        Inputs in order, then the label.
    may_write : ``In(1)``
        The memory takes a word in this cycle.
    write : ``Out(1)``
    address, word : ``Out``
    ready : ``Out(1)``
        A whole sample is there.
    buffer : ``Out(1)``
        Its buffer.
    label : ``Out(label_bits)``
        Its label.
    done : ``In(1)``
        It is not needed any more.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(config.sample_width)),
                "may_write": In(1),
                "write": Out(1),
                "address": Out((config.source_base(1) - 1).bit_length()),
                "word": Out(config.network.activation.width),
                "ready": Out(1),
                "buffer": Out(1),
                "label": Out(config.label_bits),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        inputs = self.config.network.sizes[0]
        index = Signal(range(inputs + 1))
        filling = Signal()
        full = Array(Signal(name=f"full_{k}") for k in range(2))
        labels = Array(Signal(self.config.label_bits, name=f"label_{k}", reset_less=True) for k in range(2))
        takes, is_label = Signal(), Signal()
        m.d.comb += [
            is_label.eq(index == inputs),
            self.i.ready.eq(~full[filling] & (is_label | self.may_write)),
            takes.eq(self.i.valid & self.i.ready),
            self.write.eq(takes & ~is_label),
            self.address.eq(index + Mux(filling, self.config.source_base(0, 1), 0)),
            self.word.eq(self.i.payload),
            self.ready.eq(full[self.buffer]),
            self.label.eq(labels[self.buffer]),
        ]
        with m.If(self.done):
            m.d.sync += [full[self.buffer].eq(0), self.buffer.eq(~self.buffer)]
        with m.If(takes):
            m.d.sync += index.eq(index + 1)
            with m.If(is_label):
                m.d.sync += [index.eq(0), full[filling].eq(1), labels[filling].eq(self.i.payload), filling.eq(~filling)]
        return m
