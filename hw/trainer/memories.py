"""Memories of the trainer, in block RAM, and constants that depend on the layer."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Value, unsigned
from amaranth.lib.memory import Memory

from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.tables import logic_table


def block_memory(m: Module, name: str, *, width: int, depth: int, init: Sequence[int] = ()):
    """A memory with one read port and one write port.

    What is read in the cycle of a write to the same address is what was there before. Reset changes nothing.

    Returns
    -------
    (read port, write port)
    """
    # Two words at least: an address needs a bit.
    memory = Memory(shape=unsigned(width), depth=max(depth, 2), init=list(init))
    memory.attrs["ram_style"] = "block"
    m.submodules[name] = memory
    return memory.read_port(), memory.write_port()


def by_layer(m: Module, layer: Value, values: Sequence[int], name: str) -> Value:
    """The value of a layer, in logic."""
    if len(set(values)) == 1:
        width = signed_bits(values[0]) if values[0] < 0 else max(values[0].bit_length(), 1)
        return Const(values[0], width)
    if min(values) < 0:
        width = signed_bits(*values)
        return logic_table(m, [value & ((1 << width) - 1) for value in values], layer, width, name).as_signed()
    return logic_table(m, values, layer, max(values).bit_length(), name)
