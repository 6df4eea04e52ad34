"""Units for the benches to run: the real multiplier, the same with planted faults, a wide one with state."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import FLAG, LNS8, FixedFormat, LNSFormat
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.hw.emit import Emitted, emit
from lnsmadam.hw.interface import Interface
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.pipeline import Pipeline, UnitComponent
from lnsmadam.sim.ports import Model


@dataclass(frozen=True)
class Unit:
    """What a bench is handed."""

    config: UnitConfig
    emitted: Emitted
    model: Model


def multiplier(pipeline: int = 2, fmt: LNSFormat = LNS8) -> Unit:
    config = MultiplyConfig(format=fmt, pipeline=pipeline)
    return Unit(
        config,
        emit(Multiply(config)),
        lambda fields, index: {"result": multiply(config, fields["a"], fields["b"])},
    )


# Verilog around the multiplier, renamed `core`. `sent` and `received` count transfers since reset, `waited`
# the cycles that a result has been refused, `quiet` those without operands or results; `odd` is every other
# cycle.
_WRAPPER = """
module multiply(clk, rst, i__valid, i__ready, i__payload, o__valid, o__ready, o__payload);
  input clk, rst, i__valid, o__ready;
  output i__ready, o__valid;
  input [15:0] i__payload;
  output [7:0] o__payload;
  wire to_valid, to_ready, from_valid, from_ready;
  wire [7:0] from_payload;
  reg [15:0] sent = 0, received = 0;
  reg [7:0] waited = 0, quiet = 0;
  reg odd = 0;
  always @(posedge clk) begin
    sent <= rst ? 0 : sent + (i__valid & i__ready);
    received <= rst ? 0 : received + (o__valid & o__ready);
    waited <= o__valid & ~o__ready ? waited + 1 : 0;
    odd <= ~odd;
    quiet <= i__valid | o__valid ? 0 : quiet + 1;
  end
  core unit(.clk(clk), .rst(rst), .i__valid(to_valid), .i__ready(to_ready), .i__payload(i__payload),
    .o__valid(from_valid), .o__ready(from_ready), .o__payload(from_payload));
  STATEMENTS
endmodule
"""
_RIGHT = {
    "to_valid": "i__valid",
    "i__ready": "to_ready",
    "o__valid": "from_valid",
    "from_ready": "o__ready",
    "o__payload": "from_payload",
}
_FAULTS: dict[str, dict[str, str]] = {
    "none": {},
    "waits_for_ready": {"o__valid": "from_valid & o__ready"},
    "hangs": {"to_valid": "i__valid & (sent < 40)", "i__ready": "to_ready & (sent < 40)"},
    "loses_one": {"to_valid": "i__valid & (sent != 37)"},
    "loses_under_stall": {"from_ready": "o__ready | (waited == 5)"},
    "repeats_one": {"from_ready": "o__ready & (received != 37)"},
    "extra_when_idle": {"o__valid": "from_valid | (quiet == 4 & received != 0)"},
    "changes_while_waiting": {"o__payload": "from_payload ^ (waited == 3)"},
    "drops_valid": {"o__valid": "from_valid & (waited != 3)", "from_ready": "o__ready & (waited != 3)"},
    "half_rate": {"to_valid": "i__valid & odd", "i__ready": "to_ready & odd"},
    "wrong_sign": {"o__payload": "from_payload ^ {from_payload[6] & from_payload[0], 7'd0}"},
    # One more register, which reset does not reach.
    "incomplete_reset": {"from_ready": "~late_valid | o__ready", "o__valid": "late_valid", "o__payload": "late"},
}
_LATE = """reg late_valid = 0;
  reg [7:0] late = 0;
  always @(posedge clk) if (from_ready) begin
    late_valid <= from_valid;
    late <= from_payload;
  end
  """


def _wrapped(statements: dict[str, str], manifest: dict[str, Any] | None = None, declarations: str = "") -> Unit:
    unit = multiplier()
    text, count = re.subn(r"\bmodule multiply\b", "module core", unit.emitted.verilog)
    assert count == 1
    lines = [f"assign {target} = {value};" for target, value in statements.items()]
    text += _WRAPPER.replace("STATEMENTS", declarations + "\n  ".join(lines))
    changes = {"verilog": text, "manifest": {**unit.emitted.manifest, **(manifest or {})}}
    return dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, **changes))


def _faulty(name: str) -> Unit:
    if name == "incomplete_reset":
        return _wrapped({**_RIGHT, **_FAULTS[name]}, {"latency": 3}, _LATE)
    return _wrapped({**_RIGHT, **_FAULTS[name]})


def _choice(target: str) -> str:
    choice = _RIGHT[target]
    for number, (name, fault) in enumerate(_FAULTS.items()):
        if target in fault and name != "incomplete_reset":
            choice = f"fault == {number} ? {fault[target]} : {choice}"
    return choice


@pytest.fixture(scope="session")
def multiplier_of() -> Callable[..., Unit]:
    """The multiplier of a pipeline depth and a format."""
    return multiplier


@pytest.fixture(scope="session")
def faulty() -> Callable[[str], Unit]:
    """The multiplier with a named fault between it and its ports."""
    return _faulty


@pytest.fixture(scope="session")
def fault_choice() -> tuple[Unit, Callable[[str], str]]:
    """The multiplier with all faults of one latency, and the simulator's argument that chooses one by name:
    one
    build for all of them."""
    chosen = """integer fault;
  initial if (!$value$plusargs("fault=%d", fault)) fault = 0;
  """
    unit = _wrapped({target: _choice(target) for target in _RIGHT}, declarations=chosen)
    return unit, lambda name: f"+fault={list(_FAULTS).index(name)}"


@pytest.fixture(scope="session")
def wrong_latency() -> Unit:
    """The multiplier of one stage whose manifest says two."""
    unit = multiplier(pipeline=1)
    manifest = {**unit.emitted.manifest, "latency": 2}
    return dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, manifest=manifest))


@dataclass(frozen=True, kw_only=True)
class WideConfig(UnitConfig):
    """A unit with more bits than any integer type, and with state."""

    pipeline: int = 3
    unit: ClassVar[str] = "wide"

    @property
    def max_pipeline(self) -> int:
        return 3

    @property
    def inputs(self) -> dict[str, Format]:
        wide = LNSFormat(24, 8192)
        return {"valid": FixedFormat(1), "a": wide, "b": FixedFormat(40, 0, True), "c": LNSFormat(13, 64)}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"sum": FixedFormat(41, 0, True), "a": LNSFormat(24, 8192), "count": FixedFormat(20)}

    def parameters(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline}

    def guarantee(self) -> dict[str, Any]:
        return {}


class Wide(UnitComponent):
    """``sum = b + c.log``, ``a`` inverted where ``valid``, and the number of the transfer since reset."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pipeline = Pipeline(m, self)
        fields = self.i.payload
        index = Signal(20)
        with m.If(pipeline.accept):
            m.d.sync += index.eq(index + 1)
        results = {
            "sum": fields.b + fields.c.log,
            "a": fields.a.as_value() ^ fields.valid.replicate(24),
            "count": index,
        }
        for _ in range(3):
            pipeline.boundary()
            results = {name: pipeline.register(value, name=name) for name, value in results.items()}
        pipeline.finish(**results)
        return m


@pytest.fixture(scope="session")
def wide() -> Unit:
    """A unit whose payloads have 78 and 85 bits and whose results depend on how many came before."""
    config = WideConfig()

    def model(fields: dict[str, Any], index: int) -> dict[str, Any]:
        b = (fields["b"].astype(np.int64) << 24) >> 24
        c = (fields["c"].astype(np.int64) & 0xFFF ^ 0x800) - 0x800
        return {
            "sum": ((b + c) & (1 << 41) - 1).astype(np.uint64),
            "a": fields["a"] ^ (fields["valid"].astype(np.uint32) * 0xFF_FFFF),
            "count": (index + np.arange(len(b))).astype(np.uint32) & 0xF_FFFF,
        }

    return Unit(config, emit(Wide(config)), model)


@dataclass(frozen=True, kw_only=True)
class SumConfig(UnitConfig):
    """A unit that gives a result only where ``last`` is 1."""

    pipeline: int = 2
    unit: ClassVar[str] = "sum"
    result_when: ClassVar[str | None] = "last"

    @property
    def max_pipeline(self) -> int:
        return 2

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": FixedFormat(12), "first": FLAG, "last": FLAG}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"sum": FixedFormat(16)}

    def parameters(self) -> dict[str, Any]:
        return {"pipeline": self.pipeline}

    def guarantee(self) -> dict[str, Any]:
        return {}


class Sum(UnitComponent):
    """Sum of ``a`` since the last transfer with ``first``, modulo 2**16. Written without ``Pipeline``, so that a
    fault can be planted anywhere.

    Parameters
    ----------
    fault : str
        Of every transfer of number 20 modulo 32, ``loses``: no result, ``extra``: one even without ``last``;
        ``always``: every transfer gives one.
    """

    def __init__(self, config: SumConfig, fault: str = "none"):
        self._fault = fault
        super().__init__(config)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fields, out = self.i.payload, self.o
        advance, held_last, held, total, sent = Signal(), Signal(), Signal(12), Signal(16), Signal(16)
        held_first, held_valid, last = Signal(), Signal(), Signal()
        m.d.comb += [advance.eq(~out.valid | out.ready), self.i.ready.eq(advance), out.payload.sum.eq(total)]
        m.d.comb += last.eq(
            {
                "none": fields.last,
                "loses": fields.last & (sent[:5] != 20),
                "extra": fields.last | (sent[:5] == 20),
                "always": 1,
            }[self._fault]
        )
        with m.If(advance):
            m.d.sync += [
                held.eq(fields.a),
                held_first.eq(fields.first),
                held_last.eq(last),
                held_valid.eq(self.i.valid),
                sent.eq(sent + self.i.valid),
                out.valid.eq(held_valid & held_last),
            ]
            with m.If(held_valid):
                m.d.sync += total.eq(held + total * ~held_first)
        return m


def sum_model(fault: str = "none") -> Unit:
    config = SumConfig()
    carried = [0]

    def model(fields: dict[str, Any], index: int) -> dict[str, Any]:
        total, results = carried[0] if index else 0, []
        for a, first, last in zip(*(fields[name].tolist() for name in config.inputs), strict=True):
            total = a + (0 if first else total)
            if last:
                results.append(total & 0xFFFF)
        carried[0] = total
        return {"sum": np.array(results, np.uint16)}

    return Unit(config, emit(Sum(config, fault)), model)


@pytest.fixture(scope="session")
def summing() -> Callable[..., Unit]:
    """The unit of few results, with a named fault."""
    return sum_model


@pytest.fixture(scope="session")
def behind(wide: Unit) -> Callable[[str, Interface], Unit]:
    """A right unit, by name, behind other ports."""

    def make(name: str, interface: Interface) -> Unit:
        unit = {"sum": sum_model, "wide": lambda: wide, "multiply": multiplier, "through": lambda: multiplier(0)}[
            name
        ]()
        component = {"sum": Sum, "wide": Wide}.get(name, Multiply)(unit.config)
        return dataclasses.replace(unit, emitted=emit(component, interface))

    return make
