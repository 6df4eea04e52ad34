"""`lnsmadam board-sim`: a board behind a pseudo-terminal, for whoever opens a port."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lnsmadam.board_sim import serve, simulated_board, terminal
from lnsmadam.cli.main import main
from lnsmadam.fpga.trainer.boards import trainer_board
from lnsmadam.fpga.trainer.client import open_port
from lnsmadam.fpga.trainer.host import Trainer
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import encode_inputs, initial

NETWORK = network_preset("FX", (4, 16, 3))
SIZE = "--preset FX --sizes 4-16-3 --lanes 4 --capacity 160"


@pytest.fixture(scope="module")
def port():
    """Path of a terminal behind which a board answers."""
    stop = threading.Event()
    entry = dataclasses.replace(trainer_board("icebreaker"), capacity=160)
    with simulated_board(TrainerConfig(network=NETWORK, lanes=4), entry) as board:
        with terminal() as (end, path):
            thread = threading.Thread(target=serve, args=(board, end, stop.is_set))
            thread.start()
            yield path
            stop.set()
            thread.join()


def test_a_program_trains_and_the_next_finds_what_it_left(port, capsys):
    rng = np.random.default_rng(1)
    samples, labels = encode_inputs(NETWORK, rng.uniform(-1, 1, (120, 4))), rng.integers(0, 3, 120)
    golden = CompiledNetwork(NETWORK, initial(NETWORK, 1))
    with Trainer(port, NETWORK) as trainer:
        trainer.load_state(initial(NETWORK, 1))
        trainer.train(samples, labels, seed=2)
    golden.train(samples[order(120, 2, 0)], labels[order(120, 2, 0)])
    with Trainer(port, NETWORK) as trainer:
        assert trainer.read_state().differences(golden.state) is None
    assert main(f"train --on board --port {port} --data iris --preset FX --epochs 3 --compare".split()) == 0
    out, errors = capsys.readouterr()
    assert errors == "" and len(re.findall(r"epoch ./3 .* 134 words equal to golden\n", out)) == 3


def test_a_program_that_went_in_the_middle_of_a_frame(port):
    for sent in (b"\xa5", b"\xa5\x00\x01\x00\x02" + bytes(300), os.urandom(3000)):
        line = open_port(port, 1_000_000, 1.0)
        line.write(sent)
        line.close()
        with Trainer(port, NETWORK, timeout=0.5) as trainer:
            assert trainer.hello.capacity == 160


def test_another_preset_is_refused_in_one_line(port, capsys):
    assert main(f"train --on board --port {port} --data iris --preset FO".split()) == 2
    assert re.fullmatch(r"lnsmadam: Board on .* holds .*, not .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_says_where_and_ends_when_told(number, port):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the runner ignores it, as under nohup, and so would the command")
    script = Path(sys.executable).with_name("lnsmadam")
    # The board is in the cache: compiled by the fixture.
    process = subprocess.Popen([script, "board-sim", *SIZE.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        path = process.stdout.readline().decode().strip()
        assert Path(path).is_char_device()
        with Trainer(path, NETWORK) as trainer:
            assert trainer.hello.lanes == 4
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == b"" and process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_it_rests_while_nothing_happens(port):
    with Trainer(port, NETWORK):
        pass
    time.sleep(0.3)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.3


def test_what_cannot_be_simulated(capsys):
    for line, message in (
        ("board-sim --sizes 4", "Network must have 1 to 4 layers, not 0"),
        ("board-sim --lanes 65", "Invalid value for '--lanes': 65 is not in the range 1<=x<=64."),
        ("board-sim --capacity 1", "Invalid value for '--capacity': 1 is not in the range 2<=x<=16384."),
        ("board-sim --baud 7000000", "Baud must divide the clock of .*"),
        ("board-sim --board ulx4", "Board of a trainer must be one of icebreaker, .*, not 'ulx4'"),
        (
            "board-sim --sizes 1024-2 --capacity 16384",
            "Capacity must be from 2 to .* samples of 1024 inputs, not 16384",
        ),
    ):
        assert main(line.split()) == 2
        assert re.fullmatch(f"lnsmadam: {message.replace('+', '[+]')}\n", capsys.readouterr().err), line
