"""SGD's update: emitted Verilog against the golden model, at every depth and under stalls."""

import dataclasses

import pytest

from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

UNIT = UNITS["sgd_update"]
DEEPEST = UNIT.config().max_pipeline


def run(config, emitted=None, count=1 << 18, **options):
    operands = stimulus(config, 2, count, UNIT.directed)
    return compare(emitted or UNIT.emit(config), UNIT.model(config), operands, **options)


@pytest.mark.parametrize("pipeline", [0, 1, 5, DEEPEST])
def test_hardware_is_the_golden_model(pipeline):
    outcome = run(UNIT.configure({"pipeline": pipeline}))
    assert outcome.passed and outcome.count == 1 << 18, outcome.failure


def test_under_stalls():
    outcome = run(UNIT.configure({}), count=1 << 16, stalls_seed=3)
    assert outcome.passed, outcome.failure


def test_a_multiply_add_in_its_place_is_found():
    """Fields in another order, and the other sign of the product."""
    config = UNIT.configure({"pipeline": 0})
    other = UNITS["bf16_multiply_add"]
    emitted = other.emit(other.configure({"pipeline": 0}))
    text = emitted.verilog.replace("module bf16_multiply_add(", "module sgd_update(")
    outcome = run(config, dataclasses.replace(UNIT.emit(config), verilog=text))
    assert not outcome.passed and "weight = " in outcome.failure
