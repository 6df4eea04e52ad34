"""Measures what the integer network learns: ``python -m lnsmadam.learning -o build/learning``.

Accuracies are those of the test samples, the mean of the last :data:`LAST` epochs of a run, averaged over seeds, with
the standard error of that average. A seed fixes the first weights and the orders of the samples, for the integer
network and for Adam alike, so that differences are taken seed by seed.
"""

import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from lnsmadam.console import FolderPath, progress_bar
from lnsmadam.datasets import TASKS, Task
from lnsmadam.digits import HALVED_AT, Progress, Split, halvings
from lnsmadam.float_network import train_adam
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, NetworkConfig, network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.network import accuracy
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import encode_inputs, initial
from lnsmadam.hw.emit import write_atomically
from lnsmadam.pages import markdown, put_tables

#: Epochs at a run's end whose accuracies count.
LAST = 3
#: Adam's learning rates; each task gets the one that does best on its test samples.
ADAM_LRS = (0.001, 0.003, 0.01, 0.03)
#: Targets of a preset's mean accuracy, in points below Adam's.
LIMIT_DIGITS, LIMIT_OTHERS = 0.8, 1.0


@dataclass
class Run:
    """A trained network, its test accuracy after each epoch, and the share of samples that the gate left out."""

    network: CompiledNetwork
    accuracy: list[float]
    gated: float


def train(config: NetworkConfig, split: Split, epochs: int, seed: int, halved_at: Sequence[float] = HALVED_AT) -> Run:
    """Trains a network from the first weights of ``seed``.

    Parameters
    ----------
    config : NetworkConfig
    split : Split
        Inputs scaled by the rule of :mod:`lnsmadam.datasets`.
    epochs, seed : int
    halved_at : sequence of float
        Fractions of the epochs.
    """
    network = CompiledNetwork(config, initial(config, seed))
    x_train, x_test = (encode_inputs(config, x) for x in (split.x_train, split.x_test))
    accuracies, gated = [], 0
    for epoch in range(epochs):
        chosen = order(len(x_train), seed, epoch)
        shift = halvings(epoch, epochs, halved_at)
        gated += int(network.train(x_train[chosen], split.y_train[chosen], shift).gated.sum())
        accuracies.append(accuracy(network, x_test, split.y_test))
    return Run(network, accuracies, gated / (epochs * len(x_train)))


@dataclass(frozen=True)
class Figure:
    """A mean over seeds and its standard error, in percent or points."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """Of one value a seed, as fractions of 1."""
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        return cls(float(100 * np.mean(values)), float(100 * spread / math.sqrt(len(values))))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.error:.2f}"


def at_end(accuracy: Sequence[float]) -> float:
    """A run's figure: the mean accuracy of its last :data:`LAST` epochs."""
    return float(np.mean(accuracy[-LAST:]))


@dataclass(frozen=True)
class Variant:
    """A change of the presets whose effect is measured on digits, 64-32-10."""

    title: str
    changes: dict[str, Any] = field(default_factory=dict)
    presets: tuple[str, ...] = ("FO", "FX")
    halved_at: tuple[float, ...] = HALVED_AT


def _sums(width: int) -> dict[str, int]:
    """Sums of this width with a sign and three bits above the largest product, as the presets' 16 have."""
    return {"sum_width": width, "sum_fraction_bits": width - 4}


def _formats(width: int, base_factor: int) -> dict[str, Any]:
    fmt = LNSFormat(width, base_factor)
    return {"activation": fmt, "delta": fmt, "forward_weight": fmt}


VARIANTS = (
    Variant("the preset", presets=("FO", "FX", "FV")),
    Variant("sums of 10 bits", _sums(10)),
    Variant("sums of 12 bits", _sums(12)),
    Variant("sums of 14 bits", _sums(14)),
    Variant("sums of 24 bits", _sums(24)),
    Variant("exact warm-up", {"warm_up": "exact"}, ("FO",)),
    Variant("gate of 3 octaves", {"gate": 3.0}),
    Variant("gate of 1 octave", {"gate": 1.0}),
    Variant("weights rounded stochastically", {"weight_rounding": "stochastic"}),
    Variant("trackers rounded to nearest", {"state_rounding": "nearest"}, ("FO",)),
    Variant("learning rate never halved", halved_at=()),
    Variant("learning rate doubled", {"lr": +1}),
    Variant("learning rate halved", {"lr": -1}),
    Variant("normalised gradients up to 4", {"grad_bound": 2}),
    Variant("normalised gradients up to 8", {"grad_bound": 3}),
    Variant("normalised gradients up to 16", {"grad_bound": 4}),
    Variant("normalised gradients up to 32", {"grad_bound": 5}),
    Variant("weights capped at half", {"weight_tops": -1}),
    Variant("weights capped at double", {"weight_tops": +1}),
    Variant("largest activation 4", {"activation_top": 2}),
    Variant("largest activation 16", {"activation_top": 4}),
    Variant("weights of 8 bits, base factor 16", {"weight": LNSFormat(8, 16)}),
    Variant("weights of 12 bits, base factor 256", {"weight": LNSFormat(12, 256)}),
    Variant("activations, deltas, forward weights of 6 bits", _formats(6, 4)),
    Variant("the same of 8 bits, base factor 8", _formats(8, 8)),
)


def varied(preset: str, variant: Variant, sizes: tuple[int, ...]) -> NetworkConfig:
    """A preset's configuration after a variant; changes of ``lr`` and ``weight_tops`` are added to its own."""
    config, changes = network_preset(preset, sizes), dict(variant.changes)
    if "lr" in changes:
        changes["lr"] += config.lr
    if "weight_tops" in changes:
        changes["weight_tops"] = tuple(top + changes["weight_tops"] for top in config.weight_tops)
    return network_preset(preset, sizes, **changes)


class Store:
    """Results by name in a file, so that an interrupted run goes on where it stopped.

    A name holds all that fixes a result but the program: remove the file to measure anew.
    """

    def __init__(self, path: Path):
        self.path = path
        self.results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """The result of this name, measured only if it is not there yet."""
        if name not in self.results:
            self.results[name] = measure()
            write_atomically(self.path, json.dumps(self.results) + "\n")
        return self.results[name]


@dataclass
class Measurement:
    """All that a run of this module measures, by name: what ``learning.json`` holds.

    ``tasks``: accuracies at the runs' ends, one a seed, by task and then by preset or Adam's learning rate.
    ``curves``: accuracy after each epoch, mean of the seeds, likewise.
    ``variants``: the same as ``tasks`` by variant and preset. ``gated``: shares of samples left out.
    """

    seeds: int
    tasks: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    variants: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    gated: dict[str, dict[str, float]] = field(default_factory=dict)

    def best_lr(self, task: str) -> str:
        """Adam's best learning rate."""
        results = self.tasks[task]
        return max((str(lr) for lr in ADAM_LRS), key=lambda lr: float(np.mean(results[lr])))


def measured_runs(
    store: Store, task: Task, split: Split, config: NetworkConfig, seeds: int, halved_at: Sequence[float] = HALVED_AT
) -> dict[str, Any]:
    """``accuracy``: after each epoch, one list a seed; ``gated``: the mean share."""

    def measure() -> dict[str, Any]:
        runs = [train(config, split, task.epochs, seed, halved_at) for seed in range(seeds)]
        return {"accuracy": [run.accuracy for run in runs], "gated": float(np.mean([run.gated for run in runs]))}

    name = f"{task.name}, {config.digest()}, {task.epochs} epochs, {seeds} seeds, halved at {tuple(halved_at)}"
    result: dict[str, Any] = store.get(name, measure)
    return result


def measure_task(task: Task, into: Measurement, store: Store, progress: Progress) -> None:
    """Adam at every rate and every preset, on one task."""
    split, seeds = task.load(), into.seeds
    results: dict[str, list[float]] = {}
    curves: dict[str, list[float]] = {}

    def keep(name: str, runs: list[list[float]]) -> None:
        results[name] = [at_end(accuracy) for accuracy in runs]
        curves[name] = [float(value) for value in np.mean(runs, axis=0)]

    total = len(ADAM_LRS) + len(NETWORK_PRESETS)
    for index, lr in enumerate(ADAM_LRS):
        progress(f"{task.name}: Adam, {lr:g}", index, total)
        name = f"{task.name}, Adam {lr:g}, {task.sizes}, {task.epochs} epochs, {seeds} seeds"

        def of_adam(lr: float = lr) -> list[list[float]]:
            return [train_adam(task.sizes, split, task.epochs, lr, seed) for seed in range(seeds)]

        keep(str(lr), store.get(name, of_adam))
    for index, preset in enumerate(NETWORK_PRESETS):
        progress(f"{task.name}: {preset}", len(ADAM_LRS) + index, total)
        keep(preset, measured_runs(store, task, split, network_preset(preset, task.sizes), seeds)["accuracy"])
    into.tasks[task.name], into.curves[task.name] = results, curves


def measure_variants(into: Measurement, store: Store, progress: Progress) -> None:
    """Every variant of every preset that it names, with half of the seeds."""
    task = TASKS["digits"]
    split, seeds = task.load(), (into.seeds + 1) // 2
    for index, variant in enumerate(VARIANTS):
        progress(variant.title, index, len(VARIANTS))
        results, gated = into.variants.setdefault(variant.title, {}), into.gated.setdefault(variant.title, {})
        for preset in variant.presets:
            config = varied(preset, variant, task.sizes)
            runs = measured_runs(store, task, split, config, seeds, variant.halved_at)
            results[preset] = [at_end(accuracy) for accuracy in runs["accuracy"]]
            gated[preset] = runs["gated"]


def task_rows(result: Measurement) -> Iterator[tuple[str, ...]]:
    """Rows of the table of tasks: title, Adam, presets with their distance to Adam, verdict."""
    for name, runs in result.tasks.items():
        lr = result.best_lr(name)
        limit = LIMIT_DIGITS if name.startswith("digits") else LIMIT_OTHERS
        cells, met = [], []
        for preset in NETWORK_PRESETS:
            gap = Figure.of(np.subtract(runs[preset], runs[lr]).tolist())
            cells.append(f"{Figure.of(runs[preset])} ({gap.mean:+.2f} ± {gap.error:.2f})")
            if preset in ("FO", "FX"):
                met.append(gap.mean >= -limit)
        verdict = "met" if all(met) else "not met"
        yield TASKS[name].title, f"{Figure.of(runs[lr])} ({lr})", *cells, f"≥ −{limit:g}", verdict


def variant_rows(result: Measurement) -> Iterator[tuple[str, ...]]:
    """Rows of the table of variants: title and each preset's accuracy, with its distance to the unchanged preset."""
    unchanged = result.variants[VARIANTS[0].title]
    for title, runs in result.variants.items():
        cells = []
        for preset in NETWORK_PRESETS:
            if preset not in runs:
                cells.append("")
                continue
            cell = f"{Figure.of(runs[preset])}"
            if runs is not unchanged:
                cell += f" ({Figure.of(np.subtract(runs[preset], unchanged[preset]).tolist()).mean:+.2f})"
            if share := result.gated[title][preset]:
                cell += f", {share:.0%} of the samples skipped"
            cells.append(cell)
        yield title, *cells


def state_rows() -> Iterator[tuple[str, ...]]:
    """Rows of the table of memory: the state's bits of both networks on digits."""
    for preset in NETWORK_PRESETS:
        cells = []
        for name in ("digits", "digits_deep"):
            config = network_preset(preset, TASKS[name].sizes)
            cells.append(f"{config.state_bits} ({config.state_bits / config.weights:.1f} a weight)")
        yield preset, *cells
    sizes = [network_preset("FX", TASKS[name].sizes).weights for name in ("digits", "digits_deep")]
    yield "Adam, float32", *(f"{96 * weights} (96 a weight)" for weights in sizes)


def tables(result: Measurement) -> dict[str, str]:
    """The page's tables by the names of their markers."""
    presets = tuple(NETWORK_PRESETS)
    of_tasks = ("task", "Adam, float32 (learning rate)", *presets, "target, FO and FX", "")
    return {
        "tasks": markdown(of_tasks, list(task_rows(result))),
        "variants": markdown(("change", *presets), list(variant_rows(result))),
        "state": markdown(("state", "64-32-10", "64-64-32-10"), list(state_rows())),
    }


def curves_plot(result: Measurement, task: str) -> str:
    """Test accuracy by epoch, mean of the seeds, as SVG."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    from lnsmadam.plots import BLUE, GREEN, GREY, ORANGE

    curves = result.curves[task]
    lines = {"Adam, float32": (curves[result.best_lr(task)], GREY, "--")}
    for preset, color in zip(NETWORK_PRESETS, (BLUE, ORANGE, GREEN), strict=True):
        lines[preset] = (curves[preset], color, "-")
    # Outlines, no date, no random names: the same figures make the same file.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "lnsmadam"}):
        canvas = Canvas(figsize=(8.6, 3.6), layout="constrained")
        axes = canvas.subplots()
        for label, (curve, color, style) in lines.items():
            axes.plot(range(1, len(curve) + 1), 100 * np.array(curve), style, color=color, label=label)
        axes.set(xlabel="epoch", ylabel="test accuracy, %", ylim=(90, 99), title=TASKS[task].title)
        axes.grid(color="#e3e7ea")
        axes.legend(loc="lower right", frameon=False)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


@click.command()
@click.option("-o", "--output", type=FolderPath(), default=Path("build/learning"))
@click.option("--seeds", type=click.IntRange(2), default=20, show_default=True)
@click.option("--document", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Page to update.")
def main(output: Path, seeds: int, document: Path | None) -> None:
    """Measures accuracies of the integer network and of Adam, on all tasks and with changes of the presets.

    Runs that the folder's runs.json already holds are not repeated: remove it to measure anew.
    """
    result, store = Measurement(seeds), Store(output / "runs.json")
    with progress_bar() as progress:
        for task in TASKS.values():
            measure_task(task, result, store, progress)
            click.echo(" | ".join(list(task_rows(result))[-1]))
        measure_variants(result, store, progress)
    parts = tables(result)
    write_atomically(output / "learning.json", json.dumps(vars(result), indent=2) + "\n")
    write_atomically(output / "learning.md", "\n".join(parts.values()))
    click.echo("\n".join(parts.values()))
    picture = curves_plot(result, "digits")
    write_atomically(output / "learning.svg", picture)
    if document:
        put_tables(document, parts)
        write_atomically(document.parent / "pictures" / "learning.svg", picture)


if __name__ == "__main__":
    sys.exit(main())
