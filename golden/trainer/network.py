"""The learning network in plain NumPy, one sample at a time, one function a step: the meaning of every bit.

:mod:`lnsmadam.golden.trainer.kernel` computes the same bits 100 times as fast.

A factor is a pair of arrays ``(sign, below)``: sign -1, 0 or 1 (0 of the number zero), and the steps by which its
log lies below its tensor's top.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import antilog_table
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer import tables
from lnsmadam.golden.trainer.config import MAX_LR_SHIFT, NetworkConfig, SecondMoment
from lnsmadam.golden.trainer.state import LAST_COUNT, NetworkState

Integers = npt.NDArray[np.int64]
Factor = tuple[Integers, Integers]


@dataclass
class Outcome:
    """What became of a row of samples.

    Attributes
    ----------
    predicted : int64 array
        The class of each, before it was learned.
    correct, gated : bool array
        Whether it was the label; whether the sample was too good to be learned from.
    """

    predicted: Integers
    correct: npt.NDArray[np.bool_]
    gated: npt.NDArray[np.bool_]


def factor_of(fmt: LNSFormat, words: npt.ArrayLike) -> Factor:
    """The factor of words of activations or deltas."""
    sign, log = fmt.unpack(words)
    return np.where(log == fmt.zero_log, 0, 1 - 2 * sign), fmt.log_max - log


def forward_factor(config: NetworkConfig, words: npt.ArrayLike) -> Factor:
    """The factor of kept weights, each rounded to the format in which it is multiplied; every code of a kept weight
    is the log that it says, zero's too."""
    fmt, kept = config.forward_weight, config.weight
    array = np.asarray(words, dtype=np.int64)
    log = array & kept.log_mask
    log = log - ((log << 1) & kept.sign_bit) - kept.log_max
    ratio = int(kept.base_factor // fmt.base_factor)
    log = fmt.log_max + (2 * log + ratio) // (2 * ratio)
    sign = 1 - 2 * (array >> kept.log_width)
    return np.where(log < fmt.log_min, 0, sign), fmt.log_max - np.minimum(log, fmt.log_max)


def product(config: NetworkConfig, x: Factor, w: Factor) -> Integers:
    """``x * w`` in steps of ``2**-sum_fraction_bits`` of the largest product: the mantissa of the sum of the logs,
    shifted by its octave, bits below cut off."""
    factor = config.base_factor
    below = np.asarray(x[1] + w[1])
    quotient = -(-below // factor)
    mantissa = antilog_table(factor, config.mantissa_bits)[quotient * factor - below]
    return x[0] * w[0] * tables.shifted(mantissa, config.sum_fraction_bits - config.mantissa_bits - quotient)


def saturated(config: NetworkConfig, sums: Integers) -> Integers:
    """Exact sums, as the numbers of ``sum_width`` bits next to them."""
    half = 1 << (config.sum_width - 1)
    return np.asarray(np.clip(sums, -half, half - 1))


def layer_sums(config: NetworkConfig, layer: int, x: Factor, weights: Integers) -> Integers:
    """The sum of each neuron over the layer's inputs, of which the constant is added here."""
    _, one = factor_of(config.activation, config.one(layer))
    sources = np.append(x[0], 1), np.append(x[1], one)
    return saturated(config, product(config, sources, forward_factor(config, weights)).sum(axis=1))


def activate(config: NetworkConfig, layer: int, sums: Integers) -> Integers:
    """Words of hidden activations: the log of a positive sum, zero of others."""
    fmt = config.activation
    octaves = config.source_top(layer) + config.weight_tops[layer] - config.activation_top
    log = tables.magnitude_log(config, fmt).evaluate(np.maximum(sums, 1))
    log = log + fmt.log_max + config.base_factor * octaves
    return np.asarray(fmt.fit(0, log, sums <= 0), dtype=np.int64)


def logits_of(config: NetworkConfig, sums: Integers) -> Integers:
    """Sums of the last layer as log2 of the softmax's numerators, in steps of ``2**-logit_bits`` octave."""
    last = config.layers - 1
    drop = config.sum_fraction_bits - config.source_top(last) - config.weight_tops[last] - config.logit_bits
    # Beyond, the logit of any sum is 0.
    drop = min(drop, config.sum_width + 1)
    return (sums + (1 << drop >> 1)) >> drop if drop >= 0 else sums << -drop


def loss(config: NetworkConfig, logits: Integers, label: int) -> Integers:
    """Words of the deltas: the derivatives of the cross-entropy by the logits, ``softmax - one hot``."""
    fmt, steps = config.delta, 1 << config.logit_bits
    difference = logits.max() - logits
    quotient = -(-difference // steps)
    mantissa = antilog_table(steps, config.exp_bits)[quotient * steps - difference]
    power = tables.shifted(mantissa, -quotient)
    log_of = tables.softmax_log(config)
    total, others = power.sum(), power.sum() - power[label]
    log_total = log_of.evaluate(np.array(total))
    log = -difference - log_total
    log[label] = log_of.evaluate(np.array(max(others, 1))) - log_total
    log = (2 * log * config.base_factor + steps) // (2 * steps)
    is_label = np.arange(len(logits)) == label
    log = log + fmt.log_max - config.base_factor * config.delta_top
    return np.asarray(fmt.fit(is_label, log, is_label & (others == 0)), dtype=np.int64)


def backward(config: NetworkConfig, layer: int, delta: Integers, weights: Integers, activations: Integers) -> Integers:
    """Words of the deltas of a layer's inputs, zero where an activation is."""
    fmt = config.delta
    sign, below = factor_of(fmt, delta)
    products = product(config, (sign[:, None], below[:, None]), forward_factor(config, weights[:, :-1]))
    sums = saturated(config, products.sum(axis=0))
    log = tables.magnitude_log(config, fmt).evaluate(np.maximum(np.abs(sums), 1))
    log = log + fmt.log_max + config.base_factor * config.weight_tops[layer]
    is_zero = (sums == 0) | config.activation.is_zero(activations)
    return np.asarray(fmt.fit(sums < 0, log, is_zero), dtype=np.int64)


def absolute_log(config: NetworkConfig, factor: Factor, top: int) -> Integers:
    """log2 of the magnitude of a factor, in steps of the state."""
    steps = int(config.state.base_factor) // config.base_factor
    return np.asarray(steps * (config.base_factor * top - factor[1]))


def track(
    config: NetworkConfig, rms: Integers, log: Integers, is_zero: npt.ArrayLike, shift: int, random: Integers
) -> Integers:
    """Trackers after a number whose log is ``log``, or zero, enters their running mean of squares."""
    fmt, table = config.state, tables.tracker_tables(config)[shift]
    bits = config.state_fraction_bits
    if config.state_rounding is Rounding.NEAREST:
        random = np.full_like(random, 1 << (bits - 1))
    change = np.where(is_zero, table.decay, table.change(log - rms))
    moved = rms + ((change + (random & ((1 << bits) - 1))) >> bits)
    unseen = rms == config.state_zero
    first = log - (int(fmt.base_factor) * shift >> 1)
    result = np.clip(np.where(unseen, first, moved), fmt.log_min, fmt.log_max)
    return np.where(unseen & is_zero, rms, result)


def draw(config: LFSRConfig, state: int, count: int) -> tuple[Integers, int]:
    """``count`` draws of a generator in this state, and its state after them."""
    numbers = []
    for _ in range(count):
        numbers.append(state & ((1 << config.bits) - 1))
        for _ in range(config.shift):
            state = ((state << 1) | (state & config.taps).bit_count() & 1) & config.period
    return np.array(numbers, dtype=np.int64), state


def moved_weights(
    config: NetworkConfig, weights: Integers, sign: Integers, log: Integers, random: Integers, lr_shift: int
) -> Integers:
    """Weights after a step against gradients of this sign (0: it stays) and this log of their normalised size."""
    fmt, g = config.weight, int(config.state.base_factor)
    sizes = tables.step_sizes(config, np.minimum(log, g * config.grad_bound) + tables.step_offset(config, lr_shift))
    steps = tables.rounded_steps(config, sizes, random)
    weight_sign = weights >> fmt.log_width
    weight_log = weights & fmt.log_mask
    weight_log = weight_log - ((weight_log << 1) & fmt.sign_bit)
    moved = np.clip(weight_log - (1 - 2 * weight_sign) * sign * steps, fmt.log_min, fmt.log_max)
    return np.where(sign == 0, weights, weight_sign << fmt.log_width | moved & fmt.log_mask)


class Network:
    """A network that learns sample by sample.

    Parameters
    ----------
    config : NetworkConfig
    state : NetworkState
        Copied; ``ValueError`` unless it is one of the network.

    Attributes
    ----------
    state : NetworkState
        The present one.
    """

    def __init__(self, config: NetworkConfig, state: NetworkState):
        state.check(config)
        self.config, self.state = config, state.copy()

    def train(self, samples: npt.ArrayLike, labels: npt.ArrayLike, lr_shift: int = 0) -> Outcome:
        """Learns from samples in the order given.

        Parameters
        ----------
        samples : integer array of shape (count, inputs)
            Words of ``config.activation``.
        labels : integer array of shape (count,)
            Classes, 0 the first.
        lr_shift : int
            Halvings of the learning rate, 0 to 7.

        Raises
        ------
        ValueError
            Something is out of range; nothing was learned.
        """
        words, classes = self._checked(samples), np.asarray(labels)
        if classes.shape != words.shape[:1] or (classes.size and classes.dtype.kind not in "iu"):
            raise ValueError(f"Labels must be {len(words)} integers, not {classes.dtype} of shape {classes.shape}")
        if classes.size and not 0 <= classes.min() <= classes.max() < self.config.sizes[-1]:
            raise ValueError(
                f"Labels must be from 0 to {self.config.sizes[-1] - 1}, not {classes.min()} … {classes.max()}"
            )
        if not 0 <= lr_shift <= MAX_LR_SHIFT:
            raise ValueError(f"Shift of the learning rate must be from 0 to {MAX_LR_SHIFT}, not {lr_shift}")
        return self._train(words, classes.astype(np.int64), int(lr_shift))

    def predict(self, samples: npt.ArrayLike) -> Integers:
        """The class of each sample: the first of the largest logit."""
        return np.asarray(self.logits(samples).argmax(axis=1), dtype=np.int64)

    def logits(self, samples: npt.ArrayLike) -> Integers:
        """log2 of each class's share of the softmax but for a common term, in steps of ``2**-logit_bits`` octave;
        shape (count, classes)."""
        return self._logits(self._checked(samples))

    def _checked(self, samples: npt.ArrayLike) -> Integers:
        words, inputs, fmt = np.asarray(samples), self.config.sizes[0], self.config.activation
        if words.ndim != 2 or words.shape[1] != inputs:
            raise ValueError(f"Samples must have shape (count, {inputs}), not {words.shape}")
        if np.any(fmt.unpack(words)[1] > fmt.log_max):
            raise ValueError(f"Samples must have logs of at most {fmt.log_max}")
        return words.astype(np.int64)

    def _forward(self, sample: Integers) -> tuple[list[Integers], Integers]:
        """Words that enter each layer, and the logits."""
        config, sources = self.config, [sample]
        for layer, weights in enumerate(self.state.weights):
            sums = layer_sums(config, layer, factor_of(config.activation, sources[-1]), weights)
            if layer < config.layers - 1:
                sources.append(activate(config, layer, sums))
        return sources, logits_of(config, sums)

    def _logits(self, words: Integers) -> Integers:
        rows = [self._forward(sample)[1] for sample in words]
        return np.array(rows, dtype=np.int64).reshape(len(words), self.config.sizes[-1])

    def _train(self, words: Integers, labels: Integers, lr_shift: int) -> Outcome:
        rows = [self._sample(word, int(label), lr_shift) for word, label in zip(words, labels, strict=True)]
        table = np.array(rows, dtype=np.int64).reshape(len(words), 2)
        return Outcome(table[:, 0], table[:, 0] == labels, table[:, 1].astype(bool))

    def _sample(self, sample: Integers, label: int, lr_shift: int) -> tuple[int, bool]:
        """Forward, gate, loss, and layer by layer backward and learn; the class, and whether it was gated."""
        config, state = self.config, self.state
        sources, logits = self._forward(sample)
        predicted = int(logits.argmax())
        gate = tables.gate_margin(config)
        if gate is not None and logits[label] - np.delete(logits, label).max() >= gate:
            return predicted, True
        delta = loss(config, logits, label)
        for layer in reversed(range(config.layers)):
            weights = state.weights[layer]
            before = backward(config, layer, delta, weights, sources[layer]) if layer else delta
            self._learn(layer, sources[layer], delta, lr_shift)
            delta = before
        state.update_count = min(state.update_count + 1, LAST_COUNT)
        return predicted, False

    def _learn(self, layer: int, source: Integers, delta: Integers, lr_shift: int) -> None:
        """Moves a layer's trackers and weights."""
        config, state = self.config, self.state
        shift = tables.warm_up_shift(config, state.update_count + 1)
        biases = tables.bias_table(config)
        bias = int(biases[min(state.update_count + 1, len(biases) - 1)])
        input_random, neuron_random = np.zeros(len(source) + 1, np.int64), np.zeros(len(delta), np.int64)
        if config.uses_noise:
            neuron_random, state.neuron_noise = draw(config.neuron_noise, state.neuron_noise, len(delta))
            input_random, state.input_noise = draw(config.input_noise, state.input_noise, len(source) + 1)
        random = input_random ^ neuron_random[:, None]

        a = factor_of(config.activation, np.append(source, config.one(layer)))
        d = factor_of(config.delta, delta)
        la = absolute_log(config, a, config.source_top(layer))
        ld = absolute_log(config, d, config.delta_top)
        sign, log = a[0] * d[0][:, None], la + ld[:, None]
        match config.second_moment:
            case SecondMoment.FACTORED:
                rows, columns = state.input_trackers, state.neuron_trackers
                rows[layer] = track(config, rows[layer], la, a[0] == 0, shift, input_random)
                columns[layer] = track(config, columns[layer], ld, d[0] == 0, shift, neuron_random)
                norm = (la - rows[layer]) + (ld - columns[layer])[:, None] + 2 * bias
            case SecondMoment.PER_WEIGHT:
                state.trackers[layer] = track(config, state.trackers[layer], log, sign == 0, shift, random)
                norm = log - state.trackers[layer] + bias
            case SecondMoment.NONE:
                norm = log
        state.weights[layer] = moved_weights(config, state.weights[layer], sign, norm, random, lr_shift)


def accuracy(network: Network, samples: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of samples whose class is their label."""
    return float(np.mean(network.predict(samples) == np.asarray(labels, dtype=Any)))
