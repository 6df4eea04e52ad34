"""The energy proxy: toggles counted by hand, and gates that are known to be the unit."""

import copy
import itertools
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from lnsmadam.fpga.energy import LANES, GatesDiffer, Operands, draw, map_to_gates, measure_energy
from lnsmadam.fpga.gates import DRAINS, GATES, Netlist
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.format import LNS8, LNS16, FixedFormat, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.madam_update import Rounding
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.units import UNITS


def module(cells, **ports):
    """A module as ``write_json`` writes it: cells as (kind, pins by letter), ports as lists of bits."""
    return {
        "ports": {name: {"bits": bits} for name, bits in ports.items()},
        "cells": {
            f"g{n}": {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}
            for n, (kind, pins) in enumerate(cells)
        },
    }


def words(*bits):
    """One row of one word; every stream has the same bit."""
    return np.array([[~np.uint64(0) if bit else np.uint64(0)] for bit in bits], dtype=np.uint64)


def boolean(gate, values):
    """A gate by the text that abc reads, not by the code that simulates."""
    text = gate.function.replace("!", " not ").replace("*", " and ").replace("+", " or ")
    # In genlib "!" binds closer than "*", as "not" does than "and".
    return bool(eval(text, dict(zip(gate.pins, values, strict=True))))


@pytest.mark.parametrize("name", GATES)
def test_gate_computes_what_abc_is_told(name):
    gate = GATES[name]
    for values in itertools.product((0, 1), repeat=len(gate.pins)):
        got = gate.evaluate(*(np.uint64(0xFFFF_FFFF_FFFF_FFFF * value) for value in values))
        assert int(got) == (0xFFFF_FFFF_FFFF_FFFF if boolean(gate, values) else 0), values


def test_a_static_gate_has_two_transistors_an_input():
    for name, gate in GATES.items():
        # Of one stage: every input drives one transistor of either kind. XOR2, XNOR2 and MUX2 hold inner stages.
        one_stage = 2 * len(gate.pins)
        inner = {"XOR2": 4 + 6, "XNOR2": 4 + 6, "MUX2": 2 + 8 + 2}.get(name, one_stage)
        assert gate.transistors == inner
        assert sum(gate.pins.values()) == {"XOR2": 8, "XNOR2": 8, "MUX2": 8}.get(name, one_stage)


def test_a_pulse_is_a_glitch_and_nothing_without_delay():
    # y = !(a · !a) is always 1, but falls for one unit of time when a rises before the inverter has seen it.
    netlist = Netlist(module([("INV", {"A": 2, "Y": 3}), ("NAND2", {"A": 2, "B": 3, "Y": 4})], a=[2], y=[4]))
    assert (netlist.transistors, netlist.depth, netlist.cells) == (6, 2, {"INV": 1, "NAND2": 1})
    a, inverse, y = netlist.ports["a"][0], netlist.outputs[0], netlist.ports["y"][0]
    assert [netlist.load[net] for net in (a, inverse, y)] == [4, DRAINS + 2, DRAINS]
    simulation = netlist.simulation(1)
    simulation.clock({"a": words(0)}, counted=False)
    for bit in (1, 1, 0, 1, 0):  # two rises and two falls in 64 streams
        simulation.clock({"a": words(bit)})
    assert [simulation.settled[net] for net in (a, inverse, y)] == [4 * 64, 4 * 64, 0]
    assert [simulation.transitions[net] for net in (a, inverse, y)] == [4 * 64, 4 * 64, 2 * 2 * 64]


def test_every_stream_counts_alone():
    netlist = Netlist(module([("INV", {"A": 2, "Y": 3})], a=[2], y=[3]))
    simulation = netlist.simulation(2)
    simulation.clock({"a": np.zeros((1, 2), np.uint64)}, counted=False)
    simulation.clock({"a": np.array([[0b1011, 1 << 63]], np.uint64)})
    assert simulation.settled[netlist.ports["y"][0]] == 4
    assert simulation.values[netlist.ports["y"][0]].tolist() == [2**64 - 1 - 0b1011, 2**63 - 1]


def test_flip_flops_capture_what_was_settled():
    # A counter of one bit and a second register behind it: q toggles every cycle, and r one cycle later.
    netlist = Netlist(
        module(
            [
                ("INV", {"A": 2, "Y": 3}),
                ("$_DFF_P_", {"D": 3, "Q": 2, "C": 9}),
                ("$_DFF_P_", {"D": 2, "Q": 4, "C": 9}),
            ],
            q=[2],
            r=[4],
            clk=[9],
        )
    )
    assert netlist.transistors == 2 + 2 * 24 and netlist.clock_load == 2 * 2 * 12
    simulation = netlist.simulation(1)
    seen = []
    for _ in range(6):
        simulation.clock({})
        seen.append([int(simulation.values[netlist.ports[name][0]][0]) & 1 for name in "qr"])
    # Nothing is settled before the first edge: the inverter gives 1 only after it.
    assert seen == [[0, 0], [1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    assert [simulation.settled[netlist.ports[name][0]] for name in "qr"] == [5 * 64, 4 * 64]


def test_constants_are_nets_that_never_move():
    netlist = Netlist(module([("ONE", {"Y": 5}), ("NAND2", {"A": 5, "B": "1", "Y": 3})], y=[3, "0", "1", 5]))
    simulation = netlist.simulation(1)
    simulation.clock({})
    assert [int(row[0]) & 1 for row in simulation.values[netlist.ports["y"]]] == [0, 0, 1, 1]
    assert netlist.cells == {"NAND2": 1}


def test_what_is_no_netlist_of_gates():
    with pytest.raises(ToolFailed, match=r"no gate of the library: \$_AND_"):
        Netlist(module([("$_AND_", {"A": 2, "B": 3, "Y": 4})]))
    with pytest.raises(ToolFailed, match="2 gates of the netlist form or follow a loop"):
        Netlist(module([("INV", {"A": 2, "Y": 3}), ("INV", {"A": 3, "Y": 2})]))


def test_a_field_has_the_same_numbers_in_every_format():
    lns, other = (UNITS["multiply"].configure({"format": fmt}) for fmt in (LNS8, LNS16))
    coarse, fine = draw(lns, Operands.REAL, 3, (20, 50)), draw(other, Operands.REAL, 3, (20, 50))
    assert (coarse["a"] != coarse["b"]).any()
    x, y = LNS8.decode(coarse["b"]), LNS16.decode(fine["b"])
    inside = (abs(y) > 2.0**-7) & (abs(y) < 2.0**7)
    assert inside.mean() > 0.95
    # Half a step of each format.
    assert (abs(np.log2(x[inside] / y[inside])) <= 0.5 / 8 + 0.5 / 2048 + 1e-12).all()

    class FloatConfig(UnitConfig):
        inputs = {"b": BFLOAT16, "flag": FixedFormat(1), "level": FixedFormat(6, 2, True), "size": FixedFormat(3, 1)}

    fields = draw(FloatConfig.__new__(FloatConfig), Operands.REAL, 3, (20, 50))
    assert np.allclose(BFLOAT16.decode(fields["b"])[inside], y[inside], rtol=2**-8 + 2**-12)
    assert set(np.unique(fields["flag"])) == {0, 1}
    level = FixedFormat(6, 2, True).decode(fields["level"])
    assert abs(level.mean()) < 0.2 and 0.8 < level.std() < 1.2
    assert fields["size"].min() == 0 and fields["size"].max() <= 7


def test_uniform_words_use_every_bit():
    fields = draw(UNITS["multiply"].configure({}), Operands.UNIFORM, 1, (100, 100))
    counts = np.bincount(fields["a"].ravel(), minlength=256)
    assert counts.min() > 0 and counts.sum() == 10_000


def energy_of(name, options, cache, **arguments):
    unit = UNITS[name]
    config = unit.configure(options)
    return measure_energy(unit.emit(config), lambda: unit.model(config), config, cache=cache, **arguments)


def test_toggles_of_a_unit_counted_one_stream_at_a_time(cache):
    unit = UNITS["multiply"]
    config = unit.configure({"format": LNSFormat(4, 1), "pipeline": 0})
    emitted = unit.emit(config)
    result = measure_energy(emitted, lambda: unit.model(config), config, cache=cache, count=2 * LANES, seed=5)
    gates = map_to_gates(emitted, cache)
    cells, ports = gates["cells"].values(), gates["ports"]
    drivers = {cell["connections"]["Y"][0]: cell for cell in cells}

    def settled(payload):
        known = {"0": False, "1": True, ports["i__valid"]["bits"][0]: True, ports["o__ready"]["bits"][0]: True}
        known |= {bit: bool(payload >> n & 1) for n, bit in enumerate(ports["i__payload"]["bits"])}

        def value(bit):
            if bit not in known:
                gate = GATES[drivers[bit]["type"]]
                known[bit] = boolean(gate, [value(drivers[bit]["connections"][pin][0]) for pin in gate.pins])
            return known[bit]

        return [value(bit) for bit in drivers]

    table = np.array([settled(payload) for payload in range(256)])
    # One transfer of warm-up, then two that are counted.
    operands = draw(config, Operands.REAL, 5, (3, LANES))
    states = table[operands["a"].astype(int) | operands["b"].astype(int) << 4]
    toggles = int((states[1:] != states[:-1]).sum())
    assert toggles > 0 and result["operations"] == 2 * LANES and result["compared"] == 3 * LANES
    assert result["toggles"] == pytest.approx(toggles / (2 * LANES), abs=6e-4)
    assert result["toggles_with_glitches"] >= result["toggles"]
    assert result["transistors"] == sum(GATES[cell["type"]].transistors for cell in cells)


class PlainConfig(UnitConfig):
    """A register of 8 bits."""

    unit = "plain"
    inputs = {"a": FixedFormat(8)}
    outputs = {"result": FixedFormat(8)}


PLAIN = """module plain(input clk, input i__valid, input [7:0] i__payload, output i__ready,
  output reg o__valid, output reg [7:0] o__payload, input o__ready);
  assign i__ready = 1'd1;
  always @(posedge clk) begin o__valid <= i__valid; o__payload <= i__payload; end
endmodule
"""


def plain_unit():
    def port(name, field):
        fields = [{"name": field, "lsb": 0, "width": 8, "format": {"kind": "fixed"}}]
        pins = {pin: f"{name}__{pin}" for pin in ("valid", "ready", "payload")}
        return {"name": name, **pins, "width": 8, "fields": fields}

    return Emitted(PLAIN, {
        "unit": "plain", "top": "plain", "parameters": {}, "clock": "clk", "reset": None, "latency": 1, "interval": 1,
        "inputs": [port("i", "a")], "outputs": [port("o", "result")],
    })  # fmt: skip


def test_a_register_toggles_as_its_operands_do(cache):
    config = PlainConfig.__new__(PlainConfig)
    result = measure_energy(
        plain_unit(), lambda: lambda fields, start: {"result": fields["a"]}, config, cache=cache, count=1,
        operands=Operands.UNIFORM,
    )  # fmt: skip
    a = draw(config, Operands.UNIFORM, 0, (3, LANES))["a"]
    # Counted is the third cycle: operands go from the second word to the third, results from the first to the second.
    inputs, outputs = (int(np.bitwise_count(before ^ after).sum()) for before, after in ((a[1], a[2]), (a[0], a[1])))
    assert (result["gates"], result["ff"], result["transistors"]) == (0, 9, 9 * 24)
    assert result["toggles"] == result["toggles_with_glitches"] == pytest.approx(outputs / LANES, abs=6e-4)
    load = (2 * inputs + DRAINS * outputs) / LANES
    assert result["switched_load"] == pytest.approx(load, abs=6e-4)
    assert result["clock_load"] == 9 * 24 and result["compared"] == 2 * LANES


@pytest.mark.parametrize(
    "name, options",
    [
        ("multiply_add", {"pipeline": 0}),
        ("multiply_add", {"pipeline": 7}),
        ("multiply_add", {"memory": Memory.BLOCK, "pipeline": 3}),
        ("divide", {"format": LNS16}),
        ("sqrt", {}),
        # A random generator advances with every transfer of a stream.
        ("madam_update", {"rounding": Rounding.STOCHASTIC}),
        ("bf16_multiply_add", {"pipeline": 0}),
        # A result only at the last transfer of a vector.
        ("dot", {}),
    ],
)
def test_gates_are_the_unit(name, options, cache):
    for operands in Operands:
        result = energy_of(name, options, cache, operands=operands, count=4 * LANES)
        # A stream of dot is long enough to end one vector.
        assert result["compared"] >= (LANES if name == "dot" else 4 * LANES) and result["operands"] == operands.value
        assert 0 < result["toggles"] <= result["toggles_with_glitches"]
        # A net that a gate drives has a load of at least the drains.
        assert result["switched_load"] >= DRAINS * result["toggles"]
    assert result == energy_of(name, options, cache, operands=operands, count=4 * LANES)


@pytest.mark.parametrize("nth", range(6))
def test_a_wrong_gate_is_found(nth, cache):
    unit = UNITS["multiply_add"]
    config = unit.configure({"pipeline": 0})
    emitted = unit.emit(config)
    gates = copy.deepcopy(map_to_gates(emitted, cache))
    other = {"NAND2": "NOR2", "NOR2": "NAND2", "XOR2": "XNOR2", "XNOR2": "XOR2", "AOI21": "OAI21", "OAI21": "AOI21"}
    able = [cell for cell in gates["cells"].values() if cell["type"] in other]
    cell = able[nth * (len(able) - 1) // 5]
    cell["type"] = other[cell["type"]]
    with pytest.raises(GatesDiffer, match=r"Gates of multiply_add (differ|give|refuse)"):
        measure_energy(emitted, lambda: unit.model(config), config, module=gates, count=1 << 14)


def test_a_fault_names_the_operands(cache):
    config = PlainConfig.__new__(PlainConfig)

    def wrong(fields, start):
        return {"result": np.where(fields["a"] == 17, 4, fields["a"])}

    with pytest.raises(GatesDiffer, match="^" + re.escape(
        "Gates of plain differ from the golden model: result is 0x11, not 0x4, of a = 0x11"
    ) + "$"):  # fmt: skip
        measure_energy(plain_unit(), lambda: wrong, config, cache=cache, operands=Operands.UNIFORM)


def test_a_result_in_the_wrong_cycle_is_found(cache):
    emitted = plain_unit()
    late = Emitted(emitted.verilog, emitted.manifest | {"latency": 2})
    with pytest.raises(GatesDiffer, match="in the wrong cycle: 1 of stream 0"):
        measure_energy(late, lambda: lambda fields, start: {"result": fields["a"]}, PlainConfig.__new__(PlainConfig),
                       cache=cache, count=1)  # fmt: skip


def test_what_cannot_be_measured(cache):
    emitted, config = plain_unit(), PlainConfig.__new__(PlainConfig)
    with pytest.raises(ValueError, match="Count must be at least 1, not 0"):
        measure_energy(emitted, lambda: None, config, cache=cache, count=0)
    slow = Emitted(emitted.verilog, emitted.manifest | {"interval": 2})
    with pytest.raises(ValueError, match="plain must take a transfer of one stream in every cycle"):
        measure_energy(slow, lambda: None, config, cache=cache)


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=lambda way: way.name)
@pytest.mark.parametrize("program", [
    "from lnsmadam.cli.main import main; raise SystemExit(main(['energy', 'multiply']))",
    "from lnsmadam.units import UNITS; from lnsmadam.fpga.energy import map_to_gates;"
    "unit = UNITS['multiply']; map_to_gates(unit.emit(unit.configure({})))",
], ids=["command line", "library"])  # fmt: skip
def test_yosys_ends_with_whoever_started_it(way, program, tmp_path, fake_tool, monkeypatch, is_running):
    """Also where that was killed and could end nothing: by the time limit of a search or of a test, for one."""
    pids = tmp_path / "pids"
    fake_tool("yosys", f"sleep 600 &\necho $$ $! > {pids}.new && mv {pids}.new {pids}\nwait")
    monkeypatch.setenv("LNSMADAM_CACHE", str(tmp_path / "cache"))
    # In a process group of its own, as a terminal starts it; the signal goes to the process alone.
    user = subprocess.Popen(
        [sys.executable, "-c", program],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not pids.exists():
            assert user.poll() is None and time.monotonic() < deadline, "Yosys was never started"
            time.sleep(0.02)
        user.send_signal(way)
        assert user.wait(30) != 0
        left = [int(pid) for pid in pids.read_text().split()]
        deadline = time.monotonic() + 20
        while left := [pid for pid in left if is_running(pid)]:
            assert time.monotonic() < deadline, f"{left} still run"
            time.sleep(0.02)
    finally:
        user.kill()
        user.wait()
