"""``lnsmadam prove``: what it prints, the status of a failed proof, records."""

import re

import pytest
from amaranth.hdl import Assert, Module, Signal

from lnsmadam.cli.main import main
from lnsmadam.golden.format import LNS8
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.formal import proofs, sby
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.records import Kind, load
from lnsmadam.units import UNITS


def _proof(subject, limit, *, is_long=False):
    def top():
        m, a = Module(), Signal(8, name="a")
        m.d.comb += Assert(a != limit, "a is not the limit")
        return m, [a]

    return Proof(subject, "limit", f"a is not {limit}", "lns8", top, {"a": LNS8}, is_long=is_long)


@pytest.fixture
def listed(monkeypatch):
    """Puts proofs in place of the project's own."""
    return lambda *items: monkeypatch.setattr(proofs, "SOURCES", (lambda: items,))


def test_a_small_unit(typed, tmp_path):
    done = typed("prove square --records found", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a² = a · a" in done.stdout and "proved" in done.stdout and "FAILED" not in done.stdout
    records = load(tmp_path / "found")
    assert {(record.subject, record.kind, record.passed) for record in records} == {("square", Kind.PROVED, True)}
    assert {"a² = a · a (lns6)", "a² = a · a (lns8)"} < {record.claim for record in records}
    assert {record.command for record in records} == {"lnsmadam prove square"}
    assert records[0].seconds > 0


def test_a_failed_proof_is_status_1_and_names_its_operands(listed, capsys, tmp_path):
    # Units of the registry: a record holds the digest of its subject's source.
    listed(_proof("square", 256), _proof("square", 5), _proof("add", 256))
    assert main(["prove", "--records", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    shown = " ".join(out.split())
    assert "FAILED: a is not the limit" in shown and "a = + log 5" in shown
    # A line a proof where no terminal shows a progress bar.
    lines = [line.rpartition(",")[0] for line in err.splitlines()]
    assert lines[::2] == ["1 of 3: square limit lns8: proved", "3 of 3: add limit lns8: proved"]
    assert lines[1].startswith("2 of 3: square limit lns8: FAILED: a is not the limit")
    found = {(record.subject, record.claim): record for record in load(tmp_path)}
    assert [record.passed for record in found.values()] == [True, True, False]
    assert found["square", "a is not 5 (lns8)"].result == "FAILED: a is not the limit: a = + log 5"


def test_subjects_and_long_proofs_are_asked_for(listed, capsys):
    listed(_proof("some", 5), _proof("other", 256), _proof("other", 6, is_long=True))
    assert main(["prove", "other"]) == 0
    assert main(["prove", "other", "--long"]) == 1
    assert "+ log 6" in capsys.readouterr().out


def test_an_unknown_subject_is_an_error(capsys):
    assert main(["prove", "nothing"]) == 2
    assert "Nothing is proved of 'nothing'; subjects are multiply_add" in capsys.readouterr().err


def test_the_help_names_all_subjects(capsys):
    assert main(["prove", "--help"]) == 0
    text = capsys.readouterr().out
    others = {proof.subject for proof in proofs.all_proofs()} - set(UNITS)
    assert len(others) == 3 and all(re.search(rf"\b{subject}\b", text) for subject in others)


def test_without_a_verdict_a_proof_fails_and_the_others_have_their_turn(listed, capsys, monkeypatch):
    right = sby._prove

    def prove(text, *arguments):
        if "3'101" in text:
            raise ToolFailed("The solver found neither proof nor counterexample in 600 s\nlog")
        return right(text, *arguments)

    listed(_proof("some", 5), _proof("other", 256))
    monkeypatch.setattr("lnsmadam.proof.formal.sby._prove", prove)
    assert main(["prove"]) == 1
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "neither proof nor counterexample in 600 s" in shown and "a is not 256 lns8 proved" in shown


def test_a_missing_solver_is_one_line(listed, capsys, monkeypatch):
    listed(_proof("some", 7), _proof("other", 8))
    monkeypatch.setenv("Z3", "no-such-program")
    assert main(["prove"]) == 2
    assert capsys.readouterr().err == "lnsmadam: Z3 names 'no-such-program', which is not a program that can run\n"


def test_names_are_unique():
    names = [str(proof) for proof in proofs.all_proofs()]
    assert len(names) == len(set(names)) > 100
