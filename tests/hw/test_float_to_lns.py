"""Floating point to LNS: the emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import re

import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, LNSFormat
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

UNIT = UNITS["float_to_lns"]
MANY = 1 << 18

CASES = [
    *((LNS16, BFLOAT16, depth) for depth in range(4)),
    (LNS8, BFLOAT16, 3),
    (LNS6, BFLOAT16, 1),
    (LNS12, BFLOAT16, 2),
    # Subnormal numbers are in range.
    (LNSFormat(16, 8), BFLOAT16, 3),
    (LNSFormat(16, 8), BFLOAT16, 5),
    (LNSFormat(4, 1), FLOAT16, 2),
    (LNS16, FLOAT16, 5),
    (LNSFormat(16, 128), FLOAT16, 6),
    (LNSFormat(20, 2048, -40_000, 70_000), FLOAT16, 4),
    (LNS10, FLOAT16, 3),
    (LNS10, FLOAT32, 4),
    (LNS16, FLOAT32, 5),
    (LNSFormat(20, 1024), FLOAT32, 0),
    (LNSFormat(6, 1), FloatFormat(4, 1), 4),
    (LNSFormat(12, 1), FloatFormat(5, 2), 4),
    (LNSFormat(12, 64), FloatFormat(4, 3), 1),
]


def run(config, emitted=None, count=MANY, **options):
    return compare(
        emitted or UNIT.emit(config), UNIT.model(config), stimulus(config, 1, count, UNIT.directed), **options
    )


@pytest.mark.parametrize("fmt, float_format, depth", CASES, ids=lambda part: getattr(part, "name", part))
def test_hardware_is_the_golden_model(fmt, float_format, depth):
    config = UNIT.configure({"format": fmt, "float_format": float_format, "pipeline": depth})
    outcome = run(config)
    assert outcome.passed, outcome.failure
    assert outcome.count == min(MANY, 1 << float_format.width)


@pytest.mark.parametrize("float_format", [BFLOAT16, FLOAT16], ids=lambda fmt: fmt.name)
def test_under_stalls(float_format):
    outcome = run(UNIT.configure({"float_format": float_format}), stalls_seed=7)
    assert outcome.passed, outcome.failure
    assert outcome.count == 1 << 16


@pytest.mark.parametrize("which", [0, 7, 20])
def test_a_wrong_table_bit_is_found(which):
    config = UNIT.configure({})
    emitted = UNIT.emit(config)
    # Leaves of the decision diagram are multiplexers of the lowest address bit.
    matches = list(re.finditer(r"assign log_table_\d+ = i__payload\[0\] \? 1'h0 : 1'h1", emitted.verilog))
    matches = matches or list(re.finditer(r"assign \S+ = i__payload\[\d\] \? [^;]+", emitted.verilog))
    match = matches[which % len(matches)]
    text = emitted.verilog[: match.start()] + match[0].replace("=", "= !", 1).replace("! i", "!i", 1)
    text = text.replace("= !i__payload", "= ~i__payload") + emitted.verilog[match.end() :]
    assert text != emitted.verilog
    outcome = run(config, dataclasses.replace(emitted, verilog=text))
    assert not outcome.passed and "want result = " in outcome.failure
