"""``lnsmadam coverage``: what the stimulus does not reach in the Verilog, and the tests in the Python."""

import time
from pathlib import Path

import click
from rich.table import Table

from lnsmadam.console import EXIT_STATUS, TRANSFERS, console, progress_bar, records_option, verdict
from lnsmadam.proof.coverage.hdl import COUNT, coverage_record, measure
from lnsmadam.proof.coverage.python import TARGETS, python_record, read_report
from lnsmadam.proof.records import Record, save
from lnsmadam.units import UNITS, Unit, unit_named

#: What ``make coverage`` leaves.
REPORT = Path("build") / "coverage" / "report.json"
_PYTHON = "python"


@click.command(epilog=EXIT_STATUS)
@click.argument("subjects", nargs=-1, metavar=f"[UNIT|{_PYTHON}]...")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
@click.option("--count", type=TRANSFERS, default=COUNT, show_default=True, help="Transfers of each run.")
@records_option
def coverage(subjects: tuple[str, ...], seed: int, count: int, records: Path | None) -> int:
    """Lists the bits and branches of units' Verilog that their stimulus does not reach; all units without an argument.

    A bit is reached when it has changed both ways. What is not reached is proved to be out of reach, explained, or
    open, and an open one is a failure. `python` shows instead what the tests reached in the last `make coverage`.
    """
    chosen = [unit_named(name) for name in subjects if name != _PYTHON]
    if not subjects:
        chosen = list(UNITS.values())
    found: list[Record] = []
    if chosen:
        found += _units(chosen, seed, count, records)
    if _PYTHON in subjects:
        found.append(_python(records))
    failed = [record.subject for record in found if not record.passed]
    share = f"{len(found) - len(failed)} of {len(found)} reached as far as is asked for"
    return verdict(not failed, f"{share}; not: {', '.join(failed)}" if failed else share)


def _units(chosen: list[Unit], seed: int, count: int, records: Path | None) -> list[Record]:
    table = Table(title="Verilog that the stimulus reaches", title_justify="left")
    for heading in ("unit", "bits", "reached", "branches", "taken", "proved", "explained", "open", "seconds"):
        table.add_column(heading, justify="left" if heading == "unit" else "right", overflow="fold")
    found, lines = [], []
    with progress_bar() as show:
        for done, unit in enumerate(chosen):
            show(unit.name, done, len(chosen))
            started, config = time.perf_counter(), unit.configure({})
            outcome = measure(unit.emit(config), unit.model(config), config, unit.directed, seed=seed, count=count)
            command = f"lnsmadam coverage {unit.name}"
            command += f" --seed {seed}" if seed else ""
            command += f" --count {count}" if count != COUNT else ""
            record = coverage_record(unit.name, outcome, command, time.perf_counter() - started)
            numbers = (
                outcome.bits, outcome.reached_bits, outcome.branches, outcome.reached_branches,
                len(outcome.proved), len(outcome.explained), len(outcome.open),
            )  # fmt: skip
            table.add_row(unit.name, *(f"{number:,}" for number in numbers), f"{record.seconds:.1f}")
            lines += [f"{unit.name}: {outcome.failure}"] if outcome.failure else []
            lines += [f"{unit.name}: {note}" for note in record.details["notes"]]
            found.append(record)
            if records:
                save(records, command, [record])
    console().print(table)
    if lines:
        click.echo("\n".join(lines))
    return found


def _python(records: Path | None) -> Record:
    if not REPORT.exists():
        raise ValueError(f"There is no {REPORT}: `make coverage` runs the tests that it is made of")
    folders = read_report(REPORT)
    table = Table(title="Python that the tests reach", title_justify="left")
    for heading in ("folder", "branches", "taken", "%", "target", "statements", "run"):
        table.add_column(heading, justify="left" if heading == "folder" else "right")
    for name, folder in folders.items():
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        table.add_row(
            name, f"{folder.branches:,}", f"{folder.taken:,}", f"{folder.percent:.1f}", target,
            f"{folder.lines:,}", f"{folder.run:,}",
        )  # fmt: skip
    console().print(table)
    for name in TARGETS:
        for file, ways in folders[name].missing.items() if name in folders else ():
            click.echo(f"{file}: {', '.join(ways)}")
    record = python_record(folders, "make coverage")
    if not record.passed:
        click.echo(record.result)
    if records:
        save(records, record.command, [record])
    return record
