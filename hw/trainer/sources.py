"""The inputs' side of a row: an activation for all lanes, or an input's part of its weights' update."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.lns import LNS
from lnsmadam.hw.trainer.control import row_layout
from lnsmadam.hw.trainer.delay import delayed
from lnsmadam.hw.trainer.lane import factor_layout, factor_of
from lnsmadam.hw.trainer.memories import block_memory, by_layer
from lnsmadam.hw.trainer.noise import Noise
from lnsmadam.hw.trainer.step import noise_bits
from lnsmadam.hw.trainer.terms import STATE_ACCESS, Terms


class Sources(wiring.Component):
    """Activations, and in the learn pass their logs, trackers and random bits.

    The memory holds two samples and the hidden layers' activations, and behind each the constant 1, which nothing
    writes. In a layer's first block its trackers move and random bits are drawn; in the others the trackers stay,
    and the bits are drawn again where weights need them.

    Parameters
    ----------
    config : TrainerConfig
    forward_at : int
        Cycles from a row to the activation in the lanes.

    Attributes
    ----------
    terms : Terms
    draw_at : int
        Cycles from a row to its random bits.

    Members
    -------
    row : ``In(row_layout(config))``
    buffer : ``In(1)``
        Of the present sample's inputs.
    sample_write, sample_address, sample_word : ``In``
        A word of the next sample; only where ``source_made`` is 0.
    source_made, source_address, activation : ``In``
        A hidden layer's activation.
    factor : ``Out(factor_layout(config))``
        The row's activation, the cycle before the lanes have it.
    term, zero, sign : ``Out``
        1 + ``terms.latency`` cycles after the row.
    draw : ``Out``
        Random bits.
    shift : ``In``
        k of the trackers, where it grows.
    access, found : In, Out
        As of :class:`Terms`.
    load_noise, noise_value, noise_state : In, In, Out
        The random generator's state, where there is one.
    """

    def __init__(self, config: TrainerConfig, forward_at: int):
        self.config, self.forward_at = config, forward_at
        network = config.network
        offsets = (config.input_log_offset(0), config.input_log_offset(1 if network.layers > 1 else 0))
        trackers = config.layout.first_input(network.layers)
        self.terms = Terms(config, network.activation, offsets, config.input_log_range, trackers)
        self.draw_at = 1 + self.terms.noise_latency
        address = (config.sources - 1).bit_length()
        members = {
            "row": In(row_layout(config)),
            "buffer": In(1),
            "sample_write": In(1), "sample_address": In(address), "sample_word": In(network.activation.width),
            "source_made": In(1), "source_address": In(address), "activation": In(network.activation.width),
            "factor": Out(factor_layout(config)),
            "term": Out(self.terms.term.shape()), "zero": Out(1), "sign": Out(1),
        }  # fmt: skip
        if network.uses_noise:
            noise = network.input_noise
            members |= {"draw": Out(noise.bits), "load_noise": In(1), "noise_value": In(noise.width)}
            members |= {"noise_state": Out(noise.width)}
        if self.terms.has_trackers:
            members |= {"access": In(STATE_ACCESS), "found": Out(self.terms.found.shape())}
        if hasattr(self.terms, "shift"):
            members["shift"] = In(self.terms.shift.shape())
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        network, row, terms = self.config.network, self.row, self.terms
        m.submodules.terms = terms
        word = LNS(network.activation)(self._memory(m))
        factor = factor_of(m, self.config, word, network.activation, "activation_factor")
        m.d.comb += [
            self.factor.eq(delayed(m, factor.as_value(), self.forward_at - 2, "factor")),
            terms.word.eq(word),
            terms.is_hidden.eq(delayed(m, row.layer != 0, 1, "is_hidden")),
            self.term.eq(terms.term),
            self.zero.eq(terms.zero),
            self.sign.eq(terms.sign),
        ]
        if terms.has_trackers:
            layout = self.config.layout
            starts = by_layer(m, row.layer, [layout.first_input(k) for k in range(network.layers)], "first_input")
            m.d.comb += [
                terms.place.eq(starts + row.source),
                terms.moves.eq(row.learn & row.first_block),
                terms.access.eq(self.access),
                self.found.eq(terms.found),
            ]
        if hasattr(self, "shift"):
            m.d.comb += terms.shift.eq(self.shift)
        if network.uses_noise:
            self._draw(m)
        return m

    def _memory(self, m: Module):
        """The word of the row before."""
        config, network, row = self.config, self.config.network, self.row
        layers = range(network.layers)
        ones = {config.source_base(k, buffer) + network.sizes[k]: network.one(k) for k in layers for buffer in (0, 1)}
        read, write = block_memory(
            m,
            "activations",
            width=network.activation.width,
            depth=config.sources,
            init=[ones.get(address, 0) for address in range(config.sources)],
        )
        base = by_layer(m, row.layer, [config.source_base(k) for k in layers], "source_base")
        is_second = (row.layer == 0) & self.buffer
        m.d.comb += [
            read.addr.eq(Mux(is_second, config.source_base(0, 1), base) + row.source),
            write.en.eq(self.source_made | self.sample_write),
            write.addr.eq(Mux(self.source_made, self.source_address, self.sample_address)),
            write.data.eq(Mux(self.source_made, self.activation, self.sample_word)),
        ]
        return read.data

    def _draw(self, m: Module) -> None:
        layout, network = self.config.layout, self.config.network
        repeats = noise_bits(network) > 0 and max(layout.blocks(k) for k in range(network.layers)) > 1
        m.submodules.noise = noise = Noise(network.input_noise, repeats=repeats)
        learns = delayed(m, self.row.learn, self.draw_at, "learns", cleared=True)
        first = delayed(m, self.row.first, self.draw_at, "first")
        first_block = delayed(m, self.row.first_block, self.draw_at, "first_block")
        m.d.comb += [
            noise.advance.eq(learns & (first_block | repeats)),
            noise.mark.eq(first & first_block),
            noise.rewind.eq(first & ~first_block),
            noise.load.eq(self.load_noise),
            noise.value.eq(self.noise_value),
            self.noise_state.eq(noise.state),
            self.draw.eq(noise.draw),
        ]
        if hasattr(self.terms, "noise"):
            m.d.comb += self.terms.noise.eq(noise.draw)
