"""``lnsmadam build``: bitstreams."""

from pathlib import Path

import click

from lnsmadam.cli.trainer import PRESET_HELP, PRESETS, SIZES_HELP, Sizes
from lnsmadam.console import FolderPath, progress_bar
from lnsmadam.fpga.boards import BOARDS, DEFAULT_BAUD, board_named
from lnsmadam.fpga.build import build as build_board
from lnsmadam.fpga.build import default_divisor
from lnsmadam.fpga.trainer.boards import TRAINER_BOARDS, trainer_board
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.layout import MAX_LANES
from lnsmadam.units import UNITS


@click.command()
@click.option(
    "--board", required=True,
    help=f"One of {', '.join(TRAINER_BOARDS)}; of --design units also {', '.join(BOARDS.keys() - TRAINER_BOARDS)}.",
)  # fmt: skip
@click.option("-o", "--output", type=FolderPath(), required=True)
@click.option(
    "--design",
    type=click.Choice(["trainer", "units"]),
    default="trainer",
    show_default=True,
    help="A network that learns, or multiply-add and Madam update by themselves.",
)
@click.option("--preset", type=PRESETS, help=f"{PRESET_HELP}  [default: the board's]")
@click.option("--sizes", type=Sizes(), help=f"{SIZES_HELP}  [default: the board's]")
@click.option("--lanes", type=click.IntRange(1, MAX_LANES), help="Of the trainer.  [default: the most that fit]")
@click.option("--capacity", type=click.IntRange(2, 1 << 14), help="Samples on the chip.  [default: the board's]")
@click.option("--clock", type=click.FloatRange(1, 500), help="Of the trainer, in MHz.  [default: the board's]")
@click.option("--baud", type=click.IntRange(1), default=DEFAULT_BAUD, show_default=True, help="Of the serial line.")
def build(
    board: str,
    output: Path,
    design: str,
    preset: str | None,
    sizes: tuple[int, ...] | None,
    lanes: int | None,
    capacity: int | None,
    clock: float | None,
    baud: int,
) -> None:
    """Makes a bitstream, with the utilisation and timing report beside it: what learns or computes behind the UART."""
    chosen = board_named(board)
    with progress_bar() as show:

        def tell(done: int, total: int, what: str) -> None:
            show(what, done, total)

        if design == "units":
            given = {"preset": preset, "sizes": sizes, "lanes": lanes, "capacity": capacity, "clock": clock}
            for name, value in given.items():
                if value is not None:
                    raise click.UsageError(f"--{name} is an option of --design trainer")
            # Before there are units: Amaranth warns of those that nothing builds.
            default_divisor(chosen.make(), baud)
            units = [UNITS[name].build(UNITS[name].configure({})) for name in ("multiply_add", "madam_update")]
            report = build_board(chosen, units, output, baud=baud, progress=tell)
        else:
            # It imports the whole machine, which no other command line needs.
            from lnsmadam.fpga.trainer.build import build_trainer

            entry = trainer_board(board)
            network = network_preset(preset or entry.preset, sizes or entry.sizes)
            report = build_trainer(
                entry,
                output,
                network,
                lanes=lanes,
                capacity=capacity,
                clock_hz=clock and clock * 1e6,
                baud=baud,
                progress=tell,
            )
    click.echo(f"{output / report['bitstream']}\n{output / 'report.json'}\n{output / 'tools.log'}")
