"""Stored LUT networks: each is its table, a damaged one is refused, and a table without one works too."""

import gc
import itertools

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.sim import Simulator

from lnsmadam.golden.format import LNS6, LNS8
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw.log_sum import sum_table
from lnsmadam.hw.lut_network import Network, Table, _sum_of_products, find_network, look_up, replaced
from lnsmadam.units import UNITS


@pytest.fixture
def lns8_table():
    return sum_table(MultiplyAddConfig(operand=LNS8))


def test_lns8_has_a_network(lns8_table):
    network = find_network(lns8_table)
    assert network is not None and network.inputs == lns8_table.input_bits
    # One bit at a time, not with Network.evaluate.
    for address, (entry, care) in enumerate(zip(lns8_table.entries, lns8_table.cares, strict=True)):
        nodes = [address >> bit & 1 for bit in range(network.inputs)]
        for sources, truth in network.luts:
            assert 1 <= len(sources) <= 4 and max(sources) < len(nodes) and truth < 1 << (1 << len(sources))
            nodes.append(truth >> sum(nodes[source] << place for place, source in enumerate(sources)) & 1)
        got = sum(nodes[node] << bit for bit, node in enumerate(network.outputs))
        assert (got ^ entry) & care == 0, f"address {address}: {got:b} for {entry:b}"


def test_every_flipped_truth_bit_that_matters_is_refused(lns8_table):
    network = find_network(lns8_table)
    refused = 0
    for number, (sources, truth) in enumerate(network.luts):
        for bit in range(1 << len(sources)):
            luts = list(network.luts)
            luts[number] = (sources, truth ^ 1 << bit)
            damaged = Network(network.inputs, tuple(luts), network.outputs)
            got = damaged.evaluate(np.arange(128))
            differs = ((got ^ np.array(lns8_table.entries)) & np.array(lns8_table.cares)).any()
            with replaced({lns8_table.key: damaged.describe()}):
                if differs:
                    refused += 1
                    with pytest.raises(ValueError, match=rf"gives \d+ at address \d+, table {lns8_table.key} \d+"):
                        find_network(lns8_table)
                else:
                    assert find_network(lns8_table) == damaged
    # A few bits are never addressed, or lead to don't-cares alone.
    assert refused > 0.7 * sum(1 << len(sources) for sources, _ in network.luts)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*created but never used")
def test_a_damaged_network_stops_the_emission(lns8_table):
    network = find_network(lns8_table)
    damaged = Network(network.inputs, network.luts, network.outputs[::-1])
    unit = UNITS["multiply_add"]
    with replaced({lns8_table.key: damaged.describe()}), pytest.raises(ValueError, match="LUT network"):
        unit.emit(unit.config())
    # Amaranth warns of the module it never saw the end of: here, not in a later test.
    gc.collect()


def test_keys_tell_tables_apart(lns8_table):
    keys = {sum_table(MultiplyAddConfig(operand=fmt, memory=memory)).key for fmt in (LNS6, LNS8) for memory in Memory}
    changed = Table(7, lns8_table.output_bits, (1, *lns8_table.entries[1:]), lns8_table.cares)
    assert len(keys | {changed.key}) == 5
    assert find_network(changed) is None


def values_of(make, bits):
    """What logic gives for every value of its input."""
    m, address = Module(), Signal(bits)
    output = Signal(16)
    m.d.comb += output.eq(make(m, address))
    got = []

    async def bench(ctx):
        for value in range(1 << bits):
            ctx.set(address, value)
            got.append(ctx.get(output))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def test_a_table_without_network_is_a_case():
    entries = tuple(int(entry) for entry in np.random.default_rng(0).integers(0, 32, 64))
    table = Table(6, 5, entries, (31,) * 64)
    assert find_network(table) is None
    assert values_of(lambda m, address: look_up(m, table, address, "table"), 6) == list(entries)


def test_the_network_as_logic(lns8_table):
    got = values_of(lambda m, address: look_up(m, lns8_table, address, "table"), 7)
    for address, value in enumerate(got):
        assert (value ^ lns8_table.entries[address]) & lns8_table.cares[address] == 0, address


@pytest.mark.parametrize("inputs", range(4))
def test_sum_of_products_of_every_function(inputs):
    """All functions of up to three inputs, side by side in words of up to 256 bits."""
    from amaranth.hdl import Cat

    functions = range(1 << (1 << inputs))
    m, address = Module(), Signal(max(inputs, 1))
    output = Signal(len(functions))
    bits = [address[bit] for bit in range(inputs)]
    m.d.comb += output.eq(Cat(_sum_of_products(bits, truth) for truth in functions))
    got = []

    async def bench(ctx):
        for value in range(1 << inputs):
            ctx.set(address, value)
            got.append(ctx.get(output))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    for (value, word), truth in itertools.product(enumerate(got), functions):
        assert word >> truth & 1 == truth >> value & 1, f"function {truth:b} of {inputs} inputs at {value}"


def test_sum_of_products_of_four_inputs():
    truths = [int(truth) for truth in np.random.default_rng(1).integers(0, 1 << 16, 200)]
    for first in range(0, 200, 16):
        chosen = truths[first : first + 16]

        def make(m, address, chosen=chosen):
            from amaranth.hdl import Cat

            return Cat(_sum_of_products([address[bit] for bit in range(4)], truth) for truth in chosen)

        for value, word in enumerate(values_of(make, 4)):
            for bit, truth in enumerate(chosen):
                assert word >> bit & 1 == truth >> value & 1
    assert _sum_of_products([], 1).value == Const(1).value
