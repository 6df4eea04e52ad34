"""Measures every figure that the README states: ``make bench``.

Each row names its target, and the command that reproduces it alone. Results go to ``bench.json`` and
``bench.md`` in the folder given; ``--readme FILE`` also puts the tables between that file's markers.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from lnsmadam.console import FolderPath, progress_bar
from lnsmadam.fpga.energy import measure_energy
from lnsmadam.fpga.synth import measure
from lnsmadam.golden.dot import dot
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import LNS8, LNS16, FixedFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.hw.emit import write_atomically
from lnsmadam.pages import between_markers, markdown
from lnsmadam.peers import rates
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS


@dataclass(frozen=True)
class Cost:
    """One unit on one part, with the limits that it is held to."""

    title: str
    command: str
    unit: str
    options: dict[str, Any]
    target: str
    most: dict[str, int]
    mhz: int | None = None
    #: Limits are per lane of so many.
    lanes: int = 1

    def run(self, progress: Callable[[int, int, str], None]) -> dict[str, Any]:
        """Measured figures, and whether every limit is met."""
        unit = UNITS[self.unit]
        figures = measure(unit.emit(unit.configure(self.options)), self.target, progress=progress)
        met = all(figures[key] <= limit * self.lanes for key, limit in self.most.items())
        return {**figures, "met": met and (self.mhz is None or figures["fmax_mhz"]["median"] >= self.mhz)}

    def row(self, figures: dict[str, Any]) -> tuple[str, ...]:
        """Cells of the README's table."""
        names = {"lut4": "LUT4", "ff": "FF", "bram": "block RAM"}
        limits = [f"≤ {limit} {names[key]}" + " per lane" * (self.lanes > 1) for key, limit in self.most.items()]
        limits += [f"≥ {self.mhz} MHz"] if self.mhz else []
        each = f" ({figures['lut4'] / self.lanes:.0f} per lane)" if self.lanes > 1 else ""
        block = f" + {figures['bram']} block RAM" if figures["bram"] else ""
        clock = figures["fmax_mhz"]
        return (
            self.title,
            ", ".join(limits),
            f"**{figures['lut4']} LUT4{each}{block}**, {figures['ff']} FF, {figures['carry']} carry; "
            f"{figures['lc']} cells",
            f"**{clock['median']:.0f}** ({clock['min']:.0f}–{clock['max']:.0f}), latency {figures['latency']}",
            "met" if figures["met"] else "not met",
            f"`{self.command}`",
        )


_BLOCK = {"memory": Memory.BLOCK}
COSTS = (
    Cost(
        "LNS8 multiply-add, iCE40 HX8K",
        "lnsmadam synth multiply_add --target hx8k",
        "multiply_add",
        {"operand": LNS8},
        "hx8k",
        {"lut4": 90, "ff": 115, "bram": 0},
        200,
    ),
    Cost(
        "the same, table in block RAM",
        "lnsmadam synth multiply_add --memory block --target hx8k",
        "multiply_add",
        {"operand": LNS8, **_BLOCK},
        "hx8k",
        {"lut4": 58, "bram": 1},
        185,
    ),
    Cost(
        "LNS8 multiply-add, ECP5",
        "lnsmadam synth multiply_add --target ecp5-85k",
        "multiply_add",
        {"operand": LNS8},
        "ecp5-85k",
        {"lut4": 112},
        235,
    ),
    Cost(
        "LNS16 multiply-add, block RAM, iCE40 HX8K",
        "lnsmadam synth multiply_add --format lns16 --memory block --target hx8k",
        "multiply_add",
        {"operand": LNS16, **_BLOCK},
        "hx8k",
        {"lut4": 330, "bram": 4},
        140,
    ),
    Cost(
        "LNS16 multiply-add, logic, iCE40 HX8K",
        "lnsmadam synth multiply_add --format lns16 --target hx8k",
        "multiply_add",
        {"operand": LNS16},
        "hx8k",
        {"lut4": 900, "bram": 0},
        120,
    ),
    Cost(
        "Madam update (LNS16 weight, LNS8 gradient, 12-bit state, stochastic), iCE40 HX8K",
        "lnsmadam synth madam_update --target hx8k",
        "madam_update",
        {},
        "hx8k",
        {"lut4": 400, "bram": 0},
        140,
    ),
    Cost(
        "one LNS8 lane of dot into 24 bits, iCE40 HX8K",
        "lnsmadam synth dot --accumulator 24:8 --target hx8k",
        "dot",
        {"accumulator": FixedFormat(24, 8, signed=True)},
        "hx8k",
        {"lut4": 115, "bram": 0},
        165,
    ),
    Cost(
        "the same, antilog in block RAM",
        "lnsmadam synth dot --accumulator 24:8 --memory block --target hx8k",
        "dot",
        {"accumulator": FixedFormat(24, 8, signed=True), **_BLOCK},
        "hx8k",
        {"lut4": 80, "bram": 1},
    ),
    *(
        Cost(
            f"16-lane LNS8 dot, {part}",
            f"lnsmadam synth dot --lanes 16 --accumulator 24:8 --target {target}",
            "dot",
            {"lanes": 16, "accumulator": FixedFormat(24, 8, signed=True)},
            target,
            {"lut4": 125},
            lanes=16,
        )
        for part, target in (("iCE40 HX8K", "hx8k"), ("ECP5", "ecp5-85k"))
    ),
    Cost(
        "bfloat16 → LNS16, iCE40 HX8K",
        "lnsmadam synth float_to_lns --target hx8k",
        "float_to_lns",
        {},
        "hx8k",
        {"lut4": 200},
    ),
    Cost(
        "bfloat16 multiply-add, pipelined, iCE40 HX8K",
        "lnsmadam synth bf16_multiply_add --target hx8k",
        "bf16_multiply_add",
        {},
        "hx8k",
        {},
        80,
    ),
    Cost(
        "the same, unpipelined (best public one: 770)",
        "lnsmadam synth bf16_multiply_add --pipeline 0 --target hx8k",
        "bf16_multiply_add",
        {"pipeline": 0},
        "hx8k",
        {"lut4": 847},
    ),
)


def _best_rate(run: Callable[[], int], seconds: float = 2.0) -> float:
    """Operations per second of the best of repeated runs."""
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        count = run()
        best = max(best, count / (time.perf_counter() - start))
    return best


def golden_rate() -> float:
    """LNS8 multiply-adds per second of the golden model, on one core."""
    config = MultiplyAddConfig()
    a, b, c = np.random.default_rng(0).integers(0, 256, (3, 1 << 22), dtype=np.uint8)
    multiply_add(config, a[:1], b[:1], c[:1])
    return _best_rate(lambda: len(multiply_add(config, a, b, c)))


def xlns_rate() -> float | None:
    """The same with xlns's NumPy arrays (ideal sums, the same base), or None where it is not installed."""
    try:
        import xlns
    except ImportError:
        return None
    xlns.xlnssetF(3)  # three bits of fraction of the log: 8 steps an octave
    values = LNS8.decode(np.random.default_rng(0).integers(0, 64, (3, 1 << 16)))
    a, b, c = (xlns.xlnsnp(list(row)) for row in values)
    return _best_rate(lambda: len((c + a * b).nd))


def dot_rate() -> float:
    """LNS8 products per second of the golden dot product, vectors of 256, on one core."""
    config = DotConfig()
    a, b = np.random.default_rng(0).integers(0, 256, (2, 1 << 14, 256), dtype=np.uint8)
    dot(config, a[:1], b[:1])

    def run() -> int:
        dot(config, a, b)
        return int(a.size)

    return _best_rate(run)


def xlns_dot_rate() -> float | None:
    """The same with xlns's NumPy arrays: products, then their ``sum``, which is logarithmic."""
    try:
        import xlns
    except ImportError:
        return None
    xlns.xlnssetF(3)
    values = LNS8.decode(np.random.default_rng(0).integers(0, 64, (2, 1 << 14)))
    a, b = (xlns.xlnsnp(list(row)) for row in values)

    def run() -> int:
        (a * b).sum()
        return int(values.shape[1])

    return _best_rate(run)


def ratios(figures: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows that compare two units: title, target, measured, verdict, command.

    Parameters
    ----------
    figures : dict
        The costs of :func:`unit_table`, by "unit, target".
    """
    adam, madam = (figures[f"{name}_update, hx8k"]["lut4"] for name in ("adam", "madam"))
    yield (
        "Madam update against Adam update, LUT4 on iCE40, no DSP",
        "≤ 1/15",
        f"**1/{adam / madam:.1f}** ({madam} against {adam})",
        "met" if madam * 15 <= adam else "not met",
        "`lnsmadam synth adam_update --target hx8k`",
    )
    lns8, bf16 = (energy(name, {"pipeline": 0}) for name in ("multiply_add", "bf16_multiply_add"))
    settled, glitching = (bf16[key] / lns8[key] for key in ("switched_load", "switched_load_with_glitches"))
    yield (
        "energy proxy, LNS8 multiply-add against bfloat16's, no registers",
        "≤ 1/5",
        f"**1/{settled:.1f}** without glitches, **1/{glitching:.1f}** with a unit delay per gate",
        "met" if min(settled, glitching) >= 5 else "met with glitches only" if glitching >= 5 else "not met",
        "`lnsmadam energy multiply_add --pipeline 0`",
    )


def energy(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The energy proxy of a unit."""
    unit = UNITS[name]
    config = unit.configure(options)
    return measure_energy(unit.emit(config), lambda: unit.model(config), config)


def simulation_rates() -> Iterator[tuple[str, str, float, float, str]]:
    """Title, target text, measured, limit and command of the simulation's speed."""
    unit = UNITS["multiply_add"]
    four = unit.configure({"pipeline": 4})
    chunks = stimulus(four, 0, 1 << 23)
    emitted = unit.emit(four)
    compare(emitted, unit.model(four), stimulus(four, 0, 1 << 16))

    def run() -> float:
        result = compare(emitted, unit.model(four), chunks)
        if not result.passed:
            raise ValueError(f"Hardware differs from the model: {result.failure}")
        return result.vectors_per_second

    command = "lnsmadam simulate multiply_add --pipeline 4"
    yield "Verilator batch, 4-stage LNS8 multiply-add", "≥ 3 million vectors/s", run(), 3e6, command


@click.command()
@click.argument("directory", type=FolderPath())
@click.option("--readme", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="File to update.")
@click.option("--torch", "torch_python", default=sys.executable, help="Interpreter that has PyTorch, a peer.")
def main(directory: Path, readme: Path | None, torch_python: str) -> None:
    """Measures the README's figures."""
    rows: list[tuple[str, ...]] = []
    results: dict[str, Any] = {}
    with progress_bar() as show:

        def progress(done: int, total: int, what: str) -> None:
            show(what, done, total)

        for cost in COSTS:
            figures = results[cost.title] = cost.run(progress)
            rows.append(cost.row(figures))
            click.echo(" | ".join(rows[-1]))
        units, results["units"] = unit_table(progress)
    targets = markdown(("unit", "target", "cells", "MHz: median of 3 seeds (range)", "", "command"), rows)
    speeds = [
        _peer_speed("golden model, LNS8 multiply-add, one core", "million", 40e6, golden_rate(), xlns_rate()),
        _peer_speed("golden dot product, LNS8, one core", "million products", 80e6, dot_rate(), xlns_dot_rate()),
    ]
    for title, target, rate, limit, command in simulation_rates():
        verdict = "met" if rate >= limit else "not met"
        speeds.append((title, target, f"**{rate / 1e6:.1f} million/s**", verdict, f"`{command}`"))
    speeds.append(_network_speed(dict(rates(torch_python))))
    comparisons = list(ratios(results["units"]))
    results["comparisons"] = [list(row) for row in comparisons]
    results["speeds"] = [list(row) for row in speeds]
    headings = ("target", "measured", "", "command")
    text = "\n".join(
        [targets, markdown(("comparison", *headings), comparisons), markdown(("speed", *headings), speeds)]
    )
    write_atomically(directory / "bench.json", json.dumps(results, indent=2) + "\n")
    write_atomically(directory / "bench.md", f"{units}\n{text}")
    click.echo(f"{units}\n{text}")
    if readme:
        document = between_markers(readme.read_text(encoding="utf-8"), "units", units)
        write_atomically(readme, between_markers(document, "targets", text))


def unit_table(progress: Callable[[int, int, str], None]) -> tuple[str, dict[str, Any]]:
    """The README's table of units, default configurations, with what they cost on two parts; and the figures."""
    rows: list[tuple[str, ...]] = []
    results: dict[str, Any] = {}
    for unit in UNITS.values():
        config = unit.configure({})
        cells = []
        for target in ("hx8k", "ecp5-85k"):
            figures = results[f"{unit.name}, {target}"] = measure(unit.emit(config), target, progress=progress)
            cells.append(f"{figures['lut4']} LUT4, {figures['ff']} FF, {figures['fmax_mhz']['median']:.0f} MHz")
        rows.append((f"`{unit.name}`", unit.computes, unit.promise, str(config.pipeline), *cells))
    return markdown(("unit", "computes", "promise", "latency", "iCE40 HX8K", "ECP5"), rows), results


def _peer_speed(title: str, unit: str, least: float, rate: float, peer: float | None) -> tuple[str, ...]:
    """Row of a golden function's rate beside xlns's; both in operations per second."""
    beside = f"{peer / 1e6:.2f} million/s with xlns" if peer else "xlns is not installed"
    verdict = "met" if rate >= least else "not met"
    target, measured = f"≥ {least / 1e6:.0f} {unit}/s", f"**{rate / 1e6:.0f} million/s** ({beside})"
    return title, target, measured, verdict, "`make bench`"


def _network_speed(measured: dict[str, float | None]) -> tuple[str, ...]:
    """Row of the golden network's rate beside the float libraries'."""
    golden = {name: rate for name, rate in measured.items() if rate and name.startswith("golden network")}
    peers = [
        f"{name}: {rate:,.0f}" if rate else f"{name} is not installed"
        for name, rate in measured.items()
        if name not in golden
    ]
    rate = golden["golden network, FO"]
    return (
        "golden network, 64-32-10, FO, learning one sample at a time, one core",
        "≥ 15 000 samples/s",
        f"**{rate:,.0f} samples/s** ({'; '.join(peers)})",
        "met" if rate >= 15000 else "not met",
        "`python -m lnsmadam.peers`",
    )


if __name__ == "__main__":
    sys.exit(main())
