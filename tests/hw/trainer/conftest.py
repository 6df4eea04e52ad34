"""How components without a stream are run: cycle by cycle, in Verilator."""

import warnings

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Shape

from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.batch import BatchUnit


def as_unit(component):
    """A component as a unit of which every cycle is a transfer, and what its ports hold then the result."""
    members = {
        name: (member.flow.name, Shape.cast(member.shape)) for name, member in component.signature.members.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = verilog.convert(component, name="component", emit_src=False, strip_internal_attrs=True)
    has_clock = "input clk" in text
    connections = [".clk(clk)", ".rst(rst)"] if has_clock else []
    connections = [c for c in connections if f"input {c[1:4]};" in text]
    sides = {}
    for side, flow in (("i", "In"), ("o", "Out")):
        fields, lsb = [], 0
        for name, (direction, shape) in members.items():
            if direction == flow and shape.width:
                fmt = {"kind": "fixed", "width": shape.width, "fraction_bits": 0, "signed": shape.signed}
                fields.append({"name": name, "lsb": lsb, "width": shape.width, "format": fmt})
                connections.append(f".{name}({side}__payload[{lsb} +: {shape.width}])")
                lsb += shape.width
        sides[side] = {
            "name": side, "valid": f"{side}__valid", "ready": f"{side}__ready", "payload": f"{side}__payload",
            "width": lsb, "fields": fields,
        }  # fmt: skip
    head = f"""\
module cycles(input clk, input rst, input i__valid, output i__ready, input [{sides["i"]["width"] - 1}:0] i__payload,
  output o__valid, input o__ready, output [{sides["o"]["width"] - 1}:0] o__payload);
  assign o__valid = i__valid;
  assign i__ready = 1;
  component inner({", ".join(connections)});
endmodule
"""
    manifest = {
        "unit": "cycles", "top": "cycles", "verilog": "cycles.v", "parameters": {}, "clock": "clk", "reset": "rst",
        "latency": 0, "interval": 1, "inputs": [sides["i"]], "outputs": [sides["o"]],
    }  # fmt: skip
    return Emitted(f"{head}/* verilator lint_off WIDTH */\n{text}", manifest)


@pytest.fixture
def run_cycles():
    """``run(component, inputs) -> outputs``: integers by port, one a cycle; those that are left out are 0."""

    def run(component, inputs):
        emitted = as_unit(component)
        count = max(len(np.atleast_1d(column)) for column in inputs.values())
        columns = {}
        with BatchUnit(emitted) as unit:
            for field in unit.ports.input.fields:
                values = np.broadcast_to(np.asarray(inputs.get(field.name, 0), dtype=np.int64), count)
                columns[field.name] = np.asarray(field.format.pack(values))
            assert not inputs.keys() - columns.keys(), "no such ports"
            outputs = unit.run(columns)
            fields = unit.ports.output.fields
            return {field.name: np.asarray(field.format.unpack(outputs[field.name])) for field in fields}

    return run
