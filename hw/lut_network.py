"""Small tables as networks of 4-input LUTs, found once and kept.

A synthesiser sees a table of some hundred entries as a ROM or a ``case`` and settles for what one pass finds. The
networks in ``lut_networks.json`` came out of :mod:`lnsmadam.fpga.lut_search`; a table without one is written as a
``case``. Each network is checked against its table, over every address, whenever it is used.
"""

import functools
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any

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

    def check(self, table: Table) -> None:
        """Raises ``ValueError`` where an output that matters is not the table's."""
        got = self.evaluate(np.arange(1 << table.input_bits))
        wrong = np.flatnonzero((got ^ np.array(table.entries)) & np.array(table.cares))
        if wrong.size:
            at = int(wrong[0])
            raise ValueError(f"LUT network gives {got[at]} at address {at}, table {table.key} {table.entries[at]}")

    def describe(self) -> dict[str, Any]:
        """The network as ``lut_networks.json`` has it."""
        return {
            "inputs": self.inputs,
            "luts": [[list(sources), truth] for sources, truth in self.luts],
            "outputs": list(self.outputs),
        }


#: Networks by their table's key, in place of those of the file; see :func:`replaced`.
_replacement: ContextVar[dict[str, Any] | None] = ContextVar("networks", default=None)


@contextmanager
def replaced(networks: dict[str, Any]) -> Iterator[None]:
    """Uses other networks than the file's, for as long as the context lasts."""
    token = _replacement.set(networks)
    try:
        yield
    finally:
        _replacement.reset(token)


@functools.lru_cache(maxsize=1)
def _of_file() -> dict[str, Any]:
    text = resources.files("lnsmadam.hw").joinpath("lut_networks.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def to_json(networks: dict[str, Any]) -> str:
    """The text of ``lut_networks.json``, a network a line."""
    lines = (f"  {json.dumps(key)}: {json.dumps(networks[key])}" for key in sorted(networks))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def find_network(table: Table) -> Network | None:
    """The stored network of a table, or none; raises ``ValueError`` where it differs from the table."""
    networks = _replacement.get()
    entry = (_of_file() if networks is None else networks).get(table.key)
    if entry is None:
        return None
    luts = tuple((tuple(sources), truth) for sources, truth in entry["luts"])
    network = Network(entry["inputs"], luts, tuple(entry["outputs"]))
    network.check(table)
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
