"""A unit's ports under other people's names: AXI4-Stream, or one port a field.

Both are wrappers that only rename and regroup: no cycle is added, and latency, rate and what stalls do stay those of
the unit's own streams.
"""

import enum
from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.config import Format
from lnsmadam.hw.pipeline import UnitComponent


class Interface(enum.Enum):
    """How the ports of a unit are named and grouped."""

    STREAM = "stream"
    AXIS = "axis"
    FLAT = "flat"


def field_entries(fields: dict[str, Format]) -> list[dict[str, Any]]:
    """What the manifest says of the fields of a payload, the first in the least significant bits."""
    entries, lsb = [], 0
    for field, fmt in fields.items():
        entries.append({"name": field, "lsb": lsb, "width": fmt.width, "format": fmt.describe()})
        lsb += fmt.width
    return entries


def _width(fields: dict[str, Format]) -> int:
    return sum(fmt.width for fmt in fields.values())


class StreamPorts:
    """A unit as it is: streams ``i`` and ``o``, clock ``clk``, active-high synchronous reset ``rst``."""

    def __init__(self, unit: UnitComponent):
        self.component = unit

    def describe(self) -> dict[str, Any]:
        """What the manifest says of the ports."""
        config = self.component.config

        def port(name: str, fields: dict[str, Format]) -> dict[str, Any]:
            return {
                "name": name,
                "valid": f"{name}__valid",
                "ready": f"{name}__ready",
                "payload": f"{name}__payload",
                "width": _width(fields),
                "fields": field_entries(fields),
            }

        return {
            # A unit without registers has no clock and no reset port.
            "clock": "clk" if config.pipeline else None,
            "reset": "rst" if config.pipeline else None,
            "reset_active": "high" if config.pipeline else None,
            "inputs": [port("i", config.inputs)],
            "outputs": [port("o", config.outputs) | ({"when": config.result_when} if config.result_when else {})],
        }


class AxisPorts(wiring.Component):
    """A unit behind AXI4-Stream: slave ``s_axis`` takes operands, master ``m_axis`` gives results.

    The fields lie in ``tdata`` as in the unit's own payload, one behind the other from bit 0; ``tdata`` is as wide
    as they are, rounded up to whole bytes. The bits above the last field are ignored on the way in and 0 on the way
    out. There is no ``tkeep`` or ``tstrb``: every byte counts.

    Of most units a transfer's ``tlast`` comes out with its result, so packets stay packets; that costs one flip-flop
    a stage. A unit whose results follow some transfers only (``UnitConfig.result_when``) takes a vector as a packet:
    ``tlast`` is that field, ``first`` is 1 on the first transfer after reset or after a ``tlast``, neither is part
    of ``tdata``, and ``tlast`` is 1 with every result.

    Parameters
    ----------
    unit : :class:`~lnsmadam.hw.pipeline.UnitComponent`

    Members
    -------
    aclk, aresetn : ``In(1)``
        Clock, and active-low synchronous reset; absent without registers.
    s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast
    m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast
    """

    def __init__(self, unit: UnitComponent):
        self.unit = unit
        config = unit.config
        implied = {config.result_when, "first"} if config.result_when else set()
        self._inputs = {name: fmt for name, fmt in config.inputs.items() if name not in implied}
        # AXI4-Stream knows whole bytes only.
        self._in_width, self._out_width = (-(-_width(fields) // 8) * 8 for fields in (self._inputs, config.outputs))
        clocked = {"aclk": In(1), "aresetn": In(1)} if config.pipeline else {}
        super().__init__(
            {
                **clocked,
                "s_axis_tdata": In(self._in_width),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(self._out_width),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
            }
        )

    @property
    def component(self) -> wiring.Component:
        return self

    def describe(self) -> dict[str, Any]:
        """What the manifest says of the ports; ``when`` of the results names a port here, not a field."""
        config = self.unit.config

        def port(name: str, fields: dict[str, Format], width: int) -> dict[str, Any]:
            return {
                "name": name,
                "valid": f"{name}_tvalid",
                "ready": f"{name}_tready",
                "payload": f"{name}_tdata",
                "last": f"{name}_tlast",
                "width": width,
                "fields": field_entries(fields),
            }

        when = {"when": "s_axis_tlast"} if config.result_when else {}
        return {
            "clock": "aclk" if config.pipeline else None,
            "reset": "aresetn" if config.pipeline else None,
            "reset_active": "low" if config.pipeline else None,
            "inputs": [port("s_axis", self._inputs, self._in_width)],
            "outputs": [port("m_axis", config.outputs, self._out_width) | when],
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        config = unit.config
        if config.pipeline:
            m.domains.sync = domain = ClockDomain()
            m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.d.comb += [
            unit.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(unit.i.ready),
            self.m_axis_tvalid.eq(unit.o.valid),
            unit.o.ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(Value.cast(unit.o.payload)),
        ]
        for entry in field_entries(self._inputs):
            low, high = entry["lsb"], entry["lsb"] + entry["width"]
            m.d.comb += Value.cast(unit.i.payload[entry["name"]]).eq(self.s_axis_tdata[low:high])
        if config.result_when:
            m.d.comb += [
                unit.i.payload[config.result_when].eq(self.s_axis_tlast),
                self.m_axis_tlast.eq(1),
            ]
            if "first" in config.inputs:
                first = Signal(init=1)
                with m.If(self.s_axis_tvalid & self.s_axis_tready):
                    m.d.sync += first.eq(self.s_axis_tlast)
                m.d.comb += unit.i.payload.first.eq(first)
        else:
            # `i.ready` of a unit is the enable of all its registers, so these move with what they belong to.
            last = self.s_axis_tlast
            for stage in range(1, unit.latency + 1):
                held = Signal(name=f"last_{stage}", reset_less=True)
                with m.If(unit.i.ready):
                    m.d.sync += held.eq(last)
                last = held
            m.d.comb += self.m_axis_tlast.eq(last)
        return m


class FlatPorts(wiring.Component):
    """A unit with one port a field, and no double underscore in a name.

    A field's port has the field's name. Where a field of the result has the name of a field of the operands, its
    port begins with ``out_`` (``weight`` goes in, ``out_weight`` comes out).

    Parameters
    ----------
    unit : :class:`~lnsmadam.hw.pipeline.UnitComponent`

    Members
    -------
    clk, rst
        Clock, and active-high synchronous reset; absent without registers.
    in_valid, in_ready, out_valid, out_ready
        A transfer happens where valid and ready are both 1, as in the unit's own streams.
    the fields
        Their words, bit for bit.
    """

    def __init__(self, unit: UnitComponent):
        self.unit = unit
        inputs, outputs = unit.config.inputs, unit.config.outputs
        self._operands = {name: name for name in inputs}
        self._results = {name: f"out_{name}" if name in inputs else name for name in outputs}
        members = {
            "in_valid": In(1),
            "in_ready": Out(1),
            **{self._operands[name]: In(fmt.width) for name, fmt in inputs.items()},
            "out_valid": Out(1),
            "out_ready": In(1),
            **{self._results[name]: Out(fmt.width) for name, fmt in outputs.items()},
        }
        assert len(members) == 4 + len(inputs) + len(outputs) and not {"clk", "rst"} & set(members), "names clash"
        super().__init__(members)

    @property
    def component(self) -> wiring.Component:
        return self

    def describe(self) -> dict[str, Any]:
        """What the manifest says of the ports; ``lsb`` is the field's place in the stream interface's payload."""
        config = self.unit.config

        def port(name: str, fields: dict[str, Format], ports: dict[str, str]) -> dict[str, Any]:
            return {
                "name": name,
                "valid": f"{name}_valid",
                "ready": f"{name}_ready",
                "payload": None,
                "width": _width(fields),
                "fields": [entry | {"port": ports[entry["name"]]} for entry in field_entries(fields)],
            }

        when = {"when": config.result_when} if config.result_when else {}
        return {
            "clock": "clk" if config.pipeline else None,
            "reset": "rst" if config.pipeline else None,
            "reset_active": "high" if config.pipeline else None,
            "inputs": [port("in", config.inputs, self._operands)],
            "outputs": [port("out", config.outputs, self._results) | when],
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        operands, results = (Value.cast(stream.payload) for stream in (unit.i, unit.o))
        m.d.comb += [
            unit.i.valid.eq(self.in_valid),
            self.in_ready.eq(unit.i.ready),
            operands.eq(Cat(getattr(self, port) for port in self._operands.values())),
            self.out_valid.eq(unit.o.valid),
            unit.o.ready.eq(self.out_ready),
            Cat(getattr(self, port) for port in self._results.values()).eq(results),
        ]
        return m


#: The class that gives a unit each interface: ``component`` to convert, ``describe()`` for the manifest.
PORTS = {Interface.STREAM: StreamPorts, Interface.AXIS: AxisPorts, Interface.FLAT: FlatPorts}
