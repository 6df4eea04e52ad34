"""Fixed point to LNS: the emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import sys

import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, FixedFormat, LNSFormat
from lnsmadam.units import UNITS

UNIT = UNITS["linear_to_log"]
DEFAULT = FixedFormat(24, 8, signed=True)

CASES = [
    *((LNS8, DEFAULT, depth) for depth in (0, 2, 5, 7)),
    (LNS16, DEFAULT, 8),
    (LNS16, FixedFormat(16, 8, signed=True), 3),
    (LNS10, FixedFormat(16, 12), 4),
    (LNS12, FixedFormat(40, 8), 2),
    (LNS12, FixedFormat(62, 31, signed=True), 1),
    (LNS6, FixedFormat(2, 0, signed=True), 0),
    (LNSFormat(4, 1), FixedFormat(9, -3), 1),
    (LNSFormat(12, 1), FixedFormat(3, 8, signed=True), 3),
    (LNSFormat(8, 8, -20, 30), FixedFormat(12, 6, signed=True), 6),
    (LNSFormat(20, 2048), FixedFormat(7, 2), 4),
]


@pytest.mark.parametrize("fmt, linear, depth", CASES, ids=lambda part: getattr(part, "name", str(part)))
def test_hardware_is_the_golden_model(run, fmt, linear, depth):
    config = UNIT.configure({"format": fmt, "linear_format": linear, "pipeline": depth})
    outcome = run(config)
    assert outcome.passed, outcome.failure
    assert outcome.count == min(1 << 18, 1 << linear.width)


@pytest.mark.parametrize("fmt", [LNS8, LNS16], ids=lambda fmt: fmt.name)
def test_under_stalls(run, fmt):
    outcome = run(UNIT.configure({"format": fmt}), count=1 << 16, stalls_seed=7)
    assert outcome.passed, outcome.failure


@pytest.mark.parametrize("threshold, change", [(0, 1), (3, -1), (7, 1)])
def test_a_threshold_moved_by_one_is_found(run, threshold, change, monkeypatch):
    # The octaves of full length are in range.
    config = UNIT.configure({"linear_format": FixedFormat(24, 20)})
    core = config.magnitude_log.core
    cell = [cell for cell, limit in enumerate(core.limits) if limit][threshold]
    moved = dataclasses.replace(
        core, limits=tuple(limit + change * (index == cell) for index, limit in enumerate(core.limits))
    )
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lnsmadam.golden.linear_to_log"], "mantissa_log", lambda fmt, bits: moved)
        emitted = UNIT.emit(config)
    outcome = run(config, emitted)
    assert not outcome.passed and "want result = " in outcome.failure
