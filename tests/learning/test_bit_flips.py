import numpy as np
import pytest

from lnsmadam.bit_flips import bfloat16_after, bfloat16_words, bits_of, clipped, flipped, lns_after
from lnsmadam.datasets import TASKS
from lnsmadam.float_network import accuracy
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.state import initial
from lnsmadam.learning import train


@pytest.mark.parametrize("count", [0, 1, 7, 200])
def test_flips_exactly_so_many_bits(count):
    layers = [np.arange(12, dtype=np.int64).reshape(3, 4), np.zeros((2, 5), np.int64)]
    before = [layer.copy() for layer in layers]
    damaged = flipped(layers, 10, count, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(layers, before, strict=True))
    changes = [a ^ b for a, b in zip(layers, damaged, strict=True)]
    assert sum(int(change).bit_count() for layer in changes for change in layer.ravel()) == count
    assert all(0 <= layer.min() and layer.max() < 1 << 10 for layer in damaged)


def test_too_many_flips():
    with pytest.raises(ValueError, match="from 0 to 10, not 11"):
        flipped([np.zeros((1, 1), np.int64)], 10, 11, np.random.default_rng(0))


def test_bfloat16_holds_the_same_weights():
    config = network_preset("FX", (4, 16, 3))
    state = initial(config, 0)
    for layer, words, top in zip(state.weights, bfloat16_words(config, state), config.weight_tops, strict=True):
        sign, log = config.weight.unpack(layer)
        reals = (1 - 2 * sign) * 2.0 ** ((log - config.weight.log_max) / config.weight.base_factor + top)
        np.testing.assert_allclose(BFLOAT16.decode(words), reals, rtol=2.0**-8)
    assert bits_of(config)["LNS"] * 16 == bits_of(config)["bfloat16"] * 10


def test_clipped_is_finite():
    config = network_preset("FX", (2, 3))
    (layer,) = clipped(config, [np.array([[np.nan, np.inf, -np.inf], [1e38, 0.5, -0.25], [0, 0, 0]], np.float32)])
    top = 2.0 ** config.weight_tops[0]
    assert layer.tolist() == [[0, top, -top], [top, 0.5, -0.25], [0, 0, 0]]


def test_damage_hurts_and_training_mends():
    task = TASKS["iris"]
    split, config = task.load(), network_preset("FX", task.sizes)
    run = train(config, split, task.epochs, 0)
    intact = lns_after(config, run.network.state, 0, split, 0, task.epochs)
    assert intact[0] == run.accuracy[-1]
    hurt = np.mean([lns_after(config, run.network.state, 200, split, seed, task.epochs) for seed in range(8)], axis=0)
    assert hurt[0] < intact[0] - 0.1 and hurt[-1] > hurt[0] + 0.1


def test_bfloat16_without_damage_is_the_float_network():
    task = TASKS["iris"]
    split, config = task.load(), network_preset("FX", task.sizes)
    state = train(config, split, task.epochs, 0).network.state
    weights = [BFLOAT16.decode(words).astype(np.float32) for words in bfloat16_words(config, state)]
    expected = accuracy(weights, split.x_test.astype(np.float32), split.y_test)
    for is_clipped in (False, True):
        assert bfloat16_after(config, state, 0, split, 0, task.epochs, is_clipped)[0] == expected
    assert expected > 0.9


def test_bfloat16_with_everything_flipped_computes_on():
    config = network_preset("FX", TASKS["iris"].sizes)
    state, split = initial(config, 0), TASKS["iris"].load()
    for is_clipped in (False, True):
        assert len(bfloat16_after(config, state, 300, split, 0, 40, is_clipped)) == 4
