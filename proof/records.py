"""What a piece of evidence found, in one shape, kept as JSON for the verification page."""

import dataclasses
import enum
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnsmadam.hw.emit import write_atomically
from lnsmadam.sim.ports import Check
from lnsmadam.sim.protocol import CHECKS as PROTOCOL

#: What each check of ``simulate`` claims, besides those of the protocol.
CLAIMS = {
    "batch": "emitted Verilog = golden model",
    "batch-stalls": "the same under random pauses on both sides",
    "icarus": "the same in a second simulator (Icarus Verilog)",
}


class Kind(enum.Enum):
    """How a claim is backed; the sections of the verification page, in its order."""

    PROVED = "proved"
    EXHAUSTIVE = "exhaustive"
    SAMPLED = "sampled"
    ERROR = "worst error"
    GATES = "gate level"
    MUTATION = "mutation"
    FUZZ = "fuzz"
    COVERAGE = "coverage"


@dataclass(frozen=True)
class Record:
    """One line of evidence.

    Attributes
    ----------
    subject : str
        A unit of the registry, or ``trainer``, ``frames``, ``python``.
    kind : Kind
    claim : str
        What is claimed, in one clause: ``a · 1 + 0 = a``.
    result : str
        What was found, with its amount: ``298 of 300 killed``, ``2^24 transfers equal``.
    passed : bool
    command : str
        What reproduces the line, from the root of a checkout.
    seconds : float
        How long it took.
    details : dict
        Anything more, of JSON types: survivors, operands, uncovered lines.
    """

    subject: str
    kind: Kind
    claim: str
    result: str
    passed: bool
    command: str
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)


def of_checks(subject: str, checks: Sequence[Check], command: str) -> list[Record]:
    """Records of what ``simulate`` checked and did not skip; those of the protocol are one."""
    protocol = [check for check in checks if check.name in PROTOCOL]
    failed = [check.message for check in protocol if not check.passed]
    together = Check(
        "protocol",
        sum(check.compared for check in protocol),
        not failed,
        "; ".join(failed) or ", ".join(check.message for check in protocol),
        skipped=not protocol,
        seconds=sum(check.seconds for check in protocol),
    )
    claims = {**CLAIMS, "protocol": f"protocol, in cocotb: {', '.join(check.name for check in protocol)}"}
    return [
        Record(
            subject,
            Kind.EXHAUSTIVE if check.is_exhaustive else Kind.SAMPLED,
            claims[check.name],
            f"{check.compared:,} compared: {check.message}",
            check.passed,
            command,
            check.seconds,
            {"compared": check.compared},
        )
        for check in (*(check for check in checks if check.name not in PROTOCOL), together)
        if not check.skipped
    ]


def save(folder: Path, name: str, records: Iterable[Record]) -> Path:
    """Writes records as ``folder/name.json``, replacing those of an earlier run."""
    rows = [{**dataclasses.asdict(record), "kind": record.kind.value} for record in records]
    path = folder / f"{name}.json"
    write_atomically(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return path


def load(folder: Path) -> Sequence[Record]:
    """All records below a folder, in the order of their files' names.

    Raises
    ------
    ValueError
        A file does not hold records; the message names it.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            found += [Record(**{**row, "kind": Kind(row["kind"])}) for row in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} does not hold records of evidence: {error}") from None
    return found
