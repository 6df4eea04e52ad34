"""What a unit's stimulus does not reach in its Verilog: bits that do not toggle, branches that are not taken.

The counts are Verilator's, of a run whose every result is compared with the golden model. What stays uncovered is
proved to be out of reach (:mod:`lnsmadam.proof.coverage.unreachable`), or has its reason in ``unreached.json``, or is
open.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import Words
from lnsmadam.hw.emit import Emitted
from lnsmadam.proof.coverage.unreachable import Place, prove_unreachable
from lnsmadam.proof.records import Kind, Record
from lnsmadam.sim.batch import compare
from lnsmadam.sim.build import scratch_folder
from lnsmadam.sim.ports import Model
from lnsmadam.sim.stimulus import Directed, stimulus

#: Transfers of each of the runs.
COUNT = 1 << 16
_REASONS = Path(__file__).with_name("unreached.json")
_POINT = re.compile(r"C '(?P<keys>.*)' (?P<count>\d+)")
_TOGGLE = re.compile(r"(?P<name>.*?)(?:\[(?P<bit>\d+)\])?:(?P<change>0->1|1->0)")
_PAST = "TOP.plain.unit"
# Yosys writes `if (…) begin end` on a constant of this name into every process, for simulators that need an event.
_ARTEFACT = "verilog_backend"


@dataclass(frozen=True)
class Coverage:
    """What a stimulus reached.

    Attributes
    ----------
    compared : int
        Results compared with the golden model.
    failure : str or None
        What was wrong with them: then nothing else counts.
    bits, branches : int
        All there are, of every signal and of every ``if`` and ``?`` of the Verilog.
    reached_bits, reached_branches : int
        Those that changed both ways, and those taken.
    proved : tuple of str
        What nothing can reach.
    explained : dict
        What has a reason, by its name.
    open : tuple of str
        The rest.
    stale : tuple of str
        What has a reason although it is reached, proved, or not there.
    """

    compared: int
    failure: str | None
    bits: int
    branches: int
    reached_bits: int
    reached_branches: int
    proved: tuple[str, ...]
    explained: Mapping[str, str]
    open: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.compared > 0 and self.failure is None and not self.open and not self.stale


def read_counts(text: str) -> dict[Place, dict[str, int]]:
    """Verilator's counts of the unit: of a bit by the direction of its change, of a branch under an empty text.

    Raises
    ------
    ValueError
        A line is of another shape.
    """
    counts: dict[Place, dict[str, int]] = {}
    for line in text.splitlines()[1:]:
        point = _POINT.fullmatch(line)
        if point is None:
            raise ValueError(f"Verilator's coverage has a line of another shape: {line!r}")
        keys = dict(key.split("\x02", 1) for key in point["keys"].split("\x01")[1:])
        if not keys["h"].startswith(_PAST):
            continue
        instance, number = _decoded(keys["h"].removeprefix(_PAST).lstrip(".")), int(keys["l"])
        if keys["t"] != "toggle":
            place, change = Place(instance, "", 0, number, keys["o"]), ""
        elif toggle := _TOGGLE.fullmatch(keys["o"]):
            place, change = Place(instance, _decoded(toggle["name"]), int(toggle["bit"] or 0), number), toggle["change"]
        else:
            raise ValueError(f"Verilator's coverage has a toggle of another shape: {line!r}")
        of_place = counts.setdefault(place, {})
        of_place[change] = of_place.get(change, 0) + int(point["count"])
    return counts


def _decoded(name: str) -> str:
    """A name as in the Verilog: Verilator writes other characters than letters and digits in hexadecimal."""
    return re.sub(r"__0([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), name, flags=re.IGNORECASE)


def _runs(
    config: UnitConfig, directed: Directed | None, seed: int, count: int
) -> Iterator[tuple[dict[str, Words], bool]]:
    """Operands, and whether both sides pause: those of ``simulate``, and the unit's own by themselves, in an order
    that only they have."""
    mixed = stimulus(config, seed, count, directed).first(count)
    yield mixed, False
    yield mixed, True
    if directed is not None:
        chosen = directed(config, np.random.default_rng([seed, 2]), count)
        yield {name: np.asarray(chosen[name]).astype(fmt.dtype) for name, fmt in config.inputs.items()}, True


def measure(
    emitted: Emitted,
    model: Model,
    config: UnitConfig,
    directed: Directed | None = None,
    *,
    seed: int = 0,
    count: int = COUNT,
    reasons: Mapping[str, str] | None = None,
) -> Coverage:
    """Runs a unit's stimulus and sorts what it does not reach.

    Parameters
    ----------
    emitted : Emitted
    model : Model
    config : UnitConfig
    directed : function, optional
        The unit's own operands.
    seed : int
        Of operands and pauses.
    count : int
        Transfers of each run.
    reasons : dict, optional
        Why what is not reached is not; by default those of ``unreached.json`` for this unit.

    Raises
    ------
    MissingTool, ToolFailed
        A tool is missing or failed.
    """
    if reasons is None:
        reasons = json.loads(_REASONS.read_text(encoding="utf-8")).get(config.unit, {})
    counts: dict[Place, dict[str, int]] = {}
    compared = 0
    with scratch_folder() as folder:
        for operands, pauses in _runs(config, directed, seed, count):
            path = folder / "coverage.dat"
            outcome = compare(emitted, model, [operands], stalls_seed=seed if pauses else None, coverage=path)
            compared += outcome.count
            if not outcome.passed:
                return Coverage(compared, outcome.failure, 0, 0, 0, 0, (), {}, (), ())
            for place, found in read_counts(path.read_text(encoding="utf-8")).items():
                of_place = counts.setdefault(place, {})
                for change, number in found.items():
                    of_place[change] = of_place.get(change, 0) + number
    lines = emitted.verilog.splitlines()
    counts = {
        place: found for place, found in counts.items() if _ARTEFACT not in f"{place.signal} {lines[place.line - 1]}"
    }
    missed = [place for place, found in counts.items() if 0 in found.values()]
    proved = prove_unreachable(emitted, missed)
    names = {place: describe(place, lines) for place in missed}
    left = [names[place] for place in missed if place not in proved]
    bits = [place for place in counts if place.signal]
    return Coverage(
        compared,
        None,
        len(bits),
        len(counts) - len(bits),
        len(bits) - sum(1 for place in missed if place.signal),
        len(counts) - len(bits) - sum(1 for place in missed if not place.signal),
        tuple(names[place] for place in missed if place in proved),
        {name: reasons[name] for name in left if name in reasons},
        tuple(name for name in left if name not in reasons),
        tuple(name for name in reasons if name not in left),
    )


def describe(place: Place, lines: list[str]) -> str:
    """A place by the names of the Verilog: ``overflow_9[0]``, or a branch with its statement."""
    if place.signal:
        return f"{place.instance + '.' if place.instance else ''}{place.signal}[{place.bit}]"
    return f"{place.arm} of line {place.line}: {lines[place.line - 1].strip()}"


def coverage_record(subject: str, coverage: Coverage, command: str, seconds: float) -> Record:
    """The line of evidence."""
    if coverage.failure is not None:
        result, short = coverage.failure, "failed"
    else:
        bits, branches = (coverage.bits, coverage.reached_bits), (coverage.branches, coverage.reached_branches)
        result = "; ".join(
            f"{reached:,} of {total:,} {what}"
            for (total, reached), what in ((bits, "bits change both ways"), (branches, "branches taken"))
        )
        result += f"; {len(coverage.proved):,} proved out of reach"
        result += f", {len(coverage.explained):,} explained, {len(coverage.open):,} open"
        short = "all" if not coverage.explained else f"all but {len(coverage.explained):,} explained"
        if coverage.open:
            short = f"{len(coverage.open):,} open"
    notes = [f"{name}: {reason}" for name, reason in coverage.explained.items()]
    notes += [f"{name}: open" for name in coverage.open]
    notes += [f"{name}: has a reason that it does not need" for name in coverage.stale]
    details = {
        "short": short, "notes": notes, "bits": coverage.bits, "reached_bits": coverage.reached_bits,
        "branches": coverage.branches, "reached_branches": coverage.reached_branches, "proved": list(coverage.proved),
        "compared": coverage.compared,
    }  # fmt: skip
    claim = "every bit and branch of the Verilog is reached by the stimulus, proved out of reach, or explained"
    return Record(subject, Kind.COVERAGE, claim, result, coverage.passed, command, seconds, details)
