"""``lnsmadam gates``: every unit as the cells of an FPGA, against the golden model."""

import shlex
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.console import EXIT_STATUS, TRANSFERS, console, log_piece, progress_bar, records_option, verdict
from lnsmadam.evidence import VARIANTS
from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import Emitted
from lnsmadam.proof.gate_level import FAMILIES, gate_record, netlist
from lnsmadam.proof.records import Record, save
from lnsmadam.sim.ports import Check
from lnsmadam.sim.simulate import run_batch
from lnsmadam.units import UNITS, Unit, unit_named

netlist_option = click.option(
    "--netlist", type=click.Choice(list(FAMILIES)), help="Runs the netlist for this family in the Verilog's place."
)


def emit_as(emitted: Emitted, family: str | None) -> Emitted:
    """What a bench is to run: the unit's Verilog, or its netlist."""
    return emitted if family is None else netlist(emitted, family)


def _again(unit: str, family: str, seed: int, count: int | None) -> str:
    """The command that repeats what is found of a unit and a family."""
    words = ["lnsmadam", "gates", unit, "--family", family]
    words += ["--seed", str(seed)] if seed else []
    return shlex.join(words + (["--count", str(count)] if count is not None else []))


@click.command(epilog=EXIT_STATUS)
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option(
    "--family", "families", multiple=True, type=click.Choice(list(FAMILIES)), help="Repeatable; both if none."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
@click.option("--count", type=TRANSFERS, help="At most so many transfers at full speed.")
@records_option
def gates(units: tuple[str, ...], families: tuple[str, ...], seed: int, count: int | None, records: Path | None) -> int:
    """Compares the netlists of units with the golden model.

    The cells are those that `synth` counts, in the default configuration and, where a table can be there, with block
    RAM. All units without an argument.
    """
    chosen = [unit_named(name) for name in dict.fromkeys(units)] or list(UNITS.values())
    cases = [
        (unit, family, what, unit.configure(options))
        for unit in chosen
        for family in dict.fromkeys(families or FAMILIES)
        for what, options in (("", {}), *VARIANTS.get(unit.name, ()))
    ]
    table = Table(title="netlist against golden model", title_justify="left")
    for heading in ("unit", "family", "compared", "under stalls", "result", "", "seconds"):
        right = heading in ("compared", "under stalls", "seconds")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    found: dict[tuple[str, str], list[Record]] = {}
    with progress_bar() as show:
        for done, (unit, family, what, config) in enumerate(cases):
            case = " ".join(filter(None, (unit.name, what, "for", family)))
            show(f"{case}: building", done, len(cases))
            checks = _run(
                unit, config, family, seed, count, lambda stage, n, total, at=done: show(stage, at, len(cases))
            )
            command = _again(unit.name, family, seed, count)
            record = gate_record(unit.name, family, checks, command, what)
            found.setdefault((unit.name, family), []).append(record)
            failed = [check.message for check in checks if not check.passed]
            table.add_row(
                f"{unit.name} {what}",
                family,
                *(f"{check.compared:,}" for check in checks),
                "[bold red]FAILED" if failed else "equal",
                "; ".join(failed) or checks[0].message,
                f"{record.seconds:.2f}",
            )
            result = f"FAILED: {failed[0]}" if failed else "equal"
            log_piece(f"{case}: {result}, {record.seconds:.1f} s", done + 1, len(cases))
            # A file holds all configurations of the pair or is not written.
            if records and len(found[unit.name, family]) == 1 + len(VARIANTS.get(unit.name, ())):
                save(records, command, found[unit.name, family])
    console().print(table)
    differ = [
        f"{unit} for {family}" for (unit, family), rows in found.items() if not all(record.passed for record in rows)
    ]
    return verdict(not differ, f"{', '.join(differ)}" if differ else f"equal: {len(cases)} of {len(cases)} netlists")


def _run(unit: Unit, config: UnitConfig, family: str, seed: int, count: int | None, progress: Any) -> list[Check]:
    emitted = netlist(unit.emit(config), family)
    return run_batch(
        emitted, unit.model(config), config, seed=seed, count=count, directed=unit.directed, progress=progress
    )
