"""The verification page, docs/verification.md, made from the records that the evidence left behind.

``make verify`` runs everything and then ``python -m lnsmadam.verification --records build/verify --document
docs/verification.md``. The page claims nothing that no record says: a cell without a record is a dash.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from lnsmadam.hw.emit import write_atomically
from lnsmadam.pages import markdown
from lnsmadam.proof.records import Kind, Record, load
from lnsmadam.units import UNITS

#: What else has evidence, behind the units, with what it is.
OTHERS = {
    "trainer": "the network that learns on the chip",
    "frames": "the frames between host and board",
    "uart": "the serial line",
    "python": "the golden model, the benches, the command line",
}

_HEAD = """\
# Verification

Made by `make verify` from the records of the runs themselves; each line names the command that repeats it (after `make
test` has set up `.venv`, whose `bin` is on the path). Words:

- **proved**: an SMT solver showed it for all operands and, where there are registers, all reachable states, however
  both sides pause and whenever reset comes. The circuit is the unit's own; a fault planted in each proof's subject
  makes it fail (`tests/formal`).
- **every argument**: the compiled Verilog was run on every operand there is and gave what the golden model gives.
- **sampled**: the same for seeded operands, half of them uniform, half aimed at corners, with the number of them.
- **worst error**: of the golden model, which the hardware equals, against real numbers in high precision.
- **gate level**: the same as sampled for the netlist after synthesis, with the vendor cells' models of Yosys.
- **mutants killed**: of single faults put into the unit's netlist, the share that the bench of `simulate` notices.
  Faults that a proof shows to change nothing are not counted. Those that survive are listed with the reason.
- **toggles**: of the bits of the unit's Verilog, the share that the bench has seen rise and fall; bits proved constant
  are not counted.
"""


#: What a reader may expect and will not find; written by hand, and shortened as it is mended.
_GAPS = """\
## What is not shown

- `dot`: stages, waiting and valid bits are proved without a bound, sums over whole vectors for the first 8 cycles of a
  narrow configuration; beyond that they are sampled.
- "Pipeline = core" is six premises that are proved and one induction over time that is written down
  (`proof/pipeline.py`), not checked by a machine; so are the parts of the frame parser's CRC (`proof/frame_parser.py`).
- The trainer's control reaches idle within the stated moves if each wait of the datapath ends as its schedule says;
  that it does is tested, not proved. Of the frame server, sequence numbers and the contents of answers are tested, not
  proved; the sender has no proof.
- LNS16 sums are faithful, not monotone in c, and no proof says so; bfloat16 operands of the fused units are sampled.
- Icarus Verilog and the netlists run fewer operands than the compiled Verilog; ECP5's block RAM is a model of our own,
  for Yosys has none.
- No board was at hand.
"""


def _power(count: int) -> str:
    """A count as a power of two where it is one, else with three digits."""
    if count >= 1024 and count & (count - 1) == 0:
        return f"2^{count.bit_length() - 1}"
    if count < 100_000:
        return f"{count:,}"
    exponent = math.floor(math.log10(count))
    return f"{count / 10**exponent:.2g} · 10^{exponent}"


def _cell(kind: Kind, records: Sequence[Record]) -> str:
    """What the summary says of one kind of evidence for one subject."""
    if not records:
        return "–"
    failed = sum(not record.passed for record in records)
    if kind is Kind.PROVED:
        text = f"{len(records) - failed} of {len(records)}"
    elif kind in (Kind.EXHAUSTIVE, Kind.SAMPLED):
        counts = [record.details.get("compared", 0) for record in records if record.passed]
        text = _power(max(counts, default=0) if kind is Kind.EXHAUSTIVE else sum(counts))
    elif kind is Kind.GATES:
        text = ", ".join(dict.fromkeys(str(record.details.get("family", record.claim)) for record in records))
    else:
        # The first is the default configuration's.
        text = str(records[0].details.get("short", records[0].result))
    return f"{text}, **{failed} failed**" if failed else text


def summary(records: Sequence[Record]) -> str:
    """The table of all subjects and all kinds."""
    rows = []
    for subject in (*UNITS, *OTHERS):
        own = [record for record in records if record.subject == subject]
        if own or subject in UNITS:
            name = f"[`{subject}`](#{subject})" if own else f"`{subject}`"
            rows.append((name, *(_cell(kind, [record for record in own if record.kind is kind]) for kind in Kind)))
    return markdown(("", *(_HEADINGS[kind] for kind in Kind)), rows)


_HEADINGS = {
    Kind.PROVED: "proved",
    Kind.EXHAUSTIVE: "every argument",
    Kind.SAMPLED: "sampled",
    Kind.ERROR: "worst error",
    Kind.GATES: "gate level",
    Kind.MUTATION: "mutants killed",
    Kind.FUZZ: "fuzz",
    Kind.COVERAGE: "toggles, branches",
}


def _together(records: Sequence[Record]) -> list[Record]:
    """Proofs of one statement for several configurations as one line."""
    lines: dict[tuple[str, bool, str], list[Record]] = {}
    for record in records:
        statement = record.claim.rpartition(" (")[0] if record.kind is Kind.PROVED else ""
        lines.setdefault((statement or record.claim, record.passed, record.command + record.kind.value), []).append(
            record
        )
    merged = []
    for (statement, passed, _), found in lines.items():
        if len(found) > 1 and found[0].kind is Kind.PROVED and passed:
            configurations = ", ".join(record.claim.rpartition(" (")[2].removesuffix(")") for record in found)
            seconds = sum(record.seconds for record in found)
            merged.append(replace(found[0], claim=f"{statement} ({configurations})", seconds=seconds))
        else:
            merged += found
    return merged


def section(subject: str, records: Iterable[Record]) -> str:
    """All that is known about one subject."""
    own = _together(
        sorted((record for record in records if record.subject == subject), key=lambda r: list(Kind).index(r.kind))
    )
    what = f"Computes {UNITS[subject].computes}" if subject in UNITS else OTHERS[subject]
    rows = [
        (
            _HEADINGS[record.kind],
            _escaped(record.claim),
            _escaped(record.result) if record.passed else f"**failed**: {_escaped(record.result)}",
            f"{record.seconds:.0f} s" if record.seconds >= 1 else "",
            f"`{_escaped(record.command)}`",
        )
        for record in own
    ]
    notes = [f"- {_escaped(note)}" for record in own for note in record.details.get("notes", ())]
    parts = [
        f"## {subject}",
        what[0].upper() + what[1:] + ".",
        markdown(("", "claim", "found", "time", "command"), rows),
    ]
    return "\n\n".join([*(part.strip() for part in parts), *(["\n".join(notes)] if notes else [])])


def _escaped(text: str) -> str:
    """Text that a Markdown table's cell may hold: one line, no column mark."""
    return " ".join(text.split()).replace("|", "\\|")


def page(records: Sequence[Record]) -> str:
    """The whole document.

    Raises
    ------
    ValueError
        There are no records, or one is of a subject that nobody knows.
    """
    if not records:
        raise ValueError("There are no records to make a page of; `make verify` leaves them in build/verify")
    if unknown := {record.subject for record in records} - {*UNITS, *OTHERS}:
        raise ValueError(f"Records speak of {', '.join(sorted(unknown))}, which is no unit")
    found = {record.subject for record in records}
    sections = [section(subject, records) for subject in (*UNITS, *OTHERS) if subject in found]
    return "\n\n".join([_HEAD.strip(), summary(records).strip(), _GAPS.strip(), *sections]) + "\n"


@click.command()
@click.option("--records", "folder", type=click.Path(file_okay=False, path_type=Path), default="build/verify")
@click.option("--document", type=click.Path(dir_okay=False, path_type=Path), help="The page to write.")
def main(folder: Path, document: Path | None) -> None:
    """Writes the verification page; exit status 1 if any evidence failed, 2 if there is none."""
    try:
        records = load(folder)
        text = page(records)
        if document:
            write_atomically(document, text)
    except (ValueError, OSError) as error:
        click.echo(f"lnsmadam: {error}", err=True)
        sys.exit(2)
    click.echo(document or text)
    for record in records:
        if not record.passed:
            click.echo(f"lnsmadam: {record.subject}: {record.claim}: {record.result}", err=True)
    sys.exit(int(not all(record.passed for record in records)))


if __name__ == "__main__":
    main()
