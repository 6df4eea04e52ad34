"""LNS to fixed point: the emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import sys

import pytest

from lnsmadam.golden.format import LNS8, LNS10, LNS12, LNS16, FixedFormat, LNSFormat
from lnsmadam.units import UNITS

UNIT = UNITS["log_to_linear"]
DEFAULT = FixedFormat(24, 8, signed=True)

CASES = [
    *((LNS8, FixedFormat(10, 6, signed=True), depth) for depth in (0, 3, 5)),
    (LNS8, DEFAULT, 5),
    (LNS10, FixedFormat(5, -4), 4),
    (LNS12, FixedFormat(40, 30, signed=True), 2),
    (LNSFormat(8, 1), FixedFormat(16, 4, signed=True), 1),
    (LNS16, DEFAULT, 7),
    (LNS16, FixedFormat(9, 4), 6),
    (LNSFormat(18, 2048), FixedFormat(30, 8, signed=True), 3),
]


@pytest.mark.parametrize("fmt, linear, depth", CASES, ids=lambda part: getattr(part, "name", str(part)))
def test_hardware_is_the_golden_model(run, fmt, linear, depth):
    outcome = run(UNIT.configure({"format": fmt, "linear_format": linear, "pipeline": depth}))
    assert outcome.passed, outcome.failure
    assert outcome.count == 1 << fmt.width


def test_under_stalls(run):
    outcome = run(UNIT.configure({"format": LNS16}), stalls_seed=7)
    assert outcome.passed, outcome.failure


@pytest.mark.parametrize("remainder", [1, 7])
def test_a_wrong_entry_is_found(run, remainder, monkeypatch):
    config = UNIT.configure({})
    entries = list(config.core.entries)
    entries[remainder] += 4
    wrong = dataclasses.replace(config.core, entries=tuple(entries))
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lnsmadam.golden.log_to_linear"], "mantissa_power", lambda fmt, bits: wrong)
        emitted = UNIT.emit(config)
    outcome = run(config, emitted)
    assert not outcome.passed and "want result = " in outcome.failure
