"""Small classification tasks, split once and for all, and the rule by which their numbers become inputs.

The rule: **pixels are divided by the largest of them; other features are standardised by the training set** (mean 0,
standard deviation 1) **and divided by 2**. So inputs have an RMS near 1/2 in all tasks, as one learning rate for all
needs; a word of top 0 (``golden.trainer.encode_inputs``) saturates at 1, two standard deviations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.digits import Floats, Split, load_digits, sklearn_module, stratified

#: Standardised features are divided by this.
DEVIATIONS = 2.0


@dataclass(frozen=True)
class Task:
    """A data set and the network that learns it.

    Attributes
    ----------
    name, title : str
    load : callable
        Gives the :class:`~lnsmadam.digits.Split`, inputs scaled by this module's rule.
    sizes : tuple of int
        Inputs, hidden layers, classes.
    epochs : int
        40, or as many more as it takes to see 14 000 samples; the spirals, which take the longest to learn, have more.
    """

    name: str
    title: str
    load: Callable[[], Split]
    sizes: tuple[int, ...]
    epochs: int


def standardised(x_train: Floats, x_test: Floats) -> tuple[Floats, Floats]:
    """Both sets by the training set's mean and standard deviation, divided by :data:`DEVIATIONS`.

    A feature that is constant in training stays 0 there.
    """
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)
    scale = DEVIATIONS * np.where(deviation > 0, deviation, 1.0)
    return (x_train - mean) / scale, (x_test - mean) / scale


def spirals(count: int, seed: int, noise: float = 0.4) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Points of two spirals of one and a half turns, interleaved, and which of the two each is on.

    In polar coordinates: radius and angle ``3 pi sqrt(u)`` with u uniform (the second spiral turned by pi), and normal
    noise on both coordinates.
    """
    rng = np.random.default_rng(seed)
    angle = 3 * np.pi * np.sqrt(rng.random(count))
    labels = np.arange(count) % 2
    turned = angle + np.pi * labels
    points = angle[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1)
    return points + noise * rng.standard_normal(points.shape), labels.astype(np.int64)


def _split(x: Any, y: Any, test_size: int) -> Split:
    """A stratified split, always the same one, standardised."""
    split = stratified(np.asarray(x, np.float64), y, test_size)
    x_train, x_test = standardised(split.x_train, split.x_test)
    return Split(x_train, split.y_train, x_test, split.y_test)


def _of_sklearn(name: str, test_size: int) -> Callable[[], Split]:
    def load() -> Split:
        x, y = getattr(sklearn_module("datasets"), f"load_{name}")(return_X_y=True)
        return _split(x, y, test_size)

    return load


def _load_spirals() -> Split:
    x, y = spirals(1000, seed=0)
    return _split(x, y, test_size=400)


#: Training and test samples: 1297 / 500 (twice), 90 / 60, 369 / 200, 118 / 60, 600 / 400.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("digits", "digits, 64-32-10", load_digits, (64, 32, 10), 40),
        Task("digits_deep", "digits, 64-64-32-10", load_digits, (64, 64, 32, 10), 40),
        Task("iris", "iris, 4-16-3", _of_sklearn("iris", 60), (4, 16, 3), 200),
        Task("breast_cancer", "breast cancer, 30-16-2", _of_sklearn("breast_cancer", 200), (30, 16, 2), 40),
        Task("wine", "wine, 13-16-3", _of_sklearn("wine", 60), (13, 16, 3), 200),
        Task("spirals", "two spirals, 2-32-32-2", _load_spirals, (2, 32, 32, 2), 300),
    )
}
