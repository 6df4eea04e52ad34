"""The order of an epoch: a permutation, and one that a shuffle might have made."""

import numpy as np
import pytest

from lnsmadam.golden.trainer.order import MAX_COUNT, order

DIGITS, EPOCHS = 1297, 400


@pytest.fixture(scope="module")
def orders():
    return np.array([order(DIGITS, 7, epoch) for epoch in range(EPOCHS)])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 100, 256, 257, 1297, 5000])
def test_every_sample_once(count):
    for seed, epoch in ((0, 0), (1, 0), (0, 1), (2**32 - 1, 2**32 - 1)):
        assert sorted(order(count, seed, epoch)) == list(range(count))


def normalised(a, b):
    """Correlation in units of what two independent shuffles have."""
    return np.corrcoef(a, b)[0, 1] * np.sqrt(len(a) - 1)


def test_place_and_sample_do_not_correlate(orders):
    places = np.arange(DIGITS)
    values = np.array([normalised(places, line) for line in orders])
    # Of independent shuffles: mean 0 +- 1/20, deviation 1 +- 0.035, the largest of 400 beyond 4.5 once in 370 tests.
    assert abs(values.mean()) < 0.2 and 0.85 < values.std() < 1.15 and abs(values).max() < 4.5


def test_neighbours_do_not_correlate(orders):
    values = np.array([normalised(line[:-1], line[1:]) for line in orders])
    assert abs(values.mean()) < 0.2 and 0.85 < values.std() < 1.15 and abs(values).max() < 4.5
    # The commonest distance between neighbours: 5.7 times of 1296 in a shuffle, all of them in a mere rotation.
    distances = (orders[:, 1:] - orders[:, :-1]) % DIGITS
    assert np.mean([np.bincount(line).max() for line in distances]) < 6.5


def test_epochs_differ(orders):
    assert len({line.tobytes() for line in orders}) == EPOCHS
    values = np.array([normalised(a, b) for a, b in zip(orders, orders[1:], strict=False)])
    assert abs(values.mean()) < 0.2 and 0.85 < values.std() < 1.15 and abs(values).max() < 4.5


def test_seeds_differ():
    lines = [order(DIGITS, seed, 0) for seed in range(200)]
    assert len({line.tobytes() for line in lines}) == 200
    assert abs(np.mean([normalised(a, b) for a, b in zip(lines, lines[1:], strict=False)])) < 0.25


def test_any_sample_comes_first(orders):
    for place in (0, 1, DIGITS // 2, DIGITS - 1):
        counts = np.bincount(orders[:, place] // 163, minlength=8)
        # 400 draws into 8 bins: chi squared with 7 degrees of freedom, beyond 32 in 4 of 100 000.
        assert ((counts - EPOCHS / 8) ** 2 / (EPOCHS / 8)).sum() < 32


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 0, 0), f"Count must be from 1 to {MAX_COUNT}, not 0"),
        ((1, -1, 0), "Seed must be from 0 to 4294967295, not -1"),
        ((1, 0, 2**32), "Epoch must be from 0 to 4294967295, not 4294967296"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match="^" + message + "$"):
        order(*arguments)
