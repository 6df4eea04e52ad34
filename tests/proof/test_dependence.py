"""What depends on what: through logic, registers and a loop."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.proof.mutation.dependence import Dependence


class Two(wiring.Component):
    """A delay and, beside it, a counter; and a register that nothing reads."""

    a: In(4)
    delayed: Out(4)
    count: Out(4)

    def elaborate(self, platform):
        m = Module()
        first, second, counter, unread = (Signal(4, name=name) for name in ("first", "second", "counter", "unread"))
        m.d.sync += [first.eq(~self.a), second.eq(first), unread.eq(second), counter.eq(counter + self.a)]
        m.d.comb += [self.delayed.eq(second), self.count.eq(counter)]
        return m


@pytest.fixture(scope="module")
def dependence():
    return Dependence(rtlil.convert(Two(), name="two"), "two", "proc", "opt_clean")


def test_only_the_counter_feeds_back(dependence):
    assert dependence.feedback() == {"count", "counter"}


def test_cells_are_found_through_registers(dependence):
    delayed, count = dependence.cells_before(["delayed"]), dependence.cells_before(["count"])
    # Each has its resets' logic; the inverter and two registers, the adder and one.
    assert delayed and count and not delayed & count
    first = dependence.cells_before(["first"])
    assert first < delayed and dependence.cells_before(["count", "first"]) == count | first


def test_unknown_net(dependence):
    with pytest.raises(KeyError):
        dependence.cells_before(["other"])
