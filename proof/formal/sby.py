"""Runs a proof: an Amaranth module with assertions, through SymbiYosys and an SMT solver.

A verdict is kept by content, as simulations are: the same circuit, properties and tools are not proved twice. Only a
proof is kept; what failed runs again and gives its counterexample.
"""

import contextlib
import enum
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Signal
from vcd.reader import TokenKind, tokenize

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.sim.build import cached, scratch_folder

# Part of every key: a change of what is run makes old verdicts unreachable.
_RECIPE = "1"
# Cycles that a run within the assumptions must be able to take, beyond which induction does not look.
_GOES_ON = 32
# Near the end of sby's log.
_OUTCOME = re.compile(r"DONE \((\w+), rc=\d+\)")
# Time units from one cycle to the next in the traces of smtbmc.
_CYCLE = 10

#: One cycle of a trace: values of signals, the top's by name, those of submodules as ``submodule.name``.
Cycle = Mapping[str, int]


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
        What the proof took when it was run.
    failed : str
        The assertion that does not hold, by its message, or the cover statement that cannot be reached; empty where
        it is proved.
    trace : sequence of Cycle
        Values of signals in each cycle of a failing trace. Of a property that holds from reset but is not
        inductive, the trace starts in a state that induction could not exclude.
    is_inductive : bool
        False where no failure was found, and no proof either.
    log : str
        What the tools printed.
    """

    proved: bool
    seconds: float
    failed: str = ""
    trace: Sequence[Cycle] = ()
    is_inductive: bool = True
    log: str = ""

    @property
    def counterexample(self) -> Cycle:
        """The last cycle of the trace; empty where there is none."""
        return self.trace[-1] if self.trace else {}


class _Refuted(Exception):
    """A property that does not hold, on its way past the cache."""

    def __init__(self, verdict: Verdict):
        super().__init__()
        self.verdict = verdict


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

    Where ``top`` has cover statements, each must be reachable too. Assumptions that nothing satisfies are an error, and
    so are those of an induction that end every run within some cycles.

    Raises
    ------
    ValueError
        There is nothing to prove.
    MissingTool, ToolFailed
        A tool is missing, ended without a verdict, or took longer than ``timeout`` seconds.
    """
    # A top may have instances of modules that it brings along as RTLIL.
    text = getattr(top, "circuits", "") + rtlil.convert(top, ports=ports, name="top", emit_src=False)
    if not re.search(r'parameter \\FLAVOR "(assert|cover)"', text):
        raise ValueError("There is nothing to prove: no assertion and no cover statement")
    verdict = _prove(text, mode, depth, engine, script, timeout)
    if verdict.proved and mode is not Mode.COVER and 'parameter \\FLAVOR "cover"' in text:
        reached = _prove(text, Mode.COVER, depth, "smtbmc z3", script, timeout)
        verdict = reached if not reached.proved else verdict
    if verdict.proved and mode is Mode.INDUCTION and 'parameter \\FLAVOR "assume"' in text:
        # Without assertions, a search says nothing but that there is something to search.
        _prove(text, Mode.BOUNDED, _GOES_ON, "smtbmc z3", (*script, "chformal -assert -remove"), timeout)
    return verdict


def _prove(text: str, mode: Mode, depth: int, engine: str, script: Sequence[str], timeout: float) -> Verdict:
    parts = [_RECIPE, text, mode.value, str(depth), engine, *script, "tools", tools.version("yosys")]
    if "z3" in engine:
        parts.append(tools.version("z3"))

    def make(entry: Path) -> None:
        with scratch_folder() as folder:
            (folder / "top.il").write_text(text, encoding="utf-8")
            lines = [
                "[options]", f"mode {mode.value}", f"depth {depth}", f"timeout {int(timeout)}",
                "[engines]", engine,
                "[script]", "read_rtlil top.il", *script,
                "[files]", str(folder / "top.il"),
            ]  # fmt: skip
            (folder / "proof.sby").write_text("\n".join(lines) + "\n", encoding="utf-8")
            verdict = run(folder)
        if not verdict.proved:
            raise _Refuted(verdict)
        content = json.dumps({"seconds": verdict.seconds, "log": verdict.log})
        (entry / "verdict.json").write_text(content, encoding="utf-8")

    try:
        entry = cached("proof", parts, make)
    except _Refuted as refuted:
        return refuted.verdict
    return _kept(entry / "verdict.json")


def _kept(path: Path) -> Verdict:
    """A proof of an earlier run; raises ``ToolFailed`` where the file is not what that has written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        verdict = Verdict(True, float(content["seconds"]), log=str(content["log"]))
        if content != {"seconds": verdict.seconds, "log": verdict.log} or _outcome(verdict.log) != "PASS":
            raise ValueError("no log of a proof")
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise ToolFailed(f"{path} is no verdict of a proof, or is damaged: remove its folder to prove again") from None
    return verdict


def _outcome(log: str) -> str:
    """How a run of sby ended, in its own word; nothing where it did not come to an end."""
    done = _OUTCOME.search(log)
    return done[1] if done else ""


def run(folder: Path) -> Verdict:
    """Runs ``proof.sby`` of a folder, whose circuit is ``top.il``."""
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
    seconds = time.perf_counter() - started
    text = log.read_text(encoding="utf-8", errors="replace")
    outcome = _outcome(text)
    if "PREUNSAT" in text:
        raise ToolFailed(f"No values satisfy the assumptions: the proof would say nothing\n{text[-2000:]}")
    if outcome == "TIMEOUT":
        raise ToolFailed(f"The solver found neither proof nor counterexample in {seconds:.0f} s\n{text[-2000:]}")
    if outcome not in ("PASS", "FAIL", "UNKNOWN"):
        raise ToolFailed(f"sby ended without a verdict: {tools.last_error(log)}\n{text[-2000:]}")
    if outcome == "PASS":
        return Verdict(True, seconds, log=text)
    # Induction leaves its own trace, which is only a failure's if the search from reset found none.
    name = "trace_induct.vcd" if outcome == "UNKNOWN" else "trace.vcd"
    traces = sorted((folder / "work").glob(f"engine_*/{name}"))
    return Verdict(
        False,
        seconds,
        _failed(text, (folder / "top.il").read_text(encoding="utf-8")),
        read_trace(traces[0]) if traces else (),
        outcome != "UNKNOWN",
        text,
    )


def _failed(log: str, circuit: str) -> str:
    """What did not hold: the message of its statement, or the statement's name where it has none."""
    found = re.findall(r"(?:Assert failed in|Unreached cover statement at) \S+: (\S+)", log)
    return _messages(circuit).get(found[0], found[0]) if found else ""


def _messages(circuit: str) -> dict[str, str]:
    """The message of each statement by the name that the log has for it, which is the path of its cell."""
    modules = dict(re.findall(r"^module (\S+)\n(.*?)^end$", circuit, re.DOTALL | re.MULTILINE))
    messages: dict[str, str] = {}

    def walk(module: str, path: tuple[str, ...]) -> None:
        for kind, name, content in re.findall(
            r"^  cell (\S+) (\S+)\n(.*?)^  end$", modules[module], re.DOTALL | re.MULTILINE
        ):
            if kind in modules:
                walk(kind, (*path, name))
            elif kind == "$check" and (message := re.search(r'parameter \\FORMAT "(.+)"', content)):
                # What Yosys names a cell when it takes it into the top, with all but letters and digits replaced.
                flat = f"$flatten{'.'.join((*path, name))}" if path else name
                messages["_witness_.check" + re.sub(r"\W", "_", flat)] = message[1]

    walk("\\top", ())
    return messages


def read_trace(path: Path) -> list[Cycle]:
    """The signals in each cycle of a trace of smtbmc: the top's by name, those below as ``submodule.name``."""
    names: dict[str, str] = {}
    now: dict[str, int] = {}
    cycles: list[Cycle] = []
    scopes: list[str] = []
    with open(path, "rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scopes.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scopes.pop()
                case TokenKind.VAR if scopes:
                    names[token.var.id_code] = ".".join((*scopes[1:], token.var.reference))
                case TokenKind.CHANGE_TIME if token.time_change and token.time_change % _CYCLE == 0:
                    cycles.append(dict(now))
                case TokenKind.CHANGE_VECTOR if token.vector_change.id_code in names:
                    value = token.vector_change.value
                    # An unknown bit is one that does not matter.
                    bits = value if isinstance(value, str) else f"{value:b}"
                    now[names[token.vector_change.id_code]] = int(re.sub("[^01]", "0", bits), 2)
    return cycles
