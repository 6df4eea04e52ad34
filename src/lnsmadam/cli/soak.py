"""``lnsmadam soak``: volume runs that can be interrupted."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam import evidence
from lnsmadam.console import EXIT_STATUS, FolderPath, as_typed, console, progress_bar, records_option, verdict
from lnsmadam.proof.records import Record, save
from lnsmadam.proof.soak.chunk import CHUNK, Subject, run_chunk
from lnsmadam.proof.soak.run import SoakFailed, failed_record, soak_records
from lnsmadam.proof.soak.run import soak as run_soak
from lnsmadam.proof.soak.state import State
from lnsmadam.sim.batch import BatchUnit

DEFAULT_COUNT = 10**9
#: Some weeks of work; more is a slip of the pen.
MOST = 10**12


class Count(click.ParamType[int]):
    """A whole number up to :data:`MOST`, also as ``1e9``."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = float(value)
            count = int(value) if isinstance(value, int) or value.isdigit() else int(number)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a number such as 1e9", param, ctx)
        if count != number or not 1 <= count <= MOST:
            self.fail(f"{value} is not a whole number from 1 to {MOST:,}", param, ctx)
        return count


@click.command(epilog=f"NAME is one of {', '.join(evidence.SOAKED)}. {EXIT_STATUS}")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--count", type=Count(), default=DEFAULT_COUNT, help="Random transfers, all together.  [default: 1e9]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
@click.option(
    "--folder",
    type=FolderPath(),
    default=Path("build/soak"),
    show_default=True,
    help="Keeps what was done: the same command goes on from there.",
)
@click.option("--processes", type=click.IntRange(1), help="Chunks side by side.  [default: the processors]")
@click.option("--chunk", type=click.IntRange(0), help="Runs the chunk of this number of one NAME, and keeps nothing.")
@records_option
def soak(
    names: tuple[str, ...],
    count: int,
    seed: int,
    folder: Path,
    processes: int | None,
    chunk: int | None,
    records: Path | None,
) -> int:
    """Runs random transfers by the thousand million through the compiled Verilog and the golden model.

    NAME is a unit in a configuration; all of them by default. One with at most 2^26 arguments is run with each of
    them instead, which does not count. An interrupted run goes on when it is called again.
    """
    if chunk is not None:
        if len(names) != 1:
            raise click.UsageError("--chunk is of one NAME")
        return _one(evidence.soaked(names[0]), seed, chunk)
    subjects = [evidence.soaked(name) for name in dict.fromkeys(names or evidence.SOAKED)]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with progress_bar(logged=True) as show:
            state = run_soak(
                subjects,
                folder,
                count=count,
                seed=seed,
                processes=processes or available,
                progress=lambda done, total, what: show(f"soak: {what}", done, total),
            )
    except SoakFailed as error:
        click.echo(f"lnsmadam: {error}", err=True)
        again = f"lnsmadam soak {error.subject} --seed {seed} --chunk {error.number}"
        click.echo(f"Again: {again}", err=True)
        if records:
            save(records, as_typed(), [failed_record(evidence.soaked(error.subject), error, again)])
        return verdict(False, f"{error.subject} differs from the golden model")
    console().print(_table(subjects, state))
    sampled = sum(state.tallies[s.name].transfers for s in subjects if not s.is_exhaustive)
    results = sum(tally.results for tally in state.tallies.values())
    found = soak_records(subjects, state, seed, as_typed())
    if records:
        save(records, as_typed(), map(_with_configuration, found, subjects))
    return verdict(
        all(record.passed for record in found),
        f"{results:,} results equal, {sampled:,} random transfers, seed {seed}, in {state.elapsed:.0f} s; state in "
        f"{state.path}, which a new run needs removed.",
    )


def _with_configuration(record: Record, subject: Subject) -> Record:
    """Names what is not the default one, for the summary of the verification page."""
    name = subject.name.removeprefix(record.subject).strip("_").replace("_", " ")
    return dataclasses.replace(record, details={**record.details, "configuration": name}) if name else record


def _one(subject: Subject, seed: int, number: int) -> int:
    if subject.is_exhaustive and number >= (chunks := subject.chunks(0, CHUNK)):
        raise ValueError(f"--chunk of {subject.name} must be from 0 to {chunks - 1}, not {number}")
    with BatchUnit(subject.emitted) as unit:
        outcome = run_chunk(subject, unit, seed, number)
    if outcome.failure is not None:
        click.echo(f"lnsmadam: chunk {number} of {subject.name}: {outcome.failure}", err=True)
        return 1
    click.echo(f"chunk {number} of {subject.name}: {outcome.results:,} results equal")
    return 0


def _table(subjects: list[Subject], state: State) -> Table:
    table = Table(title="compiled Verilog against golden model", title_justify="left")
    headings = ("", "operands", "transfers", "results equal", "simulated/s", "modelled/s", "seconds", "digest")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("", "operands", "digest") else "right")
    for subject in subjects:
        tally = state.tallies[subject.name]

        def rate(seconds: float, transfers: int = tally.transfers) -> str:
            return f"{transfers / max(seconds, 1e-9) / 1e6:.2f} M"

        table.add_row(
            subject.name,
            "every one" if subject.is_exhaustive else "random",
            f"{tally.transfers:,}",
            f"{tally.results:,}",
            rate(tally.simulation_seconds),
            rate(tally.model_seconds),
            f"{tally.seconds:.0f}",
            f"{tally.digest:032x}"[:12],
        )
    return table
