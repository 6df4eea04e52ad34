"""``lnsmadam synth``: the keys of its JSON, and what stops it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lnsmadam.cli.main import main


def test_json_of_one_small_unit(typed, tmp_path, build_cache):
    line = "synth sqrt --format lns8 --target hx8k --seeds 1 --json out/cost.json"
    done = typed(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "hx8k" in done.stdout
    cost = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert {"lut4", "carry", "ff", "bram", "dsp", "latency", "fmax_mhz"} <= set(cost)
    assert set(cost["fmax_mhz"]) >= {"median", "min", "max"}
    assert cost["fmax_mhz"]["median"] == cost["fmax_mhz"]["min"] == cost["fmax_mhz"]["max"] > 50
    assert cost["latency"] == 1 and cost["bram"] == cost["dsp"] == 0
    # A word, its flag, and a valid bit; half of a log is an increment.
    assert 5 <= cost["lut4"] <= 40 and 8 <= cost["ff"] <= 12


def test_two_targets_are_a_list(tmp_path, capsys, build_cache):
    line = f"synth sqrt --target hx8k --target ecp5-25k --seeds 1 --json {tmp_path / 'cost.json'}"
    assert main(line.split()) == 0
    costs = json.loads((tmp_path / "cost.json").read_text())
    assert [cost["target"] for cost in costs] == ["hx8k", "ecp5-25k"]
    assert costs[1]["lut4"] == costs[1]["lut4_plain"] + 2 * costs[1]["ccu2c"]


def test_json_in_the_way_of_a_folder(tmp_path, capsys):
    assert main(["synth", "sqrt", "--seeds", "1", "--json", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "'--json'" in err


def test_ended_by_a_signal_it_takes_its_tools_along(tmp_path):
    started = tmp_path / "started"
    yosys = tmp_path / "yosys"
    yosys.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Yosys 0.70"; exit; fi\necho $$ > {started}\nexec sleep 60\n'
    )
    yosys.chmod(0o755)
    environment = {**os.environ, "YOSYS": str(yosys), "LNSMADAM_CACHE": str(tmp_path / "cache")}
    command = [Path(sys.executable).with_name("lnsmadam"), "synth", "sqrt", "--seeds", "1"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        tool = int(started.read_text())
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "lnsmadam: interrupted")
    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)
    assert list((tmp_path / "cache" / "synth").iterdir()) == []
