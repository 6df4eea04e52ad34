"""What depends on what in a netlist, by its wires alone: an output of a cell on all that enters the cell."""

import json
from collections.abc import Iterable
from typing import Any

from lnsmadam.proof.yosys import yosys
from lnsmadam.sim.build import scratch_folder

# Of Yosys' JSON: a bit of a net is a number, a constant a text.
_Bit = int | str


class Dependence:
    """Cells and nets of a flat module.

    Parameters
    ----------
    netlist : str
        RTLIL of one module.
    name : str
        Of the module.
    *commands : str
        Of Yosys, before the netlist is read.
    """

    def __init__(self, netlist: str, name: str, *commands: str):
        with scratch_folder() as folder:
            (folder / "unit.il").write_text(netlist, encoding="utf-8")
            yosys(folder, "read_rtlil unit.il", *commands, "write_json unit.json")
            module = json.loads((folder / "unit.json").read_text(encoding="utf-8"))["modules"][name]
        self._cells: dict[str, dict[str, Any]] = module["cells"]
        self._nets: dict[str, list[_Bit]] = {name: net["bits"] for name, net in module["netnames"].items()}
        self._driver = {bit: cell for cell in self._cells for bit in self._bits(cell, "output")}

    def _bits(self, cell: str, direction: str) -> list[_Bit]:
        entry = self._cells[cell]
        ports = (port for port, is_a in entry["port_directions"].items() if is_a == direction)
        return [bit for port in ports for bit in entry["connections"][port] if isinstance(bit, int)]

    def cells_before(self, nets: Iterable[str]) -> set[str]:
        """All cells that some bit of the nets depends on, through registers and memories too.

        Raises
        ------
        KeyError
            There is no such net.
        """
        return self._before(bit for net in nets for bit in self._nets[net])

    def _before(self, bits: Iterable[_Bit]) -> set[str]:
        found: set[str] = set()
        waiting = [self._driver[bit] for bit in bits if bit in self._driver]
        while waiting:
            cell = waiting.pop()
            if cell not in found:
                found.add(cell)
                waiting += [self._driver[bit] for bit in self._bits(cell, "input") if bit in self._driver]
        return found

    def feedback(self) -> set[str]:
        """Names of the registers whose next value depends on what they hold, through others or at once."""
        registers = {cell for cell, entry in self._cells.items() if "ff" in entry["type"]}
        loops = {cell for cell in registers if cell in self._before(self._bits(cell, "input"))}
        held = {bit for cell in loops for bit in self._bits(cell, "output")}
        names = {net for net, bits in self._nets.items() if not net.startswith("$") and held & set(bits)}
        named = {bit for net in names for bit in self._nets[net]}
        if not held <= named:
            raise ValueError(f"Registers without a name feed back: {sorted(map(str, held - named))}")
        return names
