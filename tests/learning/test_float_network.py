import numpy as np
import pytest

from lnsmadam.datasets import TASKS
from lnsmadam.float_network import Adam, accuracy, forward, gradients, train_adam


def network(seed=0, sizes=(5, 4, 6, 3)):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((after, before + 1)) for before, after in zip(sizes, sizes[1:], strict=False)]
    return weights, rng.standard_normal((7, sizes[0])), rng.integers(0, sizes[-1], 7)


def loss(weights, x, labels):
    logits = forward(weights, x)[-1]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))


def test_gradients_against_differences():
    weights, x, labels = network()
    rng = np.random.default_rng(1)
    grads = gradients(weights, x, labels)
    for layer, grad in enumerate(grads):
        for _ in range(10):
            place = tuple(rng.integers(0, n) for n in grad.shape)
            moved = [w.copy() for w in weights]
            moved[layer][place] += 1e-6
            above = loss(moved, x, labels)
            moved[layer][place] -= 2e-6
            assert grad[place] == pytest.approx((above - loss(moved, x, labels)) / 2e-6, abs=1e-7)


def test_adam_against_its_formula():
    rng = np.random.default_rng(2)
    weight = np.zeros((2, 3), np.float32)
    adam = Adam([weight])
    mean, square, expected = 0.0, 0.0, 0.0
    for t in range(1, 6):
        grad = rng.standard_normal((2, 3)).astype(np.float32)
        adam.step([grad], 0.01)
        mean = 0.9 * mean + 0.1 * grad.astype(np.float64)
        square = 0.999 * square + 0.001 * grad.astype(np.float64) ** 2
        expected = expected - 0.01 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(weight, expected, rtol=1e-4)
    assert weight.dtype == np.float32


def test_accuracy_counts_nan_as_wrong():
    weights = [np.array([[1.0, 0.0], [np.nan, 0.0]], np.float32)]
    assert accuracy(weights, np.ones((4, 1), np.float32), np.zeros(4, np.int64)) == 0


def test_learns_iris():
    task = TASKS["iris"]
    runs = [train_adam(task.sizes, task.load(), task.epochs, 0.01, 0) for _ in range(2)]
    assert runs[0] == runs[1] and len(runs[0]) == task.epochs and runs[0][-1] >= 0.9
