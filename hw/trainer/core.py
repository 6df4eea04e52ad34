"""The trainer: a network that learns, sample by sample."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.config import MAX_INPUTS, SecondMoment
from lnsmadam.golden.trainer.machine import DATA_BITS, TrainerConfig
from lnsmadam.hw.trainer.access import ACCESS, Access, Space, result_layout
from lnsmadam.hw.trainer.control import Control, Phase
from lnsmadam.hw.trainer.delay import History
from lnsmadam.hw.trainer.deltas import Deltas
from lnsmadam.hw.trainer.lane import Lane
from lnsmadam.hw.trainer.outputs import Outputs
from lnsmadam.hw.trainer.samples import Samples
from lnsmadam.hw.trainer.sources import Sources
from lnsmadam.hw.trainer.step import noise_bits
from lnsmadam.hw.trainer.tree import Tree
from lnsmadam.hw.trainer.warm_up import WarmUp
from lnsmadam.hw.trainer.weights import Weights

UPDATE_COUNT_BITS = 32


class Trainer(wiring.Component):
    """Learns from a stream of samples, with ``lanes`` multipliers.

    After each sample every weight, tracker and random generator is what the golden network's would be. Cycles per
    sample: those of :func:`~lnsmadam.hw.trainer.schedule.schedule`. The next sample may come in while one is learned.

    A reset forgets samples that are not finished, sets the count of updates to 0 and the random generators to their
    seeds, and leaves all memories as they are: a reset in the middle of an update leaves each weight and each tracker
    with its old value or its new one.

    Parameters
    ----------
    config : TrainerConfig

    Members
    -------
    samples : ``In(stream.Signature(config.sample_width))``
        Words of inputs in order, then the label; the next sample follows at once.
    learn, lr_shift, gate_on, gate_margin : ``In``
        Read when a sample starts: whether it is learned from, by how many octaves less, and whether a sample whose
        label's logit exceeds all others by the margin (in ``2**-logit_bits`` octaves) is not.
    results : ``Out(stream.Signature(...))``
        ``predicted``, ``correct``, ``gated`` of each sample, after the last weight is written.
    access : ``In(stream.Signature(ACCESS))``
        Reads and writes of state, carried out between samples, before those that wait.
    answer : ``Out(stream.Signature(32))``
        One for each access.
    idle : ``Out(1)``
        Nothing is in progress, and nothing waits to be taken.
    phase : ``Out(Phase)``
        For counting cycles.
    """

    samples: stream.Interface
    results: stream.Interface
    access: stream.Interface
    answer: stream.Interface

    def __init__(self, config: TrainerConfig):
        self.config = config
        super().__init__(
            {
                "samples": In(stream.Signature(config.sample_width)),
                "learn": In(1),
                "lr_shift": In(3),
                "gate_on": In(1),
                "gate_margin": In(16),
                "results": Out(stream.Signature(result_layout(config))),
                "access": In(stream.Signature(ACCESS)),
                "answer": Out(stream.Signature(DATA_BITS)),
                "idle": Out(1),
                "phase": Out(Phase),
            }
        )
        network = config.network
        self.control, self.sample_buffers = Control(config), Samples(config)
        # Cycles since the control program named a row until the lanes have its weights and its activation, when
        # products begin. Learning, the terms of an update begin at term_at, weights and deltas follow at weight_at;
        # products are there at product_at, their total at total_at, new words at word_at, when they are written.
        self.forward_at = 2 + config.memory_registers
        self.sources = Sources(config, self.forward_at)
        self.lanes = [Lane(config) for _ in range(config.lanes)]
        self.tree, self.outputs = Tree(config), Outputs(config)
        self.term_at = 2 + self.sources.terms.latency
        self.weight_at = self.term_at + self.lanes[0].weight_at
        self.word_at = self.term_at + self.lanes[0].step_latency + 1
        self.product_at = self.weight_at + self.lanes[0].product_latency
        self.total_at = self.product_at + self.tree.latency
        self.deltas = Deltas(config, self._block_spacing(), self.weight_at - self.term_at)
        self.weights = Weights(config, self.forward_at, self.weight_at, self.word_at)
        self.port = Access(config, self.weights.access_cycles)
        self.warm_up: Any = WarmUp(network) if network.second_moment is not SecondMoment.NONE else None

    def _block_spacing(self) -> int:
        """Fewest cycles from a block of the learn pass to the next: what one writes for an input, the next one reads.
        Only blocks of few inputs could be too short."""
        layout, terms = self.config.layout, self.sources.terms
        inputs = [layout.inputs(k) if layout.blocks(k) > 1 else MAX_INPUTS for k in range(self.config.network.layers)]
        spacing = 1
        if terms.has_trackers and min(inputs) < terms.write_latency:
            spacing = terms.write_latency
        if min(inputs[1:], default=MAX_INPUTS) < self.tree.spacing:
            spacing = max(spacing, self.tree.spacing)
        return spacing

    def elaborate(self, platform):
        # All parts move in every cycle and keep their distance to the row that began them, so the control program
        # waits only where something is made that it needs: activations, deltas in the lanes' chains, the loss.
        m = Module()
        parts = {
            "control": self.control, "sample_buffers": self.sample_buffers, "sources": self.sources,
            "deltas": self.deltas, "weights": self.weights,
            **{f"lane_{number}": lane for number, lane in enumerate(self.lanes)},
            "tree": self.tree, "outputs": self.outputs, "warm_up": self.warm_up, "access_port": self.port,
        }  # fmt: skip
        for name, part in parts.items():
            if part is not None:
                m.submodules[name] = part
        row = self.control.row
        self.forward = History(m, row.forward, "forward", cleared=True)
        self.learns = History(m, row.learn, "learns", cleared=True)
        self.first, self.last = History(m, row.first, "first"), History(m, row.last, "last")
        self._take_samples(m)
        self._give_results(m)
        self._connect_lanes(m)
        self._update_lanes(m)
        self._connect_sums(m)
        self._keep_state(m)
        self._connect_access(m)
        return m

    def _take_samples(self, m: Module) -> None:
        """Samples and settings."""
        control, outputs, samples, sources = self.control, self.outputs, self.sample_buffers, self.sources
        wiring.connect(m, wiring.flipped(self.samples), samples.i)
        self.lr_shift_in_use = Signal(3, reset_less=True)
        learn, gate_on, gate_margin = Signal(), Signal(), Signal(16, reset_less=True)
        with m.If(control.begin):
            m.d.sync += [
                learn.eq(self.learn),
                self.lr_shift_in_use.eq(self.lr_shift),
                gate_on.eq(self.gate_on),
                gate_margin.eq(self.gate_margin),
            ]
        m.d.comb += [
            control.start.eq(samples.ready & ~self.port.is_busy),
            control.learns.eq(learn),
            samples.done.eq(control.finish),
            samples.may_write.eq(~outputs.source_made),
            outputs.begin.eq(control.begin),
            outputs.label.eq(samples.label),
            outputs.learn.eq(learn),
            outputs.gate_on.eq(gate_on),
            outputs.gate_margin.eq(gate_margin),
            sources.row.eq(control.row),
            sources.buffer.eq(samples.buffer),
            sources.sample_write.eq(samples.write),
            sources.sample_address.eq(samples.address),
            sources.sample_word.eq(samples.word),
            sources.source_made.eq(outputs.source_made),
            sources.source_address.eq(outputs.source_address),
            sources.activation.eq(outputs.activation),
            control.source_made.eq(outputs.source_made),
        ]

    def _give_results(self, m: Module) -> None:
        control, outputs, results = self.control, self.outputs, self.results
        m.d.comb += [
            control.decided.eq(outputs.decided),
            control.gated.eq(outputs.gated),
            control.result_free.eq(~results.valid | results.ready),
            self.phase.eq(control.phase),
            self.idle.eq(
                control.waiting & ~(self.sample_buffers.ready | results.valid | self.port.is_busy | self.answer.valid)
            ),
        ]
        with m.If(results.ready):
            m.d.sync += results.valid.eq(0)
        with m.If(control.finish):
            m.d.sync += [
                results.valid.eq(1),
                results.payload.predicted.eq(outputs.predicted),
                results.payload.correct.eq(outputs.correct),
                results.payload.gated.eq(outputs.gated),
            ]

    def _connect_lanes(self, m: Module) -> None:
        """Factors and weights to the lanes; words through their chain."""
        control, deltas, weights, port = self.control, self.deltas, self.weights, self.port
        m.d.comb += [
            deltas.begin.eq(control.begin),
            deltas.begin_learning.eq(control.begin_learning),
            deltas.take.eq(control.row.learn & control.row.first),
            deltas.delta_made.eq(self.outputs.delta_made),
            deltas.delta.eq(self.outputs.delta),
            control.loaded.eq(deltas.loaded),
            weights.row.eq(control.row),
            weights.begin.eq(control.begin),
            weights.waiting.eq(control.waiting),
            weights.access_row.eq(port.row),
            weights.read_row.eq(port.read_row),
            weights.write_row.eq(port.write_row),
            weights.words.eq(Cat(lane.word_out for lane in self.lanes)),
        ]
        # Chains enter at the last lane.
        term, factor, word = deltas.term, deltas.factor, self.access.payload.data
        width = self.config.layout.word_bits
        for number, lane in reversed(list(enumerate(self.lanes))):
            take_term = self.learns[self.term_at - 1] & self.first[self.term_at - 1]
            take_factor = self.learns[self.weight_at - 1] & self.first[self.weight_at - 1]
            m.d.comb += [
                lane.weight.eq(weights.weights.word_select(number, width)),
                lane.activation.eq(self.sources.factor),
                lane.take_activation.eq(self.forward[self.forward_at - 1]),
                lane.next_term.eq(term),
                lane.shift_term.eq(deltas.shift_term),
                lane.take_term.eq(take_term),
                lane.next_factor.eq(factor),
                lane.shift_factor.eq(deltas.shift_factor),
                lane.take_factor.eq(take_factor),
                lane.next_word.eq(word),
                lane.shift_word.eq(port.shift_word),
                lane.take_word.eq(weights.take_words),
            ]
            term, factor, word = lane.term_out, lane.factor_out, lane.word_out
        m.d.comb += port.word.eq(word)

    def _update_lanes(self, m: Module) -> None:
        """The input's part of the update, the same for all lanes."""
        config, sources, warm_up = self.config, self.sources, self.warm_up
        at = self.term_at - 1
        term = Signal.like(self.lanes[0].input_term, reset_less=True)
        bias = 2 * warm_up.bias if config.terms_carry_bias else 0
        m.d.sync += term.eq(sources.term + bias)
        # Nothing but a row that learns changes a weight.
        self.zero = History(m, sources.zero | ~self.learns[at], "zero")
        way = self.weight_at - at
        sign = History(m, sources.sign, "sign")[way]
        draw = History(m, sources.draw, "draw")[self.weight_at - sources.draw_at] if noise_bits(config.network) else 0
        for lane in self.lanes:
            m.d.comb += [
                lane.input_term.eq(term),
                lane.input_zero.eq(self.zero[way]),
                lane.input_sign.eq(sign),
                lane.input_noise.eq(draw),
                lane.lr_shift.eq(self.lr_shift_in_use),
            ]
            if lane.per_weight:
                m.d.comb += lane.update.eq(self.learns[self.weight_at])
        for part in (*self.lanes, sources, self.deltas):
            if hasattr(part, "shift"):
                m.d.comb += part.shift.eq(warm_up.k)
            if hasattr(part, "bias"):
                m.d.comb += part.bias.eq(warm_up.bias)

    def _connect_sums(self, m: Module) -> None:
        """Sums of the forward pass, each of one lane, and of the learn pass, over all lanes."""
        tree, outputs, row = self.tree, self.outputs, self.control.row
        at = self.forward_at + self.lanes[0].product_latency
        below = 0
        for lane in reversed(self.lanes):
            m.d.comb += [
                lane.add_product.eq(self.forward[at]),
                lane.end_sum.eq(self.last[at]),
                lane.next_sum.eq(below),
            ]
            below = lane.sum_out
        m.d.comb += [outputs.block_ends.eq(self.forward[at] & self.last[at]), outputs.sum.eq(below)]

        at, end = self.product_at, self.total_at
        # Deltas go back from the last block on, to all inputs but the constant, and not to the samples.
        gives_delta = History(m, row.learn & row.last_block & ~row.last & (row.layer != 0), "gives", cleared=True)
        m.d.comb += [
            tree.addends.eq(Cat(lane.addend for lane in self.lanes)),
            tree.carries.eq(Cat(lane.carry for lane in self.lanes)),
            tree.valid.eq(self.learns[at]),
            tree.first.eq(self.first[at]),
            tree.first_block.eq(History(m, row.first_block, "first_block")[at]),
            outputs.total.eq(tree.total),
            outputs.total_valid.eq(gives_delta[end]),
            outputs.kill.eq(self.zero[end - self.term_at + 1]),
            outputs.layer.eq(History(m, row.layer, "layer")[end]),
        ]

    def _keep_state(self, m: Module) -> None:
        """The count of updates, and the end of a sample's."""
        control, row = self.control, self.control.row
        ends = row.learn & row.last & row.last_block & (row.layer == 0)
        m.d.comb += control.written.eq(History(m, ends, "ends", cleared=True)[self.word_at])
        self.update_count = Signal(UPDATE_COUNT_BITS)
        with m.If(control.learned & ~self.update_count.all()):
            m.d.sync += self.update_count.eq(self.update_count + 1)
        with m.If(self._writes(Space.REGISTERS, 0)):
            m.d.sync += self.update_count.eq(self.access.payload.data)
        if self.warm_up is not None:
            m.d.comb += self.warm_up.update_count.eq(self.update_count)

    def _writes(self, space: Any, register: int | None = None):
        access = self.access.payload
        writes = self.port.write & (access.space == space)
        return writes if register is None else writes & (access.address[:2] == register)

    def _connect_access(self, m: Module) -> None:
        port, access, network = self.port, self.access.payload, self.config.network
        wiring.connect(m, wiring.flipped(self.access), port.access)
        wiring.connect(m, port.answer, wiring.flipped(self.answer))
        m.d.comb += [port.may_begin.eq(self.control.waiting), self.outputs.read_index.eq(access.address)]
        # Where nothing is random there are no generators, and their places read as the seeds.
        registers: list[Any] = [self.update_count, network.input_noise.seed, network.neuron_noise.seed]
        found = {Space.LOGITS: self.outputs.read_logit}
        sides = ((Space.INPUT_TRACKERS, self.sources), (Space.NEURON_TRACKERS, self.deltas))
        for number, (space, side) in enumerate(sides, 1):
            if network.uses_noise:
                registers[number] = side.noise_state
                m.d.comb += [
                    side.load_noise.eq(self._writes(Space.REGISTERS, number)),
                    side.noise_value.eq(access.data),
                ]
            if side.terms.has_trackers:
                found[space] = side.found
                m.d.comb += [
                    side.access.reads.eq(self.control.waiting),
                    side.access.writes.eq(self._writes(space)),
                    side.access.address.eq(access.address),
                    side.access.data.eq(access.data),
                ]
        with m.Switch(access.space):
            for space, value in found.items():
                with m.Case(space):
                    m.d.comb += port.found.eq(value)
            with m.Case(Space.REGISTERS):
                with m.Switch(access.address[:2]):
                    for number, value in enumerate(registers):
                        with m.Case(number):
                            m.d.comb += port.found.eq(value)
