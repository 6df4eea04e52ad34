"""Every bit and branch of a unit is reached, or proved to be out of reach; what only the stimulus misses is told."""

import dataclasses
import json

import pytest

from lnsmadam.cli.main import main
from lnsmadam.hw.emit import Emitted
from lnsmadam.proof.coverage.hdl import Coverage, coverage_record, measure, read_counts
from lnsmadam.proof.coverage.unreachable import Place, prove_unreachable
from lnsmadam.proof.records import Kind, load
from lnsmadam.units import UNITS

MULTIPLY = UNITS["multiply"]
_CHOICE = "      \\$33  = sign_1;\n"


def measured(planted: str = "", count: int = 1 << 12, **options) -> Coverage:
    """Coverage of the multiplier with statements planted where its sign is chosen."""
    config = MULTIPLY.configure({})
    emitted = MULTIPLY.emit(config)
    assert _CHOICE in emitted.verilog
    emitted = dataclasses.replace(emitted, verilog=emitted.verilog.replace(_CHOICE, _CHOICE + planted))
    return measure(emitted, MULTIPLY.model(config), config, count=count, **options)


def branch(condition: str) -> str:
    """A branch that changes nothing: the results stay the model's."""
    return f"      if ({condition}) begin\n        \\$33  = sign_1;\n      end\n"


@pytest.mark.parametrize("name", ["multiply", "square", "sqrt"])
def test_nothing_is_open(name, tmp_path, capsys):
    assert main(["coverage", name, "--records", str(tmp_path)]) == 0
    (record,) = load(tmp_path)
    assert record.kind is Kind.COVERAGE and record.passed and record.details["notes"] == []
    assert record.details["compared"] > 100
    bits, reached = record.details["bits"], record.details["reached_bits"]
    assert 100 < reached <= bits
    # The sign of a square and of a root is constant.
    assert ("o__payload.result.sign[0]" in record.details["proved"]) == (name != "multiply")


def test_a_branch_that_the_stimulus_misses_is_open():
    # One transfer in 2^32 after another.
    found = measured(branch("i__payload == 16'hbeef && log_1 == 8'h5a && sign_1 && o__payload == 8'h5a"))
    assert not found.passed
    assert [name.split(": ")[1] for name in found.open] == [
        "if (i__payload == 16'hbeef && log_1 == 8'h5a && sign_1 && o__payload == 8'h5a) begin"
    ]
    assert "if of line" in found.open[0]
    record = coverage_record("multiply", found, "", 0.0)
    assert not record.passed and "1 open" in record.result and record.details["short"] == "1 open"


@pytest.mark.parametrize(
    "condition",
    [
        "i__payload[0] && !i__payload[0]",  # by logic alone
        "is_zero_1 && log_1 == 8'h00",  # by what the stage before gives: a zero's log is at most -64, their sum -1
    ],
)
def test_a_dead_branch_is_proved(condition):
    found = measured(branch(condition), count=1 << 16)
    assert found.passed, found.open
    assert len(found.proved) == 1 and condition in found.proved[0]


def test_the_way_round_a_branch_is_a_branch_too():
    found = measured(branch("i__payload == i__payload"))
    assert found.passed, found.open
    assert len(found.proved) == 1 and found.proved[0].startswith("else of line")


def test_what_is_reached_is_not_proved_out_of_reach():
    config = MULTIPLY.configure({})
    emitted = MULTIPLY.emit(config)
    lines = emitted.verilog.splitlines()
    taken = [n for n, line in enumerate(lines, 1) if line.strip().startswith("if (\\$") and line.endswith("begin")]
    waits = [n for n, line in enumerate(lines, 1) if f"if ({emitted.manifest['inputs'][0]['ready']}) begin" in line]
    assert len(taken) == 3 and waits
    taken += waits
    places = [Place("", "log_1", bit, 1) for bit in range(8)]
    places += [Place("", "", 0, line, arm) for line in taken for arm in ("if", "else")]
    assert prove_unreachable(emitted, places) == set()


def test_what_hangs_on_a_register_that_is_never_written_is_not_constant():
    """The register is what it begins with; where that is not known, what hangs on it is not constant either."""
    emitted = MULTIPLY.emit(MULTIPLY.configure({}))
    ready = emitted.manifest["inputs"][0]["ready"]
    planted = (
        f"reg kept = 1'h1;\n  wire seen;\n  assign seen = kept & {ready};\n  always @(posedge clk) kept <= kept;\n"
    )
    head, semicolon, body = emitted.verilog.partition(";\n")
    emitted = Emitted(f"{head}{semicolon}  {planted}{body}", emitted.manifest)
    kept, seen = (Place("", name, 0, 1) for name in ("kept", "seen"))
    assert prove_unreachable(emitted, [kept, seen]) == {kept}


def test_reasons_explain_and_go_stale():
    condition = "i__payload == 16'hbeef && log_1 == 8'h5a && sign_1"
    (name,) = measured(branch(f"{condition} && o__payload == 8'h5a")).open
    found = measured(branch(f"{condition} && o__payload == 8'h5a"), reasons={name: "one transfer in 2^32"})
    assert found.passed and found.explained == {name: "one transfer in 2^32"}
    details = coverage_record("multiply", found, "", 0.0).details
    assert details["notes"] == [f"{name}: one transfer in 2^32"] and details["short"] == "all but 1 explained"
    stale = measured(reasons={"log_1[0]": "not so"})
    assert not stale.passed and stale.stale == ("log_1[0]",)


def test_results_are_compared():
    config = MULTIPLY.configure({})
    emitted = MULTIPLY.emit(config)
    wrong = dataclasses.replace(emitted, verilog=emitted.verilog.replace("7'h3f", "7'h3e"))
    assert wrong != emitted
    found = measure(wrong, MULTIPLY.model(config), config)
    assert not found.passed and "got result" in found.failure
    record = coverage_record("multiply", found, "", 0.0)
    assert not record.passed and record.details["short"] == "failed"


@pytest.mark.parametrize(
    "line",
    ["no point", "C '\x01t\x02toggle\x01h\x02TOP.plain.unit\x01l\x021\x01o\x02x' 1"],
)
def test_counts_of_another_shape_are_an_error(line):
    with pytest.raises(ValueError, match="of another shape"):
        read_counts(f"# SystemC::Coverage-3\n{line}\n")


def test_an_unknown_unit_is_named(capsys):
    assert main(["coverage", "sauce"]) == 2
    assert "sauce" in capsys.readouterr().err


def test_python_coverage_needs_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["coverage", "python"]) == 2
    assert "make coverage" in capsys.readouterr().err


def _report(tmp_path, taken: int, branches: int = 100) -> None:
    summary = {"num_branches": branches, "covered_branches": taken, "num_statements": 10, "covered_lines": 10}
    files = {
        "golden/a.py": {"summary": summary, "missing_branches": [[1, 2], [3, -1]][: branches - taken]},
        "sim/b.py": {"summary": {**summary, "covered_branches": branches}, "missing_branches": []},
    }
    (tmp_path / "build" / "coverage").mkdir(parents=True, exist_ok=True)
    (tmp_path / "build" / "coverage" / "report.json").write_text(json.dumps({"files": files}))


def test_python_coverage_has_a_threshold(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _report(tmp_path, 95)
    assert main(["coverage", "python", "--records", "out"]) == 0
    (record,) = load(tmp_path / "out")
    assert record.passed and record.subject == "python" and record.result == "golden 95.0 %, sim 100.0 %"
    assert "golden/a.py: 1->2, 3->-1" in capsys.readouterr().out
    _report(tmp_path, 94)
    assert main(["coverage", "python"]) == 1
    assert "golden is below 95 %" in capsys.readouterr().out
    # A folder of which nothing was measured is not one without gaps.
    path = tmp_path / "build" / "coverage" / "report.json"
    path.write_text(path.read_text().replace("sim/b.py", "golden/b.py"))
    assert main(["coverage", "python"]) == 1
    assert "sim is below 95 %" in capsys.readouterr().out
    path.write_text("{}")
    assert main(["coverage", "python"]) == 2
