"""The verification page: it says what the records say, and nothing else."""

import pytest
from click.testing import CliRunner

from lnsmadam.proof.records import Kind, Record, save
from lnsmadam.units import UNITS
from lnsmadam.verification import main, page, summary


def record(subject="add", kind=Kind.SAMPLED, passed=True, **details):
    return Record(subject, kind, "a | b", "1,024 equal", passed, "lnsmadam simulate add", 3.2, details)


def rows_of(text):
    return {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in text.splitlines()[2:]}


def test_a_unit_without_records_is_a_row_of_dashes():
    rows = rows_of(summary([record(compared=1024)]))
    assert len(rows) == len(UNITS) and set(rows["`multiply`"]) == {"–"}
    assert rows["[`add`](#add)"].count("–") == len(Kind) - 1


def test_counts_and_short_texts_reach_the_summary():
    rows = rows_of(
        summary(
            [
                record(compared=1_000_000_000),
                record(compared=500_000_000),
                record(kind=Kind.EXHAUSTIVE, compared=1 << 24),
                record(kind=Kind.PROVED),
                record(kind=Kind.PROVED, passed=False),
                record(kind=Kind.MUTATION, short="99.3 %"),
            ]
        )
    )
    cells = dict(zip(Kind, rows["[`add`](#add)"], strict=True))
    assert cells[Kind.SAMPLED] == "1.5 · 10^9" and cells[Kind.EXHAUSTIVE] == "2^24"
    assert cells[Kind.PROVED] == "1 of 2, **1 failed**" and cells[Kind.MUTATION] == "99.3 %"


def test_sections_hold_claims_commands_and_notes():
    text = page([record(notes=["bit 3 of x: constant"]), record("trainer")])
    assert "## add" in text and "## trainer" in text and "## multiply" not in text
    assert r"| sampled | a \| b | 1,024 equal | 3 s | `lnsmadam simulate add` |" in text
    assert "- bit 3 of x: constant" in text


def test_proofs_of_one_statement_are_one_line():
    proofs = [
        Record("add", Kind.PROVED, f"a + b = b + a ({name})", "proved", passed, "lnsmadam prove add", 2.0)
        for name, passed in (("lns6", True), ("lns8", True), ("lns16", False))
    ]
    text = page(proofs)
    assert "| proved | a + b = b + a (lns6, lns8) | proved | 4 s |" in text
    assert "| proved | a + b = b + a (lns16) | **failed**: proved |" in text and "2 of 3, **1 failed**" in text


def test_gate_level_names_its_families():
    records = [record(kind=Kind.GATES, family=family) for family in ("ice40", "ecp5", "ice40")]
    assert dict(zip(Kind, rows_of(summary(records))["[`add`](#add)"], strict=True))[Kind.GATES] == "ice40, ecp5"


@pytest.mark.parametrize("records, status", [([record()], 0), ([record(), record(passed=False)], 1), ([], 2)])
def test_status(records, status, tmp_path):
    save(tmp_path, "records", records)
    document = tmp_path / "page.md"
    done = CliRunner().invoke(main, ["--records", str(tmp_path), "--document", str(document)])
    assert done.exit_code == status, done.output
    assert document.exists() == (status < 2)
    if status == 1:
        assert "**failed**" in document.read_text() and "lnsmadam: add: a | b: 1,024 equal" in done.output


def test_what_cannot_be_a_page_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="nobody, which is no unit"):
        page([record("nobody")])
    (tmp_path / "x.json").write_text("[")
    done = CliRunner().invoke(main, ["--records", str(tmp_path)])
    assert done.exit_code == 2 and len(done.output.splitlines()) == 1
