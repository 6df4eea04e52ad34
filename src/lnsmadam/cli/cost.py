"""``lnsmadam synth`` and ``energy``: what a unit costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.cli.options import unit_options
from lnsmadam.console import TRANSFERS, FolderPath, console, progress_bar
from lnsmadam.fpga.energy import PROXY, GatesDiffer, Operands, measure_energy
from lnsmadam.fpga.synth import measure
from lnsmadam.fpga.targets import TARGETS, target_named
from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import write_atomically
from lnsmadam.units import Unit


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of integers such as 1,2,3", ctx, param) from None


def synth(unit: Unit) -> click.Command:
    """``synth`` of one unit."""

    @click.command(unit.name, help=f"Measures {unit.name} alone on an FPGA: cells and clock.")
    @unit_options(unit)
    @click.option("--target", "targets", multiple=True, default=("hx8k",), help=f"{', '.join(TARGETS)}; repeatable.")
    @click.option("--seeds", default="1,2,3", callback=_seeds, show_default=True, help="Of the placer.")
    @click.option("--dsp/--no-dsp", default=False, show_default=True, help="Whether DSP blocks may be used.")
    @click.option("--bram/--no-bram", default=True, show_default=True, help="Whether block RAM may be used.")
    @click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="File for the figures.")
    @click.option("--work", type=FolderPath(), help="Folder for scripts and logs.")
    def command(
        config: UnitConfig,
        targets: tuple[str, ...],
        seeds: tuple[int, ...],
        dsp: bool,
        bram: bool,
        json_path: Path | None,
        work: Path | None,
    ) -> None:
        chosen = [target_named(name) for name in targets]
        emitted = unit.emit(config)
        results = []
        for target in chosen:
            with progress_bar() as show:
                results.append(
                    measure(
                        emitted,
                        target,
                        seeds=seeds,
                        dsp=dsp,
                        bram=bram,
                        work_dir=work / target.name if work and len(chosen) > 1 else work,
                        progress=lambda done, total, what: show(what, done, total),
                    )
                )
        console().print(cost_table(unit.name, results))
        if json_path:
            content = results[0] if len(results) == 1 else results
            write_atomically(json_path, json.dumps(content, indent=2) + "\n")

    return command


def cost_table(title: str, results: Sequence[dict[str, Any]]) -> Table:
    """What ``synth`` prints, a row a target."""
    table = Table(title=f"{title}, alone between registers", title_justify="left")
    for heading in ("target", "LUT4", "carry", "FF", "block RAM", "DSP", "latency", "MHz median", "min … max"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for result in results:
        clock = result["fmax_mhz"]
        table.add_row(
            str(result["target"]),
            *(str(result[key]) for key in ("lut4", "carry", "ff", "bram", "dsp", "latency")),
            f"{clock['median']:.0f}",
            f"{clock['min']:.0f} … {clock['max']:.0f}",
        )
    return table


def energy(unit: Unit) -> click.Command:
    """``energy`` of one unit."""

    @click.command(unit.name, help=f"Counts the toggles of {unit.name}'s gates per operation. {PROXY}")
    @unit_options(unit)
    @click.option("-n", "--count", type=TRANSFERS, default=1 << 16, show_default=True, help="Operations counted.")
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the operands.")
    @click.option(
        "--operands",
        type=click.Choice([kind.value for kind in Operands]),
        default=Operands.REAL.value,
        show_default=True,
        help="The same real numbers for every format, or every word equally often.",
    )
    @click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="File for the figures.")
    def command(config: UnitConfig, count: int, seed: int, operands: str, json_path: Path | None) -> int:
        try:
            result = measure_energy(
                unit.emit(config),
                lambda: unit.model(config),
                config,
                operands=Operands(operands),
                count=count,
                seed=seed,
            )
        except GatesDiffer as error:
            click.echo(f"lnsmadam: {error}", err=True)
            return 1
        console().print(energy_table(unit.name, [result]))
        click.echo(PROXY)
        if json_path:
            write_atomically(json_path, json.dumps(result, indent=2) + "\n")
        return 0

    return command


def energy_table(title: str, results: Sequence[dict[str, Any]]) -> Table:
    """What ``energy`` prints, a row a configuration."""
    table = Table(title=f"{title}: gates, and toggles per operation", title_justify="left")
    headings = ("pipeline", "transistors", "gates", "FF", "toggles", "switched load")
    for heading in (*headings, "toggles, glitches too", "load, glitches too", "clock load", "operations"):
        table.add_column(heading, justify="right")
    for result in results:
        load = ("toggles", "switched_load", "toggles_with_glitches", "switched_load_with_glitches")
        table.add_row(
            *(f"{result[key]:,}" for key in ("latency", "transistors", "gates", "ff")),
            *(f"{result[key]:,.0f}" for key in load),
            *(f"{result[key]:,}" for key in ("clock_load", "operations")),
        )
    return table
