"""LNS to floating point: the emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import sys

import pytest

from lnsmadam.golden.floats import BFLOAT16, FLOAT16, FLOAT32, FloatFormat
from lnsmadam.golden.format import LNS6, LNS8, LNS16, LNSFormat
from lnsmadam.units import UNITS

UNIT = UNITS["lns_to_float"]

CASES = [
    *((LNS16, BFLOAT16, depth) for depth in (0, 2, 4, 5)),
    (LNS8, BFLOAT16, 3),
    (LNS8, FLOAT32, 1),
    (LNS16, FLOAT32, 3),
    # Subnormal results, and results too large.
    (LNSFormat(16, 128), FLOAT16, 5),
    (LNSFormat(16, 16), BFLOAT16, 2),
    (LNSFormat(12, 1), FLOAT16, 0),
    (LNSFormat(18, 1024), FloatFormat(4, 3), 7),
    (LNS6, FloatFormat(2, 1), 1),
    # Far below the smallest subnormal number, with mantissas that are rounded up to 2.
    (LNS16, FloatFormat(2, 1), 3),
]


@pytest.mark.parametrize("fmt, float_format, depth", CASES, ids=lambda part: getattr(part, "name", part))
def test_hardware_is_the_golden_model(run, fmt, float_format, depth):
    outcome = run(UNIT.configure({"format": fmt, "float_format": float_format, "pipeline": depth}))
    assert outcome.passed, outcome.failure
    assert outcome.count == 1 << fmt.width


def test_under_stalls(run):
    outcome = run(UNIT.configure({"format": LNSFormat(16, 128), "float_format": FLOAT16}), stalls_seed=7)
    assert outcome.passed, outcome.failure


@pytest.mark.parametrize("field, index", [("uppers", 63), ("lowers", 31)])
def test_a_wrong_entry_is_found(run, field, index, monkeypatch):
    config = UNIT.configure({})
    entries = list(getattr(config.core, field))
    entries[index] -= 4
    wrong = dataclasses.replace(config.core, **{field: tuple(entries)})
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lnsmadam.golden.lns_to_float"], "mantissa_power", lambda fmt, bits: wrong)
        emitted = UNIT.emit(config)
    outcome = run(config, emitted)
    assert not outcome.passed and "want result = " in outcome.failure
