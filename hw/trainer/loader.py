"""Brings deltas to the lanes, a block of neurons ahead of the rows that need them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.memories import by_layer


class Loader(wiring.Component):
    """Reads the deltas of the layers that learn, last layer first, neurons in order, as soon as they are made.

    A block has ``lanes`` of them; lanes without a neuron get an absent one. The next block is read after a row has
    taken this one.

    Parameters
    ----------
    config : TrainerConfig
    spacing : int
        Fewest cycles from a block's first row to the next block's.

    Members
    -------
    begin : ``In(1)``
        A sample starts: no delta of its last layer is made yet.
    begin_learning : ``In(1)``
    delta_made : ``In(1)``
        The next delta of the layer that is loaded is written.
    take : ``In(1)``
        The first row of a block goes: its deltas leave the chain.
    loaded : ``Out(1)``
        Every delta of the block has been read.
    read, present : ``Out(1)``
        A neuron is read; it exists, and has a delta.
    neuron : ``Out``
        Its index in its layer, the delta's address.
    tracker : ``Out``
        Its index among all neurons.
    layer : ``Out``
        Its layer.
    made : ``Out``
        Deltas of this layer that are written: the address of the next.
    """

    def __init__(self, config: TrainerConfig, spacing: int):
        self.config, self.spacing = config, spacing
        sizes = config.network.sizes
        super().__init__(
            {
                "begin": In(1),
                "begin_learning": In(1),
                "delta_made": In(1),
                "take": In(1),
                "loaded": Out(1),
                "read": Out(1),
                "present": Out(1),
                "neuron": Out(max(sizes[1:]).bit_length()),
                "tracker": Out((sum(sizes[1:]) - 1).bit_length()),
                "layer": Out(max((config.network.layers - 1).bit_length(), 1)),
                "made": Out(max(sizes[1:]).bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, layers = self.config, self.config.network.layers
        neurons = by_layer(m, self.layer, config.network.sizes[1:], "neurons")
        last = by_layer(m, self.layer, [n - 1 for n in config.network.sizes[1:]], "last_neuron")
        first = by_layer(m, self.layer, [config.layout.first_neuron(k) for k in range(layers)], "first_neuron")
        # A cycle after its first row has taken a block, the next is read; very few lanes wait first.
        slots = max(config.lanes, self.spacing - 1)
        slot = Signal(range(slots + 1), init=slots - 1)
        neuron, made = self.neuron, self.made
        is_active, is_whole = Signal(), Signal()
        m.d.comb += [
            self.loaded.eq(is_whole),
            self.present.eq(neuron != neurons),
            self.tracker.eq(first + neuron),
        ]
        is_idle = slot >= config.lanes if slots > config.lanes else 0
        goes = Signal()
        m.d.comb += [
            goes.eq(is_active & ~is_whole & (~self.present | (neuron != made) | is_idle)),
            self.read.eq(goes & ~is_idle),
        ]
        with m.If(self.delta_made):
            m.d.sync += made.eq(made + 1)
        is_end = Signal()
        m.d.comb += is_end.eq(~self.present | (neuron == last))
        with m.If(self.read & self.present):
            m.d.sync += neuron.eq(neuron + 1)
        with m.If(goes):
            m.d.sync += slot.eq(Mux(slot == 0, slots - 1, slot - 1))
            with m.If(slot == 0):
                m.d.sync += is_whole.eq(1)
                with m.If(is_end):
                    # The deltas of the layer before are made from its last block, which begins after this cycle.
                    m.d.sync += [neuron.eq(0), made.eq(0), self.layer.eq(self.layer - 1)]
                    with m.If(self.layer == 0):
                        m.d.sync += is_active.eq(0)
        with m.If(self.take):
            m.d.sync += is_whole.eq(0)
        with m.If(self.begin):
            m.d.sync += [made.eq(0), self.layer.eq(layers - 1)]
        with m.If(self.begin_learning):
            m.d.sync += is_active.eq(1)
        return m
