"""Dot product: emitted Verilog against the golden model, at every depth, in streams of vectors of many kinds."""

import dataclasses
import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, FixedFormat, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.protocol import CHECKS, run_protocol
from lnsmadam.units import UNITS

UNIT = UNITS["dot"]
ACCUMULATOR = FixedFormat(24, 8, True)
COUNT = 1 << 15


def vectors(config, seed=1, count=COUNT):
    """Directed vectors, then transfers of uniform words, in chunks of odd lengths."""
    rng = np.random.default_rng(seed)
    yield UNIT.directed(config, rng, count)
    uniform = {name: rng.integers(0, 1 << fmt.width, count // 4 + 1) for name, fmt in config.inputs.items()}
    yield {name: column.astype(config.inputs[name].dtype) for name, column in uniform.items()}
    yield UNIT.directed(config, rng, 7)


def check(config, emitted=None, stalls_seed=None, count=COUNT):
    outcome = compare(
        emitted or UNIT.emit(config), UNIT.model(config), vectors(config, 1, count), stalls_seed=stalls_seed
    )
    assert outcome.count > 100 or not outcome.passed
    return outcome


LANE = {"accumulator": ACCUMULATOR}
CASES = [
    {},
    *({**LANE, "pipeline": depth} for depth in range(2, 11)),
    *({**LANE, "memory": Memory.BLOCK, "pipeline": depth} for depth in (3, 5, 8)),
    *({**LANE, "lanes": lanes, "pipeline": depth} for lanes, depth in ((2, 11), (3, 5), (3, 12), (16, 14), (5, 2))),
    {"lanes": 3, "memory": Memory.BLOCK, "pipeline": 4},
    {"operand": LNS6},
    {"operand": LNS10, "pipeline": 4},
    {"operand": LNS10, "memory": Memory.BLOCK},
    {"operand": LNS12, "length": 16},
    {"operand": LNS16, "lanes": 2, "length": 16, "pipeline": 7},
    {"operand": LNSFormat(4, 1)},
    {"operand": LNSFormat(6, 64), "lanes": 2},
    {"operand": LNSFormat(7, 4, -20, 11)},
    {"operand": LNSFormat(7, 2), "accumulator": FixedFormat(50, 4, True)},
    {"antilog": Antilog.CHORD, "chord_bits": 0, "pipeline": 3, **LANE},
    {"accumulator": FixedFormat(20, 2, True), "result": FixedFormat(9, 2, True)},
    {"accumulator": FixedFormat(12, 20, True), "pipeline": 4},
    {"accumulator": FixedFormat(10, -8, True)},
    {**LANE, "lns_result": LNS8},
    {**LANE, "lanes": 3, "result": FixedFormat(16, 8, True), "lns_result": LNS16, "pipeline": 9},
    {"operand": LNS6, "accumulator": FixedFormat(20, 6, True), "lns_result": LNSFormat(7, 2), "pipeline": 3},
    {"accumulator": FixedFormat(4, 2, True)},
    {"accumulator": FixedFormat(8, 4, True), "lanes": 5},
    {"accumulator": FixedFormat(24, 30, True)},
    {"lanes": 64, "accumulator": FixedFormat(28, 8, True)},
]
#: One case of each kind runs everywhere, all of them in the slow suite.
QUICK = {0, 1, 6, 9, 12, 14, 21, 28, 31, 32, 33, 34, 35, 36}


def marks():
    return [pytest.param(case, marks=() if n in QUICK else pytest.mark.slow) for n, case in enumerate(CASES)]


@pytest.mark.parametrize("options", marks(), ids=str)
def test_hardware_is_the_golden_model(options):
    config = UNIT.configure(options)
    emitted = UNIT.emit(config)
    outcome = check(config, emitted)
    assert outcome.passed, outcome.failure
    outcome = check(config, emitted, stalls_seed=3, count=COUNT // 4)
    assert outcome.passed, outcome.failure


def test_one_vector_a_cycle():
    config = UNIT.configure({**LANE, "lanes": 2, "pipeline": 11})
    operands = UNIT.directed(config, np.random.default_rng(0), 1000)
    operands["last"][-1] = 1
    with BatchUnit(UNIT.emit(config)) as batch:
        batch.run(operands)
        assert batch.cycles == 1000 + config.pipeline


@pytest.mark.slow
@pytest.mark.parametrize("options", [LANE, CASES[-1]], ids=str)
def test_protocol(options):
    config = UNIT.configure(options)
    operands = UNIT.directed(config, np.random.default_rng(0), 600)
    checks = run_protocol(UNIT.emit(config), UNIT.model(config), operands, seed=3)
    assert [check.name for check in checks] == list(CHECKS)
    assert all(check.passed and check.compared for check in checks), checks


@pytest.mark.parametrize(
    "options",
    [{}, {"pipeline": 2}, {"pipeline": 5}, {"pipeline": 9}, {"memory": Memory.BLOCK}, {"lanes": 3, "pipeline": 9}],
    ids=str,
)
def test_nothing_in_flight_reaches_the_sum_after_a_reset(options):
    config = UNIT.configure({**LANE, **options})
    unit = UNIT.build(config)
    got = []

    async def bench(ctx):
        ctx.set(unit.o.ready, 1)
        for before in range(1, config.pipeline + 3):
            # Products that leave the range at once, until a reset of one cycle in their midst.
            for name in config.inputs:
                ctx.set(unit.i.payload[name], 63 if name[0] in "ab" else name == "first")
            ctx.set(unit.i.valid, 1)
            await ctx.tick().repeat(before)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            # One times one, without `first`.
            for name in config.inputs:
                ctx.set(unit.i.payload[name], name == "last" if name[0] not in "ab" else 64 * (name[1:] > "_0"))
            await ctx.tick()
            ctx.set(unit.i.valid, 0)
            for _ in range(config.pipeline + 2):
                if ctx.get(unit.o.valid):
                    got.append((int(ctx.get(unit.o.payload.result)), int(ctx.get(unit.o.payload.overflow))))
                await ctx.tick()

    from amaranth.hdl import ClockDomain, Module

    top = Module()
    top.domains.sync = domain = ClockDomain("sync")
    reset = domain.rst
    top.submodules.unit = unit
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [(256, 0)] * (config.pipeline + 2)


def check_fault(config, pattern, replacement):
    """Plants a fault in the Verilog; it must be found by a result that differs, not by a unit that hangs."""
    emitted = UNIT.emit(config)
    text, count = re.subn(pattern, replacement, emitted.verilog, count=1)
    assert count == 1, f"nothing to change: {pattern}"
    outcome = check(config, dataclasses.replace(emitted, verilog=text), stalls_seed=1, count=1 << 13)
    assert not outcome.passed and outcome.mismatch is not None
    return outcome


@pytest.mark.parametrize("pattern, replacement", [
    # A zero operand, the carry of a complement, a bubble; a new sum's halves, its flag and its direction.
    (r"(assign adds_nothing_0 = ).*;", r"\g<1>rst;"),
    (r"1'h1 \}( \+ \{ addend)", r"1'h0 }\1"),
    (r"\| bubble_1", r"| 1'h0"),
    (r"first_4 \| rst", "rst"),
    (r"first_5 \| rst", "rst"),
    (r"~ first_7", "1'h1"),
    (r"(assign negative = )[^;]*:", r"\1"),
    (r"23'h7fffff", "23'h7ffffe"),
])  # fmt: skip
def test_a_fault_in_the_verilog_is_found(pattern, replacement):
    outcome = check_fault(UNIT.configure({**LANE, "pipeline": 10}), pattern, replacement)
    assert re.search("got result = -?[0-9]+, overflow = [01], want", outcome.failure)


# Of a result that leaves as an LNS word: what stands in the Verilog, what stands there instead, and options under which
# the two differ. A result's log below -63 is that of zero by its bits alone; the log of 0, 2**-16, is below it.
LNS_FAULTS = {
    "the carry of a magnitude": (r"\+ negative_10;", "+ 1'h0;", {}),
    "a leading zero": (r"zero_2_13, (zero_1_13, zero_0_13 \})", r"1'h0, \1", {}),
    "the octave": (r"4'hf - \{ zero_4", "4'he - { zero_4", {}),
    "a limit": (r"(assign log_limit_table_7 = ).*;", r"\g<1>1'h1;", {}),
    "a count": (r"(assign log_count_table_13 = ).*;", r"\g<1>1'h0;", {}),
    "what reaches its limit": (r"\{ 1'h0, log_reached_15 \}", "2'h0", {}),
    "a zero": (r"log_is_zero_16 \|", "1'h0 |", {"accumulator": FixedFormat(32, 2, True)}),
    "below the smallest": (r"log_is_zero_16 \| \S+ ;", "log_is_zero_16;", {"lns_result": LNS6}),
    "above the largest": (r"\| log_16\[8:6\]", "1'h0", {}),
    "the sign": (r"(sign_16;\s+if \(i__ready\) begin\s+\S+ += )sign_15;", r"\g<1>sign_14;", {}),
    "the sign of a zero": (r"(= sign_16;\s+if \(\S+ \) begin\s+\S+ += )1'h0;", r"\g<1>1'h1;", {}),
    "the flag": (r"(overflow_17;\s+if \(i__ready\) begin\s+\S+ += )overflow_16;", r"\g<1>overflow_15;", {}),
}
# Each costs a build; the rest is slow evidence.
QUICK_FAULTS = ("the octave", "the sign of a zero")


@pytest.mark.parametrize("pattern, replacement, options", [
    pytest.param(*fault, id=name, marks=() if name in QUICK_FAULTS else pytest.mark.slow)
    for name, fault in LNS_FAULTS.items()
])  # fmt: skip
def test_a_fault_in_the_log_of_the_result_is_found(pattern, replacement, options):
    config = UNIT.configure({**LANE, "lns_result": LNS8, **options})
    assert config.pipeline == 17
    outcome = check_fault(config, pattern, replacement)
    assert re.search("got result = .*, overflow = [01], want", outcome.failure)


def test_a_wrong_mantissa_is_found(monkeypatch):
    config = UNIT.configure(LANE)
    right = UNIT.model(config)
    entries = config.mantissas.copy()
    entries[5] += 1
    with monkeypatch.context() as patch:
        patch.setattr(type(config), "mantissas", property(lambda self: entries))
        emitted = UNIT.emit(config)
    assert not compare(emitted, right, vectors(config)).passed


def test_manifest_says_when_results_come_and_what_is_promised():
    manifest = UNIT.emit(UNIT.configure({**LANE, "lanes": 2})).manifest
    assert manifest["outputs"][0]["when"] == "last"
    fields = [field["name"] for field in manifest["inputs"][0]["fields"]]
    assert fields == ["a_0", "b_0", "a_1", "b_1", "first", "last"]
    assert 0 < manifest["guarantee"]["max_antilog_error"] < 0.004
    assert manifest["guarantee"]["checked"] == "all 8 remainders"
    assert LNS8.parameters().items() <= manifest["parameters"].items()
