"""The network against the same network written a second time, in fractions and high precision."""

import dataclasses

import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer import network, tables
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.network import Network
from lnsmadam.golden.trainer.state import LAST_COUNT, initial


def test_learns_as_the_specification_says(config, first_state, slow, make_samples):
    """Every bit of the state, after each of 60 samples at three learning rates."""
    model, reference = Network(config, first_state), slow.Network(config, first_state)
    words, labels = make_samples(config, np.random.default_rng(1), 60)
    moved = 0
    for n, (sample, label) in enumerate(zip(words, labels, strict=True)):
        lr_shift = n // 20
        assert model.logits(sample[None])[0].tolist() == reference.forward(sample)[1]
        outcome = model.train(sample[None], label[None], lr_shift)
        predicted, gated = reference.sample(sample, int(label), lr_shift)
        assert (outcome.predicted[0], outcome.gated[0]) == (predicted, gated)
        assert outcome.correct[0] == (predicted == label)
        assert not reference.differences(model.state), f"sample {n}"
        moved += not gated
    assert model.state.update_count == moved > 0
    assert model.state.differences(first_state).startswith("weights")
    assert all((a >> config.weight.log_width == b >> config.weight.log_width).all()
               for a, b in zip(model.state.weights, first_state.weights, strict=True))  # fmt: skip


def test_every_code_of_a_weight_is_read_and_moved(config, slow, make_samples):
    """Zero's code and codes out of the range, in the forward pass and in learning."""
    state = initial(config, 0)
    rng = np.random.default_rng(2)
    for layer, matrix in enumerate(state.weights):
        state.weights[layer] = rng.integers(0, 1 << config.weight.width, matrix.shape)
        state.weights[layer].flat[:2] = config.weight.zero, config.weight.zero | config.weight.sign_bit
    model, reference = Network(config, state), slow.Network(config, state)
    words, labels = make_samples(config, rng, 10)
    model.train(words, labels)
    for sample, label in zip(words, labels, strict=True):
        reference.sample(sample, int(label))
    assert not reference.differences(model.state)


def test_trackers_of_any_code(config, slow, make_samples):
    state = initial(config, 0)
    rng = np.random.default_rng(3)
    for arrays in (state.input_trackers, state.neuron_trackers, state.trackers):
        for array in arrays:
            array[...] = rng.integers(config.state.zero_log, config.state.code_max + 1, array.shape)
    state.update_count = 1 << config.beta_shift
    model, reference = Network(config, state), slow.Network(config, state)
    words, labels = make_samples(config, rng, 10)
    model.train(words, labels)
    for sample, label in zip(words, labels, strict=True):
        reference.sample(sample, int(label))
    assert not reference.differences(model.state)


FACTORS = [(1, 1, 4), (2, 3, 8), (4, 4, 12), (4, 4, 24), (8, 8, 12), (16, 2, 20), (64, 12, 24)]


@pytest.mark.parametrize("factor, mantissa_bits, fraction_bits", FACTORS)
def test_products_for_every_distance(slow, factor, mantissa_bits, fraction_bits):
    table = tables.power_table(factor, mantissa_bits, fraction_bits)
    want = [slow.power(factor, mantissa_bits, fraction_bits, n) for n in range(len(table) + 2 * factor)]
    assert table.tolist() == want[: len(table)] and not any(want[len(table) - 1 :]) and table[-2] > 0


def test_products_of_words_are_those_of_the_table(config, slow):
    fmt = config.activation
    words = np.arange(1 << fmt.width)
    weights = np.random.default_rng(4).integers(0, 1 << config.weight.width, 64)
    x = network.factor_of(fmt, words[:, None])
    got = network.product(config, x, network.forward_factor(config, weights))
    reference = slow.Network(config, initial(config, 0))
    pairs = [slow.fields(config.weight, w) for w in weights]
    for word in np.random.default_rng(5).choice(words, 40, replace=False):
        sign, log = slow.fields(fmt, word)
        number = None if log == fmt.zero_log else (sign, log)
        assert got[word].tolist() == [reference.product(fmt, number, pair) for pair in pairs]


def test_forward_weight_of_every_word(config, slow):
    fmt = config.forward_weight
    words = np.arange(1 << config.weight.width)
    sign, below = network.forward_factor(config, words)
    reference = slow.Network(config, initial(config, 0))
    for word in words.tolist():
        want = reference.forward_weight(slow.fields(config.weight, word))
        assert (sign[word] == 0) if want is None else (sign[word], fmt.log_max - below[word]) == want


def test_activation_of_every_sum(config, slow):
    """All sums of up to 14 bits, the ends of wider ones."""
    if config.layers == 1:
        config = dataclasses.replace(config, sizes=(4, 3, 3), weight_tops=None)
    half = 1 << (config.sum_width - 1)
    sums = np.unique(np.concatenate([np.arange(-9, min(half, 8192)), [-half, half - 1, half // 3]]))
    got = network.activate(config, 0, sums)
    fmt, factor = config.activation, config.base_factor
    offset = fmt.log_max + factor * (config.input_top + config.weight_tops[0] - config.activation_top)
    for v, word in zip(sums.tolist(), got.tolist(), strict=True):
        log = slow.log2(factor, v, config.sum_fraction_bits) + offset if v > 0 else fmt.log_min - 1
        want = fmt.zero if log < fmt.log_min else min(log, fmt.log_max) & fmt.log_mask
        assert word == want, f"sum {v}"


def test_loss_of_any_logits(config, slow):
    """Close ones, and so far apart that no exponential but the largest is left."""
    rng = np.random.default_rng(14)
    reference, fmt = slow.Network(config, initial(config, 0)), config.delta
    zeros = 0
    for scale in (
        1,
        1 << config.logit_bits,
        config.exp_bits << config.logit_bits,
        8 * config.exp_bits << config.logit_bits,
    ):
        for _ in range(20):
            logits = rng.integers(-scale, scale + 1, config.sizes[-1])
            for label in range(len(logits)):
                want = reference.deltas(logits.tolist(), label)
                sign, log = fmt.unpack(network.loss(config, logits, label))
                got = [None if n == fmt.zero_log else (1 - 2 * s, n) for s, n in zip(sign, log, strict=True)]
                assert got == want
                zeros += want[label] is None
    assert zeros


def test_softmax_log_of_every_sum(slow):
    config = network_preset("FO", (4, 10), exp_bits=6, logit_bits=5)
    rule = tables.softmax_log(config)
    total = np.arange(1, 10 * 64 + 1)
    assert rule.evaluate(total).tolist() == [slow.log2(32, int(x), 6) for x in total]


@pytest.mark.parametrize("factor, fraction_bits", [(1, 1), (2, 12), (8, 1), (8, 12), (64, 5), (256, 12)])
@pytest.mark.parametrize("shift", [1, 2, 3, 7, 10, 12])
def test_tracker_change_for_every_distance(slow, factor, fraction_bits, shift):
    table = tables.tracker_table(factor, shift, fraction_bits)
    last = table.first + len(table.values) - 1
    distance = np.arange(table.first - 3, last + 4)
    if len(distance) > 600:
        rng = np.random.default_rng(6)
        distance = np.unique(np.concatenate([distance[:50], distance[-50:], rng.choice(distance, 300)]))
    # Both ways far from the table, where it is a constant and a straight line.
    distance = np.concatenate([distance, [-40 * factor, -9 * factor, last + factor, last + 20 * factor]])
    want = [slow.tracker_change(factor, shift, fraction_bits, int(d)) for d in distance]
    assert table.change(distance).tolist() == want
    assert table.decay == slow.tracker_change(factor, shift, fraction_bits, None) <= 0


def test_all_tables_of_trackers_end_in_their_asymptotes(slow):
    for factor in (1, 2, 4, 8, 16, 64, 256):
        for shift in range(1, 13):
            for fraction_bits in range(1, 13):
                table = tables.tracker_table(factor, shift, fraction_bits)
                assert table.decay == slow.tracker_change(factor, shift, fraction_bits, None)
                last = table.first + len(table.values) - 1
                assert 2 * (int(table.values[-1]) - (last << fraction_bits)) == -(factor << fraction_bits) * shift


@pytest.mark.parametrize("factor, shift", [(1, 1), (1, 2), (1, 3), (2, 1), (8, 3), (8, 10), (64, 6), (4, 12)])
def test_bias_of_every_update(slow, factor, shift):
    fmt = LNSFormat(8, 1)
    config = network_preset(
        "FO", (4, 2), activation=fmt, delta=fmt, forward_weight=fmt, warm_up="exact", beta_shift=shift,
        state=LNSFormat(12, factor),
    )  # fmt: skip
    table = tables.bias_table(config)
    t = np.arange(1, len(table) + 40)
    if len(t) > 1500:
        t = np.unique(np.concatenate([t[:300], t[-300:], np.random.default_rng(7).choice(t, 300)]))
    want = [slow.bias(factor, shift, int(n)) for n in t]
    assert [int(table[min(n, len(table) - 1)]) for n in t] == want
    assert table[-1] == 0
    assert len(table) == 2 or table[-2] == -1


def test_shift_of_every_update():
    config = network_preset("FO", beta_shift=5)
    want = [1, 1, 1, 2, 2, 2, 2, 3] + [3] * 7 + [4] * 16 + [5] * 40
    assert [tables.warm_up_shift(config, t) for t in range(1, 72)] == want
    assert tables.warm_up_shift(network_preset("FO", beta_shift=5, warm_up="exact"), 1) == 5


def test_step_for_every_log(config, slow):
    """By weights of both signs and every size of a normalised gradient up to the bound and beyond."""
    g, fmt = int(config.state.base_factor), config.weight
    logs = np.arange(-24 * g, (config.grad_bound + 2) * g)
    rng = np.random.default_rng(8)
    random = rng.integers(0, 1 << config.step_bits, len(logs))
    for sign in (-1, 1):
        words = rng.integers(0, 1 << fmt.width, len(logs))
        got = network.moved_weights(config, words, np.full(len(logs), sign), logs, random, 2)
        reference = slow.Network(config, initial(config, 0))
        for n, word in enumerate(words.tolist()):
            weight = list(slow.fields(fmt, word))
            reference.step(weight, sign, int(logs[n]), int(random[n]), 2)
            assert slow.fields(fmt, got[n]) == tuple(weight), f"log {logs[n]} of {word:#x}"
    still = network.moved_weights(config, words, np.zeros(len(logs), int), logs, random, 0)
    assert (still == words).all()


def test_bad_calls(config, first_state):
    model = Network(config, first_state)
    inputs, classes = config.sizes[0], config.sizes[-1]
    good = np.zeros((2, inputs), np.int64)
    for words, labels, shift, message in (
        (good[:, 1:], [0, 0], 0, "Samples must have shape"),
        (good[0], [0, 0], 0, "Samples must have shape"),
        (good + 0.5, [0, 0], 0, "must be integers"),
        (good - 1, [0, 0], 0, "must be in 0"),
        (good + (1 << config.activation.width), [0, 0], 0, "must be in 0"),
        (good, [0], 0, "Labels must be 2 integers"),
        (good, [0.0, 1.0], 0, "Labels must be 2 integers"),
        (good, [0, classes], 0, f"Labels must be from 0 to {classes - 1}, not 0"),
        (good, [-1, 0], 0, "Labels must be from 0"),
        (good, [0, 0], 8, "Shift of the learning rate must be from 0 to 7, not 8"),
        (good, [0, 0], -1, "Shift of the learning rate"),
    ):
        with pytest.raises(ValueError, match=message):
            model.train(words, labels, shift)
    if config.activation.log_max < config.activation.code_max:
        with pytest.raises(ValueError, match="logs of at most"):
            model.predict(good + config.activation.log_max + 1)
    assert model.state.equal(first_state)


def test_no_samples(config, first_state):
    model = Network(config, first_state)
    outcome = model.train(np.zeros((0, config.sizes[0]), np.int64), [])
    assert outcome.predicted.shape == outcome.correct.shape == outcome.gated.shape == (0,)
    assert model.logits(np.zeros((0, config.sizes[0]), np.int64)).shape == (0, config.sizes[-1])
    assert model.state.equal(first_state)


def test_a_gated_sample_changes_nothing(make_samples):
    config = network_preset("FO", (5, 4, 3), gate=0)
    model = Network(config, initial(config, 1))
    words, _ = make_samples(config, np.random.default_rng(9), 20)
    before = model.state.copy()
    outcome = model.train(words, model.predict(words))
    assert outcome.gated.all() and model.state.equal(before)


def test_update_count_stays_at_its_end():
    config = network_preset("FO", (2, 2))
    state = initial(config, 0)
    state.update_count = LAST_COUNT
    model = Network(config, state)
    model.train([[0, 0]], [0])
    assert model.state.update_count == LAST_COUNT


def test_accuracy(config, first_state, make_samples):
    model = Network(config, first_state)
    words, _ = make_samples(config, np.random.default_rng(10), 8)
    classes = model.predict(words)
    assert network.accuracy(model, words, classes) == 1
    assert network.accuracy(model, words, (classes + [1, 0, 0, 0, 0, 0, 0, 0]) % config.sizes[-1]) == 0.875
