"""``lnsmadam vectors``: what it writes, what it refuses, and that its bench runs without Python."""

import json
import shutil
import subprocess

import pytest

from lnsmadam.cli.main import main
from lnsmadam.units import UNITS


def _files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_prints_the_files(typed, tmp_path):
    done = typed("vectors multiply_add --format lns6 --pipeline 3 -n 40 --seed 5 -o out/x", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    names = ["multiply_add.v", "multiply_add.json", *(f"multiply_add_{end}" for end in
             ("operands.hex", "results.hex", "tb.v"))]  # fmt: skip
    assert done.stdout.splitlines() == [f"out/x/{name}" for name in names]
    assert _files(tmp_path / "out/x") == sorted(names)
    assert json.loads((tmp_path / "out/x/multiply_add.json").read_text())["latency"] == 3
    assert len((tmp_path / "out/x/multiply_add_operands.hex").read_text().split()) == 40


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_every_units_bench_passes_without_python(name, tmp_path, capsys):
    assert main(["vectors", name, "-n", "200", "-o", str(tmp_path)]) == 0
    command = f"iverilog -g2005 -o t {name}_tb.v {name}.v && vvp -n t"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("PASS: "), done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("interface", ["axis", "flat"])
def test_other_interfaces(interface, tmp_path, capsys):
    assert main(["vectors", "madam_update", "-n", "200", "--interface", interface, "-o", str(tmp_path)]) == 0
    command = "iverilog -g2005 -o t madam_update_tb.v madam_update.v && vvp -n t"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("PASS: "), done.stdout + done.stderr


@pytest.mark.parametrize("line, message", [
    ("multiply -n 0", "0 is not in the range"),
    ("multiply -n 1048577", "1048577 is not in the range"),
    ("multiply --seed -1", "-1 is not in the range"),
    ("multiply --pipeline 99", "Pipeline of multiply must be from"),
    ("multipy", "Unit must be one of"),
])  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(line, message, tmp_path, capsys):
    assert main(["vectors", *line.split(), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["a-file", "a-file/below"])
def test_a_file_in_the_way(output, typed, tmp_path):
    (tmp_path / "a-file").write_text("mine")
    done = typed(f"vectors sqrt -o {output}", tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "a-file" in done.stderr and "Traceback" not in done.stderr
    assert _files(tmp_path) == ["a-file"] and (tmp_path / "a-file").read_text() == "mine"


@pytest.mark.parametrize("name", ["sqrt_tb.v", "sqrt_results.hex"])
def test_a_folder_in_the_way(name, tmp_path, capsys):
    (tmp_path / name).mkdir()
    assert main(["vectors", "sqrt", "-o", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and name in err
    assert not (tmp_path / "sqrt_tb.v").is_file()
