"""Verilog and manifest of a trainer: it has more ports than a unit, and is described by what it learns."""

import dataclasses
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import wiring

from lnsmadam.hw.emit import Emitted, to_verilog

NAME = "trainer"
#: Ports that a sample's first cycle reads.
SETTINGS = ("learn", "lr_shift", "gate_on", "gate_margin")


def _width(shape: Any) -> int:
    return int(Shape.cast(shape).width)


def _stream(component: wiring.Component, name: str) -> dict[str, Any]:
    ports = {port: f"{name}__{port}" for port in ("valid", "ready", "payload")}
    return {"name": name, **ports, "width": _width(getattr(component, name).payload.shape())}


def emit_trainer(trainer: wiring.Component) -> Emitted:
    """Converts a :class:`~lnsmadam.hw.trainer.core.Trainer` to Verilog and describes its ports."""
    config = trainer.config
    members = trainer.signature.members
    # The gate is a setting of a sample: whatever the network says, the machine is the same.
    machine = dataclasses.replace(config, network=dataclasses.replace(config.network, gate=None))
    manifest = {
        "unit": NAME,
        "top": NAME,
        "verilog": f"{NAME}.v",
        "parameters": machine.describe(),
        "clock": "clk",
        "reset": "rst",
        "reset_active": "high",
        "inputs": [_stream(trainer, name) for name in ("samples", "access")],
        "outputs": [_stream(trainer, name) for name in ("results", "answer")],
        "settings": {name: {"port": name, "width": _width(members[name].shape)} for name in SETTINGS},
        "idle": "idle",
        "phase": "phase",
    }
    return Emitted(to_verilog(trainer, NAME, manifest["parameters"]), manifest)
