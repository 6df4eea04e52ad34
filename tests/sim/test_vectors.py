"""Vectors and the bench that needs no Python: right units pass in both simulators, planted faults fail."""

import dataclasses
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from lnsmadam.golden.format import LNS16
from lnsmadam.hw.interface import Interface
from lnsmadam.hw.toolchain import MissingTool
from lnsmadam.sim.ports import Ports
from lnsmadam.sim.tools import verilator
from lnsmadam.sim.vectors import MAX_VECTORS, bench_files, write_vectors

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")


def _words(path):
    return [int(line, 16) for line in path.read_text().split()]


def _write(unit, folder, **options):
    write_vectors(unit.emitted, unit.model, unit.config, folder, **options)
    return unit.emitted.name


def _shell(folder, *command, environment=None):
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def _icarus(folder, name, *sources):
    """The two commands of the bench's head: exit status and the line printed."""
    bench = f"{name}_tb"
    files = [f"{bench}.v", *(sources or [f"{name}.v"])]
    done = _shell(folder, "iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", f"{bench}.vvp", *files)
    assert done.returncode == 0, done.stderr
    assert f"{bench}.v:" not in done.stderr, done.stderr
    done = _shell(folder, "vvp", "-n", f"{bench}.vvp")
    lines = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]
    assert len(lines) == 1, done.stdout
    return done.returncode, lines[0]


def _verilator(folder, name):
    """Likewise; a warning of Verilator's would fail the build."""
    bench, tool = f"{name}_tb", verilator()
    options = ["--binary", "--timing", "-CFLAGS", "-std=c++20", "--top-module", bench]
    done = _shell(folder, tool.path, *options, f"{bench}.v", f"{name}.v", environment=tool.full_environment)
    assert done.returncode == 0, done.stderr

    def run():
        done = _shell(folder, f"obj_dir/V{bench}")
        return done.returncode, next(line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL")))

    return run


def _plant(folder, name, fault="1"):
    """XORs the results of the Verilog with something."""
    path = folder / f"{name}.v"
    text = path.read_text()
    before = "assign o__payload = "
    assert text.count(before) == 1
    path.write_text(text.replace(before, f"{before}{fault} ^ "))


def test_the_files_hold_operands_and_the_models_results(wide, tmp_path):
    _write(wide, tmp_path, count=50, seed=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["wide.v", "wide.json", "wide_operands.hex", "wide_results.hex", "wide_tb.v"]
    )
    assert json.loads((tmp_path / "wide.json").read_text()) == wide.emitted.manifest
    ports = Ports.of(wide.emitted.manifest)
    operands = [ports.input.unpack(word) for word in _words(tmp_path / "wide_operands.hex")]
    results = [ports.output.unpack(word) for word in _words(tmp_path / "wide_results.hex")]
    assert len(operands) == len(results) == 50
    for number, (given, got) in enumerate(zip(operands, results, strict=True)):
        assert got["count"] == number
        assert got["a"] == given["a"] ^ (0xFF_FFFF if given["valid"] else 0)


def test_the_same_seed_gives_the_same_bytes(multiplier_of, tmp_path):
    unit = multiplier_of(2, LNS16)
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        _write(unit, tmp_path / folder, count=100, seed=seed)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert _words(tmp_path / "a/multiply_operands.hex") != _words(tmp_path / "c/multiply_operands.hex")


def test_every_argument_where_they_are_few(multiplier_of, tmp_path):
    _write(multiplier_of(1), tmp_path, count=70000)
    assert sorted(_words(tmp_path / "multiply_operands.hex")) == list(range(65536))


@needs_icarus
@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_icarus_passes_and_finds_a_planted_fault(multiplier_of, pipeline, tmp_path):
    name = _write(multiplier_of(pipeline), tmp_path, count=300)
    assert _icarus(tmp_path, name) == (0, "PASS: 300 results of 300 transfers")
    _plant(tmp_path, name)
    status, line = _icarus(tmp_path, name)
    first, want = _words(tmp_path / "multiply_operands.hex")[0], _words(tmp_path / "multiply_results.hex")[0]
    assert status == 1
    assert line == f"FAIL: transfer 0: operands {first:04x}: got {want ^ 1:02x}, want {want:02x}"


@needs_icarus
def test_an_unknown_bit_is_a_failure(multiplier_of, tmp_path):
    name = _write(multiplier_of(2), tmp_path, count=20)
    _plant(tmp_path, name, "8'bx")
    status, line = _icarus(tmp_path, name)
    assert status == 1 and line.startswith("FAIL: transfer 0: ") and "x" in line.lower().split("got")[1], line


@needs_icarus
@pytest.mark.parametrize("kind", ["operands", "results"])
def test_short_or_missing_files_do_not_pass(multiplier_of, kind, tmp_path):
    name = _write(multiplier_of(2), tmp_path, count=20)
    path = tmp_path / f"multiply_{kind}.hex"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))
    status, line = _icarus(tmp_path, name)
    assert (
        status == 1
        and line == f"FAIL: multiply_{kind}.hex has no {kind.removesuffix('s').replace('operand', 'transfer')} 7"
    )
    path.unlink()
    status, line = _icarus(tmp_path, name)
    assert status == 1 and line.endswith(" 0"), line


@needs_icarus
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hangs", "FAIL: hangs after 40 of 500 results, 500 transfers"),
        ("loses_one", "FAIL: transfer 37: "),
        ("loses_under_stall", "FAIL: valid was dropped|FAIL: result [0-9]+ changed"),
        ("repeats_one", "FAIL: transfer 38: "),
        ("changes_while_waiting", "FAIL: result [0-9]+ changed while it waited"),
        ("drops_valid", "FAIL: valid was dropped before result"),
    ],
)
def test_icarus_finds_faults_of_the_streams(faulty, name, message, tmp_path):
    top = _write(faulty(name), tmp_path, count=500)
    status, line = _icarus(tmp_path, top)
    assert status == 1
    assert re.match(message, line), line


@needs_icarus
def test_a_result_too_many_at_the_end(multiplier_of, tmp_path):
    unit = multiplier_of(2)
    ports = Ports.of(unit.emitted.manifest)
    columns = ports.input.columns({"a": np.arange(9), "b": np.arange(9)})
    want = ports.expected(unit.model, columns, 0)
    files = bench_files(unit.emitted.manifest, ports, columns, {"result": want["result"][:8]}, 0)
    for name, text in {"multiply.v": unit.emitted.verilog, **files}.items():
        (tmp_path / name).write_text(text)
    status, line = _icarus(tmp_path, "multiply")
    assert status == 1 and line.startswith("FAIL: "), line


@needs_icarus
def test_results_that_follow_some_transfers(summing, tmp_path):
    name = _write(summing(), tmp_path, count=400, seed=2)
    results = len(_words(tmp_path / "sum_results.hex"))
    assert 150 < results < 250
    assert _icarus(tmp_path, name) == (0, f"PASS: {results} results of 400 transfers")
    assert "after each transfer whose last is 1" in (tmp_path / "sum_tb.v").read_text()
    for fault in ("loses", "extra", "always"):
        (tmp_path / "sum.v").write_text(summing(fault).emitted.verilog)
        status, line = _icarus(tmp_path, name)
        assert status == 1 and line.startswith("FAIL: "), line


@needs_icarus
def test_one_transfer_is_enough_for_a_result(summing, tmp_path):
    name = _write(summing(), tmp_path, count=1)
    assert _icarus(tmp_path, name) == (0, "PASS: 1 results of 1 transfers")


@needs_icarus
@pytest.mark.parametrize("interface", [Interface.AXIS, Interface.FLAT])
@pytest.mark.parametrize("unit", ["sum", "wide", "multiply", "through"])
def test_other_interfaces(behind, unit, interface, tmp_path):
    name = _write(behind(unit, interface), tmp_path, count=300, seed=1)
    status, line = _icarus(tmp_path, name)
    assert status == 0 and line.startswith("PASS: ") and line.endswith(" results of 300 transfers"), line
    # A wrong word is found behind every interface.
    path = tmp_path / f"{name}_results.hex"
    words = path.read_text().split()
    words[77] = f"{int(words[77], 16) ^ 2:0{len(words[77])}x}"
    path.write_text("\n".join(words))
    status, line = _icarus(tmp_path, name)
    assert status == 1 and line.startswith("FAIL: transfer "), line


@needs_icarus
def test_a_wide_unit_with_state(wide, tmp_path):
    name = _write(wide, tmp_path, count=300)
    assert _icarus(tmp_path, name) == (0, "PASS: 300 results of 300 transfers")


def test_verilator_passes_and_finds_a_wrong_result(wide, tmp_path):
    try:
        verilator()
    except MissingTool as missing:
        pytest.skip(str(missing))
    run = _verilator(tmp_path, _write(wide, tmp_path, count=300))
    assert run() == (0, "PASS: 300 results of 300 transfers")
    path = tmp_path / "wide_results.hex"
    words = path.read_text().split()
    words[123] = f"{int(words[123], 16) ^ 1 << 84:022x}"
    path.write_text("\n".join(words))
    status, line = run()
    assert status != 0 and line.startswith("FAIL: transfer 123: operands "), line


@pytest.mark.parametrize("count", [0, -1, MAX_VECTORS + 1])
def test_count_is_checked_before_anything_is_written(multiplier_of, count, tmp_path):
    with pytest.raises(ValueError, match=f"Count must be in 1 … 1048576, not {count}"):
        _write(multiplier_of(2), tmp_path / "out", count=count)
    assert not (tmp_path / "out").exists()


def test_no_result_is_an_error(summing):
    manifest = summing().emitted.manifest
    ports = Ports.of(manifest)
    columns = ports.input.columns({"a": [1], "first": [1], "last": [0]})
    with pytest.raises(ValueError, match="nothing to compare"):
        bench_files(manifest, ports, columns, {"sum": np.zeros(0, np.uint16)}, 0)


def test_an_interrupted_run_leaves_no_bench_to_trust(multiplier_of, tmp_path, monkeypatch):
    _write(multiplier_of(2), tmp_path, count=20)
    (tmp_path / "multiply_results.hex").unlink()
    (tmp_path / "multiply_results.hex").mkdir()
    with pytest.raises(OSError):
        _write(multiplier_of(1), tmp_path, count=20)
    assert not (tmp_path / "multiply_tb.v").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_model_that_fails_leaves_older_files_alone(multiplier_of, tmp_path):
    unit = multiplier_of(2)
    _write(unit, tmp_path, count=20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    broken = dataclasses.replace(unit, model=lambda fields, index: {"product": fields["a"]})
    with pytest.raises(ValueError, match="o has no field product"):
        _write(broken, tmp_path, count=30)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
