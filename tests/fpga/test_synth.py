"""Area and clock: the keys that scripts read, and that the figures are the unit's alone."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lnsmadam.fpga import tools
from lnsmadam.fpga.harness import TOP, harness
from lnsmadam.fpga.synth import count, measure
from lnsmadam.fpga.targets import TARGETS, target_named
from lnsmadam.golden.format import LNS8, LNS16
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw.emit import Emitted, emit
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.toolchain import ToolFailed, cache_folder

CONTRACT = {"lut4", "carry", "ff", "bram", "dsp", "latency", "fmax_mhz"}


def multiply_unit(fmt=LNS8, pipeline=2):
    return emit(Multiply(MultiplyConfig(format=fmt, pipeline=pipeline)))


def delay_unit(width, pipeline=1):
    """A unit that computes nothing: ``width`` registers (or wires) and the handshake, written by hand."""
    if pipeline:
        ports, body = (
            "input clk, input rst, ",
            f"""
          reg valid; reg [{width - 1}:0] data;
          assign o__valid = valid, o__payload = data, i__ready = ~valid | o__ready;
          always @(posedge clk) begin
            if (i__ready) begin valid <= i__valid; data <= i__payload; end
            if (rst) valid <= 0;
          end""",
        )
    else:
        ports, body = "", "assign o__valid = i__valid, o__payload = i__payload, i__ready = o__ready;"
    text = f"""module delay({ports}input i__valid, input [{width - 1}:0] i__payload, output i__ready,
          output o__valid, output [{width - 1}:0] o__payload, input o__ready);{body}
        endmodule\n"""

    def port(name):
        return {"name": name, "valid": f"{name}__valid", "ready": f"{name}__ready", "payload": f"{name}__payload",
                "width": width, "fields": []}  # fmt: skip

    return Emitted(text, {
        "unit": "delay", "top": "delay", "parameters": {"pipeline": pipeline}, "latency": pipeline,
        "clock": "clk" if pipeline else None, "reset": "rst" if pipeline else None,
        "inputs": [port("i")], "outputs": [port("o")],
    })  # fmt: skip


def run_yosys(folder, emitted, scripts):
    """Cells of ``top`` after each of our own ``(top, script)``, apart from the code under test."""
    (folder / "unit.v").write_text(emitted.verilog)
    (folder / "harness.v").write_text(harness(emitted).verilog)
    jobs = []
    for n, (top, script) in enumerate(scripts):
        command = f"read_verilog unit.v harness.v; {script} -top {top}; tee -q -o {n}.json stat -json"
        jobs.append(tools.Job(top, (tools.find("yosys"), "-q", "-p", command), folder, folder / f"{n}.log"))
    tools.run_all(jobs)
    modules = [json.loads((folder / f"{n}.json").read_text())["modules"] for n in range(len(scripts))]
    return [m["\\" + top]["num_cells_by_type"] for m, (top, _) in zip(modules, scripts, strict=True)]


@pytest.mark.parametrize("target", ["hx8k", "ecp5-25k"])
def test_keys_and_meaning(target, cache, tmp_path):
    told = []
    result = measure(
        multiply_unit(), target, seeds=(1,), cache=cache, work_dir=tmp_path, progress=lambda *a: told.append(a)
    )
    assert CONTRACT <= set(result)
    assert {"median", "min", "max"} == set(result["fmax_mhz"])
    assert json.loads(json.dumps(result)) == result
    assert result["latency"] == 2
    # Both operands' sums, two stages: product log 8 + sign + zero, result 8, two valid bits.
    assert result["ff"] == 20
    assert result["bram"] == result["dsp"] == 0
    assert 10 <= result["lut4"] <= 80
    assert 50 < result["fmax_mhz"]["min"] == result["fmax_mhz"]["max"] < 600
    assert result["critical_path"][0]["type"] == "clk-to-q"
    assert result["critical_path"][-1]["type"] == "setup"
    path_ns = sum(hop["delay_ns"] for hop in result["critical_path"])
    assert path_ns == pytest.approx(1000 / result["fmax_mhz"]["median"], abs=0.05)
    if target.startswith("ecp5"):
        assert result["lut4"] == result["lut4_plain"] + 2 * result["ccu2c"] and result["carry"] == result["ccu2c"]
    assert [(done, total) for done, total, _ in told] == [(0, 2), (1, 2), (2, 2)]
    assert {"synth.ys", "multiply.v", "yosys.txt", "nextpnr-1.txt", "report-1.json"} <= set(os.listdir(tmp_path))


@pytest.mark.parametrize("target", ["hx8k", "ecp5-25k"])
def test_cells_are_those_of_the_unit_alone(target, cache, tmp_path):
    emitted = multiply_unit()
    result = measure(emitted, target, seeds=(1,), cache=cache)
    family = TARGETS[target].family
    synth = "synth_ecp5 -nodsp" if family == "ecp5" else "synth_ice40"
    # The unit without harness; the harness with the unit as a black box; both synthesised as one.
    alone, empty, whole = run_yosys(
        tmp_path, emitted, [("multiply", synth), (TOP, f"blackbox multiply; {synth}"), (TOP, synth)]
    )
    assert {kind: count(alone, family)[kind] for kind in ("lut4", "carry", "ff")} == {
        kind: result[kind] for kind in ("lut4", "carry", "ff")
    }
    shell = count(empty, family)
    assert {kind: shell[kind] for kind in ("lut4", "ff")} == harness(emitted).cells
    assert count(whole, family)["ff"] - shell["ff"] == result["ff"]
    # As one, a LUT of the unit may be merged with the harness's choice behind it, or a port shared.
    assert abs(count(whole, family)["lut4"] - shell["lut4"] - result["lut4"]) <= 4


@pytest.mark.parametrize("width", [9, 70])
def test_a_register_costs_its_bits(width, cache):
    result = measure(delay_unit(width), "hx8k", seeds=(1,), cache=cache)
    assert result["ff"] == width + 1
    # ready, and the enable of valid that reset overrides.
    assert result["lut4"] <= 3 and result["carry"] == 0
    assert width + 1 <= result["lc"] <= width + 1 + result["lut4"]


def test_wires_cost_nothing(cache):
    result = measure(delay_unit(12, pipeline=0), "hx8k", seeds=(1,), cache=cache)
    assert (result["lut4"], result["carry"], result["ff"], result["lc"]) == (0, 0, 0, 0)
    assert result["fmax_mhz"]["median"] > 200


def test_unit_without_registers(cache):
    result = measure(multiply_unit(pipeline=0), "hx8k", seeds=(1,), cache=cache)
    assert result["ff"] == 0 and result["latency"] == 0
    assert result["lut4"] <= result["lc"] <= result["lut4"] + result["carry"]


def test_wider_costs_more(cache):
    narrow, wide = (measure(multiply_unit(fmt), "hx8k", seeds=(1,), cache=cache) for fmt in (LNS8, LNS16))
    for kind in ("lut4", "carry", "ff", "lc"):
        assert wide[kind] > 1.5 * narrow[kind], kind
    assert wide["fmax_mhz"]["median"] < narrow["fmax_mhz"]["median"]


def test_clock_is_the_median_of_the_seeds(cache):
    result = measure(multiply_unit(), "ecp5-25k", seeds=(3, 1, 2), cache=cache)
    assert list(result["fmax_seeds"]) == ["3", "1", "2"]
    low, middle, high = sorted(result["fmax_seeds"].values())
    assert low < high, "seeds that place alike test nothing"
    assert result["fmax_mhz"] == {"median": middle, "min": low, "max": high}


def test_second_run_runs_no_tool(cache, fake_tool):
    first = measure(multiply_unit(), "hx8k", seeds=(1,), cache=cache)
    fake_tool("yosys", "echo 'ERROR: ran again'; exit 1")
    fake_tool("nextpnr-ice40", "echo 'ERROR: ran again'; exit 1")
    tools._version.cache_clear()
    assert measure(multiply_unit(), "hx8k", seeds=(1,), cache=cache) == first
    with pytest.raises(ToolFailed, match="ran again"):
        measure(multiply_unit(), "hx8k", seeds=(2,), cache=cache)
    with pytest.raises(ToolFailed, match="ran again"):
        measure(multiply_unit(pipeline=1), "hx8k", seeds=(1,), cache=cache)


def test_failed_tool_is_one_line_and_leaves_its_log(tmp_path, fake_tool):
    fake_tool("yosys", "echo 'ERROR: cells everywhere'; echo '{}' > cells.json; exit 1")
    with pytest.raises(ToolFailed, match="^Synthesis of delay for hx8k failed with .*cells everywhere") as e:
        measure(delay_unit(4), "hx8k", seeds=(1,), cache=tmp_path / "c")
    assert "\n" not in str(e.value)
    (left,) = (tmp_path / "c").iterdir()
    assert left.name.startswith("failed-") and "cells everywhere" in left.read_text()


@pytest.mark.parametrize(("name", "how"), [("yosys", signal.SIGKILL), ("nextpnr-ice40", signal.SIGINT)])
def test_interrupted_run_leaves_nothing_trusted(name, how, cache, tmp_path, fake_tool, monkeypatch, is_running):
    folder = tmp_path / "cache"
    good = measure(delay_unit(9), "hx8k", seeds=(1,), cache=cache)
    # Writes what a whole run would, but wrong, and never ends.
    files = "for f in cells netlist report; do echo '{}' > $f.json; done"
    fake_tool(name, f"{files}; echo $$ > {tmp_path}/pid; sleep 60")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from lnsmadam.fpga.synth import measure; from lnsmadam.hw.emit import Emitted; import json\n"
        "measure(Emitted(*json.loads(sys.argv[2])), 'hx8k', seeds=(1,), cache=Path(sys.argv[3]))\n"
    )
    unit = delay_unit(9)
    process = subprocess.Popen(
        [sys.executable, "-c", program, "", json.dumps([unit.verilog, unit.manifest]), str(folder)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    pid = int((tmp_path / "pid").read_text())
    process.send_signal(how)
    assert process.wait(30) != 0
    # The tool ends with its parent, at once where the parent could see to it; then its folder is gone as well.
    deadline = time.monotonic() + 20
    while how == signal.SIGKILL and is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not is_running(pid)
    assert how == signal.SIGKILL or not list(folder.glob(".running-*"))
    assert len([path for path in folder.iterdir() if not path.name.startswith(".")]) == (name != "yosys")
    monkeypatch.delenv(tools.variable(name))
    assert measure(delay_unit(9), "hx8k", seeds=(1,), cache=folder) == good


def test_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LNSMADAM_CACHE", str(tmp_path))
    assert cache_folder("synth") == tmp_path / "synth"
    monkeypatch.delenv("LNSMADAM_CACHE")
    monkeypatch.chdir(tmp_path)
    assert cache_folder("synth") == tmp_path / "build" / "cache" / "synth"


def test_too_large_names_need_and_capacity(cache):
    small = dataclasses.replace(TARGETS["hx8k"], capacity={"lut4": 7680, "ff": 20, "bram": 0, "dsp": 0})
    with pytest.raises(ToolFailed, match="do not fit in hx8k: they need 31 FF of 20$"):
        measure(delay_unit(4), small, seeds=(1,), cache=cache)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "hx9k"}, "Target must be one of hx8k, up5k, ecp5-25k, ecp5-85k, not 'hx9k'"),
        ({"seeds": ()}, r"Seeds must be different integers from 0, at least one, not \[\]"),
        ({"seeds": (1, 1)}, "Seeds must be different"),
        ({"seeds": (-1,)}, "Seeds must be different"),
        ({"dsp": True}, "Target hx8k has no DSP blocks"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        measure(delay_unit(4), **{"target": "hx8k", **options})


def test_commands_are_plain():
    def command(name, **options):
        return target_named(name).synthesis(top="t", **options)

    assert command("hx8k") == "synth_ice40 -top t"
    assert command("up5k", dsp=True) == "synth_ice40 -dsp -top t"
    assert command("ecp5-25k") == "synth_ecp5 -nodsp -top t"
    assert command("ecp5-85k", dsp=True, bram=False) == "synth_ecp5 -nobram -top t"
