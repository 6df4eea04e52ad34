"""What becomes of finished sums: activations, logits and deltas."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.delay import delayed
from lnsmadam.hw.trainer.loss import Loss
from lnsmadam.hw.trainer.memories import by_layer
from lnsmadam.hw.trainer.to_word import ToWord


class Outputs(wiring.Component):
    """Saturates one sum a cycle and turns it into a word, or hands it to the loss.

    Forward, the lanes' chain brings a block's sums, the first a cycle after ``block_ends``; those of lanes without a
    neuron are left out. In the learn pass the tree brings sums. The two never come at once.

    Parameters
    ----------
    config : TrainerConfig

    Attributes
    ----------
    word_latency : int
        Cycles from a sum to its word.
    logit_latency : int
        Cycles from a sum to the loss.

    Members
    -------
    begin : ``In(1)``
        A sample starts.
    block_ends, sum : ``In(1)``, ``In(signed(sum_bits))``
        The forward pass's sums.
    total_valid, total, kill, layer : ``In``
        The learn pass's sum, whether its input is the zero word, its layer.
    label, learn, gate_on, gate_margin : ``In``
        Of the sample, steady from the cycle after ``begin``.
    source_made, source_address, activation : ``Out``
        An activation, to be written where it says.
    delta_made, delta : ``Out``
        A delta, in the order of its layer's neurons.
    decided, predicted, correct, gated : ``Out``
        As :class:`Loss` gives them.
    read_index, read_logit : In, Out
        A logit of the last sample, two cycles later.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        network = config.network
        self._loss, self._to_word = Loss(network, ram_style="block"), ToWord(network)
        sum_shape = signed(config.sum_bits)
        super().__init__(
            {
                "begin": In(1),
                "block_ends": In(1),
                "sum": In(sum_shape),
                "total_valid": In(1),
                "total": In(sum_shape),
                "kill": In(1),
                "layer": In(max((network.layers - 1).bit_length(), 1)),
                "label": In(config.label_bits),
                "learn": In(1),
                "gate_on": In(1),
                "gate_margin": In(16),
                "source_made": Out(1),
                "source_address": Out((config.sources - 1).bit_length()),
                "activation": Out(network.activation.width),
                "delta_made": Out(1),
                "delta": Out(network.delta.width),
                "decided": Out(1),
                "predicted": Out(config.label_bits),
                "correct": Out(1),
                "gated": Out(1),
                "read_index": In(config.label_bits),
                "read_logit": Out(signed(self._loss.logit_width)),
            }
        )

    logit_latency = 1

    @property
    def word_latency(self) -> int:
        return self.logit_latency + self._to_word.latency

    def elaborate(self, platform):
        m = Module()
        config, network = self.config, self.config.network
        is_output, ends_layer, layer = self._drain(m)

        value = Signal(signed(network.sum_width), reset_less=True)
        from_layer = Signal.like(self.layer, reset_less=True)
        kill, forward, backward, layer_ended = Signal(reset_less=True), Signal(), Signal(), Signal(reset_less=True)
        m.d.sync += [
            value.eq(saturated(Mux(self.total_valid, self.total, self.sum), network.sum_width)),
            from_layer.eq(Mux(self.total_valid, self.layer, layer)),
            kill.eq(self.kill & self.total_valid),
            forward.eq(is_output),
            backward.eq(self.total_valid),
            layer_ended.eq(ends_layer),
        ]
        is_logit = from_layer == network.layers - 1

        m.submodules.to_word = to_word = self._to_word
        m.d.comb += [
            to_word.value.eq(value),
            to_word.backward.eq(backward),
            to_word.layer.eq(from_layer),
            to_word.kill.eq(kill),
            self.activation.eq(to_word.activation),
            self.source_made.eq(delayed(m, forward & ~is_logit, to_word.latency, "forward", cleared=True)),
        ]
        # The constant 1 stands between two layers' activations.
        with m.If(self.source_made):
            last = delayed(m, layer_ended, to_word.latency, "layer_ended")
            m.d.sync += self.source_address.eq(self.source_address + Mux(last, 2, 1))
        with m.If(self.begin):
            m.d.sync += self.source_address.eq(config.source_base(1))

        m.submodules.loss = loss = self._loss
        is_delta = delayed(m, backward, to_word.latency, "backward", cleared=True)
        m.d.comb += [
            loss.start.eq(delayed(m, self.begin, 1, "begin", cleared=True)),
            loss.label.eq(self.label),
            loss.learn.eq(self.learn),
            loss.gate_on.eq(self.gate_on),
            loss.gate_margin.eq(self.gate_margin),
            loss.logit_valid.eq(forward & is_logit),
            loss.value.eq(value),
            self.decided.eq(loss.decided),
            self.predicted.eq(loss.predicted),
            self.correct.eq(loss.correct),
            self.gated.eq(loss.gated),
            loss.read_index.eq(self.read_index),
            self.read_logit.eq(delayed(m, loss.read_logit, 1, "logit")),
            self.delta_made.eq(is_delta | loss.delta_valid),
            self.delta.eq(Mux(is_delta, to_word.delta, loss.delta)),
        ]
        return m

    def _drain(self, m: Module):
        """Whether the chain's end holds a neuron's sum, whether it is its layer's last, and the layer."""
        config, network = self.config, self.config.network
        places = Signal(range(config.lanes + 1))
        layer = Signal.like(self.layer)
        neurons = Signal(range(max(network.sizes[1:]) + 1))
        is_output, is_last = places != 0, neurons == 1
        with m.If(is_output):
            m.d.sync += [places.eq(places - 1), neurons.eq(neurons - 1)]
            with m.If(is_last):
                following = by_layer(m, layer, [*network.sizes[2:], network.sizes[1]], "next_neurons")
                m.d.sync += [places.eq(0), layer.eq(layer + 1), neurons.eq(following)]
        with m.If(self.block_ends):
            m.d.sync += places.eq(config.lanes)
        with m.If(self.begin):
            m.d.sync += [layer.eq(0), neurons.eq(network.sizes[1]), places.eq(0)]
        return is_output, is_last, layer


def saturated(value, width: int):
    """A signed value within ``width`` bits."""
    if len(value) <= width:
        return value
    upper, sign = value[width - 1 :], value[-1]
    fits = ~upper.any() | upper.all()
    return Mux(fits, value[:width], Cat((~sign).replicate(width - 1), sign)).as_signed()
