"""Every normalised gradient at every learning rate, against the formula."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import WarmUp, network_preset
from lnsmadam.hw.trainer import step
from lnsmadam.hw.trainer.step import StepLane, at_least
from lnsmadam.hw.trainer.step_per_weight import StepPerWeight

#: Networks, bits of the terms, boundaries with a register (by default the unit's own choice).
CASES = {
    "FO": (network_preset("FO"), (10, 10), None),
    "FX": (network_preset("FX"), (8, 8), None),
    "stochastic": (network_preset("FO", weight_rounding=Rounding.STOCHASTIC), (10, 9), None),
    "all registers": (
        network_preset("FX", weight_rounding=Rounding.STOCHASTIC, lr=-1, step_bits=12), (9, 8),
        frozenset(range(1, 7)),
    ),
    # Mantissas are shifted, and the largest steps are longer than the format.
    "large steps": (network_preset("FO", lr=3, state=LNSFormat(12, 32)), (11, 11), frozenset({step.CLIPPED, step.SUM})),
    # Logs that are codes but out of range.
    "levels": (
        network_preset("FO", weight=LNSFormat(8, 4, -20, 30), grad_bound=0, lr=1, state=LNSFormat(9, 4)), (7, 7),
        frozenset({step.NORM, step.SIZE, step.STEPS}),
    ),
    "too slow": (network_preset("FO", lr=-16, grad_bound=0), (8, 8), frozenset({step.SUM})),
    # The largest mantissas are rounded up to 2, which is the next octave's 1.
    **{
        f"mantissas of {bits} bits, {rounding.value}": (
            network_preset("FO", state=LNSFormat(12, 64), step_bits=bits, lr=lr, weight_rounding=rounding),
            (10, 10), None,
        )
        for rounding in Rounding for bits, lr in ((1, -3), (2, -2), (4, 1))
    },
    # All normalised gradients are within an octave.
    "one octave": (network_preset("FO", state=LNSFormat(12, 256)), (5, 5), None),
}  # fmt: skip


def sizes(network, lr_shift):
    """By N: the size of a step in ``2**-step_bits``."""
    g = int(network.state.base_factor)
    with mpmath.workdps(40):
        mantissas = [int(mpmath.nint(mpmath.mpf(2) ** (mpmath.mpf(r) / g + network.step_bits))) for r in range(g)]
        offset = g * (network.lr + int(mpmath.log(network.weight.base_factor, 2)) - lr_shift)

    def size(norm):
        e = min(norm, g * network.grad_bound) + offset
        return math.floor(mantissas[e % g] * Fraction(2) ** (e // g))

    return size


@pytest.mark.parametrize("name", CASES)
def test_steps(run_cycles, name):
    network, (input_bits, neuron_bits), registered = CASES[name]
    component = StepLane(network, input_bits, neuron_bits, registered)
    fmt, rng = network.weight, np.random.default_rng(2)
    low, high = (sign * ((1 << input_bits - 1) + (1 << neuron_bits - 1)) for sign in (-1, 1))
    is_random = network.weight_rounding is Rounding.STOCHASTIC
    norms = np.arange(low, high - 1)
    norms = np.repeat(norms, max(8 if is_random else 2, 1000 // len(norms)))
    at, latency = component.weight_at, component.latency
    assert name != "FO" or (at, latency) == (2, 3)
    compared, moved, clipped = 0, 0, 0
    columns = {port: [] for port in ("term_i", "term_j", "lr_shift", "weight", "sign", "zero", "u")}
    for lr_shift in range(8):
        count = len(norms)
        i_low, j_low = -(1 << input_bits - 1), -(1 << neuron_bits - 1)
        term_i = np.clip(rng.integers(i_low, -i_low, count), norms + j_low + 1, norms - j_low)
        term_i = np.clip(term_i, i_low, -i_low - 1)
        weight = rng.integers(0, 1 << fmt.width, count)
        # Often next to an end of the range, or zero's code.
        near_end = rng.choice([fmt.log_min, fmt.log_max, fmt.zero_log], count) + rng.integers(-3, 4, count)
        sign_bit = rng.integers(0, 2, count) << fmt.log_width
        weight = np.where(rng.integers(0, 3, count), weight, near_end & fmt.log_mask | sign_bit)
        columns["term_i"] += [*term_i, *[0] * latency]
        columns["term_j"] += [*np.clip(norms - term_i, j_low, -j_low - 1), *[0] * latency]
        columns["lr_shift"] += [lr_shift] * (count + latency)
        for port, values in (
            ("weight", weight), ("sign", rng.integers(0, 2, count)),
            ("zero", rng.integers(0, 8, count) == 0), ("u", rng.integers(0, 1 << network.step_bits, count)),
        ):  # fmt: skip
            columns[port] += [*[0] * at, *values.astype(int), *[0] * (latency - at)]
    inputs = {port: np.array(column) for port, column in columns.items()}
    if not is_random:
        del inputs["u"]
    got = run_cycles(component, inputs)["result"]

    rows = len(norms) + latency
    for lr_shift in range(8):
        size = sizes(network, lr_shift)
        part = slice(lr_shift * rows, (lr_shift + 1) * rows)
        terms, late = slice(0, len(norms)), slice(at, at + len(norms))
        norm = (inputs["term_i"] + inputs["term_j"])[part][terms]
        weight, sign, zero = (inputs[port][part][late] for port in ("weight", "sign", "zero"))
        table = {n: size(n) for n in set(norm.tolist())}
        x = np.array([table[n] for n in norm.tolist()])
        u = inputs["u"][part][late] if is_random else 1 << network.step_bits - 1
        steps = (x + u) >> network.step_bits
        w_sign = weight >> fmt.log_width
        log = (weight & fmt.log_mask) - ((weight & fmt.log_mask) >> fmt.log_width - 1 << fmt.log_width)
        new = log - np.where(w_sign == sign, steps, -steps)
        kept = np.clip(new, fmt.log_min, fmt.log_max)
        want = np.where(zero == 1, weight, kept & fmt.log_mask | w_sign << fmt.log_width)
        result = got[part][latency:]
        wrong = np.flatnonzero(result != want)
        assert not len(wrong), [
            (lr_shift, *(int(column[i]) for column in (norm, weight, sign, zero, result, want))) for i in wrong[:5]
        ]
        compared += len(want)
        moved += np.count_nonzero((want != weight) & (kept == new))
        clipped += np.count_nonzero((kept != new) & (zero == 0))
    assert compared == 8 * len(norms) and clipped > 100
    assert moved > 200 or name == "too slow"


class AtLeast(wiring.Component):
    def __init__(self, limits):
        self.limits = limits
        super().__init__({"value": In(signed(5)), "result": Out(len(limits))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.result[k].eq(at_least(self.value, limit)) for k, limit in enumerate(self.limits)]
        return m


def test_comparison_without_carries(run_cycles):
    limits, values = range(-20, 20), np.arange(-16, 16)
    got = run_cycles(AtLeast(limits), {"value": values})["result"]
    assert got.tolist() == [sum((value >= limit) << k for k, limit in enumerate(limits)) for value in values.tolist()]


PER_WEIGHT = {
    "growing": network_preset("FV", beta_shift=6),
    "exact, all random": network_preset("FV", weight_rounding=Rounding.STOCHASTIC, warm_up=WarmUp.EXACT),
    "exact, nothing random": network_preset("FV", state_rounding=Rounding.NEAREST, warm_up=WarmUp.EXACT, lr=-3),
}


def rounded_change(network, k, distance):
    """``round(2**b * g/2 * log2(beta + (1 - beta) * 4**(d / g)))``, of numbers that no tie is near."""
    unit = network.state.base_factor * 2.0 ** (network.state_fraction_bits - 1)
    real = unit / np.log(2) * np.log1p(2.0**-k * np.expm1(2 * np.log(2) / network.state.base_factor * distance))
    return np.floor(real + 0.5).astype(int), np.abs(real - np.floor(real) - 0.5) < 1e-6


@pytest.mark.parametrize("name", PER_WEIGHT)
def test_steps_per_weight(run_cycles, name):
    network, rng, count = PER_WEIGHT[name], np.random.default_rng(5), 20_000
    input_bits, neuron_bits = 9, 8
    component = StepPerWeight(network, input_bits, neuron_bits)
    fmt, state, g, b = network.weight, network.state, int(network.state.base_factor), network.state_fraction_bits
    step_random = network.weight_rounding is Rounding.STOCHASTIC
    state_random = network.state_rounding is Rounding.STOCHASTIC
    at, latency = component.weight_at, component.latency
    runs, parts = {}, []
    for lr_shift, k in ((0, 6), (1, 2), (3, 1), (0, 10)):
        if network.warm_up is WarmUp.GROWING:
            k = min(k, network.beta_shift)
            setting = {"k": k}
        else:
            setting = {"bias": -(k - 1) * g // 2}
            k = network.beta_shift
        bias = setting.get("bias", 0)
        term_i = rng.integers(-(1 << input_bits - 1), 1 << input_bits - 1, count)
        term_j = rng.integers(-(1 << neuron_bits - 1), 1 << neuron_bits - 1, count)
        near = term_i + term_j - bias + rng.integers(-60, 20, count)
        tracker = np.where(rng.integers(0, 8, count), near, rng.integers(-256, 256, count))
        part = {
            "term_i": term_i, "term_j": term_j, "tracker": np.clip(tracker, state.zero_log, state.log_max),
            "weight": rng.integers(0, 1 << fmt.width, count), "sign": rng.integers(0, 2, count),
            "zero": (rng.integers(0, 8, count) == 0).astype(int),
            "update": (rng.integers(0, 8, count) > 0).astype(int), "u": rng.integers(0, 1 << b, count),
        }  # fmt: skip
        parts.append((part, lr_shift, k, bias))
        for port, column in part.items():
            late = 0 if port.startswith("term") else at
            runs.setdefault(port, []).extend([*[0] * late, *column, *[0] * (latency - late)])
        for port, value in {"lr_shift": lr_shift, **setting}.items():
            runs.setdefault(port, []).extend([value] * (count + latency))
    if not hasattr(component, "u"):
        del runs["u"]
    out = run_cycles(component, {port: np.array(column) for port, column in runs.items()})

    moved = 0
    for number, (part, lr_shift, k, bias) in enumerate(parts):
        behind = slice(number * (count + latency) + latency, (number + 1) * (count + latency))
        x, r, zero = part["term_i"] + part["term_j"], part["tracker"], part["zero"] == 1
        change, is_near_tie = rounded_change(network, k, np.where(zero, -8 * g + (g * k >> 1), x - r))
        # A gradient far below the running RMS makes the same change as one of 8 octaves below.
        change = np.maximum(change, rounded_change(network, k, -8 * g + (g * k >> 1))[0])
        u = part["u"] if state_random else 1 << b - 1
        new = np.where(r == state.zero_log, x - (g * k >> 1), r + ((change + u) >> b))
        new = np.clip(new, state.log_min, state.log_max)
        new = np.where((part["update"] == 0) | (r == state.zero_log) & zero, r, new)
        # Trackers have a test of their own.
        known = ~is_near_tie & (np.abs(out["tracker_result"][behind] - new) == 0)
        assert np.count_nonzero(~known) < count // 1000

        size = sizes(network, lr_shift)
        norm = x - new + bias
        table = {n: size(n) for n in set(norm.tolist())}
        u = part["u"] & (1 << network.step_bits) - 1 if step_random else 1 << network.step_bits - 1
        steps = (np.array([table[n] for n in norm.tolist()]) + u) >> network.step_bits
        weight, w_sign = part["weight"], part["weight"] >> fmt.width - 1
        log = (weight & fmt.log_mask) - ((weight & fmt.log_mask) >> fmt.log_width - 1 << fmt.log_width)
        kept = np.clip(log - np.where(w_sign == part["sign"], steps, -steps), fmt.log_min, fmt.log_max)
        want = np.where(zero, weight, kept & fmt.log_mask | w_sign << fmt.log_width)
        wrong = np.flatnonzero((out["result"][behind] != want) & known)
        assert not len(wrong), [
            (*(int(c[i]) for c in (*part.values(), new, out["result"][behind], want)), bias) for i in wrong[:5]
        ]
        moved += np.count_nonzero(want != weight)
    assert moved > 3000
