"""The verification page: it says what the records say, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from lnsmadam import verification
from lnsmadam.cli.main import main
from lnsmadam.evidence import SOAKED
from lnsmadam.proof.gate_level import FAMILIES
from lnsmadam.proof.provenance import source_digest
from lnsmadam.proof.records import CLAIMS, Kind, Record, save, save_by_command, source_of
from lnsmadam.units import UNITS
from lnsmadam.verification import OTHERS, TRAININGS, gaps, missing, page, summary

#: Kind → the command of ``make verify``.
COMMANDS = {
    Kind.PROVED: "lnsmadam prove add",
    Kind.EXHAUSTIVE: "lnsmadam simulate add",
    Kind.SAMPLED: "lnsmadam simulate add",
    Kind.ERROR: "lnsmadam error add",
    Kind.GATES: "lnsmadam gates add --family ecp5",
    Kind.MUTATION: "lnsmadam mutate add",
    Kind.FUZZ: "make fuzz",
    Kind.COVERAGE: "lnsmadam coverage add",
}


def record(kind=Kind.SAMPLED, passed=True, more="", subject="add", **details):
    """Of the present source; ``more`` options of its command."""
    command = COMMANDS[kind].replace("add", subject) + more
    found = Record(subject, kind, "a | b", "1,024 equal", passed, command, 3.2, details)
    return replace(found, source=source_of(found))


def cells(*records, subject="add"):
    rows = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in summary(records).splitlines()[2:]}
    assert len(rows) >= len(UNITS)
    name = f"[`{subject}`](#{subject})" if f"[`{subject}`](#{subject})" in rows else f"`{subject}`"
    return {kind: cell.strip() for kind, cell in zip(Kind, rows[name], strict=True)}


def test_a_unit_without_records_is_a_row_of_dashes():
    assert set(cells(record(compared=1024), subject="multiply").values()) == {"–"}
    assert list(cells(record(compared=1024)).values()).count("–") == len(Kind) - 1


def test_counts_and_short_texts_reach_the_summary():
    found = cells(
        record(compared=1_000_000_000),
        record(compared=500_000_000),
        record(Kind.EXHAUSTIVE, compared=1 << 24),
        record(Kind.PROVED),
        record(Kind.PROVED, passed=False),
        record(Kind.MUTATION, short="99.3 %"),
    )
    assert found[Kind.SAMPLED] == "1.5 · 10^9" and found[Kind.EXHAUSTIVE] == "2^24"
    assert found[Kind.PROVED] == "1 of 2, **1 failed**" and found[Kind.MUTATION] == "99.3 %"


@pytest.mark.parametrize("kind", Kind)
def test_a_variant_does_not_take_the_place_of_the_usual_run(kind):
    full = record(kind, compared=4096, short="full", family="ecp5")
    short = record(kind, more=" --count 1", compared=3, short="short", family="ice40")
    for both in ((full, short), (short, full)):
        assert cells(*both)[kind] == cells(full)[kind]
        assert " --count 1`" in page(both) and page(both).count("| a \\| b |") == 2
    # Alone it is shown for what it is; where it fails, also beside the other.
    assert cells(short)[kind].endswith("(`--count 1`)")
    assert cells(full, replace(short, passed=False))[kind] == f"{cells(full)[kind]}, **1 failed**"


def test_counts_of_another_configuration_stand_by_themselves():
    soak = replace(record(compared=2_000_000, configuration="lns16"), command="lnsmadam soak")
    assert cells(record(compared=4096), soak)[Kind.SAMPLED] == "2^12; lns16: 2 · 10^6"


def test_what_is_shown_for_some_cycles_is_not_counted_as_proved():
    assert cells(record(Kind.PROVED), record(Kind.PROVED, cycles=8))[Kind.PROVED] == "1 of 1, 1 of 1 for 8 cycles"


def test_survivors_without_a_reason_are_in_the_summary():
    assert cells(record(Kind.MUTATION, short="98 %", unexplained=3))[Kind.MUTATION] == "98 %, 3 not explained"
    assert cells(record(Kind.MUTATION, short="98 %", unexplained=0))[Kind.MUTATION] == "98 %"


def test_what_is_of_an_earlier_source_is_marked():
    now, earlier = (
        record(Kind.ERROR, short="0.5"),
        replace(record(Kind.MUTATION, short="99 %"), source="0123456789abcdef"),
    )
    found = cells(now, earlier)
    assert found[Kind.ERROR] == "0.5" and found[Kind.MUTATION] == "99 % †"
    text = page([now, earlier])
    assert "\n| worst error | a" in text and "\n| mutants killed † | a" in text
    assert text.count("† of an earlier source") == 1 and source_digest("add") in text
    assert "†" not in page([now]) and source_digest("add") not in page([earlier])


def test_a_change_of_the_source_marks_what_was_saved_before(tmp_path, capsys, monkeypatch):
    save(tmp_path, "x", [record()])
    assert main(["page", "--records", str(tmp_path)]) == 0
    assert "†" not in capsys.readouterr().out
    monkeypatch.setattr(verification, "source_of", lambda record: "another")
    assert main(["page", "--records", str(tmp_path)]) == 0
    assert "| sampled † | a" in capsys.readouterr().out


def test_tools_are_named_once():
    found = [replace(record(), tools={"Verilator": version, "numpy": "2.4"}) for version in ("5.1", "5.0", "5.1")]
    assert "Found with Verilator 5.0 and 5.1, numpy 2.4; the digest of its source stands" in page(found)


def test_sections_hold_claims_commands_and_notes():
    text = page([record(notes=["bit 3 of x: constant"]), record(subject="trainer")])
    assert "## add" in text and "## trainer" in text and "## multiply" not in text
    assert r"| sampled | a \| b | 1,024 equal | 3.2 s | `lnsmadam simulate add` |" in text
    assert "- bit 3 of x: constant" in text


def test_proofs_of_one_statement_are_one_line():
    names = (("lns6", True), ("lns8, pipeline 2", True), ("lns16", False))
    proofs = [
        replace(record(Kind.PROVED, passed), claim=f"a + b = b + a ({name})", result="proved", seconds=6.0)
        for name, passed in names
    ]
    long = replace(proofs[0], claim="a + b = b + a (synapse)", command="lnsmadam prove add --long")
    text = page([*proofs, long])
    line = "| proved | a + b = b + a (lns6; lns8, pipeline 2; synapse) | proved | 18 s | `lnsmadam prove add --long` |"
    assert line in text
    assert "| proved | a + b = b + a (lns16) | **failed**: proved |" in text and "3 of 4, **1 failed**" in text


def test_gate_level_names_its_families():
    both = [
        record(Kind.GATES, family="ecp5"),
        replace(record(Kind.GATES, family="ice40"), command="lnsmadam gates add --family ice40"),
    ]
    assert cells(*both, both[0])[Kind.GATES] == "ecp5, ice40"


def everything():
    """A record of all that ``make verify`` runs."""
    for unit in UNITS:
        for kind in (Kind.EXHAUSTIVE, Kind.ERROR, Kind.MUTATION, Kind.COVERAGE):
            yield record(kind, subject=unit)
        yield replace(record(subject=unit), claim=CLAIMS["icarus"])
        for family in FAMILIES:
            yield replace(record(Kind.GATES, subject=unit), command=f"lnsmadam gates {unit} --family {family}")
    for subject in (*UNITS, "trainer", "frames", "uart"):
        yield record(Kind.PROVED, subject=subject)
        if subject != "uart":
            yield record(Kind.PROVED, more=" --long", subject=subject)
    for unit in dict.fromkeys(unit for unit, _, _ in SOAKED.values()):
        yield replace(record(subject=unit), command="lnsmadam soak")
    yield replace(record(subject="trainer"), command=TRAININGS[0])
    yield record(Kind.FUZZ, subject="python")
    yield replace(record(Kind.COVERAGE, subject="python"), command="make coverage")


def test_what_is_missing_is_computed():
    assert missing(list(everything())) == []
    whole = list(everything())
    for left_out in whole:
        (line,) = missing([other for other in whole if other is not left_out])
        assert left_out.subject in OTHERS or line.endswith(f": `{left_out.subject}`")
    short = [replace(r, command=f"{r.command} --count 1") if r.kind is Kind.MUTATION else r for r in whole]
    assert missing(short) == ["mutants in full: anything"]
    text = gaps([r for r in whole if (r.subject, r.kind) != ("dot", Kind.EXHAUSTIVE)])
    assert "- Not run on every argument in the default configuration: `dot`." in text
    assert "- No record of simulation in full: `dot`." in text and max(map(len, text.splitlines())) <= 120


def test_the_trainings_are_those_of_make():
    makefile = Path(__file__).parents[2].joinpath("Makefile").read_text()
    assert "for preset in FO FX FV" in makefile
    assert [words.split()[5] for words in TRAININGS] == ["FO", "FX", "FV"]
    assert "train --on rtl --preset $$preset --epochs 10 --records" in makefile


@pytest.mark.parametrize("records, status", [([record()], 0), ([record(), record(passed=False)], 1), ([], 2)])
def test_status(records, status, tmp_path, capsys):
    save(tmp_path, "records", records)
    document = tmp_path / "page.md"
    assert main(["page", "--records", str(tmp_path), "--document", str(document)]) == status
    assert document.exists() == (status < 2)
    error = capsys.readouterr().err
    if status == 1:
        assert "**failed**" in document.read_text() and error == "lnsmadam: add: a | b: 1,024 equal\n"
    if status == 2:
        assert error.startswith("lnsmadam: There are no records") and error.count("\n") == 1


def test_what_cannot_be_a_page_is_one_line(tmp_path, capsys):
    with pytest.raises(ValueError, match="nobody, which is no unit"):
        page([replace(record(), subject="nobody")])
    (tmp_path / "x.json").write_text("[")
    for folder, reason in ((tmp_path, "x.json does not hold records"), (tmp_path / "none", "none' does not exist")):
        assert main(["page", "--records", str(folder)]) == 2
        error = capsys.readouterr().err
        assert reason in error and len(error.splitlines()) == 1
    assert main(["page", "--no-such"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_files_of_another_version_are_told(tmp_path, capsys):
    save_by_command(tmp_path, [record()])
    (tmp_path / "old.json").write_text("[]")
    assert main(["page", "--records", str(tmp_path)]) == 0
    line = f"lnsmadam: left out, as of another version of lnsmadam: {tmp_path / 'old.json'}"
    assert capsys.readouterr().err == f"{line}\n"
    (tmp_path / "older.json").write_text("[]")
    assert main(["page", "--records", str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"{line} and 1 more\n"
    others = tmp_path / "others"
    others.mkdir()
    (others / "old.json").write_text("[]")
    assert main(["page", "--records", str(others)]) == 2
    reason = "There are no records to make a page of, only of another version of lnsmadam: "
    assert capsys.readouterr().err == f"lnsmadam: {reason}{others / 'old.json'}\n"
