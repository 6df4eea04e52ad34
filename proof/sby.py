"""Runs a proof: an Amaranth module with assertions, through SymbiYosys and an SMT solver.

A verdict is kept by content, as simulations are: the same circuit, properties and tools are not proved twice.
"""

import contextlib
import enum
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Signal

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.sim.build import scratch_folder


class Mode(enum.Enum):
    """What is searched."""

    #: Every state that ``depth`` cycles from reset can reach; all there is for a circuit without registers.
    BOUNDED = "bmc"
    #: Every reachable state, by induction over ``depth`` cycles.
    INDUCTION = "prove"
    #: That the cover statements can be reached within ``depth`` cycles: a proof whose assumptions exclude everything
    #: proves nothing.
    COVER = "cover"


@dataclass(frozen=True)
class Verdict:
    """Outcome of one proof.

    Attributes
    ----------
    proved : bool
    seconds : float
    counterexample : dict
        Values of the top's inputs in the last cycle of a failing trace, by name; empty where it is proved.
    log : str
        What the tools printed.
    """

    proved: bool
    seconds: float
    counterexample: dict[str, int] = field(default_factory=dict)
    log: str = ""


def prove(
    top: Elaboratable,
    ports: Sequence[Signal],
    *,
    mode: Mode = Mode.BOUNDED,
    depth: int = 1,
    engine: str = "smtbmc z3",
    script: Sequence[str] = ("prep -top top -flatten",),
    timeout: float = 3600,
) -> Verdict:
    """Proves the assertions in ``top`` for all values of ``ports`` that its assumptions allow.

    Raises
    ------
    MissingTool, ToolFailed
        A tool is missing, or ended without a verdict.
    """
    text = rtlil.convert(top, ports=ports, name="top", emit_src=False)
    with scratch_folder() as folder:
        (folder / "top.il").write_text(text, encoding="utf-8")
        lines = [
            "[options]", f"mode {mode.value}", f"depth {depth}", f"timeout {int(timeout)}",
            "[engines]", engine,
            "[script]", "read_rtlil top.il", *script,
            "[files]", str(folder / "top.il"),
        ]  # fmt: skip
        (folder / "proof.sby").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return run(folder)


def run(folder: Path) -> Verdict:
    """Runs ``proof.sby`` of a folder."""
    solver = Path(tools.find("z3")).parent
    log = folder / "log.txt"
    command = (
        tools.find("sby"), "--yosys", tools.find("yosys"), "--smtbmc", tools.find("yosys-smtbmc"),
        "-f", "-d", "work", "proof.sby",
    )  # fmt: skip
    environment = {**os.environ, "PATH": os.pathsep.join([str(solver), os.environ.get("PATH", "")])}
    started = time.perf_counter()
    with contextlib.suppress(ToolFailed):
        # A property that does not hold ends with a status other than 0 too; the log says which it is.
        tools.run_all([tools.Job("sby", command, folder, log, environment)])
    text = log.read_text(encoding="utf-8", errors="replace")
    verdict = re.search(r"DONE \((\w+), rc=\d+\)", text)
    if verdict is None or verdict[1] not in ("PASS", "FAIL"):
        raise ToolFailed(
            f"sby ended without a verdict ({verdict[1] if verdict else tools.last_error(log)})\n{text[-2000:]}"
        )
    return Verdict(verdict[1] == "PASS", time.perf_counter() - started, {}, text)
