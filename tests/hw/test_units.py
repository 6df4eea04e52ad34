"""Every narrow unit of the registry: emitted Verilog against the golden model, at every pipeline depth."""

import dataclasses
import itertools
import re
from pathlib import Path

import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

#: Beyond so many arguments a sample of so many, half of it directed.
MANY = 1 << 18

#: Formats that the depths of a unit go through in turn: presets, and shapes that a width or a sign bit could break.
PLAIN = [LNS8, LNS16, SYNAPSE, LNSFormat(4, 1), LNSFormat(7, 5, -20, 11)]
SUMS = [LNS8, LNS6, LNS10, SYNAPSE, LNSFormat(7, 3.7), LNSFormat(10, 100), LNSFormat(4, 1), LNSFormat(5, 0.3)]
ADDS = [LNSFormat(8, 10, -9, 40), LNSFormat(6, 0.04), LNS10, LNS6, LNSFormat(9, 12.5), SYNAPSE, LNS8, LNSFormat(6, 1e9)]
#: Of multiply_add: operands and an accumulator of another format, by memory and depth.
MIXED = {
    ("logic", 2): (LNS6, LNSFormat(10, 32)),
    ("logic", 6): (LNSFormat(5, 1), LNS8),
    ("logic", 3): (LNSFormat(8, 4), LNSFormat(6, 8)),
    ("block", 3): (LNS6, LNSFormat(10, 32)),
}
#: Formats whose block RAM wraps, or whose table is wider than the range: once in each memory.
SUMS_BESIDE = {"logic": (LNSFormat(10, 100), 4), "block": (LNSFormat(6, 1e9), 1)}


def plain_cases():
    for name in ("multiply", "divide", "square", "sqrt"):
        unit = UNITS[name]
        depths = range(unit.config().max_pipeline + 1)
        # Two formats a depth, not the same ones for every unit.
        for fmt, depth in zip(itertools.islice(itertools.cycle(PLAIN), 2 * len(depths)), itertools.cycle(depths)):
            yield unit, {unit.main_format: fmt, "pipeline": depth}


def sum_cases():
    for name, formats in (("multiply_add", SUMS), ("add", ADDS)):
        unit = UNITS[name]
        for memory in Memory:
            shortest, longest = int(memory is Memory.BLOCK), 6 if memory is Memory.BLOCK else 7
            for depth in range(shortest, longest + 1):
                # The first format with the deepest pipeline, as users have it; memories meet different formats.
                fmt = formats[(longest - depth + 3 * shortest) % len(formats)]
                options = {unit.main_format: fmt, "memory": memory, "pipeline": depth}
                if name == "multiply_add" and (memory.value, depth) in MIXED:
                    options |= dict(zip(("operand", "accumulator"), MIXED[memory.value, depth], strict=True))
                yield unit, options
            if name == "multiply_add":
                fmt, depth = SUMS_BESIDE[memory.value]
                yield unit, {unit.main_format: fmt, "memory": memory, "pipeline": depth}


def case_name(case):
    unit, options = case
    words = [
        value.name if isinstance(value, LNSFormat) else getattr(value, "value", value) for value in options.values()
    ]
    return "-".join(map(str, [unit.name, *words]))


def run(unit, config, emitted=None, count=MANY, **options):
    directed = unit.directed
    return compare(emitted or unit.emit(config), unit.model(config), stimulus(config, 1, count, directed), **options)


CASES = [*plain_cases(), *sum_cases()]


def test_cases_cover_every_unit_and_depth():
    depths = {}
    for unit, options in CASES:
        depths.setdefault((unit.name, options.get("memory")), set()).add(options["pipeline"])
    here = {name for name, _ in depths}
    folder = Path(__file__).parent
    assert all((folder / f"test_{name}.py").exists() for name in UNITS.keys() - here), "units without a test"
    for (name, memory), covered in depths.items():
        options = {} if memory is None else {"memory": memory}
        config = UNITS[name].configure({**options, "pipeline": 1})
        assert covered == set(range(config.min_pipeline, config.max_pipeline + 1)), (name, memory)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_hardware_is_the_golden_model(case):
    unit, options = case
    config = unit.configure(options)
    outcome = run(unit, config)
    assert outcome.passed, outcome.failure
    bits = sum(fmt.width for fmt in config.inputs.values())
    assert outcome.count == min(MANY, 1 << bits)


@pytest.mark.parametrize("name, options", [
    ("multiply_add", {"pipeline": 5}), ("multiply_add", {"memory": Memory.BLOCK, "pipeline": 5}),
    ("divide", {"pipeline": 1}), ("add", {"pipeline": 2}),
])  # fmt: skip
def test_under_stalls(name, options):
    unit = UNITS[name]
    config = unit.configure(options)
    outcome = run(unit, config, count=1 << 16, stalls_seed=7)
    assert outcome.passed, outcome.failure


@pytest.mark.slow
@pytest.mark.parametrize(
    "memory, pipeline", [(Memory.LOGIC, 7), (Memory.LOGIC, 6), (Memory.LOGIC, 0), (Memory.BLOCK, 5)]
)
def test_all_triples_of_lns8(memory, pipeline):
    unit = UNITS["multiply_add"]
    outcome = run(unit, unit.configure({"memory": memory, "pipeline": pipeline}), count=None)
    assert outcome.passed and outcome.count == 1 << 24, outcome.failure


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case[0].name in ("add", "multiply_add")], ids=case_name)
def test_volume(case):
    unit, options = case
    outcome = run(unit, unit.configure(options), count=1 << 24)
    assert outcome.passed, outcome.failure


def changed(emitted, pattern, replacement, which=0):
    """The Verilog with one match of a pattern replaced."""
    matches = list(re.finditer(pattern, emitted.verilog))
    assert len(matches) > which, f"nothing to change: {pattern}"
    match = matches[which]
    text = emitted.verilog[: match.start()] + match.expand(replacement) + emitted.verilog[match.end() :]
    assert text != emitted.verilog
    return dataclasses.replace(emitted, verilog=text)


def gauss_log_changed(monkeypatch, place, subtract):
    """The configuration whose table, for the hardware alone, is wrong by one step at one place."""
    from lnsmadam.golden import log_sum

    original = log_sum.gauss_log_tables

    def wrong(base_factor, z_max):
        tables = [table.copy() for table in original(base_factor, z_max)]
        tables[subtract][place] += 1
        return tuple(tables)

    monkeypatch.setattr(log_sum, "gauss_log_tables", wrong)


@pytest.mark.parametrize("place, subtract", [(0, False), (35, False), (1, True), (36, True)])
def test_a_wrong_table_entry_is_found(place, subtract, monkeypatch):
    unit = UNITS["add"]
    config = unit.configure({"accumulator": LNSFormat(8, 8, -63, 62), "pipeline": 3})
    right = unit.model(config)
    with monkeypatch.context() as patch:
        gauss_log_changed(patch, place, subtract)
        emitted = unit.emit(config)
    outcome = compare(emitted, right, stimulus(config, 1, MANY))
    assert not outcome.passed
    assert re.search(
        r"transfer \d+: a = [+-] .*, b = [+-] .*, subtract = [01]: got result = [+-] \S.*, want result = [+-] \S",
        outcome.failure,
    )


@pytest.mark.parametrize("pattern, replacement", [
    # The sign of the product, the range rule's two ends, and what a zero operand leads to.
    (r"(i__payload\[7\] )\^", r"\1|"),
    (r"6'h3f|7'h3f", "7'h3e"),
    (r"7'h40|8'h40", "7'h41"),
])  # fmt: skip
def test_a_fault_in_the_verilog_is_found(pattern, replacement):
    unit = UNITS["multiply"]
    config = unit.configure({"pipeline": 2})
    outcome = compare(changed(unit.emit(config), pattern, replacement), unit.model(config), stimulus(config, 1, MANY))
    assert not outcome.passed
    result = r"result = [+-] (log -?\d+|zero)"
    assert re.search(rf"a = [+-] .*, b = [+-] .*: got {result}, want {result}", outcome.failure), outcome.failure


def test_a_missing_cancellation_is_found():
    """Exact cancellation must be +0: a circuit that gives -0, or a small number, is caught."""
    unit = UNITS["add"]
    config = unit.configure({"accumulator": LNS6})
    emitted = unit.emit(config)
    wrapped = emitted.verilog.replace("module add(", "module core(") + WRAPPER
    outcome = compare(Emitted(wrapped, emitted.manifest), unit.model(config), stimulus(config, 1, MANY))
    assert not outcome.passed and "got result = - zero, want result = + zero" in outcome.failure


WRAPPER = """
module add(clk, rst, i__valid, i__ready, i__payload, o__valid, o__ready, o__payload);
  input clk, rst, i__valid, o__ready;
  input [12:0] i__payload;
  output i__ready, o__valid;
  output [5:0] o__payload;
  wire [5:0] result;
  core unit(.clk(clk), .rst(rst), .i__valid(i__valid), .i__ready(i__ready), .i__payload(i__payload),
    .o__valid(o__valid), .o__ready(o__ready), .o__payload(result));
  assign o__payload = result == 6'h10 ? 6'h30 : result;
endmodule
"""
