"""Faults put into a unit's netlist one at a time, and whether the bench notices.

Yosys' ``mutate`` picks single faults (a bit stuck, inverted, taken from its neighbour, a cell's input tied to another)
with the source line of the cell. All of them go into one netlist, behind an input ``select`` that turns one on, so that
a single build serves: number 0 is the unit itself. The bench is the batch bench of ``simulate``, with resets in
mid-flow, in steps from a few operands to many: most faults are found by the first.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from lnsmadam.fpga import tools
from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.proof.yosys import yosys
from lnsmadam.sim.batch import BatchUnit, HardwareFault
from lnsmadam.sim.build import cached, scratch_folder
from lnsmadam.sim.ports import Columns, Model
from lnsmadam.sim.stimulus import Directed, mixed_operands, protocol_operands, stimulus

# Part of every key: a change of what is run makes old netlists unreachable.
_RECIPE = "1"
#: What mutations are picked from and applied to: word-level cells, as they were written.
_PREPARE = ("hierarchy -top {name}", "proc", "flatten", "opt_clean")


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    number : int
        Of the netlist's input ``select``; 1 the first.
    options : str
        What ``mutate`` takes to apply it alone.
    mode, cell, port : str
        ``inv``, ``const0``, ``cnot1`` …; the cell and its port, with the bit.
    wire : str
        The wire of that bit, where it has a name.
    sources : tuple of str
        ``file:line`` below the repository, the innermost first.
    line : str
        Text of the first of them.
    """

    number: int
    options: str
    mode: str
    cell: str
    port: str
    wire: str
    sources: tuple[str, ...]
    line: str

    def __str__(self) -> str:
        wire = f" ({self.wire})" if self.wire else ""
        line = f", `{self.line}`" if self.line else ""
        return f"{', '.join(self.sources) or 'no source'}: {self.mode} at {self.port} of {self.cell}{wire}{line}"


@dataclass(frozen=True)
class Mutated:
    """A unit with all its mutants.

    Attributes
    ----------
    netlist : str
        RTLIL of the unit itself.
    emitted : Emitted
        Verilog of the unit with the input ``select``.
    width : int
        Of ``select``.
    mutants : tuple of Mutant
    """

    netlist: str
    emitted: Emitted
    width: int
    mutants: tuple[Mutant, ...]


def mutate(component: UnitComponent, emitted: Emitted, count: int, seed: int = 0) -> Mutated:
    """Picks mutants of a unit and puts them into one netlist.

    Parameters
    ----------
    component : UnitComponent
    emitted : Emitted
        The same unit, for its manifest.
    count, seed : int
        How many, picked evenly over cells, wires and source lines; the same seed picks the same.

    Raises
    ------
    ValueError
        ``count`` is not positive.
    MissingTool, ToolFailed
        Yosys is missing or failed.
    """
    if count < 1:
        raise ValueError(f"Count of mutants must be at least 1, not {count}")
    name, width = emitted.name, count.bit_length()
    text = rtlil.convert(component, name=name, emit_src=True)
    prepare = [command.format(name=name) for command in _PREPARE]

    def make(entry: Path) -> None:
        with scratch_folder() as folder:
            (folder / "component.il").write_text(text, encoding="utf-8")
            pick = f"mutate -list {count} -seed {seed} -ctrl select {width} 1 -o mutants.txt"
            yosys(folder, "read_rtlil component.il", *prepare, "write_rtlil unit.il", pick)
            listed = (folder / "mutants.txt").read_text(encoding="utf-8").splitlines()
            yosys(folder, "read_rtlil unit.il", *map(_without_source, listed), "write_verilog -noattr mutants.v")
            for name in ("unit.il", "mutants.txt", "mutants.v"):
                shutil.copyfile(folder / name, entry / name)

    entry = cached(f"mutants-{name}", [_RECIPE, text, str(count), str(seed), tools.version("yosys"), *prepare], make)
    lines = (entry / "mutants.txt").read_text(encoding="utf-8").splitlines()
    verilog = (entry / "mutants.v").read_text(encoding="utf-8")
    return Mutated(
        (entry / "unit.il").read_text(encoding="utf-8"),
        replace(emitted, verilog=f"/* verilator lint_off WIDTH */\n{verilog}"),
        width,
        tuple(_parsed(number, line) for number, line in enumerate(lines, 1)),
    )


def _without_source(line: str) -> str:
    """A command of the list without what is only for readers, such as names that a script cannot quote."""
    return re.sub(r" -(wire|wirebit|src) \S+", "", line)


def _parsed(number: int, listed: str) -> Mutant:
    """A line that ``mutate -list`` wrote."""
    options: dict[str, list[str]] = {}
    for name, value in re.findall(r" -(\w+) (\S+)", re.sub(r" -ctrl \S+ \d+ \d+", "", listed)):
        options.setdefault(name, []).append(value)

    def one(name: str) -> str:
        return options.get(name, [""])[0].lstrip("\\")

    bit = f"[{one('portbit')}]" if one("portbit") else ""
    wire = f"{one('wire')}[{one('wirebit')}]" if one("wire") else ""
    alone = re.sub(r" -ctrl \S+ \d+ \d+", "", _without_source(listed)).removeprefix("mutate ")
    sources = tuple(dict.fromkeys(_below_root(source) for source in options.get("src", ())))
    line = _line_of(one("src"))
    return Mutant(number, alone, one("mode"), one("cell"), one("port") + bit, wire, sources, line)


def _line_of(source: str) -> str:
    """Text of a source line, without its indentation; empty where it cannot be read."""
    path, _, number = source.rpartition(":")
    with contextlib.suppress(OSError, ValueError, IndexError):
        return Path(path).read_text(encoding="utf-8").splitlines()[int(number) - 1].strip()
    return ""


def _below_root(source: str) -> str:
    """A source line, from the folder that a reader finds it in; that of the unit itself comes without its folders."""
    parts = Path(source).parts
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] in ("hw", "golden", "site-packages"):
            return "/".join(parts[place + (parts[place] == "site-packages") :])
    return source


@dataclass(frozen=True)
class Step:
    """A part of the bench.

    Attributes
    ----------
    operands, results : columns
        What goes in and what must come out.
    stalls_seed : int or None
        Of the pauses of both sides.
    reset_seed : int or None
        Before it, reset comes in mid-flow; None goes on from the step before.
    cycles : int
        That the unit itself takes; a fault may cost time and nothing else.
    """

    operands: Columns
    results: Columns
    stalls_seed: int | None
    reset_seed: int | None
    cycles: int = 0


#: Transfers of a step, whether both sides pause, and whether reset comes before: cheap ones first, for most faults show
#: at once. A unit's state goes on where there is no reset.
PLAN = (
    (256, False, True), (256, True, True), (256, True, True), (1024, True, True), *[(32, True, True)] * 24,
    (1 << 12, True, False), (1 << 14, False, False), (1 << 16, True, True), (1 << 18, False, False),
    (1 << 20, False, False),
)  # fmt: skip
#: Cycles before a reset in mid-flow: more than any pipeline has stages.
_BEFORE_RESET = 64


class Bench:
    """What every mutant goes through, with the results that the golden model gives.

    Parameters
    ----------
    model : callable
        Makes a model of the unit in reset: Model.
    config : UnitConfig
    directed : function, optional
        The unit's own operands.
    seed : int
    plan : sequence
        See :data:`PLAN`.
    """

    def __init__(
        self,
        model: Callable[[], Model],
        config: UnitConfig,
        directed: Directed | None = None,
        *,
        seed: int = 0,
        plan: Sequence[tuple[int, bool, bool]] = PLAN,
    ):
        self._model, self._config, self._directed, self._seed, self._plan = model, config, directed, seed, plan
        self._steps: list[Step] = []

    def _operands(self, count: int, number: int) -> Columns:
        if count <= 1 << 12:
            return protocol_operands(self._config, self._seed + number, count, self._directed)
        return mixed_operands(self._config, np.random.default_rng([self._seed, 2, number]), count, self._directed)

    def prepare(self, unit: BatchUnit) -> None:
        """Computes all steps and runs the unit itself through them.

        Raises
        ------
        ValueError
            The unit itself fails, or there is nothing to compare.
        """
        unit.select(0)
        steps, index, model = [], 0, self._model()
        bits = sum(fmt.width for fmt in self._config.inputs.values())
        for number, (count, stalls, resets) in enumerate(self._plan):
            # Of a narrow unit a sample has every argument, many times over.
            count = min(count, 64 << bits)
            operands = unit.ports.input.columns(self._operands(count, number))
            if resets:
                index, model = 0, self._model()
            results = unit.ports.expected(model, operands, index)
            index += count
            step = Step(operands, results, number if stalls else None, number if resets else None)
            reason, cycles = self._run(unit, step)
            if reason:
                raise ValueError(f"The unit without a fault fails the bench: {reason}")
            steps.append(replace(step, cycles=cycles))
        if not steps or not sum(len(next(iter(step.results.values()))) for step in steps):
            raise ValueError("There was nothing to compare: the bench has no results")
        self._steps = steps

    @staticmethod
    def _run(unit: BatchUnit, step: Step) -> tuple[str | None, int]:
        """Why the unit fails a step, if it does, and how many cycles it took."""
        try:
            if step.reset_seed is not None:
                unit.interrupt(step.operands, step.reset_seed, _BEFORE_RESET)
            got = unit.run(step.operands, step.stalls_seed)
        except HardwareFault as fault:
            return str(fault), 0
        for name, column in got.items():
            wrong = column != step.results[name]
            if wrong.any():
                return f"{name} of transfer {int(wrong.argmax())}", unit.cycles
        if step.cycles and unit.cycles != step.cycles:
            return f"{unit.cycles} cycles instead of {step.cycles}", unit.cycles
        return None, unit.cycles

    def kills(self, unit: BatchUnit, mutant: Mutant) -> str | None:
        """What the bench notices first of a mutant, or None."""
        unit.select(mutant.number)
        for step in self._steps:
            reason, _ = self._run(unit, step)
            if reason:
                return reason
        return None

    def kills_with_every_argument(self, unit: BatchUnit, mutant: Mutant) -> str | None:
        """The same with all arguments there are, where they can be listed: too long for each mutant."""
        chunks = stimulus(self._config, self._seed)
        if not chunks.is_exhaustive or chunks.total <= max((count for count, *_ in self._plan), default=0):
            return None
        unit.select(mutant.number)
        # What the mutant before left in the registers is no matter of this one.
        try:
            unit.reset()
        except HardwareFault as fault:
            return str(fault)
        model = self._model()
        for operands in chunks:
            columns = unit.ports.input.columns(operands)
            reason, _ = self._run(unit, Step(columns, unit.ports.expected(model, columns, 0), None, None))
            if reason:
                return reason
        return None


@dataclass
class Outcome:
    """What became of a unit's mutants.

    Attributes
    ----------
    killed : dict
        Mutant → what the bench noticed first.
    equivalent : dict
        Mutant → how it was proved that nothing changes.
    survivors : list of Mutant
    seconds : float
    """

    killed: dict[Mutant, str] = field(default_factory=dict)
    equivalent: dict[Mutant, str] = field(default_factory=dict)
    survivors: list[Mutant] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def counted(self) -> int:
        """Mutants that are not equivalent, as far as is known."""
        return len(self.killed) + len(self.survivors)

    @property
    def share(self) -> float:
        """Killed ones among them; none of none, for that is no evidence."""
        return len(self.killed) / self.counted if self.counted else 0.0


def attack(
    mutated: Mutated,
    bench: Bench,
    equivalent: Callable[[Mutated, Mutant], str | None],
    progress: Callable[[str, int, int], None] | None = None,
) -> Outcome:
    """Runs all mutants through the bench, and those that it does not notice through ``equivalent``, which returns how
    it proved that nothing changes, or None.

    Raises
    ------
    ValueError
        The unit without a fault fails the bench.
    MissingTool, ToolFailed
        A tool is missing, or the netlist does not compile.
    """
    say = progress or (lambda what, done, total: None)
    outcome, started = Outcome(), time.perf_counter()
    total, unnoticed = len(mutated.mutants), []
    say("compiling", 0, 0)
    with BatchUnit(mutated.emitted, selector=mutated.width) as unit:
        bench.prepare(unit)
        for mutant in mutated.mutants:
            say("mutants", mutant.number, total)
            reason = bench.kills(unit, mutant)
            if reason is None:
                unnoticed.append(mutant)
            else:
                outcome.killed[mutant] = reason
        for done, mutant in enumerate(unnoticed):
            say("proofs that nothing changes", done, len(unnoticed))
            if how := equivalent(mutated, mutant):
                outcome.equivalent[mutant] = how
            elif reason := bench.kills_with_every_argument(unit, mutant):
                outcome.killed[mutant] = reason
            else:
                outcome.survivors.append(mutant)
    outcome.seconds = time.perf_counter() - started
    return outcome
