"""Records of evidence: what is written is read, and what is damaged is refused."""

import pytest

from lnsmadam.proof.records import Kind, Record, load, of_checks, save
from lnsmadam.sim.ports import Check

ONE = Record("sqrt", Kind.PROVED, "√(a²) = |a|", "proved", True, "lnsmadam prove sqrt", 1.5, {"words": [1, 2]})


def test_round_trip_in_the_order_of_the_files(tmp_path):
    other = Record("add", Kind.GATES, "netlist", "equal", False, "lnsmadam simulate add", 2.0)
    save(tmp_path, "b", [ONE])
    save(tmp_path, "a", [other])
    assert list(load(tmp_path)) == [other, ONE]
    save(tmp_path, "b", [])
    assert list(load(tmp_path)) == [other]


@pytest.mark.parametrize("text", ["{", '{"subject": 1}', '[{"kind": "proved"}]', '[{"kind": "no such"}]', "[1]"])
def test_a_damaged_file_is_named(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json does not hold records"):
        load(tmp_path)


def test_checks_become_records_and_skipped_ones_do_not():
    checks = [
        Check("latency", 16, True, "7 cycles", seconds=1.0),
        Check("reset", 300, False, "result 3 came after reset", seconds=2.0),
        Check("batch", 64, True, "all 2^6 arguments", is_exhaustive=True),
        Check("icarus", 0, True, "skipped", skipped=True),
    ]
    first, second = of_checks("sqrt", checks, "lnsmadam simulate sqrt")
    assert (first.kind, first.passed, first.details["compared"]) == (Kind.EXHAUSTIVE, True, 64)
    assert (second.kind, second.passed, second.seconds) == (Kind.SAMPLED, False, 3.0)
    assert second.claim == "protocol, in cocotb: latency, reset"
    assert second.result == "316 compared: result 3 came after reset"
