"""Small tables as networks of 4-input LUTs, found once and kept.

A synthesiser sees a table of some hundred entries as a ROM or a ``case`` and settles for what one pass finds. The
networks in ``lut_networks.json`` came out of a search over variable orders and optimisation scripts
(``tools`` in CONTRIBUTING.md tells how to run it); a table without one is written as a ``case``. Each network is
checked against its table, over every address, whenever it is used.
"""

import functools
import hashlib
import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value


@dataclass(frozen=True)
class Table:
    """A function of ``input_bits`` bits with don't-cares.

    Attributes
    ----------
    input_bits, output_bits : int
    entries : tuple of int
        Output by address.
    cares : tuple of int
        By address, a mask of the output bits that matter.
    """

    input_bits: int
    output_bits: int
    entries: tuple[int, ...]
    cares: tuple[int, ...]

    @property
    def key(self) -> str:
        """Name of the table in ``lut_networks.json``."""
        text = json.dumps([self.input_bits, self.output_bits, self.entries, self.cares])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Network:
    """LUTs in topological order.

    Attributes
    ----------
    inputs : int
        Number of input bits; they are nodes 0 … inputs - 1, LUT k is node inputs + k.
    luts : tuple of (tuple of node, truth)
        Bit i of ``truth`` is the output where the nodes' values spell i, the first the least significant.
    outputs : tuple of node
    """

    inputs: int
    luts: tuple[tuple[tuple[int, ...], int], ...]
    outputs: tuple[int, ...]

    def evaluate(self, addresses: np.ndarray) -> np.ndarray:
        """Outputs, as integers, of integer addresses."""
        nodes = [(addresses >> bit) & 1 for bit in range(self.inputs)]
        for sources, truth in self.luts:
            index = sum((nodes[source] << place for place, source in enumerate(sources)), np.zeros_like(addresses))
            nodes.append((truth >> index) & 1)
        return sum((nodes[node] << bit for bit, node in enumerate(self.outputs)), np.zeros_like(addresses))


@functools.lru_cache(maxsize=1)
def _stored() -> dict[str, Network]:
    text = resources.files("lnsmadam.hw").joinpath("lut_networks.json").read_text(encoding="utf-8")
    return {
        key: Network(
            entry["inputs"],
            tuple((tuple(sources), truth) for sources, truth in entry["luts"]),
            tuple(entry["outputs"]),
        )
        for key, entry in json.loads(text).items()
    }


def find_network(table: Table) -> Network | None:
    """The stored network of a table, or none; raises ``ValueError`` where it differs from the table."""
    network = _stored().get(table.key)
    if network is None:
        return None
    got = network.evaluate(np.arange(1 << table.input_bits))
    wrong = (got ^ np.array(table.entries)) & np.array(table.cares)
    if wrong.any():
        address = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"LUT network {table.key} gives {got[address]} at address {address}, the table {table.entries[address]}"
        )
    return network


def look_up(m: Module, table: Table, address: Value, name: str) -> Value:
    """The table's output at ``address``, as logic: its stored network, or a ``case``."""
    network = find_network(table)
    if network is None:
        output = Signal(table.output_bits, name=name)
        with m.Switch(address):
            for place, entry in enumerate(table.entries):
                if entry:
                    with m.Case(place):
                        m.d.comb += output.eq(entry)
        return output
    nodes: list[Value] = [address[bit] for bit in range(table.input_bits)]
    for number, (sources, truth) in enumerate(network.luts):
        node = Signal(name=f"{name}_lut{number}")
        m.d.comb += node.eq(_sum_of_products([nodes[source] for source in sources], truth))
        nodes.append(node)
    return Cat(nodes[node] for node in network.outputs)


def _sum_of_products(inputs: list[Value], truth: int) -> Value:
    """The function by Shannon expansion: sharing and simplifying is the synthesiser's."""
    if not inputs:
        return Const(truth & 1)
    half = 1 << (len(inputs) - 1)
    low, high = truth & ((1 << half) - 1), truth >> half
    if low == high:
        return _sum_of_products(inputs[:-1], low)
    ones = (1 << half) - 1
    select = inputs[-1]
    if (low, high) == (0, ones):
        return select
    if (low, high) == (ones, 0):
        return ~select
    if low ^ high == ones:
        return select ^ _sum_of_products(inputs[:-1], low)
    if low == 0:
        return select & _sum_of_products(inputs[:-1], high)
    if high == 0:
        return ~select & _sum_of_products(inputs[:-1], low)
    if low == ones:
        return ~select | _sum_of_products(inputs[:-1], high)
    if high == ones:
        return select | _sum_of_products(inputs[:-1], low)
    return (select & _sum_of_products(inputs[:-1], high)) | (~select & _sum_of_products(inputs[:-1], low))
