"""Memories of the trainer, in block RAM, and constants that depend on the layer."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Value, unsigned
from amaranth.lib.memory import Memory

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
    """The value of a layer, 0 or more, in logic."""
    if len(set(values)) == 1:
        return Const(values[0], max(values[0].bit_length(), 1))
    return logic_table(m, values, layer, max(values).bit_length(), name)
