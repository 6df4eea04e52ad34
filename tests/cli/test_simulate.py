"""``lnsmadam simulate``: what it prints, the status of a mismatch, a waveform."""

import dataclasses
import re

import numpy as np
import pytest

from lnsmadam.cli.main import main
from lnsmadam.units import UNITS


def test_a_small_unit(typed, tmp_path):
    done = typed("simulate sqrt --format lns6 --pipeline 1", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "" and "FAILED" not in done.stdout
    rows = {row[1].strip(): row for row in (line.split("│") for line in done.stdout.splitlines()) if len(row) > 4}
    assert rows["batch"][2].strip() == "64" and rows["batch"][3].strip() == "equal"
    assert "all 2^6 arguments" in rows["batch"][4]
    assert all(int(row[2].strip().replace(",", "")) > 0 or "skipped" in row[3] for row in rows.values())
    assert {"batch", "batch-stalls", "icarus"} < set(rows)


@pytest.mark.parametrize("fault", ["sign", "log"])
def test_a_mismatch_is_status_1(fault, monkeypatch, capsys):
    """The model is wrong at one word: the same as a circuit that is."""
    unit = UNITS["sqrt"]

    def broken(config, a):
        result, invalid = unit.golden(config, a)
        wrong = np.asarray(a) == 9
        return np.where(wrong, result ^ (32 if fault == "sign" else 1), result).astype(result.dtype), invalid

    monkeypatch.setitem(UNITS, "sqrt", dataclasses.replace(unit, golden=broken))
    # The commands hold the unit they were made for.
    from lnsmadam.cli.main import cli
    from lnsmadam.cli.simulate import simulate

    monkeypatch.setitem(cli.commands["simulate"].commands, "sqrt", simulate(UNITS["sqrt"]))
    assert main(["simulate", "sqrt", "--format", "lns6"]) == 1
    out = " ".join(re.sub("[│\n]", " ", capsys.readouterr().out).split())
    assert "FAILED" in out
    want = "- log 5" if fault == "sign" else "+ log 4"
    assert f"a = + log 9: got result = + log 5, invalid = 0, want result = {want}" in out


def test_waves(tmp_path, capsys):
    waves = tmp_path / "waves"
    assert main(["simulate", "sqrt", "--format", "lns6", "--waves", str(waves)]) == 0
    written = list(waves.iterdir())
    assert written and all(path.stat().st_size > 100 for path in written)
    out = capsys.readouterr().out
    assert all(str(path) in out for path in written)


def test_count_and_seed(capsys):
    assert main(["simulate", "multiply", "--format", "lns8", "--count", "1000", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"batch +│ +1,000 │ equal", out) and "seed 3" in out


def test_records_are_kept_with_the_command_that_repeats_them(tmp_path, capsys):
    from lnsmadam.proof.records import Kind, load

    assert main(["simulate", "sqrt", "--format", "lns6", "--records", str(tmp_path / "to here")]) == 0
    capsys.readouterr()
    records = load(tmp_path / "to here")
    assert {record.command for record in records} == {"lnsmadam simulate sqrt --format lns6"}
    assert [record.details["compared"] for record in records if record.kind is Kind.EXHAUSTIVE] == [64]
    assert all(record.passed and record.subject == "sqrt" for record in records)
