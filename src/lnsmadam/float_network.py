"""The reference that the integer network is measured against: the same perceptron in float32 under Adam."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lnsmadam.digits import Split, softmax
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import first_weights

Float32 = npt.NDArray[np.float32]
#: Factors of the learning rate, from these fractions of the epochs on.
ADAM_SCHEDULE = ((0.0, 1.0), (0.5, 0.3), (0.75, 0.1))
BATCH = 16


def forward(weights: Sequence[Float32], x: Float32) -> list[Float32]:
    """Inputs and hidden activations, the constant 1 appended to each, and last the logits; one row a sample."""
    ones = np.ones((len(x), 1), np.float32)
    values = [np.hstack([x, ones])]
    for weight in weights[:-1]:
        values.append(np.hstack([np.maximum(values[-1] @ weight.T, 0), ones]))
    return [*values, values[-1] @ weights[-1].T]


def gradients(weights: Sequence[Float32], x: Float32, labels: npt.NDArray[np.int64]) -> list[Float32]:
    """Derivatives of the mean cross-entropy of the softmax."""
    values = forward(weights, x)
    delta = softmax(values[-1])
    delta[np.arange(len(labels)), labels] -= 1
    delta /= np.float32(len(labels))
    result = []
    for layer in range(len(weights) - 1, -1, -1):
        result.append(delta.T @ values[layer])
        if layer:
            delta = (delta @ weights[layer][:, :-1]) * (values[layer][:, :-1] > 0)
    return result[::-1]


def accuracy(weights: Sequence[Float32], x: Float32, labels: npt.NDArray[np.int64]) -> float:
    """Share of samples whose first largest logit is the right one; NaN counts as wrong."""
    logits = forward(weights, x)[-1]
    known = ~np.isnan(logits).any(axis=1)
    return float(np.mean((logits.argmax(axis=1) == labels) & known))


class Adam:
    """Adam with its published constants (Kingma and Ba 2015): 0.9, 0.999, 1e-8.

    Parameters
    ----------
    weights : list of float32 arrays
        Changed in place.
    """

    def __init__(self, weights: list[Float32]):
        self.weights = weights
        self.means = [np.zeros_like(w) for w in weights]
        self.squares = [np.zeros_like(w) for w in weights]
        self.count = 0

    def step(self, grads: Sequence[Float32], lr: float) -> None:
        """One update."""
        self.count += 1
        mean_scale, square_scale = 1 / (1 - 0.9**self.count), 1 / (1 - 0.999**self.count)
        for weight, mean, square, grad in zip(self.weights, self.means, self.squares, grads, strict=True):
            mean += np.float32(0.1) * (grad - mean)
            square += np.float32(0.001) * (grad * grad - square)
            weight -= (
                np.float32(lr * mean_scale) * mean / (np.sqrt(square * np.float32(square_scale)) + np.float32(1e-8))
            )

    def epoch(self, x: Float32, labels: npt.NDArray[np.int64], order: npt.NDArray[np.int64], lr: float) -> None:
        """All samples once, in this order, in batches of :data:`BATCH`; the last batch may be smaller."""
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            self.step(gradients(self.weights, x[chosen], labels[chosen]), lr)


def train_adam(sizes: tuple[int, ...], split: Split, epochs: int, lr: float, seed: int) -> list[float]:
    """Test accuracies after each epoch, the learning rate scaled by :data:`ADAM_SCHEDULE`.

    First weights and orders of the samples are those of the integer network of the same sizes and seed.
    """
    x_train, x_test = (x.astype(np.float32) for x in (split.x_train, split.x_test))
    adam = Adam([weight.astype(np.float32) for weight in first_weights(NetworkConfig(sizes=sizes), seed)])
    result = []
    for epoch in range(epochs):
        factor = [value for start, value in ADAM_SCHEDULE if epoch >= start * epochs][-1]
        adam.epoch(x_train, split.y_train, order(len(x_train), seed, epoch), lr * factor)
        result.append(accuracy(adam.weights, x_test, split.y_test))
    return result
