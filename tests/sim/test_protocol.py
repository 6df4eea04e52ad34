"""The cocotb bench: a right unit passes every check, and every planted fault fails the check that is for
it."""

import dataclasses
import re

import numpy as np
import pytest

from lnsmadam.sim.protocol import CHECKS, TRANSFERS, run_protocol
from lnsmadam.sim.stimulus import protocol_operands


def _run(unit, **options):
    checks = run_protocol(unit.emitted, unit.model, protocol_operands(unit.config, 5, TRANSFERS), **options)
    assert [check.name for check in checks] == list(CHECKS)
    return {check.name: check for check in checks}


def _failed(checks):
    return {name for name, check in checks.items() if not check.passed}


def test_a_right_unit_passes(fault_choice):
    # Through the wrapper that the faults are planted in: it is not what fails there.
    unit, chosen = fault_choice
    checks = _run(unit, arguments=[chosen("none")], seed=1)
    assert not _failed(checks), checks
    assert all(check.compared > 0 and not check.skipped for check in checks.values())
    assert checks["latency"].message == "2 cycles"
    assert checks["stalls"].compared == 6 * 300
    assert checks["throughput"].compared == TRANSFERS


def test_a_unit_without_clock_passes(multiplier_of):
    checks = _run(multiplier_of(0))
    assert not _failed(checks), checks
    assert checks["reset"].skipped and "no state" in checks["reset"].message
    assert checks["latency"].message == "0 cycles"


def test_a_wide_unit_with_state_passes_and_leaves_a_waveform(wide, tmp_path):
    checks = _run(wide, seed=2, waves=tmp_path / "waves")
    assert not _failed(checks), checks
    text = (tmp_path / "waves" / "wide.vcd").read_text()
    assert "$var wire 78 " in text and "i__payload [77:0]" in text
    changes = text.partition("$enddefinitions")[2]
    assert changes.count("\n#") > 1000, "a waveform without time steps"


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("wrong_sign", "stalls", "got result"),
        ("waits_for_ready", "hold", "valid waits for ready"),
        ("hangs", "throughput", "40 of 600 results"),
        ("loses_one", "stalls", "got result|never came"),
        ("loses_under_stall", "hold", "got result"),
        ("repeats_one", "stalls", "got result"),
        ("extra_when_idle", "stalls", "one too many"),
        ("changes_while_waiting", "hold", "changed while it waited"),
        ("drops_valid", "hold", "valid was dropped"),
    ],
)
def test_a_planted_fault_fails_its_check(fault_choice, name, check, message):
    unit, chosen = fault_choice
    checks = _run(unit, arguments=[chosen(name)])
    assert check in _failed(checks), checks
    assert re.search(message, checks[check].message), checks


def test_half_the_rate_fails_only_latency_and_throughput(fault_choice):
    unit, chosen = fault_choice
    checks = _run(unit, arguments=[chosen("half_rate")])
    assert _failed(checks) == {"latency", "throughput"}, checks
    assert re.fullmatch("600 transfers took 120[0-9] cycles without stalls, not 602", checks["throughput"].message)


def test_an_incomplete_reset_fails_only_the_reset_check(faulty):
    checks = _run(faulty("incomplete_reset"))
    assert _failed(checks) == {"reset"}, checks
    assert checks["reset"].message == "a result of before the reset came out after it"


def test_another_latency_than_the_manifests_fails(wrong_latency):
    checks = _run(wrong_latency)
    assert {"latency", "throughput"} <= _failed(checks), checks
    assert checks["latency"].message == "the latency is 1 cycles, the manifest says 2"


def test_a_unit_that_never_answers_fails(multiplier_of):
    unit = multiplier_of(2)
    text, count = re.subn(r"o__valid <= \\\S+ ;", "o__valid <= 1'h0;", unit.emitted.verilog)
    assert count == 1
    silent = dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, verilog=text))
    checks = _run(silent)
    assert _failed(checks) == set(CHECKS), checks
    assert checks["latency"].message == "the result of transfer 0 never came"
    assert checks["stalls"].message == "300 of 300 results never came"
    assert checks["throughput"].message.startswith("0 of 600 results after")


def test_state_that_reset_forgets_fails(wide):
    # A model that never starts anew is the same difference seen from the other side.
    def model(fields, index):
        return {**wide.model(fields, index), "count": np.arange(len(fields["a"])) + 1}

    checks = run_protocol(wide.emitted, model, protocol_operands(wide.config, 5, 50))
    assert _failed({check.name: check for check in checks}) == set(CHECKS)
    assert "count = 0" in checks[0].message and "count = 1" in checks[0].message


def test_a_simulation_that_ends_early_fails_what_it_did_not_reach(multiplier_of):
    unit = multiplier_of(2)
    text = unit.emitted.verilog.replace("endmodule", "  initial $finish;\nendmodule")
    ended = dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, verilog=text))
    checks = _run(ended)
    assert _failed(checks) == set(CHECKS), checks
    assert all(check.message.startswith("the bench ended before it") for check in checks.values()), checks


def test_nothing_to_compare_is_an_error(multiplier_of):
    unit = multiplier_of(2)
    with pytest.raises(ValueError, match="nothing to compare"):
        run_protocol(unit.emitted, unit.model, {"a": np.zeros(0, np.uint8), "b": np.zeros(0, np.uint8)})
