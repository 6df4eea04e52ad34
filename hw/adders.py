"""Sums of two numbers and a carry, whose carry enters the chain below its first bit instead of taking a chain of its
own."""

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed


def sum_with(a, b, carry) -> Value:
    """``a + b + carry`` of bits without sign, as long as the longer one: what leaves it is dropped."""
    bits = max(len(a), len(b))
    return (Cat(Const(1, 1), a) + Cat(carry, b))[1 : bits + 1]


def add(m: Module, x, y, carry) -> Value:
    """``x + y + carry`` of signed numbers, one bit longer than the longer one: nothing is lost."""
    total = Signal(signed(max(len(x), len(y)) + 2))
    m.d.comb += total.eq(Cat(Const(1, 1), x).as_signed() + Cat(carry, y).as_signed())
    return total[1:].as_signed()
