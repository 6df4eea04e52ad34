"""A network's state as a machine's words: there and back, every word at its address, every difference told."""

import dataclasses

import numpy as np
import pytest

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.layout import Layout
from lnsmadam.golden.trainer.state import NetworkState, expected_shapes
from lnsmadam.golden.trainer.words import (
    INPUT_TRACKERS,
    NEURON_TRACKERS,
    REGISTERS,
    WEIGHTS,
    first_difference,
    spaces,
    state_of_words,
    words_of_state,
)

SIZES = (5, 7, 4, 3)


def state_of(network, seed=0):
    """Any words whatever."""
    rng, shapes = np.random.default_rng(seed), expected_shapes(network)
    tracker = (network.state.zero_log, network.state.code_max + 1)
    return NetworkState(
        [rng.integers(0, 1 << network.weight.width, shape) for shape in shapes["weights"]],
        *(
            [rng.integers(*tracker, shape) for shape in shapes[name]]
            for name in ("input_trackers", "neuron_trackers", "trackers")
        ),
        update_count=2**32 - 5,
        input_noise=77,
        neuron_noise=99_999,
    )


@pytest.mark.parametrize("preset", ["FO", "FX", "FV"])
@pytest.mark.parametrize("lanes", [1, 3, 4, 16])
def test_there_and_back(preset, lanes):
    layout = Layout(network_preset(preset, SIZES), lanes)
    state = state_of(layout.network)
    words = words_of_state(layout, state)
    assert {space: len(column) for space, column in words.items()} == spaces(layout)
    assert all(column.min() >= 0 and column.max() < 2**32 for column in words.values())
    back = state_of_words(layout, words)
    back.check(layout.network)
    assert back.equal(state) and first_difference(layout.network, state, back) is None


@pytest.mark.parametrize("preset", ["FO", "FV"])
def test_addresses(preset):
    """Neuron 4, input 2 of layer 1: lane 4 % 3 of the row of block 4 // 3."""
    network = network_preset(preset, (5, 7, 5, 3))
    layout = Layout(network, 3)
    state, words = state_of(network), words_of_state(layout, state_of(network))
    row = 3 * 6 + (4 // 3) * 8 + 2
    word = words[WEIGHTS][row * 3 + 4 % 3]
    assert word & 1023 == state.weights[1][4, 2]
    if preset == "FV":
        assert word >> 10 == state.trackers[1][4, 2] % 512
        assert set(words) == {WEIGHTS, REGISTERS}
    else:
        assert words[INPUT_TRACKERS][6 + 8 + 1] == state.input_trackers[2][1] % 512
        assert words[NEURON_TRACKERS][7 + 2] == state.neuron_trackers[1][2] % 512
    assert words[REGISTERS].tolist() == [2**32 - 5, 77, 99_999]
    # The last block of layer 0 has one neuron and two idle lanes.
    assert not words[WEIGHTS].reshape(-1, 3)[12:18, 1:].any()


def test_differences_say_where():
    network = network_preset("FO", SIZES)
    want = state_of(network)

    def told(change):
        got = want.copy()
        change(got)
        return first_difference(network, want, got)

    want.weights[1][3, 2], want.input_trackers[2][4], want.neuron_trackers[0][6] = 512 + 511, -3, 5

    def weight(state):
        state.weights[1][3, 2] = 7
        state.weights[2][0, 0] ^= 1

    assert told(weight) == "weight of layer 1, neuron 3, input 2: got + log 7, want - log -1 (2 differ)"

    def input_tracker(state):
        state.input_trackers[2][4] = 8

    assert told(input_tracker) == "tracker of layer 2, input 4: got 8, want -3 (1 differ)"

    def neuron_tracker(state):
        state.neuron_trackers[0][6] = -9

    assert told(neuron_tracker) == "tracker of layer 0, neuron 6: got -9, want 5 (1 differ)"
    assert first_difference(network, want, dataclasses.replace(want, input_noise=1)) == "input noise: got 1, want 77"
    one_more = dataclasses.replace(want, update_count=3)
    assert first_difference(network, want, one_more) == f"update count: got 3, want {2**32 - 5}"


def test_a_difference_of_a_weights_tracker_is_told():
    network = network_preset("FV", SIZES)
    want = state_of(network)
    got = want.copy()
    got.trackers[0][1, 5] = want.trackers[0][1, 5] ^ 1
    told = f"got {got.trackers[0][1, 5]}, want {want.trackers[0][1, 5]}"
    assert first_difference(network, want, got) == f"tracker of layer 0, neuron 1, input 5: {told} (1 differ)"
