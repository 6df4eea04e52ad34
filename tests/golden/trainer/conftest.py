"""The learning network a second time: one Python number after the other, reals from mpmath, shifts as fractions.

Written from the specification of a sample's bits; it calls nothing of the model but the configuration's fields.
"""

import functools
from fractions import Fraction
from math import ceil, floor, prod
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment, WarmUp, network_preset
from lnsmadam.golden.trainer.state import initial

DIGITS = 50


def nearest(make):
    """``floor(x + 1/2)`` of an mpmath number; nearer to a tie than 1e-40 it is one, whose log came out a little off."""
    with mpmath.workdps(DIGITS):
        return int(mpmath.floor(make() + mpmath.mpf(1) / 2 + mpmath.mpf(10) ** -40))


@functools.cache
def power(base_factor, mantissa_bits, fraction_bits, below):
    q = ceil(Fraction(below, base_factor))
    r = q * base_factor - below
    mantissa = nearest(lambda: mpmath.mpf(2) ** (mpmath.mpf(r) / base_factor + mantissa_bits))
    return floor(mantissa * Fraction(2) ** (fraction_bits - mantissa_bits - q))


@functools.cache
def log2(base_factor, numerator, fraction_bits):
    return nearest(lambda: base_factor * (mpmath.log(numerator, 2) - fraction_bits))


@functools.cache
def tracker_change(g, k, b, distance):
    """``distance`` None: of an input of zero."""

    def real():
        beta = 1 - mpmath.mpf(2) ** -k
        gained = 0 if distance is None else (1 - beta) * mpmath.mpf(4) ** (mpmath.mpf(distance) / g)
        return mpmath.mpf(2) ** b * g / 2 * mpmath.log(beta + gained, 2)

    return nearest(real)


@functools.cache
def bias(g, k, t):
    return nearest(lambda: mpmath.mpf(g) / 2 * mpmath.log(1 - (1 - mpmath.mpf(2) ** -k) ** t, 2))


def fields(fmt, word):
    """Sign as ±1 and log."""
    word, half = int(word), 1 << (fmt.width - 2)
    low = word % (2 * half)
    return (-1 if word >= 2 * half else 1), (low if low < half else low - 2 * half)


def read(fmt, word):
    """(sign, log), or None for zero."""
    sign, log = fields(fmt, word)
    return None if log == -(1 << (fmt.width - 2)) else (sign, log)


def fit(fmt, sign, log):
    if log < fmt.log_min:
        return None
    return sign, min(log, fmt.log_max)


def saturate(config, total):
    half = 1 << (config.sum_width - 1)
    return max(-half, min(half - 1, total))


class Slow:
    """A network of lists of Python integers; a number is (sign, log) or None, a weight [sign, log]."""

    def __init__(self, config, state):
        self.config = config
        self.weights = [[[list(fields(config.weight, w)) for w in row] for row in layer] for layer in state.weights]
        self.input_trackers = [layer.tolist() for layer in state.input_trackers]
        self.neuron_trackers = [layer.tolist() for layer in state.neuron_trackers]
        self.trackers = [layer.tolist() for layer in state.trackers]
        self.t = state.update_count
        self.registers = {"input": state.input_noise, "neuron": state.neuron_noise}

    def differences(self, state):
        """Names of what differs from a state of the model."""
        config = self.config
        found = []
        for layer, words in zip(self.weights, state.weights, strict=True):
            if layer != [[list(fields(config.weight, w)) for w in row] for row in words]:
                found.append("weights")
        for name in ("input_trackers", "neuron_trackers", "trackers"):
            if getattr(self, name) != [layer.tolist() for layer in getattr(state, name)]:
                found.append(name)
        if (self.t, *self.registers.values()) != (state.update_count, state.input_noise, state.neuron_noise):
            found.append("numbers")
        return found

    def gamma(self):
        return int(self.config.activation.base_factor)

    def top(self, layer):
        return self.config.activation_top if layer else self.config.input_top

    def forward_weight(self, weight):
        c = self.config
        ratio = Fraction(c.weight.base_factor) / Fraction(c.activation.base_factor)
        log = c.forward_weight.log_max + floor((weight[1] - c.weight.log_max) / ratio + Fraction(1, 2))
        return fit(c.forward_weight, weight[0], log)

    def product(self, fmt, x, weight):
        w = self.forward_weight(weight)
        if x is None or w is None:
            return 0
        below = fmt.log_max - x[1] + self.config.forward_weight.log_max - w[1]
        c = self.config
        return x[0] * w[0] * power(self.gamma(), c.mantissa_bits, c.sum_fraction_bits, below)

    def forward(self, words):
        c, gamma = self.config, self.gamma()
        a, sources = [read(c.activation, word) for word in words], []
        for layer, weights in enumerate(self.weights):
            a = [*a, (1, c.activation.log_max - gamma * self.top(layer))]
            sources.append(a)
            v = [
                saturate(c, sum(self.product(c.activation, x, w) for x, w in zip(a, row, strict=True)))
                for row in weights
            ]
            octaves = self.top(layer) + c.weight_tops[layer]
            if layer == c.layers - 1:
                s = c.sum_fraction_bits - octaves - c.logit_bits
                return sources, [floor(Fraction(x) / Fraction(2) ** s + Fraction(1, 2)) for x in v]
            offset = c.activation.log_max + gamma * (octaves - c.activation_top)
            a = [
                fit(c.activation, 1, log2(gamma, x, c.sum_fraction_bits) + offset) if x > 0 else None for x in v
            ]  # fmt: skip

    def deltas(self, z, y):
        c, e = self.config, 1 << self.config.logit_bits
        u = [power(e, c.exp_bits, c.exp_bits, max(z) - x) for x in z]
        total, others = log2(e, sum(u), c.exp_bits), sum(u) - u[y]
        words = []
        for j in range(len(z)):
            if j == y and others == 0:
                words.append(None)
                continue
            log = log2(e, others, c.exp_bits) - total if j == y else z[j] - max(z) - total
            log = floor(Fraction(log * self.gamma(), e) + Fraction(1, 2))
            words.append(fit(c.delta, -1 if j == y else 1, c.delta.log_max + log - self.gamma() * c.delta_top))
        return words

    def backward(self, layer, d, a):
        c, words = self.config, []
        for i in range(c.sizes[layer]):
            column = [row[i] for row in self.weights[layer]]
            v = saturate(c, sum(self.product(c.delta, x, w) for x, w in zip(d, column, strict=True)))
            if a[i] is None or v == 0:
                words.append(None)
                continue
            log = c.delta.log_max + log2(self.gamma(), abs(v), c.sum_fraction_bits)
            words.append(fit(c.delta, 1 if v > 0 else -1, log + self.gamma() * c.weight_tops[layer]))
        return words

    def draw(self, name):
        lfsr = getattr(self.config, f"{name}_noise")
        state = self.registers[name]
        for _ in range(lfsr.shift):
            taps = [bit for bit in range(1, lfsr.width + 1) if lfsr.polynomial >> bit & 1]
            new = sum(self_bit(state, bit - 1) for bit in taps) % 2
            state = (2 * state + new) % (1 << lfsr.width)
        drawn, self.registers[name] = self.registers[name] % (1 << lfsr.bits), state
        return drawn

    def track(self, r, x, random):
        c, fmt = self.config, self.config.state
        g, b = int(fmt.base_factor), c.state_fraction_bits
        k = c.beta_shift
        if c.warm_up is WarmUp.GROWING:
            k = max(1, min(k, (self.t + 1).bit_length() - 1))
        if r == -(1 << (fmt.width - 2)):
            if x is None:
                return r
            r = x - floor(Fraction(g * k, 2))
        else:
            u = 2 ** (b - 1) if c.state_rounding is Rounding.NEAREST else random % 2**b
            r += floor(Fraction(tracker_change(g, k, b, None if x is None else x - r) + u, 2**b))
        return max(fmt.log_min, min(fmt.log_max, r))

    def step(self, weight, sign, norm, random, lr_shift):
        """Moves a weight by a gradient of this sign and log of normalised size."""
        c = self.config
        g = int(c.state.base_factor)
        log = min(norm, g * c.grad_bound) + g * (c.lr - lr_shift)
        log += g * (int(c.weight.base_factor).bit_length() - 1)
        q, r = divmod(log, g)
        mantissa = nearest(lambda: mpmath.mpf(2) ** (mpmath.mpf(r) / g + c.step_bits))
        size = floor(mantissa * Fraction(2) ** q)
        u = 2 ** (c.step_bits - 1) if c.weight_rounding is Rounding.NEAREST else random % 2**c.step_bits
        moved = weight[1] - weight[0] * sign * floor(Fraction(size + u, 2**c.step_bits))
        weight[1] = max(c.weight.log_min, min(c.weight.log_max, moved))

    def learn(self, layer, a, d, s, lr_shift):
        c, gamma, g = self.config, self.gamma(), int(self.config.state.base_factor)
        m = g // gamma
        random = [self.draw("input") for _ in a] if c.uses_noise else [0] * len(a)
        la = [None if x is None else m * (x[1] - c.activation.log_max + gamma * self.top(layer)) for x in a]
        ld = [None if x is None else m * (x[1] - c.delta.log_max + gamma * c.delta_top) for x in d]
        correction = bias(g, c.beta_shift, self.t + 1) if c.warm_up is WarmUp.EXACT else 0
        if c.second_moment is SecondMoment.FACTORED:
            rows, columns = self.input_trackers[layer], self.neuron_trackers[layer]
            rows[:] = [self.track(r, x, u) for r, x, u in zip(rows, la, random, strict=True)]
            columns[:] = [self.track(r, x, u) for r, x, u in zip(columns, ld, s, strict=True)]
        for j, row in enumerate(self.weights[layer]):
            for i, weight in enumerate(row):
                u = random[i] ^ s[j]
                is_zero = la[i] is None or ld[j] is None
                norm = None if is_zero else la[i] + ld[j]
                if c.second_moment is SecondMoment.PER_WEIGHT:
                    old = self.trackers[layer][j]
                    old[i] = self.track(old[i], norm, u)
                    norm = None if is_zero else norm - old[i] + correction
                if is_zero:
                    continue
                if c.second_moment is SecondMoment.FACTORED:
                    norm += 2 * correction - rows[i] - columns[j]
                self.step(weight, a[i][0] * d[j][0], norm, u, lr_shift)

    def sample(self, words, y, lr_shift=0):
        """(predicted, gated)"""
        c = self.config
        sources, z = self.forward(words)
        predicted = z.index(max(z))
        if c.gate is not None:
            margin = floor(Fraction(c.gate) * 2**c.logit_bits + Fraction(1, 2))
            if z[y] - max(x for j, x in enumerate(z) if j != y) >= margin:
                return predicted, True
        d = self.deltas(z, y)
        for layer in reversed(range(c.layers)):
            noise = [self.draw("neuron") for _ in d] if c.uses_noise else [0] * len(d)
            before = self.backward(layer, d, sources[layer]) if layer else None
            self.learn(layer, sources[layer], d, noise, lr_shift)
            d = before
        self.t += 1
        return predicted, False


def self_bit(state, bit):
    return state >> bit & 1


SMALL = (5, 4, 3)
CONFIGS = {
    "FO": network_preset("FO", SMALL),
    "FX": network_preset("FX", SMALL),
    "FV": network_preset("FV", SMALL),
    "FO exact, three layers, all stochastic": network_preset(
        "FO", (6, 5, 4, 2), warm_up="exact", weight_rounding="stochastic", beta_shift=4
    ),
    "FV exact, nearest": network_preset("FV", SMALL, warm_up="exact", state_rounding="nearest", beta_shift=3),
    "FX stochastic, gate": network_preset("FX", SMALL, weight_rounding="stochastic", gate=0.3),
    "one layer, wide": NetworkConfig(sizes=(4, 3), input_top=1, delta_top=-1, lr=-3),
    "6 bits, one copy": network_preset(
        "FO", SMALL, activation=LNSFormat(6, 4), delta=LNSFormat(6, 4), forward_weight=LNSFormat(6, 4),
        weight=LNSFormat(7, 4), activation_top=1, sum_width=14, sum_fraction_bits=11, mantissa_bits=2, exp_bits=4,
        logit_bits=2, step_bits=3, state=LNSFormat(8, 4), state_fraction_bits=1, lr=-3,
    ),
    "cut ranges": network_preset(
        "FO", SMALL, activation=LNSFormat(7, 2, -20, 15), delta=LNSFormat(8, 2, -30, 40), lr=-2,
        forward_weight=LNSFormat(6, 2, -9, 6), weight=LNSFormat(12, 32, -300, 500), state=LNSFormat(7, 2, -20, 20),
        activation_top=2, beta_shift=6,
    ),
    "10 bits": network_preset(
        "FV", SMALL, activation=LNSFormat(10, 32), delta=LNSFormat(10, 32), forward_weight=LNSFormat(10, 32),
        weight=LNSFormat(12, 128), state=LNSFormat(12, 64), mantissa_bits=8, sum_width=24, sum_fraction_bits=20,
        logit_bits=6, exp_bits=12, lr=-2, step_bits=12,
    ),
    "one step an octave": network_preset(
        "FO", SMALL, activation=LNSFormat(6, 1), delta=LNSFormat(6, 1), forward_weight=LNSFormat(6, 1),
        weight=LNSFormat(8, 8), state=LNSFormat(7, 1), lr=-4,
    ),
    "narrow sums": network_preset("FO", SMALL, sum_width=8, sum_fraction_bits=6, activation_top=0, grad_bound=0, lr=3),
    "small generators": network_preset(
        "FO", SMALL, weight_rounding="stochastic", step_bits=4, state_fraction_bits=4, lr=-2,
        input_noise=LFSRConfig(5, 0x25, 3, 4, 2), neuron_noise=LFSRConfig(4, 0x13, 7, 4, 1),
    ),
}  # fmt: skip


def samples(config, rng, count):
    """Words of inputs, mostly near their top and positive, some zero; and labels."""
    fmt = config.activation
    log = np.clip(fmt.log_max - rng.integers(0, 1 << fmt.width, (count, config.sizes[0])) // 6, fmt.zero_log, None)
    log = np.where(rng.random(log.shape) < 0.3, fmt.zero_log, log)
    sign = rng.random(log.shape) < 0.2
    words = np.where(log < fmt.log_min, fmt.zero, (sign << fmt.log_width) | (log & fmt.log_mask))
    return words, rng.integers(0, config.sizes[-1], count)


@pytest.fixture(scope="session")
def slow():
    return SimpleNamespace(
        Network=Slow, power=power, log2=log2, tracker_change=tracker_change, bias=bias, nearest=nearest, fields=fields
    )


@pytest.fixture(scope="session")
def make_samples():
    return samples


@pytest.fixture(scope="session")
def configs():
    return CONFIGS


@pytest.fixture(params=list(CONFIGS))
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def first_state(config):
    state = initial(config, 5)
    assert sum(prod(a.shape) for a in state.weights) == config.weights
    return state
