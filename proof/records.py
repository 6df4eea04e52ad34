"""What a piece of evidence found, in one shape, kept as JSON for the verification page.

A file holds the records of one command and is named for it, ``simulate-add-format-lns16.json``: a run replaces what the
same command left before, and nothing else.
"""

import dataclasses
import datetime
import enum
import hashlib
import json
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnsmadam.hw.emit import write_atomically
from lnsmadam.proof.provenance import source_digest, tool_version
from lnsmadam.sim.ports import Check
from lnsmadam.sim.protocol import CHECKS as PROTOCOL

#: What each check of ``simulate`` claims, besides those of the protocol.
CLAIMS = {
    "batch": "emitted Verilog = golden model",
    "batch-stalls": "the same under random pauses on both sides",
    "icarus": "the same in a second simulator (Icarus Verilog)",
}
#: Of a file; one of another form is of another version of this program.
FORM = 2
# Of a file's name, below what any file system takes.
_MAX_NAME = 120


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


#: Whose version a record keeps.
_TOOLS = {
    Kind.PROVED: ("amaranth", "Yosys", "Z3"),
    Kind.EXHAUSTIVE: ("amaranth", "Verilator", "numpy"),
    Kind.SAMPLED: ("amaranth", "Verilator", "numpy"),
    Kind.ERROR: ("numpy", "mpmath"),
    Kind.GATES: ("amaranth", "Yosys", "Verilator", "numpy"),
    Kind.MUTATION: ("amaranth", "Yosys", "Z3", "Verilator", "numpy"),
    Kind.FUZZ: ("hypothesis",),
    Kind.COVERAGE: ("amaranth", "Verilator", "coverage"),
}


@dataclass(frozen=True)
class Record:
    """One line of evidence.

    Attributes
    ----------
    subject : str
        A unit of the registry, or ``trainer``, ``frames``, ``uart``, ``python``.
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
        Anything more, of JSON types: survivors, operands, uncovered lines. What the verification page reads is typed:
        :data:`DETAILS`.
    source : str
        Digest of its subject's source (:func:`source_of`); given by :func:`save`, as what follows is.
    date : str
        Day of the run, ``2026-11-24``.
    tools : dict
        Tool → version.
    """

    subject: str
    kind: Kind
    claim: str
    result: str
    passed: bool
    command: str
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)
    source: str = ""
    date: str = ""
    tools: dict[str, str] = field(default_factory=dict)


def source_of(record: Record) -> str:
    """The digest that its source has now."""
    return source_digest(record.subject, with_synthesis=record.kind is Kind.GATES)


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


def file_name(command: str) -> str:
    """Name of the file that keeps a command's records: its words, ``lnsmadam simulate add --count 5`` →
    ``simulate-add-count-5.json``.

    Two commands have two names: where a word has a character that names do not take, or there are too many, a digest
    of the command ends the name.
    """
    words = shlex.split(command)
    plain = "-".join(re.sub(r"^--?(?=[A-Za-z])", "", word) for word in words[words[:1] == ["lnsmadam"] :])
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", plain)[:_MAX_NAME]
    if name != plain:
        name += f"-{hashlib.sha256(command.encode()).hexdigest()[:8]}"
    return f"{name}.json"


def save(folder: Path, command: str, records: Iterable[Record]) -> Path:
    """Writes the records of a command, replacing those of its earlier run, with day, source and tools.

    Parameters
    ----------
    command : str
        Names the file: :func:`file_name`.
    """
    rows = []
    for record in records:
        stamped = dataclasses.replace(
            record,
            source=source_of(record),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            tools={name: tool_version(name) for name in _TOOLS[record.kind]},
        )
        rows.append({**dataclasses.asdict(stamped), "kind": record.kind.value})
    path = folder / file_name(command)
    write_atomically(path, json.dumps({"form": FORM, "records": rows}, indent=1, ensure_ascii=False) + "\n")
    return path


def save_by_command(folder: Path, records: Iterable[Record]) -> None:
    """Writes records, those that one command repeats into its file."""
    by_command: dict[str, list[Record]] = {}
    for record in records:
        by_command.setdefault(record.command, []).append(record)
    for command, own in by_command.items():
        save(folder, command, own)


def load(folder: Path) -> Sequence[Record]:
    """All records in a folder, in the order of their files' names, without those of :func:`other_form`.

    Raises
    ------
    ValueError
        A file does not hold records; the message names it and the field.
    """
    found = []
    for path in _paths(folder):
        content = _read(path)
        if _is_of_other_form(content):
            continue
        for number, row in enumerate(content["records"], 1):
            try:
                found.append(_record(row))
            except _Wrong as error:
                raise ValueError(f"{path} does not hold records of evidence: record {number}: {error}") from None
    return found


def other_form(folder: Path) -> list[Path]:
    """Files that another version of this program left, which :func:`load` leaves out."""
    return [path for path in _paths(folder) if _is_of_other_form(_read(path))]


def _paths(folder: Path) -> list[Path]:
    # By stem, so that a command comes before the same with options.
    return sorted(folder.glob("*.json"), key=lambda path: path.stem)


class _Wrong(ValueError):
    """What is wrong with a record."""


def _no_constant(name: str) -> float:
    raise _Wrong(f"{name} is not a number")


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold records of evidence: {error}") from None
    if not isinstance(content, (dict, list)) or isinstance(content, dict) and type(content.get("form")) is not int:
        raise ValueError(f"{path} does not hold records of evidence: it names no form")
    if isinstance(content, dict) and content["form"] == FORM and not isinstance(content.get("records"), list):
        raise ValueError(f"{path} does not hold records of evidence: it has no list of records")
    return content


def _is_of_other_form(content: Any) -> bool:
    # The first form was a bare list.
    return isinstance(content, list) or content["form"] != FORM


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_counts(value: Any) -> bool:
    return _is_count(value) or isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_versions(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


#: What a field must be, in words and as a test.
_FIELDS: dict[str, tuple[str, Any]] = {
    "subject": ("a text", _is_name),
    "kind": (f"one of {', '.join(kind.value for kind in Kind)}", lambda value: value in [kind.value for kind in Kind]),
    "claim": ("a text", _is_name),
    "result": ("a text", _is_text),
    "passed": ("true or false", lambda value: isinstance(value, bool)),
    "command": ("a text", _is_name),
    "seconds": ("a number from 0", _is_seconds),
    "details": ("an object", lambda value: isinstance(value, dict)),
    "source": ("a text", _is_text),
    "date": ("a text", _is_text),
    "tools": ("an object of texts", _are_versions),
}
#: The same for what the verification page reads of ``details``, where it is there.
DETAILS: dict[str, tuple[str, Any]] = {
    "short": ("a text", _is_text),
    "configuration": ("a text", _is_text),
    "family": ("a text", _is_text),
    "notes": ("a list of texts", _are_texts),
    "compared": ("a count, or an object of counts", _is_counts),
    "cycles": ("a count", _is_count),
    "survivors": ("a count", _is_count),
    "unexplained": ("a count", _is_count),
}


def _record(row: Any) -> Record:
    """A record of what JSON holds; raises :class:`_Wrong` naming the field."""
    if not isinstance(row, dict):
        raise _Wrong(f"{_shown(row)} is not an object")
    for name, (what, is_right) in _FIELDS.items():
        if name not in row:
            raise _Wrong(f"{name} is missing")
        if not is_right(row[name]):
            raise _Wrong(f"{name} must be {what}, not {_shown(row[name])}")
    if unknown := row.keys() - _FIELDS:
        raise _Wrong(f"{min(unknown)} is not a field")
    for name, (what, is_right) in DETAILS.items():
        if name in row["details"] and not is_right(row["details"][name]):
            raise _Wrong(f"{name} of details must be {what}, not {_shown(row['details'][name])}")
    return Record(**{**row, "kind": Kind(row["kind"])})


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
