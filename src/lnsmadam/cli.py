"""``lnsmadam`` on the command line.

Whatever cannot work ends in one line that names the option and the reason, and exit status 2; a mismatch between
hardware and model is exit status 1.
"""

import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.build_cli import build
from lnsmadam.console import EXIT_STATUS, FolderPath, as_typed, console, progress_bar, records_option, verdict
from lnsmadam.coverage_cli import coverage
from lnsmadam.demo import HardwareDiffers, run_demo
from lnsmadam.error_cli import error_of, error_of_all
from lnsmadam.fpga.energy import PROXY, GatesDiffer, Operands, measure_energy
from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.synth import measure
from lnsmadam.fpga.targets import TARGETS, target_named
from lnsmadam.gates_cli import emit_as, gates, netlist_option
from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import emit, write_atomically
from lnsmadam.hw.interface import Interface
from lnsmadam.hw.toolchain import ToolError
from lnsmadam.mutate_cli import mutate_command
from lnsmadam.options import unit_options
from lnsmadam.proof.gate_level import gate_record
from lnsmadam.proof.records import of_checks, save
from lnsmadam.prove_cli import prove
from lnsmadam.sim.simulate import simulate as run_simulation
from lnsmadam.sim.vectors import DEFAULT_VECTORS, MAX_VECTORS, write_vectors
from lnsmadam.soak_cli import soak
from lnsmadam.train_cli import COMMANDS, generate_trainer
from lnsmadam.units import UNITS, Unit, unit_named
from lnsmadam.verification import page_command


class UnitGroup(click.Group):
    """A command with one subcommand for each unit of the registry."""

    def __init__(self, name: str, help: str, make: Callable[[Unit], click.Command]):
        super().__init__(name, help=help, subcommand_metavar="UNIT [OPTIONS]")
        for unit in UNITS.values():
            self.add_command(make(unit))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in self.commands:
            unit_named(args[0])
        return super().resolve_command(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lnsmadam")
def cli() -> None:
    """Logarithmic arithmetic that learns: Verilog, evidence and cost of its units."""


@cli.command("list")
def list_units() -> None:
    """Prints the units, their options and promises."""
    table = Table(title="Units", title_justify="left")
    for heading in ("unit", "computes", "promise", "options"):
        table.add_column(heading, overflow="fold")
    for unit in UNITS.values():
        config = unit.configure({})
        pipeline = f"--pipeline {config.min_pipeline}…{config.max_pipeline}"
        own = [f"--{option.name.replace('_', '-')}" for option in unit.options]
        table.add_row(
            unit.name,
            unit.computes,
            unit.promise,
            " ".join([*(["--format"] if unit.main_format else []), pipeline, *own]),
        )
    table.add_row(
        "trainer",
        "a multilayer network that learns on the chip: forward, backward, Madam update",
        "bit-exact to the golden network, weight for weight",
        " ".join(f"--{option.name}" for option in generate_trainer.params if option.name != "output"),
    )
    console().print(table)


_interface_option = click.option(
    "--interface",
    type=click.Choice([kind.value for kind in Interface]),
    default=Interface.STREAM.value,
    show_default=True,
    help="Ports: two streams, AXI4-Stream, or one port a field.",
)


def _generate(unit: Unit) -> click.Command:
    @click.command(unit.name, help=f"Writes {unit.name}.v and {unit.name}.json: {unit.computes}.")
    @unit_options(unit)
    @click.option("-o", "--output", type=FolderPath(), default=".", show_default=True)
    @_interface_option
    def command(config: UnitConfig, output: Path, interface: str) -> None:
        for path in emit(unit.build(config), Interface(interface)).write(output):
            click.echo(path)

    return command


def _simulate(unit: Unit) -> click.Command:
    @click.command(
        unit.name, help=f"Compares the emitted Verilog of {unit.name} with the golden model.", epilog=EXIT_STATUS
    )
    @unit_options(unit)
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
    @click.option("--count", type=click.IntRange(1), help="At most so many transfers in the volume run.")
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


def _vectors(unit: Unit) -> click.Command:
    @click.command(unit.name, help=f"Writes {unit.name}.v with vectors and a Verilog bench that needs no Python.")
    @unit_options(unit)
    @click.option("-n", "--count", type=click.IntRange(1, MAX_VECTORS), default=DEFAULT_VECTORS, show_default=True)
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of operands and pauses.")
    @click.option("-o", "--output", type=FolderPath(), default=".", show_default=True)
    @_interface_option
    def command(config: UnitConfig, count: int, seed: int, output: Path, interface: str) -> None:
        emitted, model = emit(unit.build(config), Interface(interface)), unit.model(config)
        for path in write_vectors(emitted, model, config, output, count=count, seed=seed, directed=unit.directed):
            click.echo(path)

    return command


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        return tuple(int(seed) for seed in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of integers such as 1,2,3", ctx, param) from None


def _synth(unit: Unit) -> click.Command:
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


def _energy(unit: Unit) -> click.Command:
    @click.command(unit.name, help=f"Counts the toggles of {unit.name}'s gates per operation. {PROXY}")
    @unit_options(unit)
    @click.option(
        "-n", "--count", type=click.IntRange(1), default=1 << 16, show_default=True, help="Operations counted."
    )
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


GROUPS = (
    ("generate", "Writes a unit's Verilog and manifest.", _generate),
    ("simulate", "Runs a unit's Verilog against the golden model.", _simulate),
    ("vectors", "Writes a unit's Verilog, test vectors and a plain Verilog bench.", _vectors),
    ("synth", "Measures a unit's cells and clock on an FPGA.", _synth),
    ("energy", "Counts the toggles of a unit's gates: an energy proxy.", _energy),
    ("error", "Looks for a golden model's worst error against real numbers.", error_of),
    ("mutate", "Puts faults into a unit's netlist and counts those that the bench notices.", mutate_command),
)
for _name, _help, _make in GROUPS:
    cli.add_command(UnitGroup(_name, _help, _make))
    if _name == "generate":
        # It is no unit: it has more than two streams, and nothing but its own commands simulates and measures it.
        cli.commands[_name].add_command(generate_trainer)  # type: ignore[attr-defined]
cli.commands["error"].add_command(error_of_all)  # type: ignore[attr-defined]
for _command in (build, coverage, gates, soak, prove, page_command, *COMMANDS):
    cli.add_command(_command)


@cli.command()
@click.option("-o", "--output", type=FolderPath(), default="build/demo")
def demo(output: Path) -> int:
    """Trains on digits, replays the real operands through the Verilog, and writes a report."""
    try:
        with progress_bar() as show:
            page = run_demo(output, progress=show)
    except HardwareDiffers as error:
        click.echo(f"lnsmadam: {error}; see {error.report}", err=True)
        return 1
    click.echo(page)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    if threading.current_thread() is threading.main_thread():
        # The tools end with this process, and nothing half-written stays, however it is ended.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # A terminal that is closed; nohup's choice to go on stands.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        typed = list(sys.argv[1:] if arguments is None else arguments)
        status = cli.main(args=arguments, prog_name="lnsmadam", standalone_mode=False, obj=typed)
        return status if isinstance(status, int) else 0
    except click.exceptions.Abort:
        reason, status = "interrupted", 130
    except KeyboardInterrupt:
        reason, status = "interrupted", 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        reason, status = error.format_message(), 2
    except (ValueError, ToolError, LinkError) as error:
        reason, status = str(error), 2
    except MemoryError:
        reason, status = "The configuration needs more memory than there is", 2
    except BrokenPipeError:
        # Whoever read the output has gone; there is nobody to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        reason, status = f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), 2
    # The first line says what is wrong; a tool's own words may follow it.
    click.echo(f"lnsmadam: {reason.splitlines()[0] if reason else status}", err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
