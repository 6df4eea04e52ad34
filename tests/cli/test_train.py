"""`lnsmadam train`: every place ends with the same bits, stops and goes on, and refuses in one line."""

import os
import pty
import re
import select
import threading
import tty

import device
import numpy as np
import pytest

from lnsmadam.cli.main import main
from lnsmadam.datasets import TASKS
from lnsmadam.golden.trainer import files
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import encode_inputs, initial
from lnsmadam.proof import records
from lnsmadam.sim.trainer import CompiledTrainer
from lnsmadam.train import lr_shift_of

LINE = re.compile(
    r"epoch (\d+)/(\d+)  training [\d.]+%  test ([\d.]+)%  gated (\d+)%  [\d,]+ samples/s"
    r"(?:  ([\d,]+) words equal to golden)?"
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """``run("train …")``: status, standard output and error, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(line):
        status = main(line.split())
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def board_port():
    """``board_port(device)``: path of a pseudo-terminal behind which the device answers."""
    ends, stop, threads = [], threading.Event(), []

    def serve(board, end):
        while not stop.is_set():
            if select.select([end], [], [], 0.06)[0]:
                os.write(end, board.feed(os.read(end, 4096)))
            else:
                board.silence()

    def start(board):
        end, host = pty.openpty()
        tty.setraw(host)
        ends.extend((end, host))
        threads.append(threading.Thread(target=serve, args=(board, end)))
        threads[-1].start()
        return os.ttyname(host)

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    for end in ends:
        os.close(end)


def independent(network, task, seed, epochs):
    """State and test accuracy, by the golden network alone."""
    split = task.load()
    samples, labels = encode_inputs(network, split.x_train), split.y_train
    golden = CompiledNetwork(network, initial(network, seed))
    for epoch in range(epochs):
        shift = sum(epoch / epochs >= part for part in (0.4, 0.6, 0.8))
        places = order(len(labels), seed, epoch)
        golden.train(samples[places], labels[places], shift)
    return golden.state, np.mean(golden.predict(encode_inputs(network, split.x_test)) == split.y_test)


def lines_of(done):
    status, out, errors = done
    assert (status, errors) == (0, ""), errors
    matches = [LINE.fullmatch(line) for line in out.splitlines() if line.startswith("epoch")]
    assert all(matches)
    return matches


def test_the_learning_rate_is_halved_three_times():
    assert [lr_shift_of(epoch, 5) for epoch in range(5)] == [0, 0, 1, 2, 3]
    assert [lr_shift_of(epoch, 40) for epoch in (15, 16, 23, 24, 31, 32, 39)] == [0, 1, 1, 2, 2, 3, 3]


def test_golden_learns_and_saves(run, tmp_path):
    done = run("train --data iris --epochs 6 --seed 3 --save iris.npz --gate 2")
    lines = lines_of(done)
    assert [line[1] for line in lines] == list("123456") and {line[2] for line in lines} == {"6"}
    assert done[1].splitlines()[-1] == "iris.npz"
    network = network_preset("FO", (4, 16, 3), gate=2.0)
    state, accuracy = independent(network, TASKS["iris"], 3, 6)
    saved_network, saved = files.load(tmp_path / "iris.npz", network)
    assert saved_network == network and saved.differences(state) is None
    assert float(lines[-1][3]) == round(100 * accuracy, 1) and int(lines[-1][4]) > 0
    assert files.load_run(tmp_path / "iris.npz") == {"data": "iris", "seed": 3, "epochs": 6, "done": 6}


@pytest.mark.parametrize("preset", ["FO", "FX", "FV"])
def test_resuming_is_as_if_never_stopped(preset, run, tmp_path, board_port):
    network = network_preset(preset, (4, 16, 3))
    port = board_port(device.Device(network, 4, 50, pace=100))
    whole = f"train --data iris --epochs 4 --seed 1 --preset {preset} --save whole.npz"
    lines_of(run(whole))
    # Stopped after two epochs: the plan was four.
    _, half = files.load(tmp_path / "whole.npz")
    state = initial(network, 1)
    golden = CompiledNetwork(network, state)
    split = TASKS["iris"].load()
    samples = encode_inputs(network, split.x_train)
    for epoch in range(2):
        places = order(len(samples), 1, epoch)
        golden.train(samples[places], split.y_train[places], lr_shift_of(epoch, 4))
    files.save(tmp_path / "half.npz", network, golden.state, {"data": "iris", "seed": 1, "epochs": 4, "done": 2})
    for where, name in (("golden", "a.npz"), (f"board --compare --port {port}", "b.npz")):
        done = run(f"train --resume half.npz --on {where} --save {name}")
        lines = lines_of(done)
        assert [line[1] for line in lines] == ["3", "4"]
        assert all((line[5] is not None) == ("board" in where) for line in lines)
        assert files.load(tmp_path / name)[1].differences(half) is None
        assert files.load_run(tmp_path / name)["done"] == 4


def test_a_board_learns_the_same(run, tmp_path, board_port):
    network = network_preset("FX", (4, 16, 3))
    board = device.Device(network, 8, 400, pace=1000)
    done = run(f"train --on board --port {board_port(board)} --data iris --preset fx --epochs 2 --save x.npz")
    lines = lines_of(done)
    state, accuracy = independent(network, TASKS["iris"], 0, 2)
    assert board.state.differences(state) is None and files.load(tmp_path / "x.npz")[1].differences(state) is None
    assert float(lines[-1][3]) == round(100 * accuracy, 1)
    assert all(line[5] is None for line in lines)


def test_the_emitted_verilog_learns_the_same(run, tmp_path):
    done = run("train --on rtl --data iris --preset FX --epochs 2 --lanes 4 --save x.npz --gate 1 --records found")
    lines = lines_of(done)
    state, accuracy = independent(network_preset("FX", (4, 16, 3), gate=1.0), TASKS["iris"], 0, 2)
    assert files.load(tmp_path / "x.npz")[1].differences(state) is None
    assert float(lines[-1][3]) == round(100 * accuracy, 1)
    assert all(line[5] is not None for line in lines)
    (record,) = records.load(tmp_path / "found")
    assert record.passed and record.subject == "trainer" and record.claim.startswith("FX 4-16-3, emitted Verilog")
    assert record.details["compared"] == sum(int(line[5].replace(",", "")) for line in lines)
    assert record.command.endswith("--save x.npz --gate 1")


def test_verilog_that_differs_is_found(run, tmp_path, monkeypatch):
    load = CompiledTrainer.load

    def load_another(trainer, state):
        state = state.copy()
        state.weights[1][2, 3] ^= 1
        load(trainer, state)

    monkeypatch.setattr(CompiledTrainer, "load", load_another)
    status, out, errors = run(
        "train --on rtl --data iris --preset FX --epochs 2 --lanes 4 --save x.npz --records found"
    )
    assert status == 1 and re.fullmatch(r"lnsmadam: epoch 1: .*got .*, want .*\n", errors)
    assert out.count("epoch") == 1 and not (tmp_path / "x.npz").exists()
    (record,) = records.load(tmp_path / "found")
    assert not record.passed and record.result in errors


def test_a_board_says_which_network_it_holds(run, board_port):
    board = device.Device(network_preset("FX", (64, 64, 32, 10)), 4, 1800, pace=2000)
    lines_of(run(f"train --on board --port {board_port(board)} --epochs 1 --gate 2 --compare"))


def test_a_board_that_differs_is_found(run, tmp_path, board_port):
    network = network_preset("FX", (4, 16, 3))
    board = device.Device(network, 8, 400, pace=1000)
    put = board.put_weight
    board.put_weight = lambda layer, neuron, source, word: put(
        layer, neuron, source, word ^ ((layer, neuron, source) == (1, 2, 3))
    )
    command = f"train --on board --compare --port {board_port(board)} --data iris --preset FX --epochs 2 --save x.npz"
    status, _, errors = run(command)
    assert status == 1 and re.fullmatch(r"lnsmadam: epoch 1: weight of layer .*\n", errors)
    assert not (tmp_path / "x.npz").exists()


def test_refusals_are_one_line(run, tmp_path, board_port):
    network = network_preset("FO", (4, 16, 3))
    files.save(tmp_path / "bare.npz", network, initial(network, 0))
    ended = {"data": "iris", "seed": 1, "epochs": 4, "done": 4}
    files.save(tmp_path / "done.npz", network, initial(network, 0), ended)
    (tmp_path / "text.npz").write_text("text")
    silent, host = pty.openpty()
    deep = device.Device(network_preset("FO", (64, 64, 32, 10)), 2, 9)
    cases = {
        "--on board": "--on board needs --port",
        "--port x": "--port goes with --on board",
        "--lanes 4": "--lanes goes with --on rtl: they change no bit, and a board has its own",
        "--compare": "--compare goes with --on board",
        "--records x": "--records goes with --on rtl or --compare: without, nothing is compared",
        "--on board --port none": "Port none cannot be opened: No such file or directory",
        f"--on board --port {tmp_path / 'text.npz'}": "Port .* cannot be opened: Inappropriate ioctl for device",
        f"--on board --timeout 0.1 --port {os.ttyname(host)}": "Board on .* does not answer: it holds no trainer, .*",
        f"--on board --port {board_port(device.Device(network, 2, 9))}": "Board on .* holds .*, which is no preset: .*",
        f"--on board --port {board_port(device.Device(network, 2, 9))} --preset FX": "Board .* holds .*, not FX .*",
        f"--on board --port {board_port(deep)} --data iris": "Data set iris has 4 inputs and 3 classes, .* 64-64-.*",
        "--sizes 64": "Network must have 1 to 4 layers, not 0",
        "--sizes 64-x": "Invalid value for '--sizes': '64-x' is not a list of layer sizes such as 64-32-10",
        "--sizes 32-10": "Data set digits has 64 inputs and 10 classes, the network is 32-10",
        "--gate -1": "Gate must be from 0 to 256 octaves, not -1.0",
        "--data mnist": "Invalid value for '--data': 'mnist' is not one of .*",
        "--save none/x.npz --epochs 1": "Invalid value for '--save': none/x.npz cannot be written",
        "--resume none.npz": "Cannot read none.npz: No such file or directory",
        "--resume text.npz": "text.npz is not the file of a network, or is cut short",
        "--resume bare.npz": "bare.npz does not say of which training it is: it cannot be resumed",
        "--resume done.npz": "done.npz has 4 epochs behind it: --epochs must be above that, not 4",
        "--resume done.npz --epochs 3": "done.npz has 4 epochs behind it: --epochs must be above that, not 3",
        "--resume done.npz --seed 2": "--seed must be that of done.npz, 1, not 2",
        "--resume done.npz --gate 2": "--gate must be that of done.npz, none, not 2.0",
        "--resume done.npz --sizes 4-8-3": "--sizes must be that of done.npz, 4-16-3, not 4-8-3",
        "--resume done.npz --data wine": "--data must be that of done.npz, iris, not wine",
        "--resume done.npz --preset fx": "--preset must be that of done.npz, which is not FX",
    }
    try:
        for options, message in cases.items():
            status, _, errors = run(f"train {options}")
            assert status == 2, options
            assert re.fullmatch(f"lnsmadam: {message}\n", errors), (options, errors)
    finally:
        os.close(silent)
        os.close(host)


def test_export(tmp_path, capsys):
    network = network_preset("FX", (4, 3))
    state, saved = initial(network, 1), tmp_path / "network.npz"
    files.save(saved, network, state)
    for kind in ("logs", "floats"):
        assert main(["export", str(saved), "-o", str(tmp_path / f"{kind}.npz"), "--as", kind]) == 0
    logs, floats = (dict(np.load(tmp_path / f"{kind}.npz")) for kind in ("logs", "floats"))
    sign, log = network.weight.unpack(state.weights[0])
    assert np.array_equal(logs["sign_0"], sign) and np.array_equal(logs["log_0"], log)
    reals = (1.0 - 2 * sign) * 2.0 ** ((log - logs["log_max"]) / logs["base_factor"] + logs["top_0"])
    assert np.allclose(np.hstack([floats["weight_0"], floats["bias_0"][:, None]]), reals, rtol=1e-6)
    capsys.readouterr()
    assert main(["export", str(tmp_path / "logs.npz"), "-o", str(tmp_path / "out.npz")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("lnsmadam: ") and message.count("\n") == 1 and not (tmp_path / "out.npz").exists()
