"""``lnsmadam`` on the command line.

Whatever cannot work ends in one line that names the option and the reason, and exit status 2; a mismatch between
hardware and model is exit status 1.
"""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.cli.build import build
from lnsmadam.cli.cost import energy, synth
from lnsmadam.cli.coverage import coverage
from lnsmadam.cli.error import error_of, error_of_all
from lnsmadam.cli.gates import gates
from lnsmadam.cli.generate import generate, vectors
from lnsmadam.cli.mutate import mutate_command
from lnsmadam.cli.page import page_command
from lnsmadam.cli.prove import prove
from lnsmadam.cli.simulate import simulate
from lnsmadam.cli.soak import soak
from lnsmadam.cli.train import train
from lnsmadam.cli.trainer import board_sim, export, generate_trainer
from lnsmadam.console import FolderPath, console, progress_bar
from lnsmadam.demo import HardwareDiffers, run_demo
from lnsmadam.fpga.link import LinkError
from lnsmadam.hw.toolchain import ToolError
from lnsmadam.units import UNITS, Unit


class UnitGroup(click.Group):
    """A command with one subcommand for each unit of the registry, and maybe more."""

    def __init__(self, name: str, help: str, make: Callable[[Unit], click.Command]):
        super().__init__(name, help=help, subcommand_metavar="UNIT [OPTIONS]")
        for unit in UNITS.values():
            self.add_command(make(unit))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in self.commands:
            raise click.UsageError(f"Unit must be one of {', '.join(self.commands)}, not {args[0]!r}", ctx)
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


#: Commands with a command for each unit.
GROUPS = (
    ("generate", "Writes a unit's Verilog and manifest.", generate),
    ("simulate", "Runs a unit's Verilog against the golden model.", simulate),
    ("vectors", "Writes a unit's Verilog, test vectors and a plain Verilog bench.", vectors),
    ("synth", "Measures a unit's cells and clock on an FPGA.", synth),
    ("energy", "Counts the toggles of a unit's gates: an energy proxy.", energy),
    ("error", "Looks for a golden model's worst error against real numbers.", error_of),
    ("mutate", "Puts faults into a unit's netlist and counts those that the bench notices.", mutate_command),
)
for _name, _help, _make in GROUPS:
    cli.add_command(UnitGroup(_name, _help, _make))
    if _name == "generate":
        # It is no unit: it has more than two streams, and nothing but its own commands simulates and measures it.
        cli.commands[_name].add_command(generate_trainer)  # type: ignore[attr-defined]
cli.commands["error"].add_command(error_of_all)  # type: ignore[attr-defined]
for _command in (build, coverage, gates, soak, prove, page_command, train, export, board_sim):
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
