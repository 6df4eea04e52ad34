"""The demo's flow: what is replayed, that a fault is seen, and that the page says it."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lnsmadam import demo, demo_trainer
from lnsmadam.demo import HardwareDiffers, error_curves, log_histogram, replay, run_demo, samples_of
from lnsmadam.digits import TrainingConfig, load_digits, train
from lnsmadam.golden.format import LNS8
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw.emit import emit
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.units import UNITS

SMALL = TrainingConfig(epochs=1, hidden=6)


def quiet(what, done, total):
    pass


@pytest.fixture(scope="module")
def small_split():
    whole = load_digits()
    return replace(whole, x_train=whole.x_train[:96], y_train=whole.y_train[:96])


@pytest.fixture(scope="module")
def samples(small_split):
    return {s.unit: s for s in samples_of(SMALL, train(SMALL, small_split, keep_epochs=(1,)))}


@pytest.mark.parametrize("name", ["multiply_add", "madam_update"])
def test_hardware_repeats_the_training(samples, name):
    sample, unit = samples[name], UNITS[name]
    result = replay(sample, unit.emit(sample.config), unit.model(sample.config), quiet)
    assert result["passed"], result["failure"]
    assert result["compared"] == sample.total == sample.met > 1000


@pytest.mark.parametrize("name", ["multiply_add", "madam_update"])
def test_one_wrong_bit_is_seen(samples, name):
    """The unit is right; the model differs in one bit of one result."""
    sample, unit = samples[name], UNITS[name]
    model, faulty = unit.model(sample.config), 777

    def off(fields, start):
        results = {key: np.array(column) for key, column in model(fields, start).items()}
        column = results[next(iter(results))]
        if start <= faulty < start + len(column):
            column[faulty - start] ^= 1
        return results

    result = replay(sample, unit.emit(sample.config), off, quiet)
    assert not result["passed"]
    assert f"transfer {faulty}:" in result["failure"]


def test_hardware_with_another_seed_is_seen(samples):
    sample, unit = samples["madam_update"], UNITS["madam_update"]
    other = replace(sample.config, lfsr=replace(sample.config.lfsr, seed=2))
    result = replay(sample, unit.emit(other), unit.model(sample.config), quiet)
    assert not result["passed"] and "got" in result["failure"]


def test_chunks_keep_the_order(samples):
    sample = samples["madam_update"]
    parts = list(sample.chunks(500))
    assert len(parts) > 1
    for name in sample.config.inputs:
        want = np.concatenate([chunk[name] for chunk in sample.operands[0].chunks])
        assert np.array_equal(np.concatenate([part[name] for part in parts]), want)


def test_error_curves_of_lns8():
    curves = error_curves(MultiplyAddConfig())
    # Correctly rounded: never beyond half a step; at z = 0 the sum is one octave, exactly.
    assert 0.4 < curves["worst"] <= 0.5
    assert curves["add"]["high"][0] == curves["add"]["low"][0] == 0
    assert (curves["add"]["over"], curves["subtract"]["over"]) == (190, 189)
    # log2(1 + 1/2) = 0.585 octaves at z = 8: 4.68 steps, rounded to 5.
    assert curves["add"]["low"][8] == pytest.approx(5 - 4.6797, abs=1e-4)


def test_log_histogram():
    got = log_histogram(LNS8, LNS8.encode([1.0, -1.0, 2.0, 0.0]))
    assert (got["counts"][63], got["counts"][71], sum(got["counts"]), got["zeros"]) == (2, 1, 3, 1)


class _Page(HTMLParser):
    """Sections and what the page would fetch."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.identifiers, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "section":
            self.sections.append(attributes["id"])
        if "id" in attributes:
            self.identifiers.append(attributes["id"])
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]


def _measure(emitted, target, *, seeds, progress):
    """Figures as those of the real one."""
    progress(0, 4, "Starting")
    progress(4, 4, "Place and route")
    return {
        "unit": emitted.manifest["unit"],
        "parameters": emitted.manifest["parameters"],
        "target": target,
        "part": {"hx8k": "iCE40HX8K-CT256", "ecp5-25k": "LFE5U-25F"}[target],
        **{"lut4": 81, "carry": 28, "ff": 103, "bram": 0, "dsp": 0, "latency": 7},
        "fmax_mhz": {"median": 201.4, "min": 199.0, "max": 211.0},
        "tools": {"yosys": "Yosys canned"},
    }


def _build(board, units, directory, *, progress):
    progress(3, 3, "done")
    ports = [emit(unit).manifest["unit"] for unit in units]
    return {
        **{"board": board, "title": "A board", "part": "up5k", "clock_mhz": 12.0, "baud": 1_000_000},
        "bitstream": f"{board}.bin",
        "utilisation": {"ICESTORM_LC": {"used": 900, "available": 5280}},
        "timing": {"clk": {"fmax_mhz": 51.2, "needed_mhz": 12.0}},
        "units": ports,
        "tools": {"nextpnr-ice40": "nextpnr canned"},
    }


@pytest.fixture
def canned(monkeypatch, small_split):
    monkeypatch.setattr(demo, "measure", _measure)
    monkeypatch.setattr(demo, "build_board", _build)
    monkeypatch.setattr(demo, "load_digits", lambda: small_split)


def test_flow_and_page(canned, tmp_path):
    seen = []
    page = run_demo(tmp_path, progress=lambda *step: seen.append(step), training=SMALL, learning_epochs=2)
    assert page == tmp_path / "report.html"
    text, figures = page.read_text(encoding="utf-8"), json.loads((tmp_path / "report.json").read_text())
    parsed = _Page(text)
    assert parsed.sections == ["compared", "accuracy", "learning", "error", "cost", "bitstream", "tools"]
    assert parsed.links == [], "the page needs the network"
    assert not re.search(r"url\((?!#)|@import|<script", text)
    assert len(parsed.identifiers) == len(set(parsed.identifiers))
    assert text.count("<svg ") == 6
    assert figures["passed"] and "all equal" in text and "differs" not in text
    compared = figures["replay"][0]["compared"]
    assert compared > 0 and f"{compared:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") in text
    for wanted in ("HardFloat", "Adam lane", "ICESTORM_LC", "Yosys canned", "A board", "201"):
        assert wanted in text
    learning = figures["learning"]
    assert learning["passed"] and learning["layers"] == [64, 6, 10] and learning["samples"] == 2 * 96
    assert len(learning["accuracy"]) == 3 and len(learning["adam"]) == 2
    # Of each epoch: three words a sample, the test images' classes, weights, trackers and registers.
    assert learning["compared"] == 2 * (3 * 96 + 500 + 65 * 6 + 7 * 10 + 65 + 6 + 7 + 10 + 3)
    assert {run["phase"] for run in learning["schedule"]} == {"idle", "forward", "loss", "learn"}
    for row in figures["cost"]:
        assert row["command"] in text
    # Two formats of the multiply-add in two memories, and the Madam update, on two parts.
    assert len(figures["cost"]) == 10
    assert {path.name for path in (tmp_path / "verilog").iterdir()} >= {
        *("multiply_add.v", "madam_update.v", "trainer.v", "trainer.json"),
    }
    assert {what.split(",")[0] for what, _, _ in seen} >= {"Training", "Writing the report"}
    assert all(done <= total or total == 0 for _, done, total in seen)


def test_difference_is_reported(canned, tmp_path, monkeypatch):
    original = demo.replay

    def broken(sample, emitted, model, progress):
        def zero(fields, start):
            return {name: np.zeros_like(column) for name, column in model(fields, start).items()}

        return original(sample, emitted, zero if sample.unit == "multiply_add" else model, progress)

    monkeypatch.setattr(demo, "replay", broken)
    with pytest.raises(HardwareDiffers, match="multiply_add: transfer .* got .* want") as caught:
        run_demo(tmp_path, training=SMALL, learning_epochs=1)
    text = caught.value.report.read_text(encoding="utf-8")
    assert "Hardware and model differ" in text and "got" in text
    assert not json.loads((tmp_path / "report.json").read_text())["passed"]


def test_a_trainer_that_differs_is_reported(canned, tmp_path, monkeypatch):
    def of_another_network(trainer):
        # Amaranth warns of a component that nothing came of.
        emit_trainer(trainer)
        network = replace(trainer.config.network, grad_bound=1)
        return emit_trainer(Trainer(replace(trainer.config, network=network)))

    monkeypatch.setattr(demo_trainer, "emit_trainer", of_another_network)
    with pytest.raises(
        HardwareDiffers, match="trainer: epoch 1: (sample|weight of layer|tracker of layer).* got"
    ) as caught:
        run_demo(tmp_path, training=SMALL, learning_epochs=2)
    text = caught.value.report.read_text(encoding="utf-8")
    assert "Hardware and model differ" in text and "epoch 1: " in text
    learning = json.loads((tmp_path / "report.json").read_text())["learning"]
    assert not learning["passed"] and learning["failure"] and len(learning["accuracy"]) == 2


def test_failed_run_leaves_no_old_report(canned, tmp_path, monkeypatch):
    for name in ("report.html", "report.json"):
        (tmp_path / name).write_text("old")

    def fail(*args, **options):
        raise ValueError("no such tool")

    monkeypatch.setattr(demo, "measure", fail)
    with pytest.raises(ValueError, match="no such tool"):
        run_demo(tmp_path, training=SMALL)
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "report.json").exists()


@pytest.mark.parametrize(
    ("module", "package"),
    [("sklearn", "scikit-learn"), ("matplotlib", "matplotlib"), ("jinja2", "jinja2")],
)
def test_missing_extra_is_one_line(monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"^Demo needs {package}: the extra lnsmadam\[demo\] brings it$"):
        run_demo(tmp_path)
