"""``lnsmadam error``: the worst error of each unit's golden function against real numbers."""

import functools
import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.cli.options import unit_options
from lnsmadam.console import EXIT_STATUS, as_typed, console, progress_bar, records_option, verdict
from lnsmadam.evidence import CONFIGURATIONS, MEANINGS
from lnsmadam.golden.config import UnitConfig
from lnsmadam.proof.error.worst_error import Worst, search
from lnsmadam.proof.records import Kind, Record, save_by_command
from lnsmadam.units import UNITS, Unit


def measured(unit: Unit, config: UnitConfig, options: str) -> list[Record]:
    """Every promise of a configuration against what was found; ``options`` are those that chose it."""
    main = f" ({getattr(config, unit.main_format).name})" if unit.main_format else ""
    label = options or f"default configuration{main}"
    command = shlex.join(["lnsmadam", "error", unit.name, *shlex.split(options)])
    records: list[Record] = []
    with progress_bar() as show:
        start = time.monotonic()
        for measure in MEANINGS[unit.name](config, unit.golden, unit.directed):
            worst = search(measure, functools.partial(show, f"{unit.name} {measure.what}"))
            seconds = time.monotonic() - start
            claim = f"error of the {measure.what}, {label}"
            # One figure a configuration is enough for the summary: that of the first promise.
            short = records[0].details["short"] if records else _short(worst)
            records.append(_record(unit, worst, claim, command, seconds, short))
            start = time.monotonic()
    return records


def _short(worst: Worst) -> str:
    """The figure, with the name of what it is the error of where the unit has more than one result."""
    what = worst.measure.what.split(",")[0]
    return f"{'' if what in ('log', 'result') else what + ' '}{worst.error:.5g} {worst.measure.unit}"


def _record(unit: Unit, worst: Worst, claim: str, command: str, seconds: float, short: str) -> Record:
    measure = worst.measure
    details: dict[str, Any] = {
        "short": short,
        # JSON has no infinity.
        "error": worst.error if worst.error < float("inf") else "infinite",
        "promised": measure.promised,
        "operands": worst.operands,
        "arguments": measure.arguments.total,
    }
    return Record(unit.name, Kind.ERROR, claim, str(worst), worst.passed, command, seconds, details)


def _report(records: Iterable[Record], folder: Path | None) -> int:
    """Prints records and saves them; the exit status."""
    table = Table(title="Worst error of the golden model against real numbers", title_justify="left")
    for heading in ("unit", "promise", "worst", ""):
        table.add_column(heading, overflow="fold")
    found = list(records)
    for record in found:
        result = "within" if record.passed else "[bold red]ABOVE"
        table.add_row(record.subject, record.claim, record.result, result)
    console().print(table)
    if folder:
        save_by_command(folder, found)
    above = list(dict.fromkeys(record.subject for record in found if not record.passed))
    kept = f"{sum(record.passed for record in found)} of {len(found)} promises kept"
    return verdict(not above, f"{kept}; not of {', '.join(above)}" if above else kept)


def error_of(unit: Unit) -> click.Command:
    """``error UNIT``."""

    @click.command(
        unit.name,
        help=f"Looks for the worst error of {unit.name} and compares it with the promise.",
        epilog=EXIT_STATUS,
    )
    @unit_options(unit)
    @records_option
    def command(config: UnitConfig, records: Path | None) -> int:
        options = shlex.join(shlex.split(as_typed())[3:])
        return _report(measured(unit, config, options), records)

    return command


def configured(unit: Unit, options: str) -> UnitConfig:
    """The configuration that options of the command line choose."""

    @click.command()
    @unit_options(unit)
    def command(config: UnitConfig) -> UnitConfig:
        return config

    config: UnitConfig = command.main(shlex.split(options), prog_name=unit.name, standalone_mode=False)
    return config


@click.command("all", epilog=EXIT_STATUS)
@records_option
def error_of_all(records: Path | None) -> int:
    """Looks for the worst error of every unit, in the configurations that matter."""
    found = []
    for unit in UNITS.values():
        for options in CONFIGURATIONS[unit.name]:
            found += measured(unit, configured(unit, options), options)
    return _report(found, records)
