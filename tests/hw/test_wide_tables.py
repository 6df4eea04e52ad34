"""Sums of more than 10 bits from tables: every distance of two logs, against real numbers and the golden model."""

import numpy as np
import pytest

from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.format import LNS8, LNS12, LNSFormat
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw.add import Add
from lnsmadam.hw.emit import emit
from lnsmadam.hw.log_sum import magnitude_bits, registered_boundaries, sum_codes, sum_table
from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

TABLE = {"approximator": Approximator.TABLE}


def operands_over_z(fmt):
    """Words of every distance that two logs can have, in both orders, with every pair of signs."""
    z = np.repeat(np.arange(2 * fmt.code_max + 1), 8)
    way = np.arange(z.size) % 8
    larger = np.random.default_rng(3).integers(fmt.code_min + z, fmt.code_max + 1)
    first, second = (np.where((way & 4 > 0) == swapped, larger, larger - z) for swapped in (False, True))
    a, b = (
        (((way >> bit) & 1) << fmt.log_width | (log & fmt.log_mask)).astype(fmt.dtype)
        for bit, log in ((0, first), (1, second))
    )
    return {"a": a, "b": b, "subtract": np.zeros(z.size, dtype=np.uint8)}


@pytest.mark.parametrize(("fmt", "memory"), [
    (LNSFormat(14, 100), Memory.BLOCK),
    pytest.param(LNS12, Memory.BLOCK, marks=pytest.mark.slow),
    (LNSFormat(12, 100), Memory.LOGIC),
    pytest.param(LNS12, Memory.LOGIC, marks=pytest.mark.slow),
    pytest.param(LNSFormat(12, 300), Memory.LOGIC, marks=pytest.mark.slow),
    pytest.param(LNSFormat(12, 300), Memory.BLOCK, marks=pytest.mark.slow),
    pytest.param(LNSFormat.levels(1500, 1e4), Memory.BLOCK, marks=pytest.mark.slow),
], ids=str)  # fmt: skip
def test_sums_are_the_nearest(fmt, memory):
    """The circuit against real arithmetic, without the golden model in between."""
    config = AddConfig(accumulator=fmt, memory=memory, **TABLE)
    operands = operands_over_z(fmt)
    with BatchUnit(emit(Add(config))) as unit:
        words = unit.run(operands)["result"]
    (sign_a, a), (sign_b, b) = (fmt.unpack(operands[name]) for name in "ab")
    largest = np.maximum(a, b)
    parts = [
        (1 - 2 * sign) * np.exp2((log - largest).astype(np.longdouble) / fmt.base_factor)
        for sign, log in ((sign_a, a), (sign_b, b))
    ]
    relative = parts[0] + parts[1]
    exact = largest + fmt.base_factor * np.log2(np.abs(relative), where=relative != 0, out=np.zeros_like(relative))
    sign, log = fmt.unpack(words)
    inside = (relative != 0) & (exact > fmt.log_min - 0.49) & (exact < fmt.log_max + 0.49)
    assert inside.sum() > 2 * fmt.code_max
    assert np.abs(log - exact)[inside].max() <= 0.5 + 1e-9
    assert (sign == (relative < 0))[inside].all()
    assert (words[relative == 0] == fmt.zero).all() and (relative == 0).any()
    assert (log[(relative != 0) & (exact > fmt.log_max + 0.51)] == fmt.log_max).all()
    assert (words[(relative != 0) & (exact < fmt.log_min - 0.51)] == fmt.zero).all()


@pytest.mark.parametrize("options", [
    {"operand": LNSFormat(12, 100), "memory": Memory.BLOCK},
    {"operand": LNSFormat(16, 100), "memory": Memory.BLOCK, "pipeline": 2},
    {"operand": LNSFormat(20, 0.1), "memory": Memory.LOGIC, "pipeline": 0},
    pytest.param({"operand": LNSFormat(12, 1e4), "memory": Memory.BLOCK, "pipeline": 1}, marks=pytest.mark.slow),
    pytest.param({"operand": LNSFormat(12, 700), "memory": Memory.BLOCK, "pipeline": 4}, marks=pytest.mark.slow),
    pytest.param({"operand": LNS8, "accumulator": LNSFormat(12, 72), "memory": Memory.LOGIC}, marks=pytest.mark.slow),
], ids=str)  # fmt: skip
def test_multiply_add_is_the_golden_one(options):
    unit = UNITS["multiply_add"]
    config = unit.configure({**options, **TABLE})
    emitted, operands = unit.emit(config), stimulus(config, 1, 1 << 18, unit.directed)
    outcome = compare(emitted, unit.model(config), operands, stalls_seed=2)
    assert outcome.passed and outcome.count == 1 << 18, outcome


class Altered(AddConfig):
    """A configuration whose table is wrong at one distance."""

    wrong = 0

    @property
    def gauss_logs(self):
        tables = [table.copy() for table in super().gauss_logs]
        tables[self.wrong % 2][self.wrong] += 1
        return tables


@pytest.mark.parametrize("wrong", [1, 801])
def test_a_wrong_entry_is_found(wrong):
    options = {"accumulator": LNSFormat(12, 100), "memory": Memory.BLOCK}
    config, altered = AddConfig(**options), Altered(**options)
    object.__setattr__(altered, "wrong", wrong)
    outcome = compare(
        emit(Add(altered)),
        lambda columns, start: {"result": add(config, columns["a"], columns["b"], columns["subtract"])},
        [operands_over_z(config.accumulator)],
    )
    assert outcome.mismatch is not None


@pytest.mark.parametrize("memory", list(Memory))
def test_every_base_factor_has_codes(memory):
    for fmt in (LNSFormat(11, 0.3), LNSFormat(12, 128), LNSFormat(12, 1e12), LNSFormat(16, 300), LNSFormat(20, 0.1)):
        for config in (
            AddConfig(accumulator=fmt, memory=memory, **TABLE),
            MultiplyAddConfig(operand=fmt, memory=memory, **TABLE),
        ):
            config.require_hardware()
            codes, table = sum_codes(config), sum_table(config)
            assert magnitude_bits(config) <= codes.kill.bit_length() - 1 < codes.total_bits
            # The last address stands for all distances beyond the table.
            last = (1 << codes.index_bits) - 1
            assert memory is Memory.LOGIC or table.entries[last] == 0
            assert table.input_bits <= 13


@pytest.mark.parametrize("memory", list(Memory))
def test_registered_boundaries(memory):
    fewest = AddConfig(accumulator=LNSFormat(12, 100), memory=memory).min_pipeline
    for pipeline in range(fewest, 8):
        chosen = registered_boundaries(AddConfig(accumulator=LNSFormat(12, 100), memory=memory, pipeline=pipeline))
        assert len(chosen) == pipeline and chosen <= set(range(1, 8))
        assert memory is Memory.LOGIC or 4 in chosen
