"""The entry point: all checks, with their counts, whatever the earlier ones say."""

import pytest

from lnsmadam.golden.format import LNS16
from lnsmadam.sim.protocol import CHECKS
from lnsmadam.sim.simulate import simulate

_NAMES = [*CHECKS, "batch", "batch-stalls", "icarus"]


def test_all_checks_of_a_right_unit_pass(multiplier_of):
    unit, stages = multiplier_of(2), []
    checks = simulate(unit.emitted, unit.model, unit.config, progress=lambda *step: stages.append(step))
    assert [check.name for check in checks] == _NAMES
    assert all(check.passed for check in checks), checks
    batch = checks[-3]
    assert batch.compared == 65536 and batch.message.startswith("all 2^16 arguments")
    assert ("batch", 65536, 65536) in stages
    assert checks[-2].compared == 65536


def test_a_sample_of_a_wide_unit(multiplier_of):
    unit = multiplier_of(2, LNS16)
    checks = simulate(unit.emitted, unit.model, unit.config, count=20000, seed=3)
    assert all(check.passed for check in checks), checks
    batch = checks[-3]
    assert batch.compared == 20000 and batch.message.startswith("corners and random, seed 3")


def test_every_check_finds_a_wrong_sign(faulty):
    unit = faulty("wrong_sign")
    checks = simulate(unit.emitted, unit.model, unit.config, seed=2)
    assert [check.name for check in checks] == _NAMES
    wrong = [check for check in checks if not check.skipped]
    assert wrong and all(not check.passed and "got result = " in check.message for check in wrong), checks


def test_count_must_be_positive(multiplier_of):
    unit = multiplier_of(2)
    with pytest.raises(ValueError, match="Count must be at least 1, not 0"):
        simulate(unit.emitted, unit.model, unit.config, count=0)
