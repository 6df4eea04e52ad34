"""A unit between registers, behind four pins.

Data go through the harness bit by bit, so that a unit of any width is measured with the pins of any package::

    shift_in ─► shift register ─► input register ─► unit ─► output register ─► shift register ─► shift_out
                                  (enable: load)                               (load: take, else shift)

Every path of the unit therefore starts and ends in a register, the harness's or its own, and no pin delay is
in its clock. The unit stays a module of its own while Yosys optimises (``keep_hierarchy``): its cells are not
merged with the harness's, no constant crosses between them, and what is counted is what the unit alone costs,
handshake included. Only for place and route are both flattened into one netlist.
"""

from dataclasses import dataclass

from lnsmadam.hw.emit import Emitted

#: Name of the harness module; no unit may bear it.
TOP = "shift_harness"


@dataclass(frozen=True)
class Harness:
    """Verilog around a unit.

    Attributes
    ----------
    verilog : str
        The module :data:`TOP`; the unit's own text is not in it.
    inputs, outputs : int
        Bits that the harness drives and captures: payloads and handshake, and ``rst`` among the inputs.
    """

    verilog: str
    inputs: int
    outputs: int

    @property
    def cells(self) -> dict[str, int]:
        """What the harness itself costs: two registers a bit on either side, and one LUT per captured bit,
        which chooses between shifting and taking."""
        return {"lut4": self.outputs, "ff": 2 * self.inputs + 2 * self.outputs}


def harness(emitted: Emitted) -> Harness:
    """The harness for an emitted unit, from its manifest."""
    manifest = emitted.manifest
    driven: list[tuple[str, int]] = []
    captured: list[tuple[str, int]] = []
    for port in manifest["inputs"]:
        driven += [(port["payload"], port["width"]), (port["valid"], 1)]
        captured.append((port["ready"], 1))
    for port in manifest["outputs"]:
        captured += [(port["payload"], port["width"]), (port["valid"], 1)]
        driven.append((port["ready"], 1))
    if manifest["reset"]:
        driven.append((manifest["reset"], 1))

    def connections(ports: list[tuple[str, int]], bus: str) -> tuple[list[str], int]:
        lines, lsb = [], 0
        for name, width in ports:
            lines.append(f".{name}({bus}[{lsb + width - 1}:{lsb}])")
            lsb += width
        return lines, lsb

    input_lines, inputs = connections(driven, "drive")
    output_lines, outputs = connections(captured, "result")
    # A unit of no register has no clock port.
    clock = [f".{manifest['clock']}(clk)"] if manifest["clock"] else []
    ports = ",\n    ".join(clock + input_lines + output_lines)
    text = f"""\
module {TOP}(input clk, input load, input shift_in, output shift_out);
  reg [{inputs - 1}:0] shift, drive;
  wire [{outputs - 1}:0] result;
  reg [{outputs - 1}:0] taken, shifted;
  {manifest["top"]} unit(
    {ports});
  always @(posedge clk) begin
    shift <= {{shift, shift_in}};
    if (load) drive <= shift;
    taken <= result;
    shifted <= load ? taken : {{shifted, shift_in}};
  end
  assign shift_out = shifted[{outputs - 1}];
endmodule
"""
    return Harness(text, inputs, outputs)
