"""The verification page, docs/verification.md, made from the records that the evidence left behind.

``make verify`` runs everything and then makes it. The page claims nothing that no record says: a cell without a record
is a dash. The summary is of what ``make verify`` runs; what else was run stands in the unit's section.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from lnsmadam.console import duration
from lnsmadam.evidence import SOAKED
from lnsmadam.pages import markdown
from lnsmadam.proof.formal.proofs import all_proofs
from lnsmadam.proof.gate_level import FAMILIES
from lnsmadam.proof.provenance import source_digest
from lnsmadam.proof.records import CLAIMS, Kind, Record, source_of
from lnsmadam.units import UNITS

#: What else has evidence, behind the units, with what it is.
OTHERS = {
    "trainer": "the network that learns on the chip",
    "frames": "the frames between host and board",
    "uart": "the serial line",
    "python": "the golden model, the benches, the command line",
}
#: The trainings of ``make simulate``.
TRAININGS = tuple(f"lnsmadam train --on rtl --preset {preset} --epochs 10" for preset in ("FO", "FX", "FV"))

_HEAD = """\
# Verification

Made by `make verify` from the records of the runs themselves; each line names the command that repeats it (after `make
test` has set up `.venv`, with its `bin` on the path). What was proved or soaked before is told from what is kept of it,
while circuit, claim and tools are the same; with `LNSMADAM_CACHE` and `--folder` naming empty folders it is done anew.
Times are of two cores, some of them shared with other runs. Words:

- **proved**: a solver showed it for all operands and, where there are registers, all reachable states, however both
  sides pause and whenever reset comes. The circuit is the unit's own, as Amaranth hands it to Yosys: for claims of
  arithmetic, in the formats named, with `--pipeline 0` (Madam's with any random bits); that registers change nothing is
  claimed by itself, of the configurations that those lines name. Of the frame server, receiver and sender are replaced
  by what other lines prove of them. For "stages = core", and for the statements that name this route in
  `proof/formal/arithmetic.py` and `conversions.py`, ABC has first merged what is equal in the two circuits compared.
  What is proved for "stages = core" are its premises: the induction over time that joins them is written down.
  Each kind of statement has a fault planted in one unit that makes it fail (`tests/formal`); those of stages and
  streams are planted in `multiply`, `multiply_add`, `divide`, `dot` and `madam_update`. What is shown for some cycles
  from power-on, and no longer, is counted by itself, with the cycles.
- **every argument**: the compiled Verilog was run on every operand there is and gave what the golden model gives.
- **sampled**: the same for seeded operands, with the number of them: words of which each is equally likely, and a share
  of corner words (zeros, ones, ends of the range, and their neighbours).
  DIRECTED
- **worst error**: the largest found of the golden model against real numbers, over the arguments that the line names:
  all of them, or so many. All are looked at in floating point, the worst again with 50 digits. The summary has that
  of the default configuration; other formats stand in the unit's section.
- **gate level**: the netlist after synthesis, with the vendor cells' models of Yosys, on every argument or sampled;
  what ran again under random pauses is counted with it.
- **mutants killed**: of single faults put into the unit's netlist, the share that a bench notices: the batch bench of
  `simulate`, with resets in mid-flow, the number of cycles compared, and at the end every argument where they can be
  listed. They are drawn evenly over its cells, wires and source lines; of a large unit they are a sample of all there
  can be. Faults that a proof shows to change nothing are not counted. Those that survive are listed, with the reason
  where it is known.
- **source**: a digest of a unit's golden model, its hard operands and its hardware, and of all that these import
  (`proof/provenance.py`): two pages that show the same speak of the same circuit. Of netlists, how they are made counts
  too; the benches do not.
- **fuzz**: inputs that hypothesis draws, the same ones in each run of a version of it; an example is one that was not
  excluded, and of what goes through all units there are as many for each.
- **toggles**: of the bits of the unit's Verilog, the share that the bench has seen rise and fall; bits proved constant
  are not counted.
- **branches**: of the unit's Verilog, the share of its choices' outcomes that the bench has taken; of the Python, those
  that the tests take, in the folder named.
"""


#: What a reader may expect and will not find; written by hand, and shortened as it is mended.
_GAPS = """\
## What is not shown

- `dot`: stages, waiting and valid bits are proved without a bound, sums over whole vectors for the first 10 cycles of a
  narrow configuration, which is at most five transfers; beyond that they are sampled.
- "Pipeline = core" is six premises that are proved and one induction over time that is written down
  (`proof/formal/pipeline.py`), not checked by a machine; so are the parts of the frame parser's CRC
  (`proof/formal/frame_parser.py`).
- The trainer's control reaches idle within the stated moves if each wait of the datapath ends as its schedule says;
  that it does is tested, not proved. Of the frame server, that an answer comes, its payload and what a frame that is
  taken does are tested, not proved.
- LNS16 sums are faithful, not monotone in c, and no proof says so; bfloat16 operands of the fused units are sampled.
- Icarus Verilog and the netlists run fewer operands than the compiled Verilog; ECP5's block RAM is a model of our own,
  for Yosys has none.
- The trainer, its frames and its serial line have no gate level, mutants or toggles here; the netlists of the units are
  from before placing and routing.
- No board was at hand.
"""


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
#: Behind what was found in another source than the present one.
_EARLIER = "†"


def _is_earlier(record: Record) -> bool:
    return record.source != source_of(record)


def _usual(subject: str) -> frozenset[str]:
    """The commands of a subject's records that ``make verify`` leaves."""
    return frozenset(
        [
            *(f"lnsmadam {command} {subject}" for command in ("simulate", "prove", "error", "mutate", "coverage")),
            f"lnsmadam prove {subject} --long",
            *(f"lnsmadam gates {subject} --family {family}" for family in FAMILIES),
            "lnsmadam soak",
            *TRAININGS,
            "make fuzz",
            "make coverage",
        ]
    )


def _power(count: int) -> str:
    """A count as a power of two where it is one, else with three digits."""
    if count >= 1024 and count & (count - 1) == 0:
        return f"2^{count.bit_length() - 1}"
    if count < 100_000:
        return f"{count:,}"
    exponent = math.floor(math.log10(count))
    return f"{count / 10**exponent:.2g} · 10^{exponent}"


def _count(record: Record) -> int:
    compared = record.details.get("compared", 0)
    return compared if isinstance(compared, int) else sum(compared.values())


def _proved(records: Sequence[Record]) -> str:
    """How many of the proofs hold; those for some cycles by themselves."""
    cycles = [record.details.get("cycles", 0) for record in records]
    parts = []
    for bound in sorted(set(cycles)):
        own = [record for record, of in zip(records, cycles, strict=True) if of == bound]
        holding = sum(record.passed for record in own)
        parts.append(f"{holding} of {len(own)}" + (f" for {bound} cycles" if bound else ""))
    return ", ".join(parts)


def _counted(records: Sequence[Record], together: Callable[[Iterable[int]], int]) -> str:
    """Counts of the default configuration, and of each other with its name."""
    by_configuration: dict[str, list[int]] = {}
    for record in records:
        counts = by_configuration.setdefault(record.details.get("configuration", ""), [])
        counts.append(_count(record) if record.passed else 0)
    parts = [
        f"{name}: {_power(together(counts))}" if name else _power(together(counts))
        for name, counts in sorted(by_configuration.items())
    ]
    return "; ".join(parts)


def _short(records: Sequence[Record]) -> str:
    # The first is the default configuration's.
    text = str(records[0].details.get("short", records[0].result))
    unexplained = records[0].details.get("unexplained", 0)
    return f"{text}, {unexplained} not explained" if unexplained else text


def _families(records: Sequence[Record]) -> str:
    return ", ".join(dict.fromkeys(record.details.get("family", record.claim) for record in records))


_TEXTS: Mapping[Kind, Callable[[Sequence[Record]], str]] = {
    Kind.PROVED: _proved,
    Kind.EXHAUSTIVE: lambda records: _counted(records, max),
    Kind.SAMPLED: lambda records: _counted(records, sum),
    Kind.GATES: _families,
}


def _options(record: Record) -> str:
    """What a record's command has more than the one of ``make verify``."""
    command = record.command
    usual = max((own for own in _usual(record.subject) if command.startswith(f"{own} ")), key=len, default="")
    return command.removeprefix(usual).strip()


def _cell(kind: Kind, records: Sequence[Record]) -> str:
    """What the summary says of one kind of evidence for one subject: of the usual run, and of others where there is
    none, with their options."""
    usual = [record for record in records if record.command in _usual(record.subject)]
    tell, shown = _TEXTS.get(kind, _short), usual or records
    if not usual:
        by_options: dict[str, list[Record]] = {}
        for record in records:
            by_options.setdefault(_options(record), []).append(record)
        text = "; ".join(f"{tell(own)} (`{options}`)" for options, own in by_options.items()) or "–"
    else:
        text = tell(usual)
    if any(map(_is_earlier, shown)):
        text += f" {_EARLIER}"
    failed = sum(not record.passed for record in records)
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


def _provenance(records: Sequence[Record]) -> str:
    """Of which source and with which tools the records are; what the dagger means, where there is one."""
    now = [record for record in records if not _is_earlier(record)]
    versions: dict[str, set[str]] = {}
    for record in now:
        for tool, version in record.tools.items():
            versions.setdefault(tool, set()).add(version)
    found = ", ".join(f"{tool} {' and '.join(sorted(own))}" for tool, own in sorted(versions.items()))
    parts = [f"Found with {found}; the digest of its source stands below each subject's table."] if now else []
    if len(now) < len(records):
        parts.append(f"{_EARLIER} of an earlier source: found before what its subject is made of last changed.")
    return "\n\n".join(parts)


@lru_cache(maxsize=1)
def _proofs() -> dict[str, frozenset[str]]:
    """The commands of all proofs, by their subject."""
    commands: dict[str, set[str]] = {}
    for proof in all_proofs():
        commands.setdefault(proof.subject, set()).add(proof.command)
    return {subject: frozenset(found) for subject, found in commands.items()}


def missing(records: Sequence[Record]) -> list[str]:
    """What ``make verify`` would show and no record does, a line a kind."""
    # Icarus Verilog is skipped where it is not installed, which fails nothing: it is asked for by itself.
    second = {(record.subject, record.command) for record in records if record.claim == CLAIMS["icarus"]}
    found = {(record.subject, record.kind, record.command) for record in records if record.claim != CLAIMS["icarus"]}

    def lacks(subject: str, kinds: Sequence[Kind], *commands: str) -> bool:
        return not any((subject, kind, command) in found for kind in kinds for command in commands)

    sought: list[tuple[str, list[Kind], Callable[[str], list[str]]]] = [
        ("simulation", [Kind.EXHAUSTIVE, Kind.SAMPLED], lambda unit: [f"lnsmadam simulate {unit}"]),
        ("worst error", [Kind.ERROR], lambda unit: [f"lnsmadam error {unit}"]),
        *(
            (f"gate level for {family}", [Kind.GATES], lambda unit, of=family: [f"lnsmadam gates {unit} --family {of}"])
            for family in FAMILIES
        ),
        ("mutants", [Kind.MUTATION], lambda unit: [f"lnsmadam mutate {unit}"]),
        ("toggles and branches", [Kind.COVERAGE], lambda unit: [f"lnsmadam coverage {unit}"]),
    ]
    soaked = dict.fromkeys(unit for unit, _, _ in SOAKED.values())
    groups = {
        "proofs in full": (
            [
                subject
                for subject, commands in _proofs().items()
                if any(lacks(subject, [Kind.PROVED], command) for command in commands)
            ],
            len(_proofs()),
        ),
        **{
            f"{what} in full": ([unit for unit in UNITS if lacks(unit, kinds, *commands(unit))], len(UNITS))
            for what, kinds, commands in sought
        },
        "the second simulator, Icarus Verilog": (
            [unit for unit in UNITS if (unit, f"lnsmadam simulate {unit}") not in second],
            len(UNITS),
        ),
        "the long run": (
            [unit for unit in soaked if lacks(unit, [Kind.EXHAUSTIVE, Kind.SAMPLED], "lnsmadam soak")],
            len(soaked),
        ),
    }
    lines = [
        f"{what}: {'anything' if len(lacking) == total else ', '.join(f'`{name}`' for name in lacking)}"
        for what, (lacking, total) in groups.items()
        if lacking
    ]
    if lacks("trainer", [Kind.SAMPLED], *TRAININGS):
        lines.append("simulation in full: the trainer")
    if lacks("python", [Kind.FUZZ], "make fuzz"):
        lines.append("searches by random input")
    if lacks("python", [Kind.COVERAGE], "make coverage"):
        lines.append("the branches of the Python that the tests take")
    return lines


def gaps(records: Sequence[Record]) -> str:
    """What is not shown: what is known by hand, and what the records lack."""
    every = {
        record.subject
        for record in records
        if record.kind is Kind.EXHAUSTIVE and record.command == f"lnsmadam simulate {record.subject}"
    }
    lines = [f"No record of {line}." for line in missing(records)]
    if rest := [f"`{unit}`" for unit in UNITS if unit not in every]:
        lines.insert(0, f"Not run on every argument in the default configuration: {', '.join(rest)}.")
    return "\n".join([_GAPS.strip(), *(_wrapped(f"- {line}") for line in lines)])


def _wrapped(bullet: str) -> str:
    """A line of a list, broken where the page's others are."""
    return textwrap.fill(bullet, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _together(records: Sequence[Record]) -> list[Record]:
    """Proofs of one statement for several configurations as one line."""
    lines: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        statement = record.claim.rpartition(" (")[0] if record.kind is Kind.PROVED else ""
        # The long ones of a subject come with the others in one run.
        command = record.command.removesuffix(" --long")
        key = (statement or record.claim, record.passed, command, record.kind, record.source, record.result)
        lines.setdefault(key, []).append(record)
    merged = []
    for (statement, passed, *_), found in lines.items():
        if len(found) > 1 and found[0].kind is Kind.PROVED and passed:
            # Names of configurations have commas of their own.
            configurations = "; ".join(record.claim.rpartition(" (")[2].removesuffix(")") for record in found)
            seconds = sum(record.seconds for record in found)
            command = max((record.command for record in found), key=len)
            claim = f"{statement} ({configurations})"
            merged.append(replace(found[0], claim=claim, seconds=seconds, command=command))
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
            f"{_HEADINGS[record.kind]} {_EARLIER}" if _is_earlier(record) else _HEADINGS[record.kind],
            _escaped(record.claim),
            _escaped(record.result) if record.passed else f"**failed**: {_escaped(record.result)}",
            duration(record.seconds),
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
    if any(not _is_earlier(record) for record in own):
        netlists = f"; with how netlists are made: `{source_digest(subject, with_synthesis=True)}`"
        has_netlists = any(record.kind is Kind.GATES for record in own)
        parts.append(f"Source: `{source_digest(subject)}`{netlists if has_netlists else ''}.")
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
    directed = ", ".join(f"`{name}`" for name, unit in UNITS.items() if unit.directed)
    note = f"  Half of a long run's are operands of their own, aimed at what is hard for them, of {directed}."
    head = _HEAD.replace("  DIRECTED", _wrapped(note))
    return "\n\n".join([head.strip(), summary(records).strip(), _provenance(records), gaps(records), *sections]) + "\n"
