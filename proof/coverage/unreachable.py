"""Shows that a bit never changes, or that a branch is never taken, whatever the operands.

Yosys reads the emitted Verilog twice. First with the registers as free inputs: what logic alone makes constant falls
out of ABC's sweeping. Then as many cycles from any state as the pipeline has stages, which excludes what no earlier
stage gives a register; every later cycle is so many from some state, too. For that the pipeline never waits: all its
registers hold while it does, so that the states it goes through are the same; the logic between them keeps ``ready`` as
it is and may see it either way.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.yosys import SIMPLIFY, yosys
from lnsmadam.sim.build import scratch_folder

_OPEN = "~open"
# Logic of a few hundred gates: finds a constant wherever the Gaussian logs, the widest unit, have one.
_SWEEP = "strash\nifraig\ndc2\nfraig\ndc2\nmap\n"
#: What the solver may take for a claim about several bits, which is then divided; a bit alone is given up.
_SECONDS_EACH = 60
# What Yosys writes in the place of a net's number; "x" for what nothing drives, which is no constant.
_CONSTANT = ("0", "1")


@dataclass(frozen=True)
class Place:
    """What Verilator counts.

    Attributes
    ----------
    instance : str
        Names of the instances above it, joined with dots; empty for the unit's own module.
    signal : str
        Name in the Verilog, of a bit; empty for a branch.
    bit : int
    line : int
        In the Verilog, from 1.
    arm : str
        Of a branch: ``if``, ``else``, ``cond_then`` or ``cond_else``; ``block`` for a whole process.
    """

    instance: str
    signal: str
    bit: int
    line: int
    arm: str = ""


def _public(name: str) -> str:
    """What Yosys calls a signal here: names that begin with a dollar sign are its own and do not last."""
    return f"~{name[1:]}" if name.startswith("$") else name


class _Source:
    """The Verilog, with a signal beside every branch of interest that is 1 where it is taken."""

    def __init__(self, verilog: str):
        self.lines = verilog.splitlines()
        # What is put before the first statement of a process, and before and after a line, by its index.
        self._after: dict[int, list[str]] = {}
        self._instead: dict[int, str] = {}
        self._count = 0

    def _new(self, line: int, kind: str) -> str:
        name = f"\\~taken{self._count} "
        self._count += 1
        head = next(n for n in range(line, -1, -1) if re.match(r"\s*module\b", self.lines[n]))
        self._after.setdefault(head, []).append(f"{kind} {name};")
        return name

    def mark(self, line: int, arm: str) -> str | None:
        """The signal's name; None where the statement is of another shape."""
        at, text = line - 1, self.lines[line - 1]
        if choice := re.fullmatch(r"\s*assign \S+\s+= (.+?)\s+\? .*;", text):
            if arm not in ("cond_then", "cond_else") or choice[1].count("?"):
                return None
            name = self._new(at, "wire")
            condition = f"{choice[1]} " if arm == "cond_then" else f"!({choice[1]} )"
            self._after.setdefault(at, []).append(f"assign {name} = {condition};")
            return name.strip("\\ ")
        if not re.fullmatch(r"\s*if \(.*\) begin", text) or arm not in ("if", "else"):
            return None
        process = next((n for n in range(at, -1, -1) if "always @" in self.lines[n]), None)
        if process is None or self.lines[process].strip() != "always @* begin":
            return None
        name = self._new(at, "reg")
        self._after.setdefault(process, []).append(f"{name} = 1'h0;")
        if arm == "if":
            self._after.setdefault(at, []).append(f"{name} = 1'h1;")
            return name.strip("\\ ")
        indent = text[: len(text) - len(text.lstrip())]
        end = next(n for n in range(at + 1, len(self.lines)) if self.lines[n].startswith(f"{indent}end"))
        if self.lines[end].strip() == "end":
            self._instead[end] = f"{indent}end else begin {name} = 1'h1; end"
        else:
            self._after.setdefault(end, []).append(f"{name} = 1'h1;")
        return name.strip("\\ ")

    def text(self) -> str:
        out: list[str] = []
        for n, line in enumerate(self.lines):
            out += [self._instead.get(n, line), *self._after.get(n, ())]
        return re.sub(r"\\\$(\S+) ", r"\\~\1 ", "\n".join(out)) + "\n"


def _with_outputs(circuit: str, top: str, bits: Sequence[tuple[str, int]]) -> str:
    """RTLIL whose top has an output for each of these bits."""
    head, end = circuit[: circuit.rindex("\nend") + 1], circuit[circuit.rindex("\nend") + 1 :]
    declared = "".join(f"  wire output {9999 + n} \\{_OPEN}{n}\n" for n in range(len(bits)))
    body = "".join(f"  connect \\{_OPEN}{n} \\{name} [{bit}]\n" for n, (name, bit) in enumerate(bits))
    return head.replace(f"\nmodule \\{top}\n", f"\nmodule \\{top}\n{declared}", 1) + body + end


def _nets(path: Path, top: str, count: int) -> list[str]:
    found = json.loads(path.read_text(encoding="utf-8"))["modules"][top]["netnames"]
    return [str(found[f"{_OPEN}{n}"]["bits"][0]) for n in range(count)]


def prove_unreachable(emitted: Emitted, places: Sequence[Place]) -> set[Place]:
    """Those of ``places`` that no operands reach once the pipeline has filled: constant bits, branches never taken.

    Of a bit that has changed in one direction it is shown that it stays as it then is.

    Raises
    ------
    MissingTool, ToolFailed
        Yosys is missing or failed.
    """
    source = _Source(emitted.verilog)
    signals: dict[Place, tuple[str, int]] = {}
    for place in places:
        name = _public(place.signal) if place.signal else source.mark(place.line, place.arm)
        if name is not None:
            signals[place] = (f"{place.instance}.{name}" if place.instance else name, place.bit)
    if not signals:
        return set()
    text = source.text()
    with scratch_folder() as folder:
        left = _swept(folder, emitted.name, text, signals)
        ready = emitted.manifest["inputs"][0]["ready"]
        moving = text.replace(f"if ({ready}) begin", "if (1'h1) begin")
        # Of the branches that are taken while the pipeline moves, or waits, that says nothing.
        told = {place: signal for place, signal in left.items()
                if place.signal or f"if ({ready}) begin" not in source.lines[place.line - 1]}  # fmt: skip
        return (signals.keys() - left.keys()) | _settled(folder, emitted, moving, told)


def _is_out_of_reach(place: Place, net: str) -> bool:
    """Of a branch, the signal beside it is always 0; a bit is always the same."""
    return net in _CONSTANT if place.signal else net == "0"


def _read(folder: Path, top: str, text: str) -> str:
    (folder / "unit.v").write_text(text, encoding="utf-8")
    yosys(folder, "read_verilog unit.v", f"hierarchy -top {top}", "proc", "flatten", "write_rtlil unit.il")
    return (folder / "unit.il").read_text(encoding="utf-8")


def _swept(folder: Path, top: str, text: str, signals: Mapping[Place, tuple[str, int]]) -> dict[Place, tuple[str, int]]:
    """Those signals that logic alone does not make constant."""
    circuit = _read(folder, top, text)
    (folder / "open.il").write_text(_with_outputs(circuit, top, list(signals.values())), encoding="utf-8")
    (folder / "sweep.abc").write_text(_SWEEP, encoding="utf-8")
    steps = ["read_rtlil open.il", f"hierarchy -top {top}", "memory_map", "opt -full", "techmap", "opt"]
    yosys(folder, *steps, "abc -script sweep.abc", "opt_clean", "write_json open.json")
    nets = _nets(folder / "open.json", top, len(signals))
    left = zip(signals.items(), nets, strict=True)
    return {place: signal for (place, signal), net in left if not _is_out_of_reach(place, net)}


def _settled(folder: Path, emitted: Emitted, text: str, signals: Mapping[Place, tuple[str, int]]) -> set[Place]:
    """Those signals that are constant after as many cycles as the pipeline has stages, from any state."""
    if not signals:
        return set()
    top = emitted.name
    circuit = _read(folder, top, text)
    (folder / "open.il").write_text(_with_outputs(circuit, top, list(signals.values())), encoding="utf-8")
    # From any state: what registers begin with is not asked.
    steps = ["read_rtlil open.il", f"hierarchy -top {top}", "setattr -unset init w:*", "memory_map", SIMPLIFY]
    # What the bits do not depend on only costs the solver time.
    steps += [f"delete -output {top}/o:* {top}/w:{_OPEN}* %d", SIMPLIFY, "opt_clean -purge", "dffunmap", "opt_clean"]
    yosys(folder, *steps, "write_rtlil cone.il", "write_json open.json")
    nets = _nets(folder / "open.json", top, len(signals))
    # One output for each net.
    first = {net: n for n, net in reversed(list(enumerate(nets))) if net.isdecimal() and net not in _CONSTANT}
    known: dict[int, int] = {}
    depths = _depths(int(emitted.manifest["latency"]) + 2)
    while depths and len(known) < len(first):
        constant = _constant_after(folder, top, [n for n in first.values() if n not in known], known, depths[0])
        if not constant:
            depths = depths[1:]
        known |= constant
    told = ((place, str(known.get(first.get(net, -1), net))) for place, net in zip(signals, nets, strict=True))
    return {place for place, value in told if _is_out_of_reach(place, value)}


def _constant_after(
    folder: Path, top: str, outputs: Sequence[int], known: Mapping[int, int], cycles: int
) -> dict[int, int]:
    """Values of those outputs of ``cone.il`` that are constant after so many cycles from any state, where others have
    the values that are known of them, in every cycle: once the pipeline has filled, they have."""
    values = dict.fromkeys(outputs, 0)
    changed: set[int] = set()
    # All at once, for each proof costs as much as all of them: a run in which some have other values rules these out.
    while values:
        other = _run_with_another(folder, top, values, known, cycles)
        if other is None:
            if len(values) == 1:
                return {}
            half = len(values) // 2
            parts = list(values)[:half], list(values)[half:]
            found = (_constant_after(folder, top, part, known, cycles) for part in parts)
            return dict(itertools.chain.from_iterable(constant.items() for constant in found))
        if not other:
            return values
        for n, value in other.items():
            if value != values[n] and n in changed:
                del values[n]
            elif value != values[n]:
                values[n] = value
                changed.add(n)
    return {}


def _run_with_another(
    folder: Path, top: str, values: Mapping[int, int], known: Mapping[int, int], cycles: int
) -> dict[int, int] | None:
    """Values of outputs in a run from any state in which some are not ``values`` after so many cycles.

    Empty where there is no such run, None where the solver takes too long.
    """
    claims = "".join(f" -prove \\{_OPEN}{n} 1'{value} -show \\{_OPEN}{n}" for n, value in values.items())
    claims += "".join(f" -set \\{_OPEN}{n} 1'{value}" for n, value in known.items())
    cone = " ".join(f"{top}/w:{_OPEN}{n}" for n in values)
    log = yosys(
        folder,
        "read_rtlil cone.il",
        f"hierarchy -top {top}",
        f"sat -timeout {_SECONDS_EACH} -seq {cycles + 1} -prove-skip {cycles}{claims} {cone} %% %ci*",
    )
    if "SAT proof finished - no model found: SUCCESS!" in log:
        return {}
    if "SAT proof finished - model found: FAIL!" not in log:
        return None
    shown = re.findall(rf"^ *{cycles + 1} \\{_OPEN}(\d+) .* ([01])$", log, re.MULTILINE)
    other = {int(n): int(value) for n, value in shown}
    if other.keys() != values.keys() or other == values:
        raise ToolFailed(f"Yosys shows no run with another value:\n{log[-2000:]}")
    return other


def _depths(most: int) -> list[int]:
    """1, 4, 16, … and ``most`` at the end."""
    return [*(4**n for n in range(most) if 4**n < most), most]
