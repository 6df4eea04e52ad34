"""``lnsmadam energy``: its table, the keys of its JSON, and what stops it."""

import json

import pytest

from lnsmadam.cli.main import main
from lnsmadam.fpga.energy import PROXY

KEYS = {
    "transistors",
    "gates",
    "ff",
    "toggles",
    "switched_load",
    "toggles_with_glitches",
    "switched_load_with_glitches",
}


def test_table_json_and_what_the_figures_mean(tmp_path, capsys, build_cache):
    path = tmp_path / "out" / "energy.json"
    assert main(f"energy multiply --pipeline 0 --count 1000 --json {path}".split()) == 0
    out, err = capsys.readouterr()
    assert err == "" and "transistors" in out and PROXY in out
    found = json.loads(path.read_text())
    assert set(found) >= KEYS and found["note"] == PROXY
    assert found["operations"] == 1024 and found["compared"] >= 1024 and found["ff"] == 0
    # Two adders of 7 bits, saturation and the zeros' codes.
    assert 150 < found["transistors"] < 800


def test_operands_change_the_figures(tmp_path, capsys, build_cache):
    figures = []
    for operands in ("real", "uniform"):
        path = tmp_path / f"{operands}.json"
        assert main(f"energy sqrt --operands {operands} --count 1 --json {path}".split()) == 0
        figures.append(json.loads(path.read_text())["toggles"])
    assert figures[0] != figures[1]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("energy sqrt --count 0", "'--count'"),
        ("energy sqrt --operands gaussian", "'--operands'"),
        ("energy sqrt --pipeline 9", "Pipeline"),
        ("energy cube", "Unit must be one of"),
    ],
)
def test_one_line_says_what_cannot_work(line, reason, capsys):
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and reason in err


def test_gates_that_differ_are_status_1(monkeypatch, capsys, build_cache):
    from lnsmadam.cli import cost

    def differ(*_, **__):
        raise cost.GatesDiffer("Gates of sqrt differ")

    monkeypatch.setattr(cost, "measure_energy", differ)
    assert main(["energy", "sqrt"]) == 1
    assert capsys.readouterr() == ("", "lnsmadam: Gates of sqrt differ\n")
