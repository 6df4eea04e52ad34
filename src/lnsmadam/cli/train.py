"""``lnsmadam train``: a network trained in the golden model, in Verilog or on a board."""

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lnsmadam.cli.trainer import DEFAULT_LANES, MAX_BAUD, PRESET_HELP, PRESETS, SIZES_HELP, Sizes
from lnsmadam.console import as_typed, records_option
from lnsmadam.datasets import TASKS
from lnsmadam.fpga.boards import DEFAULT_BAUD
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, NetworkConfig, network_preset
from lnsmadam.golden.trainer.layout import MAX_LANES
from lnsmadam.sim.batch import HardwareFault

if TYPE_CHECKING:
    # The compiled network takes a second to import: only the commands that use it do.
    from lnsmadam.train import Live, Plan, Result, Tell


@contextmanager
def live_bar() -> Iterator["Tell"]:
    """A function of :class:`~lnsmadam.train.Live` that shows it on standard error."""
    figures = TextColumn("{task.fields[figures]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), figures, TimeElapsedColumn())
    errors = Console(stderr=True)
    # In a log or a script's pipe a bar is noise; lines for standard output pass above it only on a terminal.
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal, redirect_stdout=sys.stdout.isatty()
    ) as bars:
        task = bars.add_task("", total=None, figures="")

        def tell(live: "Live") -> None:
            known = live.accuracy is not None and live.gated is not None
            shares = f"accuracy {live.accuracy:.1%}  gated {live.gated:.0%}  " if known else ""
            figures = f"{shares}{live.samples_per_second:,.0f} samples/s"
            bars.update(task, description=f"Epoch {live.epoch}", completed=live.done, total=live.count, figures=figures)

        yield tell


def _line(result: "Result", epochs: int) -> str:
    """An epoch in one line."""
    live = result.live
    compared = f"  {result.compared:,} words equal to golden" if result.compared and not result.difference else ""
    return (
        f"epoch {live.epoch}/{epochs}  training {live.accuracy:.1%}  test {result.test_accuracy:.1%}  "
        f"gated {live.gated:.0%}  {live.samples_per_second:,.0f} samples/s{compared}"
    )


def _plan(
    preset: str | None,
    sizes: tuple[int, ...] | None,
    data: str | None,
    gate: float | None,
    seed: int | None,
    epochs: int | None,
    resume: Path | None,
    held: NetworkConfig | None,
) -> tuple["Plan", str]:
    """What is to be trained, and the name of its data set. ``held`` is the network of a board that says which."""
    from lnsmadam.golden.trainer import files
    from lnsmadam.golden.trainer.state import initial
    from lnsmadam.train import Plan

    if resume is None:
        task = TASKS[data or "digits"]
        network = held or network_preset(preset or "FO", sizes or task.sizes)
        network = dataclasses.replace(network, gate=gate)
        seed = seed or 0
        return Plan.of_task(
            task, network, initial(network, seed), seed=seed, epochs=epochs or task.epochs
        ), task.name  # fmt: skip
    network, state, run = files.load_all(resume)
    if run.get("data") not in TASKS or not all(isinstance(run.get(name), int) for name in ("seed", "epochs", "done")):
        raise ValueError(f"{resume} does not say of which training it is: it cannot be resumed")
    given = {"seed": seed, "data": data, "gate": gate, "sizes": sizes}
    kept = {"seed": run["seed"], "data": run["data"], "gate": network.gate, "sizes": network.sizes}
    for name, value in given.items():
        if value is not None and value != kept[name]:
            raise ValueError(f"--{name} must be that of {resume}, {_shown(kept[name])}, not {_shown(value)}")
    if preset is not None and not _is_preset(network, preset):
        raise ValueError(f"--preset must be that of {resume}, which is not {preset}")
    epochs = epochs or run["epochs"]
    if run["done"] >= epochs:
        raise ValueError(f"{resume} has {run['done']} epochs behind it: --epochs must be above that, not {epochs}")
    plan = Plan.of_task(
        TASKS[run["data"]], network, state, seed=run["seed"], epochs=epochs, first_epoch=run["done"]
    )  # fmt: skip
    return plan, run["data"]


def _shown(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def _is_preset(network: NetworkConfig, preset: str) -> bool:
    return network == network_preset(preset, network.sizes, gate=network.gate)


@click.command()
@click.option("--on", "where", type=click.Choice(["golden", "rtl", "board"]), default="golden", show_default=True)
@click.option("--port", help="Of the board, or the one that `lnsmadam board-sim` prints.")
@click.option(
    "--baud", type=click.IntRange(1, MAX_BAUD), default=DEFAULT_BAUD, show_default=True, help="Of the board's line."
)
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Of the board's answers, in seconds."
)
@click.option("--data", type=click.Choice(list(TASKS)), help="Data set.  [default: digits]")
@click.option("--preset", type=PRESETS, help=f"{PRESET_HELP}  [default: FO; without --sizes, the board's]")
@click.option("--sizes", type=Sizes(), help=f"{SIZES_HELP}  [default: the data set's; without --preset, the board's]")
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="In all; the learning rate is halved after 40, 60 and 80 % of them.  [default: the data set's]",
)
@click.option("--gate", type=click.FLOAT, help="Samples right by this margin, in octaves, are not learned.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of first weights and order.  [default: 0]")
@click.option("--lanes", type=click.IntRange(1, MAX_LANES), help=f"Of --on rtl.  [default: {DEFAULT_LANES}]")
@click.option("--compare/--no-compare", default=False, help="A board with golden, after every epoch; rtl always is.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Writes the network after every epoch.")
@click.option("--resume", type=click.Path(dir_okay=False, path_type=Path), help="Goes on where a saved one stopped.")
@records_option
def train(
    where: str,
    port: str | None,
    baud: int,
    timeout: float,
    lanes: int | None,
    compare: bool,
    save: Path | None,
    epochs: int | None,
    resume: Path | None,
    records: Path | None,
    **options: Any,
) -> int:
    """Trains a network, sample by sample, in LNS words.

    In the golden model, in the emitted Verilog (rtl), or on a board: the same bits. Prints a line an epoch.
    """
    if (port is None) == (where == "board"):
        raise click.UsageError("--on board needs --port" if port is None else "--port goes with --on board")
    if lanes is not None and where != "rtl":
        raise click.UsageError("--lanes goes with --on rtl: they change no bit, and a board has its own")
    if compare and where == "golden":
        raise click.UsageError("--compare goes with --on board")
    if records is not None and not (compare or where == "rtl"):
        raise click.UsageError("--records goes with --on rtl or --compare: without, nothing is compared")
    if save is not None and not os.access(save if save.exists() else save.parent, os.W_OK):
        # Said before an epoch is spent, not after.
        raise click.BadParameter(f"{save} cannot be written", param_hint="'--save'")
    from lnsmadam import train as training
    from lnsmadam.fpga.trainer.host import Trainer
    from lnsmadam.golden.trainer import files

    held, compared, started = None, 0, time.monotonic()
    try:
        if port is not None and resume is None and options["preset"] is None and options["sizes"] is None:
            with Trainer(port, baud=baud, timeout=timeout) as board:
                held = board.network
        plan, data = _plan(epochs=epochs, resume=resume, held=held, **options)
        with live_bar() as tell:
            if where == "golden":
                results = training.train_on_golden(plan, tell)
            elif where == "rtl":
                results = training.train_on_rtl(plan, lanes or DEFAULT_LANES, tell)
            else:
                assert port is not None
                results = training.train_on_board(plan, port, tell, baud=baud, compare=compare, timeout=timeout)
            for result in results:
                click.echo(_line(result, plan.epochs))
                compared += result.compared
                if records is not None and (result.difference is not None or result.live.epoch == plan.epochs):
                    _keep(records, where, plan, lanes, result, compared, time.monotonic() - started)
                if result.difference is not None:
                    click.echo(f"lnsmadam: epoch {result.live.epoch}: {result.difference}", err=True)
                    return 1
                if save is not None:
                    left = training.continued(plan, result.live.epoch, result.state)
                    files.save(save, plan.network, result.state, training.describe(left, data))
    except HardwareFault as error:
        click.echo(f"lnsmadam: {error}", err=True)
        return 1
    if save is not None:
        click.echo(save)
    return 0


def _keep(
    folder: Path, where: str, plan: "Plan", lanes: int | None, result: "Result", compared: int, seconds: float
) -> None:
    """The record of a training that has come to its end, or to a difference."""
    from lnsmadam.proof.records import Kind, Record
    from lnsmadam.proof.records import save as keep

    told = "-".join(map(str, plan.network.sizes))
    name = next((name for name in NETWORK_PRESETS if _is_preset(plan.network, name)), "a network")
    subject = "a board" if where == "board" else f"emitted Verilog on {lanes or DEFAULT_LANES} lanes"
    found = result.difference or f"{compared:,} words equal in {result.live.epoch - plan.first_epoch} epochs"
    claim = f"{name} {told}, {subject} = golden network: every weight, tracker and prediction after every epoch"
    details = {"compared": compared, "samples": result.live.count}
    record = Record("trainer", Kind.SAMPLED, claim, found, not result.difference, as_typed(), seconds, details)
    keep(folder, as_typed(), [record])
