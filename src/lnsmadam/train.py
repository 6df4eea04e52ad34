"""Trains a network, in the golden model, in the emitted Verilog, or on a board: the same samples in the same order,
so that all three end with the same bits."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.datasets import Task
from lnsmadam.digits import halvings
from lnsmadam.fpga.boards import DEFAULT_BAUD
from lnsmadam.fpga.trainer.client import Port
from lnsmadam.fpga.trainer.host import Epoch as BoardEpoch
from lnsmadam.fpga.trainer.host import Trainer
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import accuracy
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import NetworkState, encode_inputs
from lnsmadam.golden.trainer.words import first_difference
from lnsmadam.sim import training as rtl

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Live:
    """How far an epoch is.

    Attributes
    ----------
    epoch : int
        1 the first.
    done, count : int
        Samples learned, and in the epoch.
    accuracy, gated : float or None
        Shares of the samples done that were predicted rightly before they were learned, and that the gate kept from
        being learned; None where it is not known before the epoch's end.
    samples_per_second : float
    """

    epoch: int
    done: int
    count: int
    accuracy: float | None
    gated: float | None
    samples_per_second: float


Tell = Callable[[Live], None]


@dataclass(frozen=True)
class Result:
    """What came of an epoch.

    Attributes
    ----------
    live : Live
        Its end.
    test_accuracy : float
    state : NetworkState
    compared : int
        Words of state and results that were compared with the golden network's.
    difference : str or None
        The first of them that differs, in one line.
    """

    live: Live
    test_accuracy: float
    state: NetworkState
    compared: int = 0
    difference: str | None = None


def lr_shift_of(epoch: int, epochs: int) -> int:
    """Octaves by which the learning rate is lowered in an epoch, 0 the first: it is halved at
    :data:`~lnsmadam.digits.HALVED_AT`."""
    return halvings(epoch, epochs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that fixes a run, bit for bit.

    Attributes
    ----------
    network : NetworkConfig
    state : NetworkState
        To begin with; it stays as it is.
    samples, labels, test_samples, test_labels : integer arrays
        Words of activations, one sample a row, and classes.
    seed : int
        Of the samples' order.
    epochs, first_epoch : int
        Of the whole training, and of those that are done already.
    """

    network: NetworkConfig
    state: NetworkState
    samples: Integers
    labels: Integers
    test_samples: Integers
    test_labels: Integers
    seed: int
    epochs: int
    first_epoch: int = 0

    @classmethod
    def of_task(cls, task: Task, network: NetworkConfig, state: NetworkState, **numbers: int) -> "Plan":
        """A run on a data set.

        Raises
        ------
        ValueError
            Its inputs or classes are not the network's, or scikit-learn is not installed.
        """
        inputs, classes = task.sizes[0], task.sizes[-1]
        if (network.sizes[0], network.sizes[-1]) != (inputs, classes):
            told = "-".join(map(str, network.sizes))
            raise ValueError(f"Data set {task.name} has {inputs} inputs and {classes} classes, the network is {told}")
        split = task.load()
        train, test = (encode_inputs(network, x) for x in (split.x_train, split.x_test))
        return cls(
            network=network, state=state, samples=train, labels=np.asarray(split.y_train, np.int64),
            test_samples=test, test_labels=np.asarray(split.y_test, np.int64), **numbers,
        )  # fmt: skip

    def numbers(self) -> range:
        """The epochs that are left, 0 the first of the whole training."""
        return range(self.first_epoch, self.epochs)

    def ordered(self, epoch: int) -> tuple[Integers, Integers]:
        """Samples and labels in an epoch's order."""
        places = order(len(self.samples), self.seed, epoch)
        return self.samples[places], self.labels[places]

    def lr_shift(self, epoch: int) -> int:
        """See :func:`lr_shift_of`."""
        return lr_shift_of(epoch, self.epochs)

    def test_accuracy(self, network: CompiledNetwork) -> float:
        """Share of the test samples whose class is their label."""
        return accuracy(network, self.test_samples, self.test_labels)


def train_on_golden(plan: Plan, tell: Tell) -> Iterator[Result]:
    """Trains the compiled golden network; yields after every epoch."""
    golden = CompiledNetwork(plan.network, plan.state.copy())
    # Compiled here, not in the first epoch's rate.
    CompiledNetwork(plan.network, plan.state.copy()).train(plan.samples[:1], plan.labels[:1])
    for epoch in plan.numbers():
        samples, labels = plan.ordered(epoch)
        correct = gated = 0
        started = time.perf_counter()
        for start in range(0, len(samples), rtl.CHUNK):
            part = slice(start, start + rtl.CHUNK)
            outcome = golden.train(samples[part], labels[part], plan.lr_shift(epoch))
            correct, gated = correct + int(outcome.correct.sum()), gated + int(outcome.gated.sum())
            done = min(start + rtl.CHUNK, len(samples))
            seconds = max(time.perf_counter() - started, 1e-9)
            live = Live(epoch + 1, done, len(samples), correct / done, gated / done, done / seconds)
            tell(live)
        yield Result(live, plan.test_accuracy(golden), golden.state.copy())


def train_on_rtl(plan: Plan, lanes: int, tell: Tell) -> Iterator[Result]:
    """Trains in the emitted Verilog, in Verilator, and compares every bit with the golden network after every epoch;
    ends with the first difference.

    Raises
    ------
    HardwareFault
        The machine hangs or breaks a rule of its streams.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler.
    """
    epochs = (rtl.Epoch(*plan.ordered(epoch), plan.lr_shift(epoch)) for epoch in plan.numbers())
    test = rtl.Epoch(plan.test_samples, plan.test_labels)
    number, started = plan.first_epoch + 1, time.perf_counter()

    def progress(done: int, total: int) -> None:
        tell(Live(number, done, total, None, None, done / max(time.perf_counter() - started, 1e-9)))

    machine = TrainerConfig(network=plan.network, lanes=lanes)
    for result in rtl.train_on_rtl(machine, plan.state, epochs, test=test, progress=progress):
        count, gated = len(result.outcome.correct), float(np.mean(result.outcome.gated))
        live = Live(number, count, count, result.accuracy, gated, result.samples_per_second)
        assert result.test_accuracy is not None
        yield Result(live, result.test_accuracy, result.state, result.compared, result.difference)
        number, started = number + 1, time.perf_counter()


def train_on_board(
    plan: Plan, port: str | Port, tell: Tell, *, baud: int = DEFAULT_BAUD, compare: bool = False, **options: Any
) -> Iterator[Result]:
    """Trains on a board; with ``compare``, beside it in the golden network, up to the first difference.

    Raises
    ------
    LinkError
        See :class:`~lnsmadam.fpga.trainer.host.Trainer`, which also has the ``options``.
    """
    golden = CompiledNetwork(plan.network, plan.state.copy()) if compare else None
    with Trainer(port, plan.network, baud=baud, **options) as trainer:
        trainer.load_state(plan.state)
        for epoch in plan.numbers():
            (end,) = trainer.train(
                plan.samples, plan.labels, first_epoch=epoch, seed=plan.seed, lr_shift=plan.lr_shift,
                progress=lambda now: tell(_live(now)),
            )  # fmt: skip
            state, difference, compared = trainer.read_state(), None, 0
            if golden is not None:
                golden.train(*plan.ordered(epoch), plan.lr_shift(epoch))
                difference = first_difference(plan.network, golden.state, state)
                compared = state.numbers
            accuracy = trainer.evaluate(plan.test_samples, plan.test_labels)
            yield Result(_live(end), accuracy, state, compared, difference)
            if difference is not None:
                return


def _live(now: BoardEpoch) -> Live:
    return Live(now.number + 1, now.done, now.count, now.accuracy, now.gated_share, now.samples_per_second)


def describe(plan: Plan, data: str) -> dict[str, Any]:
    """What a saved file says of the run that made it, beside network and state."""
    return {"data": data, "seed": plan.seed, "epochs": plan.epochs, "done": plan.first_epoch}


def continued(plan: Plan, done: int, state: NetworkState) -> Plan:
    """The plan of what is left after ``done`` epochs."""
    return dataclasses.replace(plan, first_epoch=done, state=state)
