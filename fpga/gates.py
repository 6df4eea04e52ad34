"""A netlist of gates, and 64 simulations a machine word of it that count every toggle.

:data:`GATES` is the library: static CMOS, transistor counts as in Weste and Harris, CMOS VLSI Design, 4th edition,
chapters 9 and 10. AND and OR are not in it: they are a NAND or NOR and an inverter, so that the net between the
two is seen to toggle.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.hw.toolchain import ToolFailed

#: Rows of bits: one net a row, 64 streams a word.
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Gate:
    """One gate of the library.

    Attributes
    ----------
    transistors : int
    pins : dict of int
        Inputs in order, each with the transistors whose gate it drives.
    function : str
        The output Y as genlib writes it.
    evaluate : callable
        The same on words of bits.
    """

    transistors: int
    pins: Mapping[str, int]
    function: str
    evaluate: Callable[..., Bits]


GATES = {
    "INV": Gate(2, {"A": 2}, "!A", lambda a: ~a),
    "NAND2": Gate(4, {"A": 2, "B": 2}, "!(A*B)", lambda a, b: ~(a & b)),
    "NOR2": Gate(4, {"A": 2, "B": 2}, "!(A+B)", lambda a, b: ~(a | b)),
    "NAND3": Gate(6, {"A": 2, "B": 2, "C": 2}, "!(A*B*C)", lambda a, b, c: ~(a & b & c)),
    "NOR3": Gate(6, {"A": 2, "B": 2, "C": 2}, "!(A+B+C)", lambda a, b, c: ~(a | b | c)),
    "AOI21": Gate(6, {"A": 2, "B": 2, "C": 2}, "!((A*B)+C)", lambda a, b, c: ~(a & b | c)),
    "OAI21": Gate(6, {"A": 2, "B": 2, "C": 2}, "!((A+B)*C)", lambda a, b, c: ~((a | b) & c)),
    "AOI22": Gate(8, {"A": 2, "B": 2, "C": 2, "D": 2}, "!((A*B)+(C*D))", lambda a, b, c, d: ~(a & b | c & d)),
    "OAI22": Gate(8, {"A": 2, "B": 2, "C": 2, "D": 2}, "!((A+B)*(C+D))", lambda a, b, c, d: ~((a | b) & (c | d))),
    # An AOI21 behind a NOR2, an OAI21 behind a NAND2.
    "XOR2": Gate(10, {"A": 4, "B": 4}, "(A*!B)+(!A*B)", lambda a, b: a ^ b),
    "XNOR2": Gate(10, {"A": 4, "B": 4}, "(A*B)+(!A*!B)", lambda a, b: ~(a ^ b)),
    # An AOI22 between two inverters.
    "MUX2": Gate(12, {"A": 2, "B": 2, "S": 4}, "(A*!S)+(B*S)", lambda a, b, s: a & ~s | b & s),
}

#: The flip-flop: four transmission gates, six inverters, and two more for its clock.
FLIP_FLOP = "$_DFF_P_"
FLIP_FLOP_TRANSISTORS = 24
FLIP_FLOP_PIN = 2
#: Transistor gates that one flip-flop hangs on its clock: the transmission gates and the two inverters.
CLOCK_PIN = 12
#: What a gate's own output adds to its net: the drains of one transistor of either kind.
DRAINS = 2


def genlib() -> str:
    """The library as ``abc`` reads it: areas are transistors, every delay is 1."""
    lines = ["GATE ZERO 0 Y=CONST0;", "GATE ONE 0 Y=CONST1;"]
    for name, gate in GATES.items():
        lines.append(f"GATE {name} {gate.transistors} Y={gate.function}; PIN * UNKNOWN 1 999 1 0 1 0")
    return "\n".join(lines) + "\n"


def black_boxes() -> str:
    """The library's modules without content, so that Yosys knows the direction of their pins."""
    modules = [("ZERO", ()), ("ONE", ()), *((name, tuple(gate.pins)) for name, gate in GATES.items())]
    return "".join(
        f"(* blackbox *) module {name}({''.join(f'input {pin}, ' for pin in pins)}output Y); endmodule\n"
        for name, pins in modules
    )


_ZERO, _ONE = 0, 1


class Netlist:
    """Gates and flip-flops of a module that ``write_json`` wrote.

    Parameters
    ----------
    module : dict
        The module's entry of the file.

    Attributes
    ----------
    ports : dict of arrays
        Nets of each port, least significant bit first. A net is a row of :attr:`nets`; the first two are the
        constants.
    cells : dict of int
        How many of each kind.
    load : array of int
        What each net charges: transistor gates on it, and its driver's drains (not for a port's).
    depth : int
        Gates of the longest path.

    Raises
    ------
    ToolFailed
        A cell is not of the library, or gates form a loop.
    """

    def __init__(self, module: Mapping[str, Any]):
        self._rows: dict[int | str, int] = {"0": _ZERO, "x": _ZERO, "z": _ZERO, "1": _ONE}
        self._next = 2
        self.cells: dict[str, int] = {}
        gates: list[tuple[str, int, list[int]]] = []
        registers: list[tuple[int, int]] = []
        wired = module["cells"].values()
        for cell in wired:
            if cell["type"] in ("ZERO", "ONE"):
                self._rows[cell["connections"]["Y"][0]] = _ONE if cell["type"] == "ONE" else _ZERO
        for cell in wired:
            kind, pins = cell["type"], cell["connections"]
            if kind in GATES:
                gates.append((kind, self._row(pins["Y"][0]), [self._row(pins[pin][0]) for pin in GATES[kind].pins]))
            elif kind == FLIP_FLOP:
                registers.append((self._row(pins["D"][0]), self._row(pins["Q"][0])))
            elif kind not in ("ZERO", "ONE"):
                raise ToolFailed(f"The netlist has a cell that is no gate of the library: {kind}")
            if kind not in ("ZERO", "ONE"):
                self.cells[kind] = self.cells.get(kind, 0) + 1
        self.ports = {
            name: np.array([self._row(bit) for bit in port["bits"]], dtype=np.intp)
            for name, port in module["ports"].items()
        }
        self.nets = self._next
        self.data = np.array([d for d, _ in registers], dtype=np.intp)
        self.state = np.array([q for _, q in registers], dtype=np.intp)
        self.outputs = np.array([out for _, out, _ in gates] + [q for _, q in registers], dtype=np.intp)
        self.load = self._loads(gates)
        self._plan = self._schedule(gates)
        self.depth = len(self._plan)

    def _row(self, bit: int | str) -> int:
        if bit not in self._rows:
            self._rows[bit] = self._next
            self._next += 1
        return self._rows[bit]

    @property
    def transistors(self) -> int:
        return sum(
            count * (FLIP_FLOP_TRANSISTORS if kind == FLIP_FLOP else GATES[kind].transistors)
            for kind, count in self.cells.items()
        )

    @property
    def clock_load(self) -> int:
        """What the clock charges in a cycle, both edges; no tree, no gating."""
        return 2 * CLOCK_PIN * self.cells.get(FLIP_FLOP, 0)

    def _loads(self, gates: list[tuple[str, int, list[int]]]) -> npt.NDArray[np.int64]:
        load = np.zeros(self.nets, dtype=np.int64)
        load[self.outputs] = DRAINS
        np.add.at(load, self.data, FLIP_FLOP_PIN)
        for kind, _, inputs in gates:
            np.add.at(load, inputs, list(GATES[kind].pins.values()))
        load[[_ZERO, _ONE]] = 0
        return load

    def _schedule(
        self, gates: list[tuple[str, int, list[int]]]
    ) -> list[list[tuple[str, npt.NDArray[np.intp], list[npt.NDArray[np.intp]]]]]:
        """For each unit of time, the gates that may change in it, by kind.

        A gate may change from the length of the shortest path to it up to that of the longest.
        """
        users: dict[int, list[int]] = {}
        driver = {out for _, out, _ in gates}
        waiting = []
        for index, (_, _, inputs) in enumerate(gates):
            driven = [net for net in inputs if net in driver]
            waiting.append(len(driven))
            for net in driven:
                users.setdefault(net, []).append(index)
        never = len(gates) + 1
        first = dict.fromkeys((_ZERO, _ONE), never)
        last: dict[int, int] = {}
        ready = [index for index, count in enumerate(waiting) if not count]
        done = 0
        while ready:
            index = ready.pop()
            done += 1
            _, out, inputs = gates[index]
            last[out] = 1 + max(last.get(net, 0) for net in inputs)
            first[out] = min(1 + min(first.get(net, 0) for net in inputs), last[out])
            for user in users.get(out, ()):
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        if done != len(gates):
            raise ToolFailed(f"{len(gates) - done} gates of the netlist form or follow a loop")
        plan = []
        for time in range(1, max(last.values(), default=0) + 1):
            groups = []
            for kind in GATES:
                members = [g for g in gates if g[0] == kind and first[g[1]] <= time <= last[g[1]]]
                if members:
                    outs = np.array([out for _, out, _ in members], dtype=np.intp)
                    pins = [np.array(column, dtype=np.intp) for column in zip(*(g[2] for g in members), strict=True)]
                    groups.append((kind, outs, pins))
            plan.append(groups)
        return plan

    def simulation(self, words: int) -> "Simulation":
        """``64 * words`` simulations side by side, all nets 0."""
        return Simulation(self, words)

    def steps(self) -> Iterator[list[tuple[str, npt.NDArray[np.intp], list[npt.NDArray[np.intp]]]]]:
        """The gates to evaluate in each unit of time after a clock edge."""
        return iter(self._plan)


class Simulation:
    """Unit-delay simulation of a netlist, and the toggles of each net.

    Operands and flip-flops change together at the clock edge; every gate then follows its inputs one unit of time
    later, until all is settled. A net that moves more than once, or moves and comes back, glitches.

    Attributes
    ----------
    values : array (nets, words)
        Bits of every net, settled.
    settled : array of int (nets,)
        Toggles from one settled cycle to the next, as a simulation without delay counts them.
    transitions : array of int (nets,)
        All toggles, glitches included.
    """

    def __init__(self, netlist: Netlist, words: int):
        self.netlist = netlist
        self.values: Bits = np.zeros((netlist.nets, words), dtype=np.uint64)
        self.values[_ONE] = ~np.uint64(0)
        self.settled = np.zeros(netlist.nets, dtype=np.int64)
        self.transitions = np.zeros(netlist.nets, dtype=np.int64)

    def clock(self, inputs: Mapping[str, Bits], counted: bool = True) -> None:
        """One cycle: a clock edge with new words of bits at the ports, and all that follows from it."""
        netlist, values = self.netlist, self.values
        before = values.copy()
        captured = values[netlist.data]
        for name, bits in inputs.items():
            values[netlist.ports[name]] = bits
        values[netlist.state] = captured
        transitions = np.bitwise_count(values ^ before).sum(axis=1, dtype=np.int64)
        for groups in netlist.steps():
            # Every gate sees what its inputs were one unit of time ago.
            results = [(outs, GATES[kind].evaluate(*(values[pin] for pin in pins))) for kind, outs, pins in groups]
            for outs, result in results:
                transitions[outs] += np.bitwise_count(result ^ values[outs]).sum(axis=1, dtype=np.int64)
                values[outs] = result
        if counted:
            self.transitions += transitions
            self.settled += np.bitwise_count(values ^ before).sum(axis=1, dtype=np.int64)
