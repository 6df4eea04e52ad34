"""The table of boards, what they need, and bitstreams of trainers."""

import dataclasses
import re

import pytest
from amaranth.back import rtlil

from lnsmadam.fpga.boards import BOARDS
from lnsmadam.fpga.targets import TARGETS
from lnsmadam.fpga.trainer.boards import DIGITS, TRAINER_BOARDS, trainer_board
from lnsmadam.fpga.trainer.build import build_trainer
from lnsmadam.fpga.trainer.needs import Needs, blocks, blocks_of, least_needs
from lnsmadam.fpga.trainer.top import TrainerDevice, TrainerTop
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.hw.trainer.replay import check_capacity

#: Of issue 4: part to sizes, fewest lanes and slowest clock.
TARGET = {
    "hx8k": ((64, 32, 10), 4, 40e6),
    "up5k": ((64, 32, 10), 4, 20e6),
    "ecp5-25k": ((64, 64, 32, 10), 16, 80e6),
    "ecp5-85k": ((64, 64, 32, 10), 64, 80e6),
}


def test_every_board_reaches_its_target():
    assert {entry.target for entry in TRAINER_BOARDS.values()} == set(TARGET) and len(TRAINER_BOARDS) == 5
    for entry in TRAINER_BOARDS.values():
        sizes, lanes, clock = TARGET[entry.target]
        assert entry.sizes == sizes and entry.lanes >= lanes and entry.clock_hz >= clock
        assert entry.capacity >= (2 if entry.target == "hx8k" else DIGITS)
        assert entry.board in BOARDS and entry.part is TARGETS[entry.target]
        machine = entry.machine(network_preset(entry.preset, entry.sizes))
        check_capacity(machine, entry.capacity, entry.memory)
        least_needs(machine, entry.capacity, entry.memory, entry.part).check(entry.board, entry.part)


def test_blocks_of_memory():
    # By hand: 4 kbit as 256 x 16, 512 x 8, 1024 x 4, 2048 x 2; 18 kbit as 512 x 36 to 16384 x 1.
    for width, depth, ice40, ecp5 in (
        (8, 512, 1, 1), (40, 619, 9, 3), (80, 326, 10, 3), (7, 4030, 8, 2), (6, 1297, 3, 1), (15, 1280, 5, 2),
        (7, 81920, 160, 35), (640, 163, 40, 18), (1, 2, 1, 1), (17, 256, 2, 1),
    ):  # fmt: skip
        assert (blocks(width, depth, "ice40"), blocks(width, depth, "ecp5")) == (ice40, ecp5)


@pytest.mark.parametrize("board", ["hx8k-evn", "icebreaker"])
def test_needs_are_those_of_the_design(board):
    entry = trainer_board(board)
    machine = entry.machine(network_preset(entry.preset, entry.sizes))
    device = TrainerDevice(machine, capacity=entry.capacity, timeout=1000, clock_hz=1, kind=entry.memory)
    text = rtlil.convert(TrainerTop(device, divisor=4), emit_src=False)
    memories = re.findall(r"memory width (\d+) size (\d+)", text)
    # Every memory says what it is to be: the count misses none. That of samples may be the one that is huge.
    assert len(memories) == len(re.findall(r'attribute \\ram_style "(?:block|huge)"', text)) > 6
    # The build takes this memory's first content away by its name.
    assert len(re.findall(r"memory width 16 size 42153 \\sample_cells", text)) == (board == "icebreaker")
    least = least_needs(machine, entry.capacity, entry.memory, entry.part)
    assert least.bram < blocks_of(text, "ice40") <= entry.part.capacity["bram"]


def test_what_does_not_fit_is_refused_with_what_it_needs(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"^Network does not fit on icebreaker \(iCE40UP5K-SG48\): it needs "
                       r"\d+ blocks of RAM of 30 and about \d+ logic cells of 5280$"):  # fmt: skip
        build_trainer("icebreaker", out, network_preset("FX", (64, 512, 10)), lanes=32)
    # Weights and samples alone are few enough; with all other memories they are not. Still nothing is synthesised.
    with pytest.raises(ValueError, match=r"^Network does not fit on hx8k-evn .*: it needs 3\d blocks of RAM of 32$"):
        build_trainer("hx8k-evn", out, lanes=4, capacity=80)
    assert not out.exists()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lanes": 65}, "Lanes must be from 1 to 64, not 65"),
        ({"capacity": 1}, "Capacity must be from 2 to 2016 samples of 64 inputs, not 1"),
        ({"capacity": 5000}, "Capacity must be from 2 to 2016 samples of 64 inputs, not 5000"),
        ({"clock_hz": 1e6}, "Clock of 1 MHz cannot be made of 12 MHz to within 1 %"),
        ({"baud": 100}, "Baud rate must be at least 2000, not 100: the board drops slower packets"),
        (
            {"baud": 9_000_000},
            "Baud must divide the clock of 2.4e+07 Hz to within 2 %, four times or more, not 9000000",
        ),
    ],
)
def test_bad_options(options, message, tmp_path):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build_trainer("icebreaker", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_unknown_boards():
    with pytest.raises(
        ValueError, match=r"^Board of a trainer must be one of icebreaker, hx8k-evn, .*, not 'ulx3s-45f'$"
    ):
        trainer_board("ulx3s-45f")
    assert trainer_board("ulx3s").board == "ulx3s-85f"


def test_needs_name_what_is_short():
    part = TARGETS["hx8k"]
    Needs(32, 7680).check("x", part)
    with pytest.raises(
        ValueError, match=r"^Network does not fit on x \(iCE40HX8K-CT256\): it needs 33 blocks of RAM of 32$"
    ):
        Needs(33, 7680).check("x", part)
    with pytest.raises(ValueError, match=r"it needs about 7681 logic cells of 7680$"):
        Needs(32, 7681).check("x", part)


@pytest.mark.slow
@pytest.mark.parametrize("board", TRAINER_BOARDS)
def test_every_board_gets_its_trainer(board, tmp_path):
    entry = trainer_board(board)
    report = build_trainer(board, tmp_path)
    assert (tmp_path / report["bitstream"]).stat().st_size > 50_000
    (clock,) = (
        c for c in report["timing"].values() if c["needed_mhz"] == pytest.approx(entry.clock_hz / 1e6, rel=0.01)
    )
    assert clock["fmax_mhz"] >= clock["needed_mhz"]
    assert (report["lanes"], report["samples"]) == (entry.lanes, entry.capacity)


@pytest.mark.slow
def test_a_small_network_on_the_cheapest_board(tmp_path):
    entry = dataclasses.replace(trainer_board("icebreaker"), sizes=(4, 3), lanes=1, capacity=150)
    report = build_trainer(entry, tmp_path)
    assert report["network"]["sizes"] == [4, 3] and report["utilisation"]["ICESTORM_SPRAM"]["used"] == 1
