"""``lnsmadam generate``: the two files, the options that reach the configuration, nothing half written."""

import json
import os
import sys

import pytest

from lnsmadam.cli.main import main
from lnsmadam.units import UNITS


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_both_files_and_prints_them(typed, tmp_path):
    done = typed("generate multiply_add --format lns6 --pipeline 4 -o out/deep", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tmp_path / line for line in done.stdout.splitlines()] == [
        tmp_path / "out/deep/multiply_add.v", tmp_path / "out/deep/multiply_add.json"]  # fmt: skip
    assert files(tmp_path / "out/deep") == ["multiply_add.json", "multiply_add.v"]
    manifest = json.loads((tmp_path / "out/deep/multiply_add.json").read_text())
    assert manifest["latency"] == 4 and manifest["parameters"]["width"] == 6
    assert f"module {manifest['top']}(" in (tmp_path / "out/deep" / manifest["verilog"]).read_text()


def test_here_by_default_and_twice_the_same_bytes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    seen = []
    for _ in range(2):
        assert main(["generate", "sqrt"]) == 0
        seen.append([(tmp_path / name).read_bytes() for name in ("sqrt.v", "sqrt.json")])
    assert seen[0] == seen[1] and files(tmp_path) == ["sqrt.json", "sqrt.v"]
    assert capsys.readouterr().out == "sqrt.v\nsqrt.json\n" * 2


@pytest.mark.parametrize("name", UNITS)
def test_every_unit(name, tmp_path, capsys):
    assert main(["generate", name, "-o", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / f"{name}.json").read_text())
    unit = UNITS[name]
    assert manifest == unit.emit(unit.configure({})).manifest and files(tmp_path) == [f"{name}.json", f"{name}.v"]


def test_trainer(tmp_path, capsys):
    line = ["generate", "trainer", "--preset", "fx", "--sizes", "5-4-3", "--lanes", "2", "-o"]
    for folder in ("a", "b"):
        assert main([*line, str(tmp_path / folder)]) == 0
    assert files(tmp_path / "a") == ["trainer.json", "trainer.v"]
    assert all(
        (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files(tmp_path / "a")
    )
    manifest = json.loads((tmp_path / "a" / "trainer.json").read_text())
    network = manifest["parameters"]["network"]
    assert (network["sizes"], network["second_moment"], manifest["parameters"]["lanes"]) == ([5, 4, 3], "none", 2)
    verilog = (tmp_path / "a" / "trainer.v").read_text()
    header = verilog[verilog.index("module trainer(") :].partition("(")[2].partition(")")[0]
    ports = {"clk", "rst", "idle", "phase", *(entry["port"] for entry in manifest["settings"].values())}
    for stream in manifest["inputs"] + manifest["outputs"]:
        ports |= {stream["valid"], stream["ready"], stream["payload"]}
    assert {port.strip() for port in header.split(",")} == ports


@pytest.mark.parametrize("interface, ports", [
    ("stream", ["clk", "i__payload", "o__valid"]),
    ("axis", ["aclk", "aresetn", "s_axis_tdata", "s_axis_tlast", "m_axis_tready"]),
    ("flat", ["clk", "rst", "a", "b", "in_valid", "result", "invalid", "out_ready"]),
])  # fmt: skip
def test_interfaces(interface, ports, tmp_path, capsys):
    assert main(["generate", "divide", "--interface", interface, "-o", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "divide.json").read_text())["interface"] == interface
    verilog = (tmp_path / "divide.v").read_text()
    header = verilog[verilog.index("module divide(") :].partition("(")[2].partition(")")[0]
    assert set(ports) <= {port.strip() for port in header.split(",")}


def test_stream_is_the_default(tmp_path, capsys):
    assert main(["generate", "divide", "-o", str(tmp_path / "a")]) == 0
    assert main(["generate", "divide", "--interface", "stream", "-o", str(tmp_path / "b")]) == 0
    for name in ("divide.v", "divide.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_unknown_interface_is_one_line(typed, tmp_path):
    done = typed("generate divide --interface wishbone", tmp_path)
    assert done.returncode == 2 and done.stdout == "" and files(tmp_path) == []
    assert done.stderr.count("\n") == 1 and "--interface" in done.stderr and "wishbone" in done.stderr
    assert all(name in done.stderr for name in ("stream", "axis", "flat"))


@pytest.mark.parametrize("line, expected", [
    ("multiply --format 7:3.7", {"width": 7, "base_factor": 3.7, "pipeline": 2}),
    ("multiply --width 10 --base-factor 32", {"width": 10, "base_factor": 32}),
    ("multiply --format SYNAPSE --pipeline 0", {"log_min": -13, "log_max": 12, "pipeline": 0}),
    ("multiply --format levels:26:60", {"width": 6, "log_min": -13}),
    ("multiply_add --format lns6 --accumulator 10:32", {"width": 6, "accumulator": {"width": 10, "base_factor": 32}}),
    ("multiply_add --memory block --pipeline 3", {"memory": "block", "pipeline": 3}),
    ("multiply_add --memory BLOCK", {"memory": "block"}),
    ("multiply_add --format lns16", {"approximator": "segments", "width": 16}),
    ("add --format lns10 --approximator table", {"approximator": "table"}),
    ("multiply_add --width 10 --base-factor 100 --memory block", {"base_factor": 100, "memory": "block"}),
    ("add --width 8 --base-factor 1e9", {"base_factor": 1000000000}),
])  # fmt: skip
def test_options_reach_the_configuration(line, expected, tmp_path, capsys):
    name, *options = line.split()
    assert main(["generate", name, *options, "-o", str(tmp_path)]) == 0, capsys.readouterr().err
    parameters = json.loads((tmp_path / f"{name}.json").read_text())["parameters"]
    assert {key: parameters[key] for key in expected} == expected


@pytest.mark.parametrize("output", ["a-file", "a-file/below"])
def test_a_file_in_the_way(output, typed, tmp_path):
    (tmp_path / "a-file").write_text("mine")
    done = typed(f"generate sqrt -o {output}", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "a-file" in done.stderr and "Traceback" not in done.stderr
    assert files(tmp_path) == ["a-file"] and (tmp_path / "a-file").read_text() == "mine"


def test_a_folder_in_the_way(tmp_path, capsys):
    (tmp_path / "sqrt.v").mkdir()
    assert main(["generate", "sqrt", "-o", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "sqrt.v" in err
    assert files(tmp_path) == ["sqrt.v"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert main(["generate", "sqrt", "-o", str(tmp_path / "locked")]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_to_trust(tmp_path, monkeypatch, capsys):
    """The manifest is what a later run trusts: it is gone, or it belongs to the Verilog beside it."""
    from pathlib import Path

    assert main(["generate", "sqrt", "--format", "lns6", "-o", str(tmp_path)]) == 0
    before = (tmp_path / "sqrt.v").read_bytes()
    original = Path.write_text

    def full(self, text, **options):
        original(self, text[: len(text) // 2], **options)
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    capsys.readouterr()
    assert main(["generate", "sqrt", "--format", "lns8", "-o", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "No space left on device" in err
    assert files(tmp_path) == ["sqrt.v"] and (tmp_path / "sqrt.v").read_bytes() == before
