"""Trains a small network on handwritten digits in the golden model, and keeps the operands that it meets.

Every multiply-add of the forward pass, of the backward pass and of the weights' gradients is a golden
``multiply_add``, every change of a weight a golden ``madam_update``. What is left to the host is stated at
:func:`train`.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import LNSFormat, Words
from lnsmadam.golden.lfsr import draws
from lnsmadam.golden.madam_config import MadamUpdateConfig
from lnsmadam.golden.madam_update import bias_log_of, lr_log_of, madam_update, weight_max_log_of
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add

Floats = npt.NDArray[np.float64]
Columns = dict[str, Words]
#: What, done, total.
Progress = Callable[[str, int, int], None]

TEST_SIZE = 500
CLASSES = 10
#: Adam's best of 0.003, 0.01, 0.02 for this network, batch and schedule.
ADAM_LR = 0.01
#: Fractions of the epochs at which the learning rate is halved.
HALVED_AT = (0.4, 0.6, 0.8)


def halvings(epoch: int, epochs: int, halved_at: Sequence[float] = HALVED_AT) -> int:
    """How often the learning rate has been halved in an epoch, 0 the first."""
    return sum(epoch >= part * epochs for part in halved_at)


@dataclass(frozen=True)
class Split:
    """Images as rows of pixels in 0 … 1, and their labels."""

    x_train: Floats
    y_train: npt.NDArray[np.int64]
    x_test: Floats
    y_test: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """All that fixes a run, bit for bit.

    Attributes
    ----------
    hidden, epochs, batch : int
        The last samples of an epoch that fill no batch sit out.
    lr : float
        Madam's learning rate, halved at :data:`HALVED_AT`.
    p_scale : float
        Largest weight, in units of the layer's initial RMS.
    delta_octaves : int
        The gradients of the logits are scaled by ``2**delta_octaves``, which keeps sums of their products inside
        the format; Madam divides by the gradient's RMS, so the scale cancels.
    seed : int
        Of the initial weights and of the order of the samples.
    multiply_add, madam_update
        Configurations of the two units.
    """

    hidden: int = 32
    epochs: int = 25
    batch: int = 32
    lr: float = 0.08
    p_scale: float = 6.0
    delta_octaves: int = 3
    seed: int = 0
    multiply_add: MultiplyAddConfig = field(default_factory=MultiplyAddConfig)
    madam_update: MadamUpdateConfig = field(default_factory=MadamUpdateConfig)

    def __post_init__(self) -> None:
        for name in ("hidden", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.capitalize()} must be at least 1, not {getattr(self, name)}")
        if self.madam_update.grad_format != self.multiply_add.operand:
            raise ValueError("Gradients of madam_update must have the format of the operands of multiply_add")

    def lr_of(self, epoch: int) -> float:
        """The learning rate in an epoch, 0 the first."""
        return self.lr * 0.5 ** halvings(epoch, self.epochs)


@dataclass
class Operands:
    """Operands of one unit in the order in which it met them."""

    chunks: list[Columns] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(next(iter(chunk.values()))) for chunk in self.chunks)

    def joined(self) -> Columns:
        """All of them, one column a field."""
        if not self.chunks:
            return {}
        return {name: np.concatenate([chunk[name] for chunk in self.chunks]) for name in self.chunks[0]}


@dataclass
class Training:
    """What a run leaves behind.

    Attributes
    ----------
    accuracy : list of float
        On the test images, before the first epoch and after each.
    multiply_adds : int
        How many the training made; the test images' are not counted.
    triples : dict of Operands
        By epoch (1 the first), for those that were to be kept: all a, b, c.
    updates : Operands
        Every update, one chunk a batch; numbers that a batch shares are scalars spread when they are replayed.
    weights : list of word arrays
        At the end, shape (inputs + 1, outputs) a layer; the last row belongs to the constant input 1.
    """

    accuracy: list[float]
    multiply_adds: int
    triples: dict[int, Operands]
    updates: Operands
    weights: list[Words]


def load_digits() -> Split:
    """scikit-learn's digits: 8 × 8 pixels, 1297 images to train with and 500 to test.

    Raises
    ------
    ValueError
        scikit-learn is not installed.
    """
    images, labels = sklearn_module("datasets").load_digits(return_X_y=True)
    return stratified(images / 16, labels, TEST_SIZE)


def sklearn_module(name: str) -> Any:
    """A module of scikit-learn; raises ``ValueError`` if that is not installed."""
    try:
        importlib.import_module("sklearn")
        return importlib.import_module(f"sklearn.{name}")
    except ImportError:
        raise ValueError("scikit-learn is not installed: the extra lnsmadam[demo] brings it") from None


def stratified(x: Floats, labels: npt.ArrayLike, test_size: int) -> Split:
    """A split in which every class has its share of both sets, always the same one."""
    x_train, x_test, y_train, y_test = sklearn_module("model_selection").train_test_split(
        x, np.asarray(labels, np.int64), test_size=test_size, stratify=labels, random_state=0
    )
    return Split(x_train, y_train, x_test, y_test)


def narrow(source: LNSFormat, target: LNSFormat, words: npt.ArrayLike) -> Words:
    """Words of ``source`` in a format of fewer steps per octave, rounded to nearest, under the range rule.

    From LNS16 to LNS8: ``(log + 128) >> 8``. The base factors' ratio must be a power of two.
    """
    shift = round(math.log2(source.base_factor / target.base_factor))
    if shift < 0 or source.base_factor != target.base_factor * 2**shift:
        raise ValueError(f"Base factor {source.base_factor:g} must be {target.base_factor:g} times a power of two")
    sign, log = source.unpack(words)
    return target.fit(sign, (log + (1 << shift >> 1)) >> shift, log == source.zero_log)


class Arithmetic:
    """Sums of products in LNS, one multiply-add after the other, and the count and record of them.

    Attributes
    ----------
    count : int
        Multiply-adds so far.
    record : Operands or None
        Where their operands go.
    """

    def __init__(self, config: MultiplyAddConfig):
        self.config = config
        self.count = 0
        self.record: Operands | None = None

    def matmul(self, a: Words, b: Words) -> Words:
        """``Σ_k a[m, k] b[k, n]``, from zero and in the order of k; operand words in and out."""
        config = self.config
        total: Words = np.full((a.shape[0], b.shape[1]), config.accumulator.zero, config.accumulator.dtype)
        for k in range(a.shape[1]):
            left, right = a[:, k, None], b[None, k, :]
            if self.record is not None:
                columns = {"a": left, "b": right, "c": total}
                self.record.chunks.append(
                    {name: np.broadcast_to(column, total.shape).ravel() for name, column in columns.items()}
                )
            total = multiply_add(config, left, right, total)
        self.count += total.size * a.shape[1]
        if config.accumulator == config.operand:
            return total
        return narrow(config.accumulator, config.operand, total)


def relu(fmt: LNSFormat, words: Words) -> Words:
    """Negative numbers become +0: a look at the sign bit."""
    return np.where(words & fmt.sign_bit, fmt.zero, words).astype(fmt.dtype)


def initial_weights(config: TrainingConfig, inputs: int, rng: np.random.Generator) -> list[Floats]:
    """He's normal weights, the constant input's included."""
    sizes = (inputs, config.hidden, CLASSES)
    return [
        rng.standard_normal((before + 1, after)) * math.sqrt(2 / before)
        for before, after in zip(sizes, sizes[1:], strict=False)
    ]


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Probabilities of each row, in its precision."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _with_one(words: Words, one: int) -> Words:
    return np.concatenate([words, np.full((len(words), 1), one, words.dtype)], axis=1)


class _Network:
    """Two layers of LNS weights and the units that work on them."""

    def __init__(self, config: TrainingConfig, weights: list[Floats]):
        self.config = config
        self.arithmetic = Arithmetic(config.multiply_add)
        self.operand = config.multiply_add.operand
        unit = config.madam_update
        self.shapes = [layer.shape for layer in weights]
        self.weights = np.concatenate([unit.weight_format.encode(layer).ravel() for layer in weights])
        self.grad_rms = np.full(self.weights.shape, unit.initial_state, unit.state_format.dtype)
        maxima = [weight_max_log_of(unit, config.p_scale * float(np.sqrt(np.mean(w**2)))) for w in weights]
        self.weight_max_log = np.repeat(
            np.array(maxima, unit.weight_max_format.dtype), [layer.size for layer in weights]
        )
        self.update_count = 0

    def layers(self, flat: Words) -> list[Words]:
        """Both layers' shares of one flat array."""
        cut = math.prod(self.shapes[0])
        return [flat[:cut].reshape(self.shapes[0]), flat[cut:].reshape(self.shapes[1])]

    def forward_weights(self) -> list[Words]:
        """The weights as operands of the multiply-add."""
        return self.layers(narrow(self.config.madam_update.weight_format, self.operand, self.weights))

    def forward(self, x: Words, weights: list[Words]) -> tuple[Words, Words]:
        """Hidden activations with the constant 1, and logits."""
        hidden = relu(self.operand, self.arithmetic.matmul(x, weights[0]))
        hidden = _with_one(hidden, 0)
        return hidden, self.arithmetic.matmul(hidden, weights[1])

    def gradients(self, x: Words, labels: npt.NDArray[np.int64]) -> Words:
        """The loss's gradient of every weight, flat, times ``2**delta_octaves`` and summed over the batch."""
        weights, operand = self.forward_weights(), self.operand
        hidden, logits = self.forward(x, weights)
        delta = softmax(operand.decode(logits))
        delta[np.arange(len(labels)), labels] -= 1
        delta_words = operand.encode(delta * 2.0**self.config.delta_octaves, saturate=True)
        back = self.arithmetic.matmul(delta_words, weights[1][:-1].T)
        back = np.where(operand.is_zero(hidden[:, :-1]), operand.zero, back).astype(operand.dtype)
        of_layers = (self.arithmetic.matmul(x.T, back), self.arithmetic.matmul(hidden.T, delta_words))
        return np.concatenate([grad.ravel() for grad in of_layers])

    def update(self, grad: Words, lr_log: int) -> Columns:
        """Moves every weight once; returns the operands."""
        unit = self.config.madam_update
        random = draws(unit.lfsr, self.update_count * len(grad), len(grad))
        self.update_count += 1
        operands: Columns = {
            "weight": self.weights,
            "grad_rms": self.grad_rms,
            "grad": grad,
            "lr_log": np.broadcast_to(np.array(lr_log, unit.lr_format.dtype), grad.shape),
            "bias_log": np.broadcast_to(
                np.array(bias_log_of(unit, self.update_count), unit.bias_format.dtype), grad.shape
            ),
            "weight_max_log": self.weight_max_log,
        }
        self.weights, self.grad_rms = madam_update(unit, **operands, random=random)
        return operands

    def accuracy(self, x: Words, labels: npt.NDArray[np.int64]) -> float:
        """Share of images whose largest logit is the right one; not part of ``arithmetic``'s count and record."""
        counting, self.arithmetic = self.arithmetic, Arithmetic(self.config.multiply_add)
        try:
            _, logits = self.forward(x, self.forward_weights())
        finally:
            self.arithmetic = counting
        return float(np.mean(self.operand.decode(logits).argmax(axis=1) == labels))


def train(
    config: TrainingConfig,
    split: Split,
    *,
    keep_epochs: tuple[int, ...] = (),
    progress: Progress | None = None,
) -> Training:
    """Trains a perceptron inputs – hidden – 10 with ReLU and softmax cross-entropy.

    In LNS, by the golden units: all sums of products (each multiply-add rounded to the accumulator's format), all
    updates. By the host: rounding of weights to operands (an addition and a shift), ReLU (a look at the sign),
    and, in float64, the softmax of the decoded logits, whose gradient is encoded again.

    Parameters
    ----------
    config : TrainingConfig
    split : Split
    keep_epochs : tuple of int
        Epochs, 1 the first, whose multiply-adds are kept.
    progress : callable, optional

    Returns
    -------
    Training
    """
    rng = np.random.default_rng(config.seed)
    network = _Network(config, initial_weights(config, split.x_train.shape[1], rng))
    operand = network.operand
    x_train, x_test = (_with_one(operand.encode(x), 0) for x in (split.x_train, split.x_test))
    batches = len(x_train) // config.batch
    if not batches:
        raise ValueError(f"Batch must be at most {len(x_train)}, the number of images, not {config.batch}")
    result = Training([network.accuracy(x_test, split.y_test)], 0, {}, Operands(), [])
    for epoch in range(config.epochs):
        if progress:
            progress(f"Training, test accuracy {result.accuracy[-1]:.1%}", epoch, config.epochs)
        if epoch + 1 in keep_epochs:
            result.triples[epoch + 1] = Operands()
        network.arithmetic.record = result.triples.get(epoch + 1)
        lr_log = lr_log_of(config.madam_update, config.lr_of(epoch))
        order = rng.permutation(len(x_train))
        for start in range(0, batches * config.batch, config.batch):
            chosen = order[start : start + config.batch]
            grad = network.gradients(x_train[chosen], split.y_train[chosen])
            result.updates.chunks.append(network.update(grad, lr_log))
        result.accuracy.append(network.accuracy(x_test, split.y_test))
    if progress:
        progress(f"Training, test accuracy {result.accuracy[-1]:.1%}", config.epochs, config.epochs)
    result.multiply_adds = network.arithmetic.count
    result.weights = network.layers(network.weights)
    return result


def train_adam(config: TrainingConfig, split: Split, lr: float = ADAM_LR) -> list[float]:
    """The same network, initial weights, batches and schedule in float64 under Adam; test accuracies as in
    :class:`Training`."""
    rng = np.random.default_rng(config.seed)
    weights = initial_weights(config, split.x_train.shape[1], rng)
    x_train, x_test = (np.hstack([x, np.ones((len(x), 1))]) for x in (split.x_train, split.x_test))
    means: list[Any] = [np.zeros_like(w) for w in weights]
    squares: list[Any] = [np.zeros_like(w) for w in weights]

    def forward(x: Floats) -> tuple[Floats, Floats]:
        hidden = np.hstack([np.maximum(x @ weights[0], 0), np.ones((len(x), 1))])
        return hidden, hidden @ weights[1]

    def accuracy() -> float:
        return float(np.mean(forward(x_test)[1].argmax(axis=1) == split.y_test))

    result, count = [accuracy()], 0
    for epoch in range(config.epochs):
        order = rng.permutation(len(x_train))
        rate = lr * config.lr_of(epoch) / config.lr
        for start in range(0, len(x_train) // config.batch * config.batch, config.batch):
            chosen = order[start : start + config.batch]
            x, labels = x_train[chosen], split.y_train[chosen]
            hidden, logits = forward(x)
            delta = softmax(logits)
            delta[np.arange(len(labels)), labels] -= 1
            delta /= len(labels)
            back = (delta @ weights[1][:-1].T) * (hidden[:, :-1] > 0)
            count += 1
            for layer, grad in enumerate((x.T @ back, hidden.T @ delta)):
                means[layer] = 0.9 * means[layer] + 0.1 * grad
                squares[layer] = 0.999 * squares[layer] + 0.001 * grad**2
                mean, square = means[layer] / (1 - 0.9**count), squares[layer] / (1 - 0.999**count)
                weights[layer] = weights[layer] - rate * mean / (np.sqrt(square) + 1e-8)
        result.append(accuracy())
    return result
