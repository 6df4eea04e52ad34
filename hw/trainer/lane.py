"""One lane: a multiplier, the sum of a neuron, and the update of its weights."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import SecondMoment, WarmUp
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.tables import bias_table
from lnsmadam.hw.adders import add
from lnsmadam.hw.lns import is_zero_log, signed_bits
from lnsmadam.hw.trainer.product import Product, operand_bits, prepare, prepared_zero
from lnsmadam.hw.trainer.step import StepLane, noise_bits
from lnsmadam.hw.trainer.step_per_weight import StepPerWeight


def factor_layout(config: TrainerConfig) -> data.StructLayout:
    """What a lane multiplies with weights, as :func:`~lnsmadam.hw.trainer.product.prepare` gives it; of a delta also
    its random bits."""
    return data.StructLayout(
        {"x": signed(operand_bits(config.network)), "sign": 1, "zero": 1, "noise": noise_bits(config.network)}
    )


def term_shapes(config: TrainerConfig):
    """Shapes of an input's term, with what corrects both trackers for their start, and of a neuron's."""
    low, high = config.term_range(config.input_log_range)
    if config.terms_carry_bias:
        low += 2 * int(bias_table(config.network).min())
    return tuple(signed(signed_bits(*limits)) for limits in ((low, high), config.term_range(config.delta_log_range)))


def factor_of(m: Module, config: TrainerConfig, word, fmt: LNSFormat, name: str) -> Signal:
    """The factor of a word."""
    factor = Signal(factor_layout(config), name=name)
    m.d.comb += [
        factor.x.eq(prepare(config.network, word.log, fmt)),
        factor.sign.eq(word.sign),
        factor.zero.eq(is_zero_log(word.log)),
    ]
    return factor


def absent_factor(config: TrainerConfig) -> Const:
    """The delta of a lane without a neuron."""
    return factor_layout(config).const({"x": prepared_zero(config.network), "zero": 1})


class Lane(wiring.Component):
    """Works on one neuron of a block at a time.

    A weight that arrives is multiplied by ``factor``: in the forward pass the broadcast activation, in the learn pass
    the neuron's own delta. Its product joins the neuron's sum, or leaves for the tree that adds the lanes; and the
    weight's update begins. Three chains run through the lanes, the last lane's end first: deltas come in through two
    (``term``, and ``factor``, which is needed later), finished sums leave through one, and whole rows of words go
    either way through another.

    Parameters
    ----------
    config : TrainerConfig

    Attributes
    ----------
    product_latency : int
        Cycles from the weight to its product.
    weight_at : int
        Cycles from the terms to the weight.
    step_latency : int
        Cycles from the terms to the new word.

    Members
    -------
    weight : ``In(word_bits)``
        From the memory.
    activation, take_activation : ``In``
        The broadcast factor, and whether it is taken.
    next_term, term_out, shift_term, take_term :
        Chain of neurons' terms, whether it moves, whether the lane takes what stands in it.
    next_factor, factor_out, shift_factor, take_factor :
        The same of deltas.
    input_term, input_sign, input_zero, input_noise, lr_shift : ``In``
        The input's part of the update; the term as early as the neuron's is taken, the others with the weight.
    add_product, end_sum : ``In(1)``
        With a product: it joins the sum; it is the last.
    next_sum, sum_out : In, Out
        Chain of finished sums, which moves in every cycle without ``end_sum``.
    addend, carry : Out
        The product.
    next_word, word_out, shift_word, take_word :
        Chain of words. A new word stays where it is taken.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        network = config.network
        self._product = Product(network)
        input_term, neuron_term = term_shapes(config)
        self.per_weight = network.second_moment is SecondMoment.PER_WEIGHT
        step = StepPerWeight if self.per_weight else StepLane
        self._step = step(network, input_term.width, neuron_term.width)
        factor, word = factor_layout(config), config.layout.word_bits
        members = {
            "weight": In(word),
            "activation": In(factor), "take_activation": In(1),
            "next_term": In(neuron_term), "term_out": Out(neuron_term), "shift_term": In(1), "take_term": In(1),
            "next_factor": In(factor), "factor_out": Out(factor), "shift_factor": In(1), "take_factor": In(1),
            "input_term": In(input_term), "input_sign": In(1), "input_zero": In(1), "lr_shift": In(3),
            "input_noise": In(noise_bits(config.network)),
            "add_product": In(1), "end_sum": In(1),
            "next_sum": In(signed(config.sum_bits)), "sum_out": Out(signed(config.sum_bits)),
            "addend": Out(network.sum_fraction_bits + 1), "carry": Out(1),
            "next_word": In(word), "word_out": Out(word), "shift_word": In(1), "take_word": In(1),
        }  # fmt: skip
        if self.per_weight:
            members["update"] = In(1)
            if network.warm_up is WarmUp.GROWING:
                members["shift"] = In(network.beta_shift.bit_length())
            else:
                members["bias"] = In(self._step.bias.shape())
        super().__init__(members)

    @property
    def product_latency(self) -> int:
        return self._product.latency

    @property
    def weight_at(self) -> int:
        return self._step.weight_at

    @property
    def step_latency(self) -> int:
        return self._step.latency

    def elaborate(self, platform):
        m = Module()
        weight_bits = self.config.network.weight.width
        weight = self.weight[:weight_bits]

        term, term_in_use = self.term_out, Signal.like(self.term_out, reset_less=True)
        with m.If(self.shift_term):
            m.d.sync += term.eq(self.next_term)
        with m.If(self.take_term):
            m.d.sync += term_in_use.eq(term)

        factor, waiting = Signal(factor_layout(self.config), reset_less=True), self.factor_out
        with m.If(self.shift_factor):
            m.d.sync += waiting.eq(self.next_factor)
        with m.If(self.take_activation | self.take_factor):
            m.d.sync += factor.eq(Mux(self.take_factor, waiting, self.activation))

        m.submodules.product = product = self._product
        m.d.comb += [
            product.x.eq(factor.x),
            product.sign.eq(factor.sign),
            product.weight_log.eq(weight[:-1].as_signed()),
            product.weight_sign.eq(weight[-1]),
            self.addend.eq(product.addend),
            self.carry.eq(product.carry),
        ]
        self._sum(m)

        m.submodules.step = step = self._step
        m.d.comb += [
            step.weight.eq(weight),
            step.term_i.eq(self.input_term),
            step.term_j.eq(term_in_use),
            step.sign.eq(self.input_sign ^ factor.sign),
            step.zero.eq(self.input_zero | factor.zero),
            step.lr_shift.eq(self.lr_shift),
        ]
        if noise_bits(self.config.network):
            m.d.comb += step.u.eq(self.input_noise ^ factor.noise)
        result = step.result
        if self.per_weight:
            m.d.comb += [step.tracker.eq(self.weight[weight_bits:].as_signed()), step.update.eq(self.update)]
            if hasattr(self, "shift"):
                m.d.comb += step.k.eq(self.shift)
            else:
                m.d.comb += step.bias.eq(self.bias)
            result = Cat(result, step.tracker_result)
        with m.If(self.take_word | self.shift_word):
            m.d.sync += self.word_out.eq(Mux(self.shift_word, self.next_word, result))
        return m

    def _sum(self, m: Module) -> None:
        # The sum is cleared on the edge on which it goes on to the chain.
        total = Signal(signed(self.config.sum_bits))
        running = Signal.like(total)
        product = Cat(self.addend, self.carry).as_signed()
        m.d.comb += total.eq(add(m, running, product, self.carry))
        with m.If(self.add_product):
            m.d.sync += running.eq(total)
            with m.If(self.end_sum):
                m.d.sync += running.eq(0)
        m.d.sync += self.sum_out.eq(Mux(self.add_product & self.end_sum, total, self.next_sum))
