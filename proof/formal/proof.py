"""A proof as the project keeps it: what it says, of which circuit, and how it is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from amaranth.hdl import Elaboratable, Signal

from lnsmadam.golden.config import Format
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.formal.sby import Cycle, Mode, Verdict, prove
from lnsmadam.sim.ports import Field


@dataclass(frozen=True)
class Proof:
    """One statement about one configuration.

    Attributes
    ----------
    subject : str
        A unit of the registry, or ``trainer``, ``frames``, ``uart``.
    name : str
        Short, of letters, digits and ``-``; with ``configuration`` unique within the subject.
    statement : str
        What is proved, in one clause, for a reader: ``a · b + c = b · a + c``.
    configuration : str
        Of what: ``lns8``.
    top : callable
        Makes the circuit with its assertions (``Assert(condition, "what holds")``), and its free inputs.
    formats : dict
        Of signals of the top (free inputs, and others that a counterexample should show), by name.
    mode, depth, engine, script, timeout
        As :func:`~lnsmadam.proof.formal.sby.prove` takes them.
    is_long : bool
        Whether it is left out unless it is asked for.
    """

    subject: str
    name: str
    statement: str
    configuration: str
    top: Callable[[], tuple[Elaboratable, Sequence[Signal]]]
    formats: Mapping[str, Format] = field(default_factory=dict)
    mode: Mode = Mode.BOUNDED
    depth: int = 1
    engine: str = "smtbmc z3"
    script: Sequence[str] = ("prep -top top -flatten",)
    timeout: float = 600
    is_long: bool = False

    def __str__(self) -> str:
        return f"{self.subject} {self.name} {self.configuration}"

    @property
    def command(self) -> str:
        """What repeats it, and the others of its subject that are as long."""
        return f"lnsmadam prove {self.subject}{' --long' * self.is_long}"

    def describe(self, cycle: Cycle) -> str:
        """The signals of a cycle that have a format, as sign and log, integer or float."""
        return ", ".join(
            f"{name} = {Field(name, 0, fmt.width, fmt).describe(cycle[name])}"
            for name, fmt in self.formats.items()
            if name in cycle
        )

    def explain(self, verdict: Verdict) -> str:
        """Why a proof failed, in one line."""
        if not verdict.is_inductive:
            return f"neither refuted nor inductive: {verdict.failed}"
        shown = self.describe(verdict.counterexample)
        if len(verdict.trace) > 1:
            shown = f"in cycle {len(verdict.trace)}: {shown}"
        return f"{verdict.failed}: {shown}" if shown else verdict.failed


def check(proof: Proof) -> Verdict:
    """Runs a proof, or recalls that it was proved.

    Raises
    ------
    MissingTool, ToolFailed
        As :func:`~lnsmadam.proof.formal.sby.prove`.
    """
    top, ports = proof.top()
    try:
        return prove(
            top,
            ports,
            mode=proof.mode,
            depth=proof.depth,
            engine=proof.engine,
            script=proof.script,
            timeout=proof.timeout,
        )
    except ToolFailed as error:
        raise ToolFailed(f"{proof}: {error}") from None
