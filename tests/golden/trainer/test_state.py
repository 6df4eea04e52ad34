"""How a network begins, the words of numbers below a top, and states that are none."""

import dataclasses

import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer import network_preset
from lnsmadam.golden.trainer.state import (
    LAST_COUNT,
    NetworkState,
    decode,
    encode,
    encode_inputs,
    first_weights,
    initial,
    state_of_weights,
)

FORMATS = [LNSFormat(7, 4), LNSFormat(10, 64), LNSFormat(7, 4, -20, 9)]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("top", [-2, 0, 3])
def test_words_are_the_nearest_below_their_top(fmt, top):
    values = np.random.default_rng(0).standard_normal(4000) * 2.0 ** (top - 1)
    words = encode(fmt, values, top)
    sign, log = fmt.unpack(words)
    smallest = 2.0 ** ((fmt.log_min - fmt.log_max) / fmt.base_factor + top)
    half = 0.5 / fmt.base_factor
    assert words.dtype == np.int64
    for value, negative, n, back in zip(values, sign, log, decode(fmt, words, top), strict=True):
        exact = np.log2(abs(value)) - top
        if n == fmt.zero_log:
            assert back == 0 and abs(value) <= smallest * 2**half
        else:
            assert negative == (value < 0) and np.sign(back) == np.sign(value)
            assert np.isclose(np.log2(abs(back)) - top, (n - fmt.log_max) / fmt.base_factor)
            assert abs(min(exact, 0) - (n - fmt.log_max) / fmt.base_factor) <= half + 1e-12


def test_words_of_what_no_word_is_near():
    fmt = LNSFormat(7, 4)
    values = [0.0, -0.0, 1e-30, -1e-30, np.inf, -np.inf, 1e30, 1.0]
    zero, top, minus = fmt.zero, fmt.max_word, fmt.sign_bit
    assert encode(fmt, values, 0).tolist() == [zero] * 4 + [top, top | minus, top, top]
    low = fmt.log_min & fmt.log_mask
    got = encode(fmt, values, 0, flush=False).tolist()
    assert got == [low, low | minus, low, low | minus, top, top | minus, top, top]
    assert encode(fmt, 1.0, 3) == fmt.log_max - 12
    assert decode(fmt, fmt.zero, 0) == 0 and decode(fmt, fmt.zero, 0, flush=False) == 2.0 ** ((-32 - 31) / 4)
    with pytest.raises(ValueError, match="NaN"):
        encode(fmt, [1.0, np.nan], 0)


def test_pixels():
    """Sixteenths, as the study's table has them: steps of a quarter octave below 1."""
    config = network_preset("FX")
    words = encode_inputs(config, np.arange(17) / 16)
    below = [16, 12, 10, 8, 7, 6, 5, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    assert words.tolist() == [config.activation.zero] + [31 - n for n in below]


def test_first_weights():
    """He's deviation, seed by seed another; the words are the nearest, none is zero."""
    config = network_preset("FO", (64, 200, 10))
    reals = first_weights(config, 3)
    assert [matrix.shape for matrix in reals] == [(200, 65), (10, 201)]
    for matrix, inputs in zip(reals, (64, 200), strict=True):
        deviation = matrix.std() / np.sqrt(2 / inputs)
        assert abs(deviation - 1) < 4 / np.sqrt(2 * matrix.size)
    state = initial(config, 3)
    for matrix, words, top in zip(reals, state.weights, config.weight_tops, strict=True):
        kept = decode(config.weight, words, top)
        assert (np.sign(kept) == np.sign(matrix)).all()
        largest, smallest = 2.0**top, 2.0 ** (top - 510 / 64)
        error = np.abs(np.log2(np.abs(kept) / np.clip(np.abs(matrix), smallest, largest)))
        assert error.max() <= 0.5 / 64 + 1e-12
    assert initial(config, 3).equal(state) and not initial(config, 4).equal(state)


def test_nothing_seen(config):
    state = initial(config, 0)
    state.check(config)
    for arrays in (state.input_trackers, state.neuron_trackers, state.trackers):
        assert all((array == config.state.zero_log).all() for array in arrays)
    assert state.update_count == 0
    assert (state.input_noise, state.neuron_noise) == (config.input_noise.seed, config.neuron_noise.seed)
    moment = config.second_moment.value
    assert bool(state.input_trackers) == bool(state.neuron_trackers) == (moment == "factored")
    assert bool(state.trackers) == (moment == "per_weight")


def test_copies_and_differences(config):
    state = initial(config, 0)
    other = state.copy()
    assert state.equal(other) and state.differences(other) is None
    other.weights[0][1, 2] ^= 1
    assert state.equal(initial(config, 0))
    a, b = state.weights[0][1, 2], other.weights[0][1, 2]
    assert state.differences(other) == f"weights of layer 0: 1 differ, first [1, 2]: {a} and {b}"
    other = dataclasses.replace(state, update_count=3)
    assert state.differences(other) == "update_count: 0 and 3"
    other = dataclasses.replace(state, weights=state.weights[:-1])
    assert state.differences(other).startswith("weights: shapes ")
    for name in ("input_trackers", "neuron_trackers", "trackers"):
        if getattr(state, name):
            other = state.copy()
            getattr(other, name)[-1].flat[-1] = 1
            assert state.differences(other).startswith(f"{name} of layer {config.layers - 1}: 1 differ")


def test_refuses_states_of_other_networks(config):
    good = initial(config, 0)
    bits = config.weight.width

    def weights(change):
        return [change(matrix.copy()) for matrix in good.weights]

    def put(matrix, value):
        matrix[0, 0] = value
        return matrix

    wrong = {
        r"State's weights must be in 0 … \d+, not -1 …": {"weights": weights(lambda m: put(m, -1))},
        rf"State's weights must be in 0 … {(1 << bits) - 1}, not": {"weights": weights(lambda m: put(m, 1 << bits))},
        "State's weights must be arrays of int64": {"weights": weights(lambda m: m.astype(float))},
        "State's weights must have shapes": {"weights": weights(lambda m: m[:-1])},
        "State's weights must have shapes .*, not": {"weights": good.weights[:-1]},
        "State's update_count must be an integer in 0": {"update_count": -1},
        "State's update_count must be": {"update_count": LAST_COUNT + 1},
        "State's update_count must be an": {"update_count": 1.5},
        "State's input_noise must be an integer in 1": {"input_noise": 0},
        "State's neuron_noise must be": {"neuron_noise": config.neuron_noise.period + 1},
        "State's trackers must have shapes": {"trackers": [*good.trackers, good.weights[0]]},
    }
    for name in ("input_trackers", "neuron_trackers", "trackers"):
        if arrays := getattr(good, name):
            wrong[f"State's {name} must be in"] = {name: [array + (1 << config.state.width) for array in arrays]}
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message) as caught:
            dataclasses.replace(good, **change).check(config)
        assert "\n" not in str(caught.value)


def test_weights_of_ones_own():
    config = network_preset("FX", (2, 2))
    state = state_of_weights(config, [np.array([[0.5, -0.25, 0.0], [1e9, -1e-9, 1.0]])])
    top = config.weight_tops[0]
    tiny = 2.0 ** (top - 510 / 64)
    assert decode(config.weight, state.weights[0], top).tolist() == [[0.5, -0.25, tiny], [2.0**top, -tiny, 1.0]]
    with pytest.raises(ValueError, match="must have shapes"):
        state_of_weights(config, [np.ones((3, 3))])
    assert isinstance(state, NetworkState)
