import dataclasses
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from lnsmadam import learning
from lnsmadam.datasets import TASKS
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.network import Network
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import encode_inputs, initial
from lnsmadam.learning import VARIANTS, Figure, Measurement, at_end, train, varied


def test_train_is_the_golden_network_in_the_golden_order():
    task = TASKS["iris"]
    split, config = task.load(), network_preset("FO", task.sizes)
    run = train(config, split, 2, seed=5, halved_at=(0.5,))
    slow = Network(config, initial(config, 5))
    words = encode_inputs(config, split.x_train)
    for epoch, lr_shift in ((0, 0), (1, 1)):
        chosen = order(90, 5, epoch)
        slow.train(words[chosen], split.y_train[chosen], lr_shift)
    assert slow.state.differences(run.network.state) is None
    correct = slow.predict(encode_inputs(config, split.x_test)) == split.y_test
    assert run.accuracy[-1] == np.mean(correct) and run.gated == 0


@pytest.mark.parametrize("preset", ["FO", "FX", "FV"])
def test_presets_learn(preset):
    task = TASKS["iris"]
    run = train(network_preset(preset, task.sizes), task.load(), task.epochs, seed=0)
    assert at_end(run.accuracy) >= 0.9


def test_gate_is_counted():
    task = TASKS["iris"]
    run = train(network_preset("FX", task.sizes, gate=1.0), task.load(), 20, seed=0)
    assert 0.1 < run.gated < 1


def test_figures():
    figure = Figure.of([0.9, 0.94])
    # The deviation of two numbers is their distance over sqrt(2); its error again by sqrt(2).
    assert figure.mean == pytest.approx(92) and figure.error == pytest.approx(4 / math.sqrt(2) / math.sqrt(2))
    assert str(Figure(97.123, 0.1)) == "97.12 ± 0.10"
    assert at_end([0, 0, 0.3, 0.6, 0.9]) == pytest.approx(0.6)


def test_variants_change_what_they_say():
    titles = [variant.title for variant in VARIANTS]
    assert len(set(titles)) == len(titles)
    for variant in VARIANTS[1:]:
        for preset in variant.presets:
            config, plain = varied(preset, variant, (64, 32, 10)), network_preset(preset)
            different = {f.name for f in dataclasses.fields(plain) if getattr(plain, f.name) != getattr(config, f.name)}
            # A preset may already be what a variant says, as one bound of FO's gradients is.
            assert different <= set(variant.changes)
    halved = next(variant for variant in VARIANTS if variant.title == "learning rate halved")
    assert varied("FX", halved, (64, 32, 10)).lr == network_preset("FX").lr - 1
    doubled = next(variant for variant in VARIANTS if variant.title == "weights capped at double")
    assert varied("FO", doubled, (64, 32, 10)).weight_tops == (1, 2)


def test_verdict_needs_both_presets():
    runs = {str(lr): [0.9, 0.9] for lr in learning.ADAM_LRS} | {"0.003": [0.97, 0.97]}
    presets = {"FO": [0.965, 0.965], "FX": [0.965, 0.965], "FV": [0.5, 0.5]}
    for name, fx, verdict in (("iris", 0.961, "met"), ("iris", 0.959, "not met"), ("digits", 0.961, "not met")):
        result = Measurement(2, {name: {**runs, **presets, "FX": [fx, fx]}})
        (row,) = learning.task_rows(result)
        assert row[-1] == verdict and "(0.003)" in row[1]


def test_command(tmp_path, monkeypatch):
    short = {
        name: dataclasses.replace(TASKS[name], epochs=epochs)
        for name, epochs in (("iris", 4), ("digits", 1), ("digits_deep", 1))
    }
    monkeypatch.setattr(learning, "TASKS", short)
    monkeypatch.setattr(learning, "VARIANTS", VARIANTS[:2])
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in ("tasks", "variants", "state"))
    )
    done = CliRunner().invoke(
        learning.main, ["-o", str(tmp_path / "out"), "--seeds", "2", "--document", str(page)], catch_exceptions=False
    )
    assert done.exit_code == 0
    kept = json.loads((tmp_path / "out" / "learning.json").read_text())
    assert kept["seeds"] == 2 and len(kept["tasks"]["iris"]["FO"]) == 2 and len(kept["curves"]["iris"]["FO"]) == 4
    assert set(kept["variants"]) == {variant.title for variant in VARIANTS[:2]}
    text = page.read_text()
    assert "<svg" in (tmp_path / "pictures" / "learning.svg").read_text()
    assert "iris, 4-16-3" in text and "sums of 10 bits" in text and "24100 (10.0 a weight)" in text
    monkeypatch.setattr(learning, "train", None)  # A second run repeats nothing.
    again = CliRunner().invoke(learning.main, ["-o", str(tmp_path / "out"), "--seeds", "2"], catch_exceptions=False)
    assert again.output == done.output


def test_store_measures_once(tmp_path):
    calls = []
    for _ in range(2):
        store = learning.Store(tmp_path / "runs.json")
        assert store.get("a", lambda: calls.append(1) or [1.5]) == [1.5]
    assert len(calls) == 1 and store.get("b", lambda: 2) == 2


def test_state_table():
    rows = {row[0]: row for row in learning.state_rows()}
    # 2410 weights and 140 trackers of 9 bits: (64 + 1) + 32 + (32 + 1) + 10.
    assert rows["FX"][1].startswith("24100 ") and rows["FO"][1].startswith(f"{24100 + 9 * 140} ")
    assert rows["FV"][1].startswith(f"{2410 * 19} ") and rows["Adam, float32"][2].startswith(f"{96 * 6570} ")
