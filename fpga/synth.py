"""What a unit costs on a part: cells of the unit alone, and the clock it reaches between registers.

Yosys maps the unit inside its harness (see :mod:`lnsmadam.fpga.harness`) once, nextpnr places and routes it
once per seed. Every step is cached under a name made of all that it depends on: its input, its command and its
tool's version. A step's folder takes that name only when the step is whole, so an interrupted run leaves nothing
that a later one would trust, and loses only the steps it was in.
"""

import hashlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnsmadam.fpga import tools
from lnsmadam.fpga.harness import TOP, Harness, harness
from lnsmadam.fpga.targets import Target, target_named
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import ToolFailed, cache_folder

#: Told of progress: steps done, steps in all, what was just done.
Progress = Callable[[int, int, str], None]

#: Part of every cache name; changes when the meaning of a cached file does.
SCHEMA = 1

#: Clock that nextpnr is asked for, in MHz: beyond reach. (Its version 0.11 does its best whatever it is asked.)
REQUESTED_MHZ = 500

#: Logic cells that nextpnr adds to any harness, its sources of constants.
CONSTANT_CELLS = {"ice40": 2, "ecp5": 1}

#: Cells of each family by what they are; a name that ends in ``*`` stands for all that begin so.
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "ice40": {
        "lut4": ("SB_LUT4",),
        "carry": ("SB_CARRY",),
        "ff": ("SB_DFF*",),
        "bram": ("SB_RAM40_4K*",),
        "dsp": ("SB_MAC16",),
    },
    "ecp5": {
        "lut4_plain": ("LUT4",),
        "ccu2c": ("CCU2C",),
        "lutram": ("TRELLIS_DPR16X4",),
        "ff": ("TRELLIS_FF",),
        "bram": ("DP16KD", "PDPW16KD"),
        "dsp": ("MULT18X18D", "MULT9X9D"),
    },
}


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([SCHEMA, *parts], sort_keys=True).encode()).hexdigest()[:40]


@dataclass
class Step:
    """One cached run of a tool: files in, a folder of files out."""

    label: str
    tool: str
    arguments: list[str]
    files: Mapping[str, str | Path]
    key: str
    cache: Path

    @property
    def folder(self) -> Path:
        """Where the finished step is, or will be."""
        return self.cache / self.key

    @property
    def command(self) -> str:
        """The command as a person would type it in the folder of the step."""
        return " ".join([self.tool, *self.arguments])


def run_steps(steps: Sequence[Step], done: Callable[[Step], None]) -> None:
    """Runs those steps that are not in the cache, side by side."""
    for step in steps:
        if step.folder.is_dir():
            done(step)
    missing = [step for step in steps if not step.folder.is_dir()]
    if not missing:
        return
    cache = missing[0].cache
    cache.mkdir(parents=True, exist_ok=True)
    _remove_stale(cache)
    unfinished = Path(tempfile.mkdtemp(prefix=".running-", dir=cache))
    try:
        by_job = {}
        for step in missing:
            folder = unfinished / step.key
            folder.mkdir()
            for name, content in step.files.items():
                if isinstance(content, Path):
                    shutil.copyfile(content, folder / name)
                else:
                    (folder / name).write_text(content, encoding="utf-8")
            job = tools.Job(step.label, (tools.find(step.tool), *step.arguments), folder, folder / "log.txt")
            by_job[job] = step

        def finish(job: tools.Job) -> None:
            step = by_job[job]
            for name, content in step.files.items():
                if isinstance(content, Path):
                    (job.folder / name).unlink()
            try:
                os.rename(job.folder, step.folder)
            except OSError:
                # Another process finished the same step first: its files are the same.
                if not step.folder.is_dir():
                    raise
            done(step)

        try:
            tools.run_all(list(by_job), done=finish)
        except ToolFailed as error:
            failed = next(job for job in by_job if str(error).startswith(job.label + " failed"))
            log = cache / f"failed-{by_job[failed].key}.txt"
            shutil.copyfile(failed.log, log)
            raise ToolFailed(f"{error} (log: {log})") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_stale(cache: Path) -> None:
    """Removes what runs that were killed outright have left."""
    for folder in cache.glob(".running-*"):
        try:
            if time.time() - folder.stat().st_mtime > 86400:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:
            pass


def mapping(unit: str, target: Target, *, dsp: bool = False, bram: bool = True) -> list[str]:
    """Yosys commands from the files ``UNIT.v`` and ``shift_harness.v`` to the cells that :func:`measure` counts."""
    return [
        f"read_verilog {unit}.v {TOP}.v",
        f"setattr -mod -set keep_hierarchy 1 {unit}",
        target.synthesis(top=TOP, dsp=dsp, bram=bram),
    ]


def _script(emitted: Emitted, target: Target, *, dsp: bool, bram: bool) -> str:
    unit = emitted.name
    return "\n".join(
        [
            *mapping(unit, target, dsp=dsp, bram=bram),
            "tee -q -o cells.json stat -json",
            f"setattr -mod -unset keep_hierarchy {unit}",
            "flatten",
            "opt_clean",
            "write_json netlist.json",
            "",
        ]
    )


def count(cells: Mapping[str, int], family: str) -> dict[str, int]:
    """Sums a histogram of cells into the kinds of a family.

    On ECP5 ``lut4`` is LUT4 + 2·CCU2C, and 6 for each LUT memory of 16 × 4 bits (two slices and the one that
    writes), and ``carry`` is CCU2C.
    """

    def matches(cell: str, pattern: str) -> bool:
        return cell.startswith(pattern[:-1]) if pattern.endswith("*") else cell == pattern

    result = {
        kind: sum(n for cell, n in cells.items() if any(matches(cell, pattern) for pattern in patterns))
        for kind, patterns in KINDS[family].items()
    }
    if family == "ecp5":
        result["lut4"] = result["lut4_plain"] + 2 * result["ccu2c"] + 6 * result["lutram"]
        result["carry"] = result["ccu2c"]
    return result


def _shared_cells(netlist: dict[str, Any]) -> int:
    """Registers of the harness that iCE40 packs behind a LUT of the unit: those that alone are driven by it."""
    cells = netlist["modules"][TOP]["cells"]
    of_unit = ("unit.", "$flatten\\unit.")
    drivers: dict[int, str] = {}
    users: dict[int, int] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            for bit in bits:
                if cell["port_directions"][port] == "output":
                    drivers[bit] = name
                else:
                    users[bit] = users.get(bit, 0) + 1
    shared = 0
    for name, cell in cells.items():
        if cell["type"].startswith("SB_DFF") and not name.startswith(of_unit):
            (bit,) = cell["connections"]["D"]
            driver = drivers.get(bit, "")
            is_lut = driver.startswith(of_unit) and cells[driver]["type"] == "SB_LUT4"
            shared += is_lut and users[bit] == 1
    return shared


def _critical_path(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The slowest path from register to register: its hops in order, delays in ns."""
    for path in report["critical_paths"]:
        if "<async>" not in (path["from"], path["to"]):
            return [
                {
                    "type": hop["type"],
                    "delay_ns": round(hop["delay"], 3),
                    "to": hop["to"]["cell"] + "." + hop["to"]["port"],
                    **({"net": hop["net"]} if "net" in hop else {}),
                }
                for hop in path["path"]
            ]
    return []


def _clock(report: dict[str, Any]) -> float:
    """Fmax of the one clock of a report, in MHz."""
    achieved = [clock["achieved"] for clock in report["fmax"].values()]
    if len(achieved) != 1:
        raise ToolFailed(f"nextpnr reported {len(achieved)} clocks where the harness has one")
    return float(achieved[0])


def _check_fit(unit: dict[str, int], shell: Harness, target: Target) -> None:
    needed = {kind: unit[kind] + shell.cells.get(kind, 0) for kind in target.capacity}
    over = [f"{needed[k]} {k.upper()} of {has}" for k, has in target.capacity.items() if needed[k] > has]
    if over:
        raise ToolFailed(f"Unit and harness do not fit in {target.name}: they need {', '.join(over)}")


def measure(
    emitted: Emitted,
    target: str | Target,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    dsp: bool = False,
    bram: bool = True,
    progress: Progress | None = None,
    work_dir: Path | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Synthesises, places and routes a unit alone between registers.

    Parameters
    ----------
    emitted : Emitted
        The unit.
    target : str or Target
        A name of :data:`~lnsmadam.fpga.targets.TARGETS`.
    seeds : sequence of int
        Seeds of the placer, one run each.
    dsp, bram : bool
        Whether DSP blocks and block RAM may be used.
    progress : callable, optional
        Called with (steps done, steps in all, what was done).
    work_dir : Path, optional
        Takes a copy of the Verilog, the script, the tools' logs and reports.
    cache : Path, optional
        Folder of finished steps, by default ``synth`` of :func:`~lnsmadam.hw.toolchain.cache_folder`.

    Returns
    -------
    dict, JSON types only
        ``lut4``, ``carry``, ``ff``, ``bram``, ``dsp`` of the unit alone, handshake included; ``latency`` in
        cycles; ``fmax_mhz`` with ``median``, ``min``, ``max`` (of an even number of seeds the median is the
        lower of the middle two). Beside them ``lc``, the logic cells that nextpnr packs the unit into (on ECP5
        its TRELLIS_COMB; a carry chain may need some more than its cells); on ECP5 ``lut4_plain``, ``ccu2c``
        and ``lutram``, see :func:`count`; ``fmax_seeds``; ``critical_path`` of the median seed; ``cells``,
        ``harness``, ``tools``, ``commands``, and what was measured.

    Raises
    ------
    ValueError
        Target, seeds or options cannot work.
    ~lnsmadam.hw.toolchain.ToolError
        A tool is missing or failed, or the unit does not fit; one line.
    """
    if isinstance(target, str):
        target = target_named(target)
    if not seeds or len(set(seeds)) != len(seeds) or any(seed < 0 for seed in seeds):
        raise ValueError(f"Seeds must be different integers from 0, at least one, not {list(seeds)}")
    shell = harness(emitted)
    script = _script(emitted, target, dsp=dsp, bram=bram)
    total, finished = 1 + len(seeds), 0
    if progress:
        # The tools compile themselves when they are first asked for their version: up to a minute each.
        progress(finished, total, f"Starting {emitted.name} for {target.name}")
    versions = {name: tools.version(name) for name in ("yosys", target.place_and_route)}
    cache = cache_folder("synth") if cache is None else Path(cache).absolute()

    def done(step: Step) -> None:
        nonlocal finished
        finished += 1
        if progress:
            progress(finished, total, step.label)

    synthesis = Step(
        label=f"Synthesis of {emitted.name} for {target.name}",
        tool="yosys",
        arguments=["-q", "-l", "yosys.txt", "synth.ys"],
        files={f"{emitted.name}.v": emitted.verilog, f"{TOP}.v": shell.verilog, "synth.ys": script},
        key=digest(emitted.verilog, shell.verilog, script, versions["yosys"]),
        cache=cache,
    )
    run_steps([synthesis], done)
    modules = json.loads((synthesis.folder / "cells.json").read_text(encoding="utf-8"))["modules"]
    cells = modules["\\" + emitted.name]["num_cells_by_type"]
    unit = count(cells, target.family)
    _check_fit(unit, shell, target)

    routes = []
    for seed in seeds:
        arguments = [
            *target.nextpnr, "--json", "netlist.json", "--seed", str(seed), "--freq", str(REQUESTED_MHZ),
            "--timing-allow-fail", "--report", "report.json",
        ]  # fmt: skip
        routes.append(
            Step(
                label=f"Place and route of {emitted.name} for {target.name}, seed {seed}",
                tool=target.place_and_route,
                arguments=arguments,
                files={"netlist.json": synthesis.folder / "netlist.json"},
                key=digest(synthesis.key, arguments, versions[target.place_and_route]),
                cache=cache,
            )
        )
    run_steps(routes, done)
    reports = [json.loads((step.folder / "report.json").read_text(encoding="utf-8")) for step in routes]
    clocks = [_clock(report) for report in reports]
    median = statistics.median_low(clocks)
    logic = "ICESTORM_LC" if target.family == "ice40" else "TRELLIS_COMB"
    used = reports[0]["utilization"][logic]["used"] - CONSTANT_CELLS[target.family]
    if target.family == "ice40":
        # Of the harness every register has a logic cell, its LUTs included; but a unit's LUT may share one.
        netlist = json.loads((synthesis.folder / "netlist.json").read_text(encoding="utf-8"))
        used -= shell.cells["ff"] - _shared_cells(netlist)
    else:
        used -= shell.cells["lut4"]
    if work_dir is not None:
        _copy_logs(Path(work_dir), synthesis, dict(zip(seeds, routes, strict=True)))
    keys = ["lut4", "carry", "ff", "bram", "dsp"]
    extras = [key for key in unit if key not in keys]
    return {
        "unit": emitted.manifest["unit"],
        "parameters": emitted.manifest["parameters"],
        "target": target.name,
        "part": target.part,
        **{key: unit[key] for key in keys},
        "latency": emitted.manifest["latency"],
        "fmax_mhz": {key: round(f, 2) for key, f in zip(
            ("median", "min", "max"), (median, min(clocks), max(clocks)), strict=True)},
        "lc": used,
        **{key: unit[key] for key in extras},
        "fmax_seeds": {str(seed): round(clock, 2) for seed, clock in zip(seeds, clocks, strict=True)},
        "critical_path": _critical_path(reports[clocks.index(median)]),
        "cells": dict(sorted(cells.items())),
        "harness": {"inputs": shell.inputs, "outputs": shell.outputs, **shell.cells},
        "options": {"dsp": dsp, "bram": bram, "seeds": list(seeds)},
        "tools": versions,
        "commands": [*script.splitlines(), *(step.command for step in routes)],
    }  # fmt: skip


def _copy_logs(folder: Path, synthesis: Step, routes: Mapping[int, Step]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in synthesis.folder.iterdir():
        # The netlist is large, and made again from the rest in a second.
        if path.name not in ("netlist.json", "log.txt"):
            shutil.copyfile(path, folder / path.name)
    for seed, step in routes.items():
        shutil.copyfile(step.folder / "log.txt", folder / f"nextpnr-{seed}.txt")
        shutil.copyfile(step.folder / "report.json", folder / f"report-{seed}.json")
