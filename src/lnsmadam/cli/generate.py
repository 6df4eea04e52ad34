"""``lnsmadam generate`` and ``vectors``: what a design is made of, as files."""

from pathlib import Path

import click

from lnsmadam.cli.options import unit_options
from lnsmadam.console import FolderPath
from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import emit
from lnsmadam.hw.interface import Interface
from lnsmadam.sim.vectors import DEFAULT_VECTORS, MAX_VECTORS, write_vectors
from lnsmadam.units import Unit

_interface_option = click.option(
    "--interface",
    type=click.Choice([kind.value for kind in Interface]),
    default=Interface.STREAM.value,
    show_default=True,
    help="Ports: two streams, AXI4-Stream, or one port a field.",
)


def generate(unit: Unit) -> click.Command:
    """``generate`` of one unit."""

    @click.command(unit.name, help=f"Writes {unit.name}.v and {unit.name}.json: {unit.computes}.")
    @unit_options(unit)
    @click.option("-o", "--output", type=FolderPath(), default=".", show_default=True)
    @_interface_option
    def command(config: UnitConfig, output: Path, interface: str) -> None:
        for path in emit(unit.build(config), Interface(interface)).write(output):
            click.echo(path)

    return command


def vectors(unit: Unit) -> click.Command:
    """``vectors`` of one unit."""

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
