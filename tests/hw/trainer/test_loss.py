"""Class, gate and deltas of random samples, against the formulas."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.hw.trainer.loss import Loss

CONFIGS = {
    "preset": {},
    "two classes": {"sizes": (5, 2), "logit_bits": 6, "sum_width": 15, "weight_tops": (3,), "delta_top": -2},
    # Logits longer than the sums; deltas of the logits' base factor; powers of few bits.
    "long logits": {
        "sizes": (3, 7), "logit_bits": 2, "sum_fraction_bits": 8, "sum_width": 10, "weight_tops": (9,), "exp_bits": 4,
    },
    # The least differences are powers of 1.
    "short powers": {"logit_bits": 6, "exp_bits": 4},
    "33 classes": {"sizes": (4, 4, 33), "delta": LNSFormat(8, 4, -40, 61), "exp_bits": 12, "logit_bits": 3},
}  # fmt: skip


def nearest(real):
    return int(mpmath.floor(real + mpmath.mpf(1) / 2))


def outcome(network, sums, label):
    """``(logits, predicted, margin, delta words)`` of one sample."""
    classes, last = len(sums), network.layers - 1
    step = Fraction(2) ** (network.sum_fraction_bits - network.source_top(last) - network.weight_tops[last]
                           - network.logit_bits)  # fmt: skip
    logits = [math.floor(Fraction(int(v)) / step + Fraction(1, 2)) for v in sums]
    predicted = logits.index(max(logits))
    margin = logits[label] - max(z for j, z in enumerate(logits) if j != label)
    octave, gamma, fmt = 1 << network.logit_bits, network.base_factor, network.delta
    powers = []
    with mpmath.workdps(40):
        for z in logits:
            distance = max(logits) - z
            q = math.ceil(Fraction(distance, octave))
            mantissa = nearest(mpmath.mpf(2) ** (mpmath.mpf(q * octave - distance) / octave + network.exp_bits))
            powers.append(mantissa >> q)
        others = sum(powers) - powers[label]
        total_log, others_log = (
            nearest(octave * (mpmath.log(s, 2) - network.exp_bits)) if s else None for s in (sum(powers), others)
        )
    words = []
    for j in range(classes):
        if j == label and not others:
            words.append(fmt.zero_log & fmt.log_mask)
            continue
        e = others_log - total_log if j == label else -(max(logits) - logits[j]) - total_log
        log = fmt.log_max + math.floor(Fraction(e * gamma, octave) + Fraction(1, 2)) - gamma * network.delta_top
        if log < fmt.log_min:
            words.append(fmt.zero_log & fmt.log_mask)
        else:
            words.append(min(log, fmt.log_max) & fmt.log_mask | (j == label) << fmt.log_width)
    return logits, predicted, margin, words


def samples(network, rng, count):
    """Sums of samples, near to each other or far apart, with ties and with the extremes."""
    half = 1 << network.sum_width - 1
    spread = half * 2.0 ** -rng.integers(0, network.sum_width, (count, 1))
    sums = rng.normal(0, 1, (count, network.sizes[-1])) * spread + rng.normal(0, half / 4, (count, 1))
    sums = np.clip(np.round(sums), -half, half - 1).astype(int)
    sums[::7] = np.where(rng.integers(0, 2, sums[::7].shape), half - 1, -half)
    sums[::11] = sums[::11, :1]
    return sums


@pytest.mark.parametrize("name", CONFIGS)
def test_samples(run_cycles, name):
    network = NetworkConfig(**CONFIGS[name])
    component, classes = Loss(network), network.sizes[-1]
    rng = np.random.default_rng(1)
    count = max(2000 // classes, 100)
    sums, labels = samples(network, rng, count), rng.integers(0, classes, count)
    largest = sums.argmax(1)
    labels = np.where(rng.integers(0, 2, count), largest, labels)
    gate = rng.integers(0, 1 << network.logit_bits + 2, count) * rng.integers(0, 2, count)
    learn, gate_on = (rng.integers(0, 4, count) > 0).astype(int), rng.integers(0, 2, count)
    # Some samples are dropped in the middle by the start of the next.
    is_dropped = rng.integers(0, 4, count) == 0
    is_dropped[-1] = False
    settle = component.latency + classes
    rows: dict[str, list[int]] = {port: [] for port in (
        "start", "label", "learn", "gate_on", "gate_margin", "logit_valid", "value", "read_index")}  # fmt: skip
    spans = []
    for n in range(count):
        begin = len(rows["start"])
        length = 1
        # Gaps between the logits in every second sample.
        for value in sums[n]:
            gap = int(rng.integers(0, 3)) if n % 2 else 0
            rows["logit_valid"] += [0] * gap + [1]
            rows["value"] += [int(x) for x in rng.integers(-9, 9, gap)] + [int(value)]
            length += gap + 1
        last = begin + length - 1
        tail = settle + classes + 2
        length += tail
        # `start` comes before the first logit: in the cycle in front of it.
        rows["start"] += [1] + [0] * (length - 1)
        rows["logit_valid"].insert(begin, 0)
        rows["value"].insert(begin, 0)
        rows["logit_valid"] += [0] * tail
        rows["value"] += [0] * tail
        rows["read_index"] += [0] * (length - classes - 1) + list(range(classes)) + [0]
        for port, values in (("label", labels), ("learn", learn), ("gate_on", gate_on), ("gate_margin", gate)):
            rows[port] += [int(values[n])] * length
        if is_dropped[n]:
            cut = begin + 1 + int(rng.integers(0, length - 1))
            for column in rows.values():
                del column[cut:]
        spans.append((begin, last, len(rows["start"])))
    out = run_cycles(component, {port: np.array(column) for port, column in rows.items()})

    seen = {"gated": 0, "zero": 0, "learned": 0}
    for n, (begin, last, end) in enumerate(spans):
        if is_dropped[n]:
            continue
        logits, predicted, margin, words = outcome(network, sums[n], labels[n])
        # Nothing of a dropped sample comes out after the start of this one.
        decided = np.flatnonzero(out["decided"][begin + 1 : end + 1]) + begin + 1
        assert len(decided) == 1 and last < decided[0], (n, decided)
        gated = bool(gate_on[n]) and margin >= gate[n]
        for moment in (decided[0], end - 1):
            assert out["predicted"][moment] == predicted, (n, logits)
            assert out["correct"][moment] == (predicted == labels[n]), (n, logits)
            assert out["gated"][moment] == gated, (n, logits, margin, gate[n])
        valid = np.flatnonzero(out["delta_valid"][begin + 1 : end + 1]) + begin + 1
        got = out["delta"][valid].tolist()
        assert got == (words if learn[n] and not gated else []), (n, logits, labels[n], got, words)
        assert not len(valid) or decided[0] < valid[0] and valid[-1] - last <= component.latency
        assert out["read_logit"][end - classes : end].tolist() == logits, n
        seen["gated"] += gated
        seen["learned"] += len(got) > 0
        seen["zero"] += words[labels[n]] == network.delta.zero
    assert min(seen.values()) > 0, seen
    assert len({tuple(outcome(network, s, y)[3]) for s, y in zip(sums[:50], labels[:50], strict=True)}) > 8
