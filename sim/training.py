"""Training in a trainer's emitted Verilog and in the golden network, side by side: every bit of every epoch."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import Outcome
from lnsmadam.golden.trainer.state import NetworkState
from lnsmadam.golden.trainer.words import first_difference
from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.trainer import CompiledTrainer, HardwareOutcome, Integers

#: Samples from one report of progress to the next.
CHUNK = 128


@dataclass(frozen=True)
class Epoch:
    """Samples in the order in which they are learned.

    Attributes
    ----------
    samples : integer array of shape (count, inputs)
        Words of activations.
    labels : integer array of shape (count,)
    lr_shift : int
        Octaves by which the learning rate is smaller than the network's.
    """

    samples: Integers
    labels: Integers
    lr_shift: int = 0


@dataclass(frozen=True)
class EpochOnRTL:
    """An epoch in the emitted Verilog and in the golden network.

    Attributes
    ----------
    number : int
        1 the first.
    outcome : HardwareOutcome
    state : NetworkState
        The machine's, after the epoch.
    test_accuracy : float or None
        Of the machine on the test samples, after the epoch.
    compared : int
        Words of state, and results of samples, that were compared.
    difference : str or None
        The first of them that differs, in one line.
    cycles : int
        Of the machine, over all samples.
    seconds : float
        Of the simulation of them alone.
    """

    number: int
    outcome: HardwareOutcome
    state: NetworkState
    test_accuracy: float | None
    compared: int
    difference: str | None
    cycles: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the samples whose class was right before they were learned."""
        return float(np.mean(self.outcome.correct))

    @property
    def samples_per_second(self) -> float:
        """Rate of the simulation."""
        return len(self.outcome.correct) / max(self.seconds, 1e-9)

    @property
    def cycles_per_sample(self) -> float:
        """Median of the machine's cycles from one result to the next."""
        return float(np.median(self.outcome.cycles))


def train_on_rtl(
    machine: TrainerConfig,
    state: NetworkState,
    epochs: Iterable[Epoch],
    *,
    test: Epoch | None = None,
    emitted: Emitted | None = None,
    stalls_seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[EpochOnRTL]:
    """Trains in the emitted Verilog and, beside it, in the golden network, and compares every bit after every epoch.

    Parameters
    ----------
    machine : TrainerConfig
    state : NetworkState
        To begin with; it stays as it is.
    epochs : iterable of Epoch
    test : Epoch, optional
        Samples that both classify after every epoch.
    emitted, stalls_seed
        As for :class:`~lnsmadam.sim.trainer.CompiledTrainer` and its ``train``.
    progress : function, optional
        Called with samples done and samples in all, within an epoch.

    Yields
    ------
    EpochOnRTL
        After every epoch; after one with a difference no more.

    Raises
    ------
    ValueError
        An epoch is empty, or its samples are not the network's.
    ~lnsmadam.sim.batch.HardwareFault
        The machine hangs or breaks a rule of its streams.
    ~lnsmadam.hw.toolchain.ToolError
        There is no Verilator or C++ compiler, or the Verilog does not compile; one line.
    """
    golden = CompiledNetwork(machine.network, state.copy())
    with CompiledTrainer(machine, emitted) as trainer:
        trainer.load(state)
        for number, epoch in enumerate(epochs, 1):
            total, parts = len(epoch.samples), []
            if not total:
                raise ValueError("There was nothing to compare: no samples were given")
            want = golden.train(epoch.samples, epoch.labels, epoch.lr_shift)
            cycles, seconds = trainer.cycles, trainer.seconds
            for start in range(0, total, CHUNK):
                part = slice(start, start + CHUNK)
                seed = None if stalls_seed is None else stalls_seed + total * number + start
                parts.append(trainer.train(epoch.samples[part], epoch.labels[part], epoch.lr_shift, stalls_seed=seed))
                if progress is not None:
                    progress(min(total, start + CHUNK), total)
            cycles, seconds = trainer.cycles - cycles, trainer.seconds - seconds
            outcome, got, compared = HardwareOutcome.joined(parts), trainer.state(), 3 * total
            difference = _outcome_difference(want, outcome) or first_difference(machine.network, golden.state, got)
            compared += got.numbers
            accuracy = None
            if test is not None:
                predicted, right = trainer.predict(test.samples), golden.predict(test.samples)
                accuracy, compared = float(np.mean(predicted == test.labels)), compared + len(test.samples)
                difference = difference or _first("test sample", "predicted", right, predicted)
            yield EpochOnRTL(number, outcome, got, accuracy, compared, difference, cycles, seconds)
            if difference is not None:
                return


def _first(what: str, name: str, want: Integers, got: Integers) -> str | None:
    for place in np.flatnonzero(want != got)[:1]:
        return f"{what} {place}: {name}: got {int(got[place])}, want {int(want[place])}"
    return None


def _outcome_difference(want: Outcome, got: HardwareOutcome) -> str | None:
    pairs = [(name, getattr(want, name), getattr(got, name)) for name in ("predicted", "correct", "gated")]
    return next((text for pair in pairs if (text := _first("sample", *pair))), None)
