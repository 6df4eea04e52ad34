import numpy as np
import pytest

from lnsmadam.datasets import DEVIATIONS, TASKS, spirals, standardised
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.state import encode_inputs

COUNTS = {
    "digits": (1297, 500),
    "digits_deep": (1297, 500),
    "iris": (90, 60),
    "breast_cancer": (369, 200),
    "wine": (118, 60),
    "spirals": (600, 400),
}


@pytest.mark.parametrize("name", TASKS)
def test_splits(name):
    task = TASKS[name]
    split = task.load()
    train, test = COUNTS[name]
    assert split.x_train.shape == (train, task.sizes[0]) and split.x_test.shape == (test, task.sizes[0])
    classes, counts = np.unique(np.concatenate([split.y_train, split.y_test]), return_counts=True)
    assert classes.tolist() == list(range(task.sizes[-1]))
    # Stratified: a class has its share of the test samples, to one sample.
    shares = np.bincount(split.y_test, minlength=len(classes))
    assert np.all(np.abs(shares - counts * test / (train + test)) <= 1)
    again = task.load()
    assert np.array_equal(split.x_train, again.x_train) and np.array_equal(split.y_test, again.y_test)


@pytest.mark.parametrize("name", TASKS)
def test_inputs_follow_the_rule(name):
    split = TASKS[name].load()
    if name.startswith("digits"):
        assert split.x_train.min() == 0 and split.x_train.max() == 1
    else:
        np.testing.assert_allclose(split.x_train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(split.x_train.std(axis=0), 1 / DEVIATIONS)
    words = encode_inputs(network_preset("FO", TASKS[name].sizes), split.x_train)
    fmt = network_preset("FO").activation
    log = fmt.unpack(words)[1]
    inside = (np.abs(split.x_train) < 1) & (log != fmt.zero_log)
    # A step is a quarter of an octave: the nearest word is off by at most half of one.
    reals = np.abs(split.x_train[inside])
    assert np.all(np.abs((log[inside] - fmt.log_max) / 4 - np.log2(reals)) <= 1 / 8 + 1e-12)
    assert np.all(log[np.abs(split.x_train) > 1] == fmt.log_max)


def test_test_set_does_not_leak():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((50, 3)) * 5 + 2, rng.standard_normal((20, 3))
    scaled, _ = standardised(train, test)
    other, _ = standardised(train, 100 * test)
    assert np.array_equal(scaled, other)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    np.testing.assert_allclose(standardised(train, test)[1], (test - mean) / deviation / 2)


def test_constant_feature_is_zero():
    train = np.array([[3.0, 1.0], [3.0, 2.0]])
    scaled, other = standardised(train, np.array([[3.0, 1.5]]))
    assert np.all(scaled[:, 0] == 0) and other[0, 0] == 0


def test_spirals_are_two_curves():
    points, labels = spirals(400, seed=1, noise=0.0)
    assert np.bincount(labels).tolist() == [200, 200]
    radius = np.hypot(*points.T)
    turned = radius + np.pi * labels
    np.testing.assert_allclose(points, radius[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1))
    assert 0 < radius.min() and radius.max() < 3 * np.pi
    assert not np.array_equal(spirals(400, seed=2)[0], spirals(400, seed=1)[0])
