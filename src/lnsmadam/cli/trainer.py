"""The trainer on the command line: its Verilog, a board of it behind a terminal, the weights that it learned."""

import dataclasses
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lnsmadam.console import FolderPath
from lnsmadam.fpga.build import check_baud
from lnsmadam.fpga.trainer.boards import TRAINER_BOARDS, trainer_board
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, network_preset
from lnsmadam.golden.trainer.layout import MAX_LANES

DEFAULT_LANES = 8
PRESETS = click.Choice(list(NETWORK_PRESETS), case_sensitive=False)
PRESET_HELP = "Formats, and where the second moment lives."
SIZES_HELP = "Inputs, hidden layers, classes."

#: What a serial port's driver can be asked for.
MAX_BAUD = (1 << 31) - 1

#: The one that is simulated unless another is named: it holds all digits.
DEFAULT_BOARD = "icebreaker"


class Sizes(click.ParamType[tuple[int, ...]]):
    """Layer sizes as ``64-32-10``."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split("-"))
        except ValueError:
            self.fail(f"{value!r} is not a list of layer sizes such as 64-32-10", param, ctx)


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a command with what makes a machine: preset, sizes and lanes."""
    for option in (
        click.option("--lanes", type=click.IntRange(1, MAX_LANES), default=DEFAULT_LANES, show_default=True),
        click.option("--sizes", type=Sizes(), default="64-32-10", show_default=True, help=SIZES_HELP),
        click.option("--preset", type=PRESETS, default="FO", show_default=True, help=PRESET_HELP),
    ):
        command = option(command)
    return command


@click.command("trainer", help="Writes trainer.v and trainer.json: a network that learns, and its machine.")
@machine_options
@click.option("-o", "--output", type=FolderPath(), default=".", show_default=True)
def generate_trainer(preset: str, sizes: tuple[int, ...], lanes: int, output: Path) -> None:
    from lnsmadam.golden.trainer.machine import TrainerConfig
    from lnsmadam.hw.trainer.core import Trainer
    from lnsmadam.hw.trainer.emit import emit_trainer

    machine = TrainerConfig(network=network_preset(preset, sizes), lanes=lanes)
    for path in emit_trainer(Trainer(machine)).write(output):
        click.echo(path)


@click.command("board-sim")
@click.option("--board", default=DEFAULT_BOARD, show_default=True, help=f"One of {', '.join(TRAINER_BOARDS)}.")
@click.option("--preset", type=PRESETS, help=f"{PRESET_HELP}  [default: the board's]")
@click.option("--sizes", type=Sizes(), help=f"{SIZES_HELP}  [default: the board's]")
@click.option("--lanes", type=click.IntRange(1, MAX_LANES), help="[default: the board's]")
@click.option("--capacity", type=click.IntRange(2, 1 << 14), help="Of its memory, in samples.  [default: the board's]")
@click.option("--baud", type=click.IntRange(1, MAX_BAUD), help="Of the line.  [default: a quarter of the clock]")
def board_sim(
    board: str,
    preset: str | None,
    sizes: tuple[int, ...] | None,
    lanes: int | None,
    capacity: int | None,
    baud: int | None,
) -> None:
    """Runs a board's Verilog behind a pseudo-terminal.

    Its serial line included; prints the terminal's path, for `lnsmadam train --on board --port …`, and runs until it
    is interrupted.
    """
    from lnsmadam.board_sim import serve, simulated_board, terminal

    entry = trainer_board(board)
    if baud is not None:
        check_baud(baud)
    machine = entry.machine(network_preset(preset or entry.preset, sizes or entry.sizes), lanes)
    entry = dataclasses.replace(entry, capacity=capacity or entry.capacity)
    errors = Console(stderr=True)
    with errors.status("Compiling the board") if errors.is_terminal else nullcontext():
        line = simulated_board(machine, entry, baud=baud)
    with line, terminal() as (end, path):
        click.echo(path)
        sys.stdout.flush()
        # The only way to end it.
        with suppress(KeyboardInterrupt):
            serve(line, end)


@click.command()
@click.argument("network", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="An .npz file.")
@click.option(
    "--as", "kind", type=click.Choice(["logs", "floats"]), default="logs", show_default=True,
    help="LNS codes (sign and log of each weight), or float32 arrays.",
)  # fmt: skip
def export(network: Path, output: Path, kind: str) -> None:
    """Writes the weights of a saved network as plain arrays."""
    from lnsmadam.golden.trainer.files import export_floats, export_logs, load

    config, state = load(network)
    (export_logs if kind == "logs" else export_floats)(output, config, state)
    click.echo(output)
