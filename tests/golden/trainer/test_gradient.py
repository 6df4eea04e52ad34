"""Gradients against a float64 network: every weight's within the formats' errors, carried through all steps.

The float network has the kept weights' exact values, ReLU, and a softmax of powers of two. Beside each of its numbers
goes a bound on how far the model's may be off, from what the specification rounds and cuts:

- a log rounded to a step: half a step, up or down; below the smallest word, all of the number; above the largest, what
  is above,
- a product: half a unit of its mantissa, and one unit of the sum cut off; a sum: what is above its limits,
- a logit and the two logs of the softmax: half a step each; an exponential: half a unit of its mantissa and one unit,
- a ReLU whose sum is smaller than its bound: its derivative may be either.

That bound is of the worst case and holds for every weight. How far the whole gradient is off, its direction and its
size, is foretold by the float network with the same errors drawn at random, independent of each other.
"""

import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer import network, network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.state import decode, initial

FINE = {
    "activation": LNSFormat(12, 64), "delta": LNSFormat(12, 64), "forward_weight": LNSFormat(12, 64),
    "weight": LNSFormat(14, 256), "state": LNSFormat(12, 64), "mantissa_bits": 12, "sum_width": 28,
    "sum_fraction_bits": 24, "logit_bits": 6, "exp_bits": 12,
}  # fmt: skip
MIDDLE = {
    "activation": LNSFormat(10, 32), "delta": LNSFormat(10, 32), "forward_weight": LNSFormat(10, 32),
    "weight": LNSFormat(12, 128), "state": LNSFormat(12, 32), "mantissa_bits": 9, "sum_width": 24,
    "sum_fraction_bits": 20, "logit_bits": 6, "exp_bits": 12,
}  # fmt: skip


def rounded(fmt, top, real, error):
    """A number within ``error`` of ``real`` becomes the nearest word: the new bound."""
    low = 2.0 ** ((fmt.log_min - 0.5 - fmt.log_max) / fmt.base_factor + top)
    largest = np.abs(real) + error
    half_step = 2 ** (0.5 / fmt.base_factor) - 1
    flushed = np.where(np.abs(real) - error < low, np.minimum(np.abs(real), low + error), 0)
    above = np.maximum(largest - 2.0**top, 0)
    return error + half_step * largest + flushed + above


class Float:
    """The float network. The hooks, which do nothing here, stand where the model rounds."""

    def __init__(self, config, state):
        self.config = config
        self.weights = [
            self.word(
                config.forward_weight,
                decode(config.weight, words, top, flush=False),
                top,
                round(config.weight.base_factor / config.base_factor),
            )
            for words, top in zip(state.weights, config.weight_tops, strict=True)
        ]

    def word(self, fmt, real, top, parts=1 << 20):
        """Rounds a log that counts ``1 / parts`` of a step."""
        return real

    def products(self, reals, top):
        return reals

    def logs(self, reals):
        return reals

    def gradients(self, a, label):
        """Per layer, of the weights' shape."""
        c, sources = self.config, []
        for layer, w in enumerate(self.weights):
            a = np.append(a, 1)
            sources.append(a)
            v = self.products(w * a, c.source_top(layer) + c.weight_tops[layer]).sum(axis=1)
            a = self.word(c.activation, np.maximum(v, 0), c.activation_top)
        z = self.logs(v)
        log_total = self.logs(np.log2((2.0 ** (z - z.max())).sum())) + z.max()
        d = 2.0 ** (z - log_total)
        d[label] = -(2.0 ** (self.logs(np.log2((2.0 ** np.delete(z, label)).sum())) - log_total))
        d = self.word(c.delta, d, c.delta_top, (1 << c.logit_bits) // c.base_factor)
        result = [None] * c.layers
        for layer in reversed(range(c.layers)):
            result[layer] = np.outer(d, sources[layer])
            if layer:
                v = self.products(self.weights[layer] * d[:, None], c.delta_top + c.weight_tops[layer]).sum(axis=0)
                d = self.word(c.delta, (v * (sources[layer] > 0))[:-1], c.delta_top)
        return result


class Dithered(Float):
    """The float network with the model's errors as random numbers."""

    def __init__(self, config, state, seed):
        self.rng = np.random.default_rng(seed)
        super().__init__(config, state)

    def word(self, fmt, real, top, parts=1 << 20):
        step = self.rng.integers(0, parts, np.shape(real)) / parts
        low = 2.0 ** ((fmt.log_min - fmt.log_max) / fmt.base_factor + top)
        # Half a step goes up: where few parts make a step, that is more often than down.
        real = real * 2 ** ((np.floor(step + 0.5) - step) / fmt.base_factor)
        return np.where(np.abs(real) < low, 0, np.clip(real, -(2.0**top), 2.0**top))

    def products(self, reals, top):
        c = self.config
        mantissas = 2.0 ** (np.arange(c.base_factor) / c.base_factor + c.mantissa_bits)
        reals = reals * self.rng.choice(np.floor(mantissas + 0.5) / mantissas, reals.shape)
        return reals - np.sign(reals) * self.rng.uniform(0, 2.0 ** (top - c.sum_fraction_bits), reals.shape)

    def logs(self, reals):
        return reals + 2.0**-self.config.logit_bits * self.rng.uniform(-0.5, 0.5, np.shape(reals))


class Bounded:
    """The float network, and the bounds."""

    def __init__(self, config, state):
        self.config = config
        self.weights = [
            decode(config.weight, words, top, flush=False)
            for words, top in zip(state.weights, config.weight_tops, strict=True)
        ]
        self.weight_errors = [
            rounded(config.forward_weight, top, w, np.zeros_like(w))
            for w, top in zip(self.weights, config.weight_tops, strict=True)
        ]

    def sums(self, x, x_error, w, w_error, top):
        """``w @ x`` and its bound; ``top`` is that of the products."""
        c = self.config
        error = np.abs(w) @ x_error + w_error @ (np.abs(x) + x_error)
        cut = 2.0 ** -(c.mantissa_bits + 1) * ((np.abs(w) + w_error) @ (np.abs(x) + x_error))
        error = error + cut + len(x) * 2.0 ** (top - c.sum_fraction_bits)
        real = w @ x
        limit = 2.0 ** (c.sum_width - 1 - c.sum_fraction_bits + top) - 2.0 ** (top - c.sum_fraction_bits)
        return real, error + np.maximum(np.abs(real) + error - limit, 0)

    def loss(self, z, z_error, label):
        """Derivatives ``softmax - one hot`` and their bounds."""
        c = self.config
        power = 2.0 ** (z - z.max())
        share = power / power.sum()
        real = share.copy()
        others = power.sum() - power[label]
        real[label] = -others / power.sum()
        # In units of the largest exponential; the total is at least 1.
        cut = len(z) * 2.0**-c.exp_bits
        of_total = -np.log2(1 - 2.0 ** -(c.exp_bits + 1) - cut)
        octaves = z_error + z_error.max() + of_total + 0.5 * 2.0**-c.logit_bits
        low, high = share * 2.0**-octaves, share * 2.0**octaves
        spread = 2 * z_error.max() + of_total + 2.0**-c.logit_bits
        mantissa = 2.0 ** -(c.exp_bits + 1)
        smallest_power = 2.0 ** (z - z.max() - 2 * z_error.max())
        relative = mantissa + (len(z) - 1) * 2.0**-c.exp_bits / (smallest_power.sum() - smallest_power[label])
        low[label] = -real[label] * 2.0**-spread * max(1 - relative, 0)
        high[label] = -real[label] * 2.0**spread * (1 + mantissa)
        error = np.maximum(high - np.abs(real), np.abs(real) - low)
        return real, rounded(c.delta, c.delta_top, real, error)

    def gradients(self, a, label):
        """Per layer (gradient, bound), each of the weights' shape."""
        c, values = self.config, []
        error = np.zeros_like(a)
        for layer, (w, w_error) in enumerate(zip(self.weights, self.weight_errors, strict=True)):
            a, error = np.append(a, 1), np.append(error, 0)
            values.append((a, error))
            v, v_error = self.sums(a, error, w, w_error, c.source_top(layer) + c.weight_tops[layer])
            a = np.maximum(v, 0)
            error = rounded(c.activation, c.activation_top, a, v_error)
        d, d_error = self.loss(v, v_error + 0.5 * 2.0**-c.logit_bits, label)
        result = [None] * c.layers
        for layer in reversed(range(c.layers)):
            a, error = values[layer]
            bound = np.outer(d_error, np.abs(a) + error) + np.outer(np.abs(d), error)
            result[layer] = np.outer(d, a), bound
            if layer:
                w, w_error = (m[:, :-1].T for m in (self.weights[layer], self.weight_errors[layer]))
                v, v_error = self.sums(d, d_error, w, w_error, c.delta_top + c.weight_tops[layer])
                a, error = a[:-1], error[:-1]
                d = np.where(a > 0, v, 0)
                unsure = a <= error
                d_error = np.where(unsure, np.abs(v) + v_error, np.where(a > 0, v_error, 0))
                d_error = np.where((a > 0) | unsure, rounded(c.delta, c.delta_top, d, d_error), 0)
        return result


def model_gradients(config, state, sample, label):
    """The model's, as the reals that its words mean."""
    sources, logits = network.Network(config, state)._forward(sample)
    delta = network.loss(config, logits, label)
    result = [None] * config.layers
    for layer in reversed(range(config.layers)):
        a = decode(config.activation, np.append(sources[layer], config.one(layer)), config.source_top(layer))
        result[layer] = np.outer(decode(config.delta, delta, config.delta_top), a)
        if layer:
            delta = network.backward(config, layer, delta, state.weights[layer], sources[layer])
    return result


def trained(config, make_samples, rng):
    """A state in the middle of training on samples whose label is a fixed function of them."""
    words, _ = make_samples(config, rng, 300)
    a = decode(config.activation, words, config.input_top)
    labels = (a @ rng.standard_normal((config.sizes[0], config.sizes[-1]))).argmax(axis=1)
    model = CompiledNetwork(config, initial(config, 0))
    model.train(words, labels)
    return model.state, words[:40], labels[:40], a[:40]


NETWORKS = {
    "FO": {}, "middle": MIDDLE, "fine": FINE,
    "6 bits": {"activation": LNSFormat(6, 4), "delta": LNSFormat(6, 4), "forward_weight": LNSFormat(6, 4),
               "activation_top": 1},
}  # fmt: skip


@pytest.mark.parametrize("sizes", [(16, 8, 5), (64, 32, 10), (20, 12, 8, 4)])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_gradient_is_within_its_bound(name, sizes, make_samples):
    config = network_preset("FO", sizes, **NETWORKS[name])
    state, words, labels, reals = trained(config, make_samples, np.random.default_rng(0))
    bounded, plain = Bounded(config, state), Float(config, state)
    compared = 0
    for word, label, real in zip(words, labels, reals, strict=True):
        want = bounded.gradients(real, label)
        for got, (gradient, bound), other in zip(
            model_gradients(config, state, word, label), want, plain.gradients(real, label), strict=True
        ):
            assert np.allclose(gradient, other, rtol=1e-9, atol=1e-15)
            assert (np.abs(got - gradient) <= bound * (1 + 1e-9)).all()
            compared += np.count_nonzero(gradient)
    assert compared > 1000


def closeness(config, gradients, exact):
    """Relative error of all gradients together, mean cosine, mean log2 of the ratio of sizes."""
    g, h = (np.array([np.concatenate([m.ravel() for m in sample]) for sample in many]) for many in (exact, gradients))
    sizes, others = np.linalg.norm(g, axis=1), np.linalg.norm(h, axis=1)
    some = (sizes > 0) & (others > 0)
    assert some.sum() > 20
    cosine = (g * h).sum(axis=1)[some] / (sizes * others)[some]
    return np.array(
        [np.linalg.norm(h - g) / np.linalg.norm(g), cosine.mean(), np.log2(others[some] / sizes[some]).mean()]
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(16, 8, 5), (64, 32, 10), (20, 12, 8, 4)])
@pytest.mark.parametrize("name", NETWORKS)
def test_direction_and_size_are_as_random_roundings_make_them(name, sizes, make_samples):
    """Within four standard deviations of 24 networks whose roundings are random."""
    config = network_preset("FO", sizes, **NETWORKS[name])
    state, words, labels, reals = trained(config, make_samples, np.random.default_rng(1))

    def all_of(network):
        return [network.gradients(real, label) for real, label in zip(reals, labels, strict=True)]

    exact = all_of(Float(config, state))
    foretold = np.array([closeness(config, all_of(Dithered(config, state, seed)), exact) for seed in range(24)])
    model = [model_gradients(config, state, word, label) for word, label in zip(words, labels, strict=True)]
    error, cosine, size = closeness(config, model, exact)
    mean, deviation = foretold.mean(axis=0), foretold.std(axis=0, ddof=1)
    assert error <= mean[0] + 4 * deviation[0]
    assert cosine >= mean[1] - 4 * deviation[1]
    assert abs(size - mean[2]) <= 4 * deviation[2]
