"""The neurons' side of a row: deltas, from where they are made to the lanes."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.delay import History, delayed
from lnsmadam.hw.trainer.lane import absent_factor, factor_layout, factor_of
from lnsmadam.hw.trainer.loader import Loader
from lnsmadam.hw.trainer.memories import block_memory
from lnsmadam.hw.trainer.noise import Noise
from lnsmadam.hw.trainer.step import noise_bits
from lnsmadam.hw.trainer.terms import STATE_ACCESS, Terms


class Deltas(wiring.Component):
    """Reads deltas in order, moves their trackers, draws their random bits, and feeds the lanes' two chains.

    Parameters
    ----------
    config : TrainerConfig
    spacing : int
        As of :class:`Loader`.
    factor_delay : int
        Cycles by which a delta enters its chain later than its term.

    Attributes
    ----------
    terms : Terms
    loader : Loader

    Members
    -------
    begin, begin_learning, take, loaded : ``In(1)``, ``In(1)``, ``In(1)``, ``Out(1)``
        As of :class:`Loader`.
    delta_made, delta : ``In``
        The next delta, written.
    shift_term, term : ``Out``
        The chain of terms moves, and what enters it.
    shift_factor, factor : ``Out``
        The chain of deltas.
    shift, access, found, load_noise, noise_value, noise_state :
        As of :class:`Sources`.
    """

    def __init__(self, config: TrainerConfig, spacing: int, factor_delay: int):
        self.config, self.factor_delay = config, factor_delay
        network = config.network
        offsets = (config.delta_log_offset,) * 2
        trackers = config.layout.first_neuron(network.layers)
        self.terms = Terms(config, network.delta, offsets, config.delta_log_range, trackers)
        self.loader = Loader(config, spacing)
        members = {
            "begin": In(1), "begin_learning": In(1), "take": In(1), "loaded": Out(1),
            "delta_made": In(1), "delta": In(network.delta.width),
            "shift_term": Out(1), "term": Out(self.terms.term.shape()),
            "shift_factor": Out(1), "factor": Out(factor_layout(config)),
        }  # fmt: skip
        if network.uses_noise:
            width = network.neuron_noise.width
            members |= {"load_noise": In(1), "noise_value": In(width), "noise_state": Out(width)}
        if self.terms.has_trackers:
            members |= {"access": In(STATE_ACCESS), "found": Out(self.terms.found.shape())}
        if hasattr(self.terms, "shift"):
            members["shift"] = In(self.terms.shift.shape())
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, network = self.config, self.config.network
        m.submodules.loader = loader = self.loader
        m.submodules.terms = terms = self.terms
        read, write = block_memory(m, "deltas", width=network.delta.width, depth=max(network.sizes[1:]))
        m.d.comb += [
            loader.begin.eq(self.begin),
            loader.begin_learning.eq(self.begin_learning),
            loader.delta_made.eq(self.delta_made),
            loader.take.eq(self.take),
            self.loaded.eq(loader.loaded),
            read.addr.eq(loader.neuron),
            write.en.eq(self.delta_made),
            write.addr.eq(loader.made),
            write.data.eq(self.delta),
            terms.word.eq(read.data),
        ]
        if terms.has_trackers:
            m.d.comb += [
                terms.place.eq(loader.tracker),
                terms.moves.eq(loader.read & loader.present),
                terms.access.eq(self.access),
                self.found.eq(terms.found),
            ]
        if hasattr(self, "shift"):
            m.d.comb += terms.shift.eq(self.shift)

        reads, present = History(m, loader.read, "reads", cleared=True), History(m, loader.present, "present")
        at = 1 + terms.latency
        factor = factor_of(m, config, terms.delayed_word, network.delta, "delta_factor")
        with m.If(~present[at]):
            m.d.comb += factor.eq(absent_factor(config))
        if network.uses_noise:
            m.submodules.noise = noise = Noise(network.neuron_noise, repeats=False)
            draw_at = 1 + terms.noise_latency
            m.d.comb += [
                noise.advance.eq(reads[draw_at] & present[draw_at]),
                noise.load.eq(self.load_noise),
                noise.value.eq(self.noise_value),
                self.noise_state.eq(noise.state),
            ]
            if noise_bits(config.network):
                m.d.comb += factor.noise.eq(delayed(m, noise.draw, at - draw_at, "draw"))
            if hasattr(terms, "noise"):
                m.d.comb += terms.noise.eq(noise.draw)
        m.d.comb += [
            self.shift_term.eq(reads[at]),
            self.term.eq(terms.term),
            self.shift_factor.eq(reads[at + self.factor_delay]),
            self.factor.eq(delayed(m, factor.as_value(), self.factor_delay, "factor")),
        ]
        return m
