"""docs/trainer.md says what the machine does: its table, its pictures, and every cycle behind them."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lnsmadam import trainer_page
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.layout import Layout
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.control import row_layout
from lnsmadam.hw.trainer.schedule import schedule
from lnsmadam.sim import trainer as simulated
from lnsmadam.trainer_page import BANKED, BANKS, MACHINES, PAGE, PICTURED, SCHEDULE, banks, machine, page

ROOT = Path(__file__).parents[2]

#: Machines in which everything that waits does: few lanes and many, short layers, one layer and three, a register
#: behind the memories.
SMALL = [
    ("FX", (9, 6, 5, 4), 4, False),
    ("FO", (9, 6, 5), 2, False),
    ("FO", (6, 12, 7), 5, True),
    ("FO", (5, 12, 4), 1, False),
    ("FX", (3, 16, 4), 9, False),
    ("FV", (7, 6, 3), 4, False),
    ("FO", (6, 3), 3, True),
]


def machine_of(case):
    preset, sizes, lanes, memory_registers = case
    return TrainerConfig(network=network_preset(preset, sizes), lanes=lanes, memory_registers=memory_registers)


def test_the_committed_page_and_pictures_are_true():
    files = {PAGE: page, BANKS: lambda _: trainer_page.banks(), SCHEDULE: lambda _: trainer_page.schedule_picture()}
    for path, made in files.items():
        committed = (ROOT / path).read_text(encoding="utf-8")
        assert made(committed) == committed, "run: python -m lnsmadam.trainer_page"


def test_command_writes_all_three(tmp_path):
    (tmp_path / "docs").mkdir()
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    (tmp_path / PAGE).write_text(re.sub(r"^\| \d.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "lnsmadam.trainer_page"], cwd=tmp_path, check=True, capture_output=True)
    for path in (BANKS, SCHEDULE):
        assert (tmp_path / path).read_text(encoding="utf-8") == (ROOT / path).read_text(encoding="utf-8")
    written = (tmp_path / PAGE).read_text(encoding="utf-8")
    begin, end = written.index("<!-- cycles: begin"), written.index("<!-- cycles: end")
    assert written[begin:end] == text[text.index("<!-- cycles: begin") : text.index("<!-- cycles: end")]


def test_pictures_link_from_the_page_and_are_svg():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    for path in (BANKS, SCHEDULE):
        assert f"]({path.relative_to('docs').as_posix()})" in text
        ElementTree.fromstring((ROOT / path).read_text(encoding="utf-8"))


def test_banks_show_every_weight_where_the_layout_has_it():
    sizes, lanes = BANKED
    layout = Layout(network_preset("FO", sizes), lanes)
    shown = {}
    for element in ElementTree.fromstring(banks()).iter():
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        if element.tag.endswith("text") and re.fullmatch(r"w\[\d\]\[\d\]", element.text) and x < 500:
            shown[(y, x)] = element.text
    places = {k: sorted({place[k] for place in shown}) for k in (0, 1)}
    assert (len(places[0]), len(places[1])) == (layout.rows, lanes)
    for layer, (inputs, neurons) in enumerate(zip(sizes, sizes[1:], strict=False)):
        for neuron in range(neurons):
            for source in range(inputs + 1):
                row = layout.row(layer, neuron // lanes, source)
                place = (places[0][row], places[1][neuron % lanes])
                assert shown.pop(place) == f"w[{neuron}][{source}]"
    assert not shown


# What a bit of the trace says, and which cycles of the schedule have it; layers stand beside them.
TRACE = {
    "forward_rows": "forward",
    "learn_rows": "learn",
    "sums": "trainer.outputs.places != 0",
    "activations": "trainer.outputs.source_made",
    "deltas": "trainer.outputs.delta_made",
    "loads": "trainer.deltas.loader.read & trainer.deltas.loader.present",
}
LAYER_AT = len(TRACE)


def traced(config, monkeypatch):
    """The phase port of the simulation's wrapper replaced by a byte of what happens inside."""
    row, plain = row_layout(config), simulated.plain_wrapper

    def field(name):
        return f"trainer.control.row[{row[name].offset + row[name].width - 1}:{row[name].offset}]"

    bits = [f"({field(what) if what in ('forward', 'learn') else what}) != 0" for what in TRACE.values()]
    trace = ", ".join(reversed([*bits, f"2'd0 | {field('layer')}"]))

    def wrapper(manifest):
        text = plain(manifest).replace("output [1:0] phase", "output [7:0] phase")
        text = text.replace(f".{manifest['phase']}(phase)", f".{manifest['phase']}()")
        return text.replace("\nendmodule", f"\n  assign phase = {{{trace}}};\nendmodule")

    monkeypatch.setattr(simulated, "plain_wrapper", wrapper)


def expected(config, samples):
    """The trace that the schedule foretells."""
    cycles = schedule(config)
    trace = np.zeros((samples, cycles.sample), np.uint8)
    for bit, name in enumerate(TRACE):
        for layer, happens in enumerate(getattr(cycles, name)):
            assert len(set(happens)) == len(happens)
            trace[:, happens] |= 1 << bit
            if name.endswith("rows"):
                trace[:, happens] |= layer << LAYER_AT
    return trace.ravel()


def compare_every_cycle(config, monkeypatch, samples=3):
    sizes, rng = config.network.sizes, np.random.default_rng(0)
    words = rng.integers(0, 1 << config.network.activation.width, (samples, sizes[0]))
    labels = rng.integers(0, sizes[-1], samples)
    traced(config, monkeypatch)
    with simulated.CompiledTrainer(config) as trainer:
        got = trainer.phases(words, labels)
    # Where no row goes, its layer says nothing.
    got = np.where(got & 3, got, got & ((1 << LAYER_AT) - 1))
    # Before the first row a sample comes in.
    got = got[np.flatnonzero(got)[0] :]
    want = expected(config, samples)
    assert len(got) == len(want) > 0
    different = np.flatnonzero(got != want)
    assert not different.size, f"cycle {different[0]}: got {got[different[0]]:#b}, want {want[different[0]]:#b}"


def test_every_cycle_of_a_small_machine_is_as_in_the_verilog(monkeypatch):
    compare_every_cycle(machine_of(SMALL[0]), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL[1:], ids=str)
def test_every_cycle_of_more_small_machines(case, monkeypatch):
    compare_every_cycle(machine_of(case), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("sizes_and_lanes", MACHINES, ids=str)
def test_every_cycle_of_the_table(sizes_and_lanes, monkeypatch):
    compare_every_cycle(machine(*sizes_and_lanes), monkeypatch)


def test_picture_is_of_a_machine_of_the_table():
    assert PICTURED in MACHINES
