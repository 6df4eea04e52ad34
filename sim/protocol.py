"""Runs the emitted Verilog under cocotb on Verilator: latency, stalls, reset in mid-flow, throughput.

The bench itself is :mod:`lnsmadam.sim.cocotb_bench`, which runs inside the simulator. It is handed operands
and expected results in a file, because a model need not exist outside the process that made it.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cocotb_tools.config
from cocotb_tools.runner import get_runner

from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.build import build_simulation, scratch_folder
from lnsmadam.sim.ports import Check, Columns, Model, Ports

#: Checks of the bench in the order they run, and what each shows.
CHECKS = {
    "latency": "a result comes exactly `latency` cycles after the transfer that brings it when nothing stalls",
    "hold": "valid does not wait for ready; valid and payload hold until ready; what was accepted comes out",
    "stalls": "under seeded random pauses on both sides: results in order, none lost, none extra",
    "reset": "reset in mid-flow drops everything in flight, and the unit starts like new",
    "throughput": "one transfer every `interval` cycles when nothing stalls",
}
#: Transfers that the longest check needs; expected results are computed for as many.
TRANSFERS = 600
# Verilator's are from 1 to 2**31 - 1.
_SEEDS = 2**31 - 1


def build_bench(emitted: Emitted, waves: bool = False) -> Path:
    """The simulator that runs cocotb benches of this Verilog. They reach the ports of the top, and nothing inside."""
    libraries = str(cocotb_tools.config.libs_dir)
    trace = ["--trace"] if waves else []
    return build_simulation(
        f"cocotb-{emitted.name}",
        {"unit.v": emitted.verilog, "ports.vlt": _public_ports(emitted)},
        emitted.name,
        main=Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp",
        # A register that reset does not reach and nobody initialised starts with a random value.
        verilator_flags=(
            *("--vpi", "--x-assign", "unique", "--x-initial", "unique", *trace),
            *("--timescale", "1ns/1ps"),
        ),
        compile_flags=("-O1", f"-DVM_TRACE={int(waves)}", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0"),
        link_flags=(f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"),
        runtime=(
            *("verilated", "verilated_threads", "verilated_dpi", "verilated_vpi"),
            *(["verilated_vcd_c"] if waves else []),
        ),
        output=emitted.name,
    )


def _public_ports(emitted: Emitted) -> str:
    """Verilator's configuration that lets a bench reach the ports.

    Were all signals within its reach, none could be optimised away, and the time of the C++ compiler would grow faster
    than their number: ``dot`` of 64 lanes needed more than eight minutes, and needs half of one.
    """
    header = re.search(rf"\bmodule\s+{emitted.name}\s*\(([^)]*)\)", emitted.verilog)
    assert header is not None, emitted.name
    names = [re.findall(r"\w+", port)[-1] for port in header[1].split(",")]
    lines = [f'public_flat_rw -module "{emitted.name}" -var "{name}"' for name in names]
    return "\n".join(["`verilator_config", *lines, ""])


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """Hides environment variables for a while: the runner and the bench take some as orders."""
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def run_bench(
    module: str,
    program: Path,
    task: dict[str, Any],
    *,
    seed: int = 0,
    arguments: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Runs a bench in a simulator of :func:`build_bench`; returns what it wrote of each check.

    Parameters
    ----------
    module : str
        Of the bench. It finds the path of the task in the environment's ``LNSMADAM_TASK`` and writes a list of
        outcomes, with keys as those of :class:`~lnsmadam.sim.ports.Check`, where the task's ``outcome`` says.
    program : Path
    task : dict
        JSON types only; ``checks`` lists the names of the checks. A check that the bench did not come to is a failed
        one.
    seed : int
        Of the values that registers begin with.
    arguments : list
        More arguments of the simulator.
    """
    with scratch_folder() as folder:
        outcome = folder / "checks.json"
        (folder / "task.json").write_text(json.dumps({**task, "outcome": str(outcome)}), encoding="utf-8")
        log = folder / "bench.log"
        with _without("PYTEST_CURRENT_TEST", "WAVES", "GUI"), contextlib.suppress(RuntimeError, SystemExit):
            # A bench that did not come to its end leaves checks out, which is reported below.
            get_runner("verilator").test(
                test_module=module,
                hdl_toplevel=program.name,
                hdl_toplevel_lang="verilog",
                build_dir=program.parent,
                test_dir=folder,
                results_xml=str(folder / "results.xml"),
                test_args=["+verilator+rand+reset+2", f"+verilator+seed+{seed % _SEEDS + 1}", *arguments],
                extra_env={"LNSMADAM_TASK": str(folder / "task.json")},
                log_file=log,
            )
        done: list[dict[str, Any]] = json.loads(outcome.read_text(encoding="utf-8")) if outcome.exists() else []
        if missing := [name for name in task["checks"] if name not in {entry["name"] for entry in done}]:
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            last = (text.strip().splitlines() or ["it printed nothing"])[-1].strip()
            message = f"the bench ended before it: {last}"
            done += [{"name": name, "compared": 0, "passed": False, "message": message} for name in missing]
    return done


def _check(ports: Ports, entry: dict[str, Any]) -> Check:
    """The bench's outcome with its payloads as sign and log."""
    told = {name: ports.input.describe(ports.input.unpack(w)) for name, w in entry.pop("operands", {}).items()}
    told |= {name: ports.output.describe(ports.output.unpack(w)) for name, w in entry.pop("results", {}).items()}
    # What a simulator printed at its end may have braces of its own.
    return Check(**{**entry, "message": entry["message"].format(**told) if told else entry["message"]})


def run_protocol(
    emitted: Emitted,
    model: Model,
    operands: Columns,
    *,
    seed: int = 0,
    waves: Path | None = None,
    arguments: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> list[Check]:
    """Checks the streams of a unit, one :class:`~lnsmadam.sim.ports.Check` for each of :data:`CHECKS`.

    Parameters
    ----------
    emitted : Emitted
    model : Model
        Called once, with index 0.
    operands : dict
        Columns of words, :data:`TRANSFERS` rows or fewer.
    seed : int
        Of the pauses.
    waves : Path, optional
        Folder for ``NAME.vcd``, a waveform of the whole bench.
    arguments : list
        More arguments of the simulator, plusargs for one.
    progress : function, optional
        Called with a word on what happens next.

    Raises
    ------
    ValueError
        There are no operands, or the model's fields are not the unit's.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """
    ports = Ports.of(emitted.manifest)
    columns = ports.input.columns(operands)
    if not len(next(iter(columns.values()))):
        raise ValueError("There was nothing to compare: no operands were given")
    want = ports.expected(model, columns, 0)
    say = progress or (lambda text: None)
    say("building the cocotb bench")
    program = build_bench(emitted, waves is not None)
    say("running the cocotb bench")
    task: dict[str, Any] = {
        "manifest": emitted.manifest,
        "operands": ports.input.pack(columns),
        "brings": ports.brings_result(columns).tolist(),
        "results": ports.output.pack(want),
        "seed": seed,
        "checks": list(CHECKS),
    }
    options = list(arguments)
    if waves is not None:
        waves.mkdir(parents=True, exist_ok=True)
        options = ["--trace", "--trace-file", str(waves.absolute() / f"{emitted.name}.vcd"), *options]
    entries = run_bench("lnsmadam.sim.cocotb_bench", program, task, seed=seed, arguments=options)
    return [_check(ports, entry) for entry in entries]
