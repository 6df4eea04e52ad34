"""The fused multiply-add: emitted Verilog against the golden model at every depth, in several formats."""

import dataclasses
import re

import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FloatFormat
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

UNIT = UNITS["bf16_multiply_add"]
DEEPEST = UNIT.config().max_pipeline
OTHERS = {"float16": FLOAT16, "e4m3": FloatFormat(4, 3), "e5m2": FloatFormat(5, 2), "e3m4": FloatFormat(3, 4),
          "e8m9": FloatFormat(8, 9), "e6m5": FloatFormat(6, 5)}  # fmt: skip


def run(config, emitted=None, count=1 << 18, **options):
    operands = stimulus(config, 1, count, UNIT.directed)
    return compare(emitted or UNIT.emit(config), UNIT.model(config), operands, **options)


def assert_passes(config, count, **options):
    outcome = run(config, count=count, **options)
    assert outcome.passed and outcome.count == count, outcome.failure


@pytest.mark.parametrize("pipeline", range(DEEPEST + 1))
def test_every_depth(pipeline):
    assert_passes(UNIT.configure({"pipeline": pipeline}), 1 << 18)


@pytest.mark.parametrize("pipeline", [1, DEEPEST])
def test_under_stalls(pipeline):
    assert_passes(UNIT.configure({"pipeline": pipeline}), 1 << 17, stalls_seed=7)


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats(name):
    assert_passes(UNIT.configure({"float_format": OTHERS[name], "pipeline": len(name) % 2 * DEEPEST}), 1 << 18)


@pytest.mark.parametrize("pipeline", [0, DEEPEST])
def test_with_a_plain_multiplication(pipeline):
    config = UNIT.configure({"hard_multiplier": True, "pipeline": pipeline})
    assert_passes(config, 1 << 18)
    assert config.parameters()["hard_multiplier"] and " * " in UNIT.emit(config).verilog


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", [0, DEEPEST])
def test_volume(pipeline):
    assert_passes(UNIT.configure({"pipeline": pipeline}), 1 << 26)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["e4m3", "e3m4"])
def test_all_triples_of_eight_bits(name):
    outcome = run(UNIT.configure({"float_format": OTHERS[name]}), count=None)
    assert outcome.passed and outcome.count == 1 << 24, outcome.failure


#: What is broken in the Verilog: a zero product's exponent, the sticky bit, the limit of the normalising shift, the
#: sum's last place, overflow before the rounding, NaN's sign, the shift of a c that is far below.
FAULTS = {
    "zero": (r"assign is_c_above = (.*) \| (.*);", r"assign is_c_above = \1;"),
    "lost": (r"assign lost = (.*);", r"assign lost = 1'h0;"),
    "limit": (r"assign can_3 = (.*) & (.*);", r"assign can_3 = \1;"),
    "sum": (r"assign total = (.*);", r"assign total = \1 + 1'h1;"),
    "overflow": (r"assign is_top = (.*) \| (.*);", r"assign is_top = \1;"),
    "nan": (r"assign sign_out = (.*) & (.*);", r"assign sign_out = \1;"),
    "below": (r"assign is_c_below = (.*);", r"assign is_c_below = 1'h0;"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_verilog_is_found(name):
    pattern, replacement = FAULTS[name]
    config = UNIT.configure({"pipeline": 0})
    emitted = UNIT.emit(config)
    text, found = re.subn(pattern, replacement, emitted.verilog, count=1)
    assert found == 1 and text != emitted.verilog, f"nothing to change: {pattern}"
    outcome = run(config, dataclasses.replace(emitted, verilog=text))
    assert not outcome.passed
    assert re.search(r"a = .*, b = .*, c = .*: got result = .*, want result = ", outcome.failure), outcome.failure


def test_what_it_says_of_itself():
    config = UNIT.configure({})
    assert config.float_format == BFLOAT16
    manifest = UNIT.emit(config).manifest
    assert manifest["latency"] == config.pipeline and manifest["interval"] == 1
    assert [field["name"] for field in manifest["inputs"][0]["fields"]] == ["a", "b", "c"]
    assert manifest["guarantee"]["max_error_ulp"] == 0.5
