"""Constant tables in logic."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


def logic_table(m: Module, entries: Sequence[int], address: Value, width: int, name: str) -> Signal:
    """``entries[address]``, cut to ``width`` bits, as multiplexers; the last entry stands for those beyond.

    Each bit is a decision diagram from the address's most significant bit down, with equal parts shared. A
    ``case`` would say the same, but synthesis turns it into block RAM.
    """
    last = len(entries) - 1
    known: dict[tuple[int, ...], Value] = {}

    def node(bits: tuple[int, ...], level: int) -> Value:
        if len(set(bits)) == 1:
            return Const(bits[0], 1)
        if bits in known:
            return known[bits]
        half = len(bits) // 2
        low, high = node(bits[:half], level - 1), node(bits[half:], level - 1)
        if bits[:half] == bits[half:]:
            return low
        signal = Signal(name=f"{name}_{len(known)}")
        m.d.comb += signal.eq(Mux(address[level], high, low))
        known[bits] = signal
        return signal

    out = Signal(width, name=name)
    columns = []
    for bit in range(width):
        bits = tuple(int(entries[min(i, last)]) >> bit & 1 for i in range(1 << len(address)))
        columns.append(node(bits, len(address) - 1))
    m.d.comb += out.eq(Cat(columns))
    return out
