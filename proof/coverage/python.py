"""How many branches of the Python the tests take, by folder, out of the report that ``coverage json`` writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnsmadam.proof.records import Kind, Record

#: What at least must be taken, in percent, of those folders that everything else is compared with or checked by.
TARGETS = {"golden": 95.0, "sim": 95.0}
#: Folders in the order of the report.
FOLDERS = ("golden", "sim", "hw", "fpga", "proof", "src")


@dataclass(frozen=True)
class Folder:
    """Counts of one folder.

    Attributes
    ----------
    branches, taken : int
        Ways out of a statement that has more than one.
    lines, run : int
        Statements.
    missing : dict
        File → ways that are not taken, as ``from->to`` by line; a negative number leaves the function.
    """

    branches: int
    taken: int
    lines: int
    run: int
    missing: Mapping[str, list[str]]

    @property
    def percent(self) -> float:
        """Of the branches; of the statements, where there is no branch."""
        total, reached = (self.branches, self.taken) if self.branches else (self.lines, self.run)
        return 100.0 * reached / total if total else 0.0


def read_report(path: Path) -> dict[str, Folder]:
    """Folders by name; those of which nothing was measured are missing.

    Raises
    ------
    ValueError
        The file is not a report of ``coverage json`` with branches.
    """
    try:
        files: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["files"]
        counts: dict[str, list[int]] = {}
        missing: dict[str, dict[str, list[str]]] = {}
        for name, entry in sorted(files.items()):
            folder, summary = Path(name).parts[0], entry["summary"]
            sums = (
                summary["num_branches"], summary["covered_branches"],
                summary["num_statements"], summary["covered_lines"],
            )  # fmt: skip
            counts[folder] = [a + b for a, b in zip(counts.get(folder, [0] * 4), sums, strict=True)]
            if ways := [f"{start}->{end}" for start, end in entry["missing_branches"]]:
                missing.setdefault(folder, {})[name] = ways
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a report of `coverage json` with branches: {error}") from None
    found = {}
    for folder in FOLDERS:
        if folder in counts:
            branches, taken, lines, run = counts[folder]
            found[folder] = Folder(branches, taken, lines, run, missing.get(folder, {}))
    return found


def python_record(folders: Mapping[str, Folder], command: str) -> Record:
    """The line of evidence; it fails where a folder of :data:`TARGETS` is below its own, or is missing."""
    shown = [f"{name} {folder.percent:.1f} %" for name, folder in folders.items()]
    below = [
        f"{name} is below {target:g} %"
        for name, target in TARGETS.items()
        if name not in folders or folders[name].percent < target
    ]
    details = {
        "short": ", ".join(shown[: len(TARGETS)]),
        "folders": {
            name: {"branches": folder.branches, "taken": folder.taken, "lines": folder.lines, "run": folder.run}
            for name, folder in folders.items()
        },
    }
    claim = "branches of the Python that the tests take"
    return Record(
        "python", Kind.COVERAGE, claim, "; ".join([", ".join(shown), *below]), not below, command, 0.0, details
    )
