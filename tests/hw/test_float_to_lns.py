"""Floating point to LNS: the emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import re
import sys

import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat
from lnsmadam.golden.format import LNS8, LNS10, LNS12, LNS16, LNSFormat
from lnsmadam.units import UNITS

UNIT = UNITS["float_to_lns"]

CASES = [
    *((LNS16, BFLOAT16, depth) for depth in (0, 2, 3)),
    (LNS8, BFLOAT16, 3),
    (LNS12, BFLOAT16, 1),
    # Subnormal numbers are in range.
    (LNSFormat(16, 8), BFLOAT16, 5),
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


@pytest.mark.parametrize("fmt, float_format, depth", CASES, ids=lambda part: getattr(part, "name", part))
def test_hardware_is_the_golden_model(run, fmt, float_format, depth):
    config = UNIT.configure({"format": fmt, "float_format": float_format, "pipeline": depth})
    outcome = run(config)
    assert outcome.passed, outcome.failure
    assert outcome.count == min(1 << 18, 1 << float_format.width)


@pytest.mark.parametrize("float_format", [BFLOAT16, FLOAT16], ids=lambda fmt: fmt.name)
def test_under_stalls(run, float_format):
    outcome = run(UNIT.configure({"float_format": float_format}), stalls_seed=7)
    assert outcome.passed, outcome.failure
    assert outcome.count == 1 << 16


@pytest.mark.parametrize("mantissa", [0, 64, 127])
def test_a_wrong_table_entry_is_found(run, mantissa, monkeypatch):
    config = UNIT.configure({})
    counts = list(config.core.counts)
    counts[mantissa] += 1
    wrong = dataclasses.replace(config.core, counts=tuple(counts))
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lnsmadam.golden.float_to_lns"], "mantissa_log", lambda fmt, bits: wrong)
        emitted = UNIT.emit(config)
    outcome = run(config, emitted)
    assert not outcome.passed and "want result = " in outcome.failure


@pytest.mark.parametrize("pattern, replacement", [
    # What saturates, what is zero, the bias.
    (r"15'h3fff", "15'h3ffe"),
    (r"15'h4000", "15'h4001"),
    (r"7'h7f", "7'h7e"),
])  # fmt: skip
def test_a_fault_in_the_verilog_is_found(run, pattern, replacement):
    config = UNIT.configure({})
    emitted = UNIT.emit(config)
    text, count = re.subn(pattern, replacement, emitted.verilog)
    assert count
    outcome = run(config, dataclasses.replace(emitted, verilog=text))
    assert not outcome.passed
