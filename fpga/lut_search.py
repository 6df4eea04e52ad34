"""Searches LUT networks for small tables: the maker of ``hw/lut_networks.json``.

One pass of a synthesiser's optimiser ends in a local minimum that depends on how the table was written. Here each
round writes it with another order of its variables and another choice of the don't-cares, optimises it by another
sequence of ABC's steps, and the best few are put into the unit and counted by the whole flow::

    python -m lnsmadam.fpga.lut_search --format lns8 --rounds 200 --seed 1

The winner is stored if the unit is smaller with it than with what is stored now. Rounds are seeded: the same call
finds the same networks.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from lnsmadam.fpga import tools
from lnsmadam.fpga.synth import measure
from lnsmadam.golden.format import PRESETS
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw import lut_network
from lnsmadam.hw.emit import emit, write_atomically
from lnsmadam.hw.log_sum import sum_table
from lnsmadam.hw.lut_network import Network, Table
from lnsmadam.hw.multiply_add import MultiplyAdd

STARTS = (
    "strash",
    "collapse; strash",
    "collapse; bdd; strash",
    "sop; fx; strash",
    "collapse; sop; fx; strash",
)
STEPS = (
    "dc2",
    "dch",
    "balance",
    "rewrite -z",
    "refactor -z",
    "resub -K 8",
    "ifraig",
    "if -a -K 4; mfs2 -a -e; strash",
    "if -K 6 -a; mfs2 -a; strash",
    "dch; if -a -K 4; mfs2 -a; lutpack; strash",
    "balance; rewrite; refactor; balance; rewrite; rewrite -z; balance; refactor -z; rewrite -z; balance",
)
#: ABC's mapping to LUTs by area, which ends every round.
MAP = "strash; dch; if -a -K 4; mfs2 -a -e; lutpack"


def table_blif(table: Table, order: list[int], fill: int) -> str:
    """The table as two-level logic, variables in ``order``, don't-cares by the bits of ``fill``."""
    names = " ".join(f"x{bit}" for bit in order)
    lines = [".model table", f".inputs {names}", f".outputs {' '.join(f'o{bit}' for bit in range(table.output_bits))}"]
    for bit in range(table.output_bits):
        lines.append(f".names {names} o{bit}")
        for address, (entry, care) in enumerate(zip(table.entries, table.cares, strict=True)):
            if ((entry & care) | (fill & ~care)) >> bit & 1:
                lines.append("".join(str(address >> variable & 1) for variable in order) + " 1")
    return "\n".join([*lines, ".end", ""])


def network_of(blif: str, table: Table) -> Network:
    """The LUTs of a mapped network, as Yosys writes them; raises ``ValueError`` if they are not the table."""
    nodes: dict[str, tuple[list[str], list[str]]] = {}
    rows: list[str] = []
    for line in blif.replace("\\\n", "").splitlines():
        words = line.split()
        if words and words[0] == ".names":
            rows = []
            nodes[words[-1]] = (words[1:-1], rows)
        elif words and words[0][0] not in ".#":
            rows.append(line)
    known = {f"x{bit}": bit for bit in range(table.input_bits)}
    luts: list[tuple[tuple[int, ...], int]] = []

    def visit(name: str) -> int:
        if name not in known:
            sources, cover = nodes[name]
            places = tuple(visit(source) for source in sources)
            truth = sum(1 << index for index in range(1 << len(places)) if _covers(cover, index, len(places)))
            if len(places) == 1 and truth == 0b10:
                known[name] = places[0]
            else:
                luts.append((places, truth))
                known[name] = table.input_bits + len(luts) - 1
        return known[name]

    outputs = tuple(visit(f"o{bit}") for bit in range(table.output_bits))
    network = Network(table.input_bits, tuple(luts), outputs)
    network.check(table)
    return network


def _covers(cover: list[str], index: int, inputs: int) -> bool:
    """Whether a BLIF cover of ones holds at an index whose bit k is input k."""
    for row in cover:
        pattern = row.split()[0] if inputs else ""
        if all(literal == "-" or int(literal) == index >> place & 1 for place, literal in enumerate(pattern)):
            return True
    return False


def candidates(table: Table, rounds: int, seed: int) -> list[Network]:
    """Networks of ``rounds`` seeded rounds, fewest LUTs first, no two the same."""
    generator = random.Random(seed)
    found: dict[Network, None] = {}
    for _ in range(rounds):
        order = generator.sample(range(table.input_bits), table.input_bits)
        blif = table_blif(table, order, fill=generator.getrandbits(table.output_bits))
        middle = generator.choices(STEPS, k=generator.randrange(1, 8))
        steps = [generator.choice(STARTS), *middle, MAP, MAP, MAP]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "in.blif").write_text(blif)
            Path(folder, "abc.script").write_text("\n".join("; ".join(steps).split("; ")) + "\n")
            Path(folder, "run.ys").write_text(
                "read_blif in.blif; techmap; abc -lut 4 -script abc.script; opt_clean; write_blif out.blif\n"
            )
            subprocess.run([tools.find("yosys"), "-q", "run.ys"], cwd=folder, check=False, capture_output=True)
            # ABC gives up on some sequences of steps; there are others.
            if (result := Path(folder, "out.blif")).exists():
                found[network_of(result.read_text(), table)] = None
    return sorted(found, key=lambda network: len(network.luts))


@click.command()
@click.option("--format", "name", type=click.Choice(list(PRESETS)), required=True, help="Operands and accumulator.")
@click.option("--rounds", type=click.IntRange(1), default=200, show_default=True)
@click.option("--tries", type=click.IntRange(1), default=20, show_default=True, help="Networks put into the unit.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def main(name: str, rounds: int, tries: int, seed: int) -> None:
    """Searches a network for the sum table of a preset, and stores it if the unit shrinks."""
    config = MultiplyAddConfig(operand=PRESETS[name])
    table = sum_table(config)
    path = Path(lut_network.__file__).with_name("lut_networks.json")
    stored = json.loads(path.read_text(encoding="utf-8"))

    def cost(entry: dict[str, object] | None) -> tuple[int, float]:
        """LUTs and negated clock of the unit with a network, or without."""
        others = {key: value for key, value in stored.items() if key != table.key}
        with lut_network.replaced({**others, table.key: entry} if entry else others):
            figures = measure(emit(MultiplyAdd(config)), "hx8k")
        return figures["lut4"], -figures["fmax_mhz"]["median"]

    best, best_cost = stored.get(table.key), cost(stored.get(table.key))
    click.echo(f"now: {best_cost[0]} LUT4, {-best_cost[1]:.0f} MHz")
    for network in candidates(table, rounds, seed)[:tries]:
        entry = network.describe()
        figures = cost(entry)
        click.echo(f"network of {len(network.luts)}: {figures[0]} LUT4, {-figures[1]:.0f} MHz")
        if figures < best_cost:
            best, best_cost = entry, figures
    if best is not None and best != stored.get(table.key):
        write_atomically(path, lut_network.to_json({**stored, table.key: best}))
        click.echo(f"stored: {best_cost[0]} LUT4, {-best_cost[1]:.0f} MHz")


if __name__ == "__main__":
    sys.exit(main())
