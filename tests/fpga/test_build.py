"""Bitstreams for boards: what is written, and what is not when something fails."""

import json
import os
import subprocess
import sys

import pytest

from lnsmadam.fpga.boards import ALIASES, BOARDS, board_named
from lnsmadam.fpga.build import _overfull, build
from lnsmadam.fpga.link import read_report
from lnsmadam.golden.format import LNS16, LNSFormat
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.toolchain import ToolFailed


def two_units():
    return [Multiply(MultiplyConfig()), Multiply(MultiplyConfig(format=LNS16, pipeline=0))]


def test_icebreaker_gets_a_bitstream(tmp_path):
    told = []
    report = build("icebreaker", two_units(), tmp_path / "out", progress=lambda *a: told.append(a))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"icebreaker.bin", "report.json", "tools.log"}
    # The synchronisation word of an iCE40 bitstream, and the size of an UP5K's.
    bitstream = (tmp_path / "out" / "icebreaker.bin").read_bytes()
    assert bitstream.count(b"\x7e\xaa\x99\x7e") == 1 and len(bitstream) > 100_000
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert report["board"] == "icebreaker" and report["part"] == "iCE40UP5K-SG48" and report["clock_mhz"] == 12
    assert 100 < report["utilisation"]["ICESTORM_LC"]["used"] < 1500
    (clock,) = report["timing"].values()
    assert clock["fmax_mhz"] > clock["needed_mhz"] == 12
    log = (tmp_path / "out" / "tools.log").read_text()
    assert "==== yosys" in log and "==== nextpnr" in log
    assert [done for done, total, _ in told if total == 3] == [0, 1, 2, 3]
    ports, baud = read_report(tmp_path / "out" / "report.json")
    assert baud == 1_000_000
    assert [(p.number, p.unit, p.packet_bytes, p.answer_bytes) for p in ports] == [
        (0, "multiply", 3, 1), (1, "multiply", 5, 2)
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BOARDS if name != "icebreaker"])
def test_every_board_gets_a_bitstream(name, tmp_path):
    report = build(name, two_units(), tmp_path)
    assert (tmp_path / report["bitstream"]).stat().st_size > 50_000


@pytest.mark.slow
def test_too_large_says_what_it_needs(tmp_path):
    wide = [Multiply(MultiplyConfig(format=LNSFormat(24, 2.0**15))) for _ in range(60)]
    with pytest.raises(ToolFailed, match=r"does not fit on icebreaker.*: it needs \d+ ICESTORM_LC of 5280$"):
        build("icebreaker", wide, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_overfull_reads_nextpnr():
    log = """Info: \t         ICESTORM_LC:    7819/   5280   148%
Info: \t        ICESTORM_RAM:       1/     30     3%
Info: \t        ICESTORM_DSP:       9/      8   112%
"""
    assert _overfull(log) == ["7819 ICESTORM_LC of 5280", "9 ICESTORM_DSP of 8"]


def test_failure_leaves_the_last_build_whole(tmp_path, fake_tool):
    for name in ("icebreaker.bin", "report.json", "tools.log"):
        (tmp_path / name).write_text("earlier")
    fake_tool("yosys", "exit 0")
    fake_tool("nextpnr-ice40", "echo '{}' > report.json; echo 'ERROR: Max frequency for clock: 9 MHz (FAIL)'; exit 1")
    with pytest.raises(ToolFailed, match="^Build for icebreaker failed .*9 MHz") as caught:
        build("icebreaker", two_units(), tmp_path)
    assert "\n" not in str(caught.value)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if not path.name.startswith("fake-")}
    assert kept == dict.fromkeys(("icebreaker.bin", "report.json", "tools.log"), "earlier")


def test_unknown_board_lists_the_boards(tmp_path):
    with pytest.raises(ValueError, match="Board must be one of icebreaker, hx8k-evn, .*, ulx3s, not 'ulx4'"):
        build("ulx4", [], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_options_write_nothing(tmp_path):
    with pytest.raises(ValueError, match="Units must be from 1 to 256, not 0"):
        build("icebreaker", [], tmp_path / "out")
    with pytest.raises(ValueError, match="Baud must divide the clock of 1.2e\\+07 Hz"):
        build("icebreaker", [None], tmp_path / "out", baud=8_000_000)
    assert not (tmp_path / "out").exists()


def test_aliases():
    assert board_named("ulx3s") is BOARDS["ulx3s-85f"]
    assert not set(ALIASES) & set(BOARDS)


@pytest.mark.parametrize("design", ["units", "trainer"])
def test_a_missing_tool_is_one_line(design, tmp_path):
    """In a process of its own: Amaranth would warn of a design that nobody built when it is thrown away."""
    command = [sys.executable, "-m", "lnsmadam", "build", "--board", "icebreaker", "--design", design, "-o", "out"]
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "YOSYS": "/nonexistent"}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.splitlines() == ["lnsmadam: YOSYS names '/nonexistent', which is not a program that can run"]
