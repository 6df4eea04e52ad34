"""``lnsmadam simulate``: emitted Verilog, or a netlist of it, against the golden model."""

from pathlib import Path

import click
from rich.table import Table

from lnsmadam.cli.gates import emit_as, netlist_option
from lnsmadam.cli.options import unit_options
from lnsmadam.console import (
    EXIT_STATUS,
    TRANSFERS,
    FolderPath,
    as_typed,
    console,
    progress_bar,
    records_option,
    verdict,
)
from lnsmadam.golden.config import UnitConfig
from lnsmadam.proof.gate_level import gate_record
from lnsmadam.proof.records import of_checks, save
from lnsmadam.sim.simulate import simulate as run_simulation
from lnsmadam.units import Unit


def simulate(unit: Unit) -> click.Command:
    """``simulate`` of one unit."""

    @click.command(
        unit.name, help=f"Compares the emitted Verilog of {unit.name} with the golden model.", epilog=EXIT_STATUS
    )
    @unit_options(unit)
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
    @click.option("--count", type=TRANSFERS, help="At most so many transfers in the volume run.")
    @click.option("--waves", type=FolderPath(), help="Folder for a waveform.")
    @netlist_option
    @records_option
    def command(
        config: UnitConfig,
        seed: int,
        count: int | None,
        waves: Path | None,
        netlist: str | None,
        records: Path | None,
    ) -> int:
        with progress_bar() as show:
            checks = run_simulation(
                emit_as(unit.emit(config), netlist),
                unit.model(config),
                config,
                seed=seed,
                count=count,
                waves=waves,
                directed=unit.directed,
                progress=show,
            )
        what = f"netlist for {netlist}" if netlist else "emitted Verilog"
        table = Table(title=f"{unit.name}: {what} against golden model", title_justify="left")
        for heading in ("check", "compared", "result", ""):
            table.add_column(heading, justify="right" if heading == "compared" else "left", overflow="fold")
        for check in checks:
            result = "skipped" if check.skipped else "equal" if check.passed else "[bold red]FAILED"
            table.add_row(check.name, f"{check.compared:,}", result, check.message)
        console().print(table)
        if waves:
            click.echo("\n".join(str(path) for path in sorted(waves.iterdir())))
        command = as_typed()
        if records and netlist:
            save(records, command, [gate_record(unit.name, netlist, checks, command)])
        elif records:
            save(records, command, of_checks(unit.name, checks, command))
        failed = [check.name for check in checks if not (check.passed or check.skipped)]
        count = sum(not check.skipped for check in checks)
        return verdict(
            not failed, f"{len(failed)} of {count} checks: {', '.join(failed)}" if failed else f"{count} checks"
        )

    return command
