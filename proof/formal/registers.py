"""A circuit cut at its registers: their outputs become inputs, what they take next becomes outputs.

What is left is combinational. A proof drives the state as it likes, also with values of another circuit, and reads the
next state: an induction step whose sides share their logic, which Yosys' ABC then merges.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Instance, Module, Signal

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.yosys import yosys
from lnsmadam.sim.build import cached, scratch_folder

# Part of every key: a change of what is run makes old results unreachable.
_RECIPE = "2"
_FLAT = (
    "hierarchy -top {name}",
    "proc",
    "flatten",
    # A memory's synchronous read port is a table and a register behind it.
    "memory -nomap",
    "memory_nordff",
    "memory_map -rom-only",
    # Enables as logic in front of the register.
    "dffunmap",
    "opt_clean",
    # A register's value at power-on is no matter of an induction step.
    "setattr -unset init w:*",
    "setattr -mod -unset top {name}",
    "write_rtlil flat.il",
)
# As nothing waits and nothing is reset, so that what enables the registers is not part of what they take.
_RUNNING = (
    "select -assert-none t:$*ff* t:$*dlatch* t:$*mem*",
    "cd {name}",
    "delete -input w:o__ready w:rst",
    "connect -set o__ready 1'1",
    "connect -set rst 1'0",
    "cd",
    "opt_expr",
    "opt_muxtree",
    "opt_expr",
    "clean",
    "write_json running.json",
)
_REGISTER = re.compile(r"^  cell \$dff (\S+)\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
_CONNECTION = re.compile(r"^    connect \\(\w+) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Register:
    """One register.

    Attributes
    ----------
    name : str
        Of its output in the source.
    width : int
    stage : int
        How many registers lie between it and the inputs, itself included; 0 of one that depends on itself: state.
    """

    name: str
    width: int
    stage: int


@dataclass(frozen=True)
class Cut:
    """A combinational circuit and the registers that were in it.

    Attributes
    ----------
    name : str
        Of the module.
    text : str
        RTLIL.
    registers : tuple of Register
    valids : tuple of Register
        The chain of valid bits behind ``o.valid``, the first stage's first.
    has_reset : bool
    """

    name: str
    text: str
    registers: tuple[Register, ...]
    valids: tuple[Register, ...]
    has_reset: bool

    def instance(self, m: Module, name: str, state: Mapping[str, Any], **ports: Any) -> dict[str, Signal]:
        """One copy, with the registers' outputs and the input ports as given; returns what the registers take next,
        by name."""
        taken = {
            register.name: Signal(register.width, name=f"{name}_{register.name}_next") for register in self.registers
        }
        arguments: list[tuple[str, str, Any]] = []
        for register in self.registers:
            arguments.append(("i", f"q:{register.name}", state[register.name]))
            arguments.append(("o", f"d:{register.name}", taken[register.name]))
        if "i_rst" in ports and not self.has_reset:
            del ports["i_rst"]
        m.submodules[name] = Instance(self.name, *arguments, **ports)
        return taken


def cut(component: Elaboratable, name: str) -> Cut:
    """A unit as module ``name``, cut at its registers.

    Raises
    ------
    MissingTool, ToolFailed
        Yosys is missing or failed, or the circuit holds what is neither logic nor a register of the one clock.
    """
    source = rtlil.convert(component, name=name, emit_src=False)

    def make(entry: Path) -> None:
        with scratch_folder() as folder:
            (folder / "source.il").write_text(source, encoding="utf-8")
            yosys(folder, "read_rtlil source.il", *(line.format(name=name) for line in _FLAT))
            text, names = _evert((folder / "flat.il").read_text(encoding="utf-8"))
            (folder / "cut.il").write_text(text, encoding="utf-8")
            stages: dict[str, int] = {}
            valids: list[str] = []
            if names:
                yosys(folder, "read_rtlil cut.il", *(line.format(name=name) for line in _RUNNING))
                running = json.loads((folder / "running.json").read_text(encoding="utf-8"))["modules"][name]
                stages, valids = _stages(running, list(names))
        content = {
            "text": text,
            "registers": [(register, width, stages[register]) for register, width in names.items()],
            "valids": valids,
        }
        (entry / "cut.json").write_text(json.dumps(content), encoding="utf-8")

    entry = cached("registers", [_RECIPE, source, *_FLAT, *_RUNNING, tools.version("yosys")], make)
    content = json.loads((entry / "cut.json").read_text(encoding="utf-8"))
    registers = {register: Register(register, width, stage) for register, width, stage in content["registers"]}
    return Cut(
        name,
        content["text"],
        tuple(registers.values()),
        tuple(registers[valid] for valid in content["valids"]),
        bool(re.search(r"input \d+ \\rst$", content["text"], re.MULTILINE)),
    )


def _evert(text: str) -> tuple[str, dict[str, int]]:
    """The module with a pair of ports in the place of each register, and the registers' widths by name."""
    names: dict[str, int] = {}
    number = max((int(n) for n in re.findall(r"(?:input|output) (\d+)", text)), default=0)

    def ports(match: re.Match[str]) -> str:
        nonlocal number
        connections = dict(_CONNECTION.findall(match[2]))
        width = re.search(r"parameter (?:signed )?\\WIDTH (\S+)", match[2])
        clock = connections["CLK"]
        if not width or clock != r"\clk" or not re.search(r"\\CLK_POLARITY 1'1|\\CLK_POLARITY 1$", match[2], re.M):
            raise ToolFailed(f"Not a register of the one clock: {match[0]}")
        bits = int(width[1].removeprefix("32'"), 2 if "'" in width[1] else 10)
        plain = re.fullmatch(r"\\(\S+)((?: \[.*\])?)", connections["Q"])
        name = plain[1] + plain[2].replace(" ", "") if plain else match[1]
        if name in names:
            raise ToolFailed(f"Two registers of the name {name!r}")
        names[name] = bits
        number += 2
        return (
            f"  wire width {bits} input {number - 1} \\q:{name}\n"
            f"  wire width {bits} output {number} \\d:{name}\n"
            f"  connect {connections['Q']} \\q:{name}\n"
            f"  connect \\d:{name} {connections['D']}\n"
        )

    return _REGISTER.sub(ports, text), names


def _stages(module: Mapping[str, Any], names: list[str]) -> tuple[dict[str, int], list[str]]:
    """Stage of each register, and the names of the valid bits from the first to the last."""
    driver: dict[Any, set[Any]] = {}
    for cell in module["cells"].values():
        sources = {
            bit
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
            for bit in bits
            if isinstance(bit, int)
        }
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                driver.update(dict.fromkeys(bits, sources))
    ports = module["ports"]
    owner = {bit: name for name in names for bit in ports[f"q:{name}"]["bits"]}

    def cone(bits: list[Any]) -> set[str]:
        """The registers on which bits depend, and ``""`` for inputs."""
        found: set[str] = set()
        seen: set[Any] = set()
        todo = [bit for bit in bits if isinstance(bit, int)]
        while todo:
            bit = todo.pop()
            if bit in seen:
                continue
            seen.add(bit)
            if bit in owner:
                found.add(owner[bit])
            elif bit in driver:
                todo.extend(driver[bit])
            else:
                found.add("")
        return found

    behind = {name: cone(ports[f"d:{name}"]["bits"]) for name in names}
    is_state = {name: name in behind[name] for name in names}
    #: Distance from the inputs; None of what follows state in the middle alone.
    depth: dict[str, int | None] = {"": 0}

    def find(name: str, above: tuple[str, ...] = ()) -> int | None:
        if name in above:
            raise ToolFailed(f"Registers in a circle: {', '.join(above)}")
        if name not in depth:
            if is_state[name]:
                depth[name] = 0 if behind[name] <= {name, ""} else None
            else:
                found = [find(source, (*above, name)) for source in behind[name]]
                depth[name] = max((1 + number for number in found if number is not None), default=None)
        return depth[name]

    last = max((find(name) or 0 for name in names), default=0)

    def place(name: str) -> int:
        # What has no distance from the inputs has one from the output.
        number = depth[name]
        if number is None:
            users = [user for user in names if name in behind[user] and not is_state[user]]
            number = depth[name] = min((place(user) - 1 for user in users), default=last)
        return number

    stages = {name: 0 if is_state[name] else place(name) for name in names}
    valids: list[str] = []
    bit = ports["o__valid"]["bits"]
    while True:
        before = cone(bit) - {""}
        if len(before) != 1:
            break
        valids.insert(0, before.pop())
        bit = ports[f"d:{valids[0]}"]["bits"]
    return stages, valids
