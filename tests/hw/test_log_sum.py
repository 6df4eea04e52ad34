"""The sum's codes and table: a circuit exists for every narrow format, and its table is the real function."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.add import AddConfig
from lnsmadam.golden.format import LNS6, LNS8, LNS10, SYNAPSE, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw.log_sum import magnitude_bits, registered_boundaries, sum_codes, sum_table


def configurations():
    for memory in Memory:
        for width in range(4, 11):
            for base_factor in (0.1 * 2 ** (width - 4), 1.0 * 2 ** (width - 4), 12.3 * 2 ** (width - 4), 1e3, 1e12):
                fmt = LNSFormat(width, base_factor)
                # The widest search takes half a second; every other width has it.
                if width % 2 or base_factor < 1e3:
                    yield MultiplyAddConfig(operand=fmt, memory=memory)
                yield AddConfig(accumulator=fmt, memory=memory)
        for multiple in (2, 3, 8):
            for widths in ((4, 10), (6, 8), (8, 5)):
                operand, accumulator = LNSFormat(widths[0], 4), LNSFormat(widths[1], 4 * multiple)
                yield MultiplyAddConfig(operand=operand, accumulator=accumulator, memory=memory)


def test_every_format_has_codes():
    count = 0
    for config in configurations():
        codes = sum_codes(config)
        # What the circuit's slices and repetitions need.
        kill_bit = codes.kill.bit_length() - 1
        assert codes.kill == 1 << kill_bit and magnitude_bits(config) <= kill_bit < codes.total_bits, config
        assert codes.zero_x != codes.zero_y
        half = 1 << (codes.log_bits - 1)
        low, high = config.x_range
        assert -half <= codes.zero_x and -half <= codes.zero_y and -half <= low and high < half, config
        fmt = config.accumulator
        assert not fmt.code_min <= codes.zero_y <= fmt.code_max
        count += 1
    assert count > 100


def test_lns8_codes_are_the_narrow_ones():
    # The published size of the circuit depends on them: 7 address bits, 6 outputs, a 9-bit sum.
    for memory, index_bits in ((Memory.LOGIC, 6), (Memory.BLOCK, 8)):
        config = MultiplyAddConfig(memory=memory)
        codes, table = sum_codes(config), sum_table(config)
        assert (codes.log_bits, codes.index_bits, codes.total_bits) == (8, index_bits, 9)
        assert (table.input_bits, table.output_bits) == (index_bits + 1, 6)


@pytest.mark.parametrize("memory", list(Memory))
@pytest.mark.parametrize("fmt", [LNS6, LNS8, LNS10, SYNAPSE, LNSFormat(7, 3.7)], ids=lambda fmt: fmt.name)
def test_table_against_mpmath(fmt, memory, reals_of_sum):
    config = MultiplyAddConfig(operand=fmt, memory=memory)
    table, bits = sum_table(config), magnitude_bits(config)
    span = 1 << (table.input_bits - 1)
    assert len(table.entries) == len(table.cares) == 2 * span
    for address, (entry, care) in enumerate(zip(table.entries, table.cares, strict=True)):
        subtract, d = divmod(address, span)
        if memory is Memory.BLOCK:
            d = abs(d - span if d >= span // 2 else d)
        keep, steps = entry >> bits, entry & ((1 << bits) - 1)
        if subtract and d == 0:
            assert keep == 0 and care == 1 << bits
            continue
        assert care == (2 << bits) - 1
        exact = reals_of_sum(fmt.base_factor, d, bool(subtract))
        assert (keep, steps) == ((1, (1 << bits) - 1 + exact) if subtract else (0, exact)), (address, d)


@pytest.fixture(scope="module")
def reals_of_sum():
    def rounded(base_factor, z, subtract):
        with mpmath.workdps(50):
            factor = mpmath.mpf(base_factor)
            power = mpmath.power(2, -z / factor)
            return int(mpmath.floor(factor * mpmath.log(1 - power if subtract else 1 + power, 2) + mpmath.mpf(1) / 2))

    return rounded


@pytest.mark.parametrize("memory", list(Memory))
def test_registered_boundaries(memory):
    longest = AddConfig(memory=memory).max_pipeline
    for pipeline in range(AddConfig(memory=memory, pipeline=1).min_pipeline, longest + 1):
        chosen = registered_boundaries(AddConfig(memory=memory, pipeline=pipeline))
        assert len(chosen) == pipeline and chosen <= set(range(1, longest + 1))
        assert memory is Memory.LOGIC or 3 in chosen
    assert np.array_equal(sorted(chosen), np.arange(1, longest + 1))
