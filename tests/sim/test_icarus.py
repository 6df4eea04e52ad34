"""The second simulator, where it is installed."""

import dataclasses
import shutil

import numpy as np
import pytest

from lnsmadam.sim.icarus import run_icarus
from lnsmadam.sim.stimulus import protocol_operands

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


def _run(unit):
    return run_icarus(unit.emitted, unit.model, protocol_operands(unit.config, 4, 2000), seed=9)


def test_it_is_skipped_with_a_word_where_it_is_missing(multiplier_of, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("IVERILOG", raising=False)
    check = _run(multiplier_of(2))
    assert check.skipped and check.compared == 0
    assert (
        check.message == "skipped: iverilog was not found: the package iverilog brings it, or set IVERILOG to its path"
    )


@needs_icarus
@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_a_right_unit_passes(multiplier_of, pipeline):
    check = _run(multiplier_of(pipeline))
    assert check.passed and not check.skipped and check.compared == 2000, check


@needs_icarus
def test_a_wide_unit_with_state_passes(wide):
    check = _run(wide)
    assert check.passed and check.compared == 2000, check


@needs_icarus
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong_sign", "got result"),
        ("hangs", "hangs after 40 of 2000 results"),
        ("loses_one", "got result"),
        ("extra_when_idle", "valid was dropped"),
        ("changes_while_waiting", "changed while it waited"),
    ],
)
def test_planted_faults(faulty, name, message):
    check = _run(faulty(name))
    assert not check.passed and message in check.message, check


@needs_icarus
def test_nothing_to_compare_is_an_error(multiplier_of):
    unit = multiplier_of(2)
    with pytest.raises(ValueError, match="nothing to compare"):
        run_icarus(unit.emitted, unit.model, {"a": np.zeros(0, np.uint8), "b": np.zeros(0, np.uint8)})


def _changed(unit, old, new):
    assert old in unit.emitted.verilog
    text = unit.emitted.verilog.replace(old, new)
    return dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, verilog=text))


@needs_icarus
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("endmodule", "  nonsense;\nendmodule", "iverilog failed with status"),
        ("endmodule", "  initial $finish;\nendmodule", "the bench did not come to its end"),
        ("assign o__payload = {", "assign o__payload = 8'hxx & {", "has unknown bits"),
    ],
)
def test_verilog_that_gives_no_verdict_fails(multiplier_of, old, new, message):
    check = _run(_changed(multiplier_of(2), old, new))
    assert not check.passed and message in check.message, check


@needs_icarus
def test_transfers_without_results_compare_nothing(summing):
    unit = summing()
    operands = {name: np.zeros(5, np.uint16) for name in ("a", "first", "last")}
    check = run_icarus(unit.emitted, unit.model, operands)
    assert not check.passed and check.compared == 0
    assert check.message == "nothing was compared: no result follows any of 5 transfers"
