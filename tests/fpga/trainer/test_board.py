"""The host and a simulated board: its emitted Verilog, serial line included."""

import dataclasses
import functools
import types
from pathlib import Path

import device
import faults
import numpy as np
import pytest
from device import samples_of

from lnsmadam.datasets import TASKS
from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer import receiver, server, top
from lnsmadam.fpga.trainer.frames import Space
from lnsmadam.fpga.trainer.host import Trainer
from lnsmadam.fpga.trainer.top import emit_top
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import initial
from lnsmadam.sim.uart import SimulatedUART
from lnsmadam.train import Plan, train_on_board, train_on_golden

DIVISOR, TIMEOUT = 4, 2000
SMALL, CAPACITY, LANES = (3, 4, 2), 6, 2


@functools.lru_cache(maxsize=4)
def verilog_of(network, lanes, capacity):
    machine = TrainerConfig(network=network, lanes=lanes)
    return emit_top(machine, capacity=capacity, divisor=DIVISOR, timeout=TIMEOUT, clock_hz=12_000_000)


def board(network, lanes=LANES, capacity=CAPACITY, verilog=None):
    # The gate is set by a run.
    text = verilog or verilog_of(dataclasses.replace(network, gate=None), lanes, capacity)
    return SimulatedUART(text, "trainer_board", divisor=DIVISOR, patience=6 * TIMEOUT)


def learn(line, network, count, epochs):
    """Trains a board and the golden network beside it, and compares all that can be read."""
    samples, labels = samples_of(network, count, 1)
    state = initial(network, 4)
    golden = CompiledNetwork(network, state.copy())
    with Trainer(line, network, poll=0) as trainer:
        trainer.load_state(state)
        assert trainer.read_state().differences(state) is None
        for epoch in range(epochs):
            (end,) = trainer.train(samples, labels, first_epoch=epoch, seed=9, lr_shift=epoch)
            places = order(count, 9, epoch)
            outcome = golden.train(samples[places], labels[places], epoch)
            assert trainer.read_state().differences(golden.state) is None
            assert (end.done, end.correct, end.gated) == (count, outcome.correct.sum(), outcome.gated.sum())
        np.testing.assert_array_equal(trainer.predict(samples), golden.predict(samples))
        assert trainer.evaluate(samples, labels) == np.mean(golden.predict(samples) == labels)
        logits = trainer._read(Space.LOGITS, 0, network.sizes[-1]).astype(np.uint32).astype(np.int32)
        np.testing.assert_array_equal(logits, golden.logits(samples[-1:])[0])
        assert trainer.read_state().differences(golden.state) is None
        assert trainer.client.repeats == 0 and line.broken == 0
    return golden


@pytest.mark.parametrize("preset", NETWORK_PRESETS)
def test_a_board_learns_as_the_golden_network(preset):
    # Once with all samples in its memory, once with half a memory at a time, with the gate and without.
    for gate, count in ((None, CAPACITY), (0.5, CAPACITY), (None, 37), (0.5, 26)):
        network = network_preset(preset, SMALL, gate=gate)
        with board(network) as line:
            learn(line, network, count, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "sizes", "lanes", "capacity"),
    [("FO", (5, 7, 4, 3), 4, 60), ("FX", (9, 2), 1, 2), ("FV", (8, 16, 8), 8, 5)],
)
def test_boards_of_other_shapes(preset, sizes, lanes, capacity):
    network = network_preset(preset, sizes)
    with board(network, lanes, capacity) as line:
        learn(line, network, 60, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "capacity"), [("FO", 1797), ("FX", 62)])
def test_digits(preset, capacity):
    network, task = network_preset(preset), TASKS["digits"]
    with board(network, 8, capacity) as line:
        plan = Plan.of_task(task, network, initial(network, 0), seed=0, epochs=3)
        results = list(train_on_board(plan, line, lambda live: None, compare=True, poll=0))
        assert [result.difference for result in results] == [None] * 3
        assert results[-1].test_accuracy > 0.9 and results[-1].compared >= network.weights
        golden = list(train_on_golden(plan, lambda live: None))
        assert [result.test_accuracy for result in results] == [result.test_accuracy for result in golden]


def test_what_was_saved_goes_on_as_if_never_stopped(tmp_path, numbered):
    network = network_preset("FO", SMALL)
    samples, labels = samples_of(network, 37, 1)
    golden = CompiledNetwork(network, initial(network, 4))
    for epoch in range(4):
        places = order(37, 9, epoch)
        golden.train(samples[places], labels[places])
    with board(network) as line:
        trainer = Trainer(line, network, poll=0)
        trainer.load_state(initial(network, 4))
        trainer.train(samples, labels, epochs=2, seed=9)
        trainer.save(tmp_path / "half.npz")
        # Reset keeps the memories, but what is in them now is not to go on with.
        trainer.load_state(initial(network, 5))
        line.reset()
        with pytest.raises(LinkError, match="^Board was restarted, or another program talks to it$"):
            trainer.train(samples, labels)
        trainer = Trainer(line, network, poll=0)
        trainer.resume(tmp_path / "half.npz")
        trainer.train(samples, labels, epochs=2, first_epoch=2, seed=9)
        assert trainer.read_state().differences(golden.state) is None


def outcomes(network, state, samples, sequence, frames):
    """States and sample memories that a board may have after any number of these frames, from the first on."""
    oracle = device.Device(network, LANES, CAPACITY, pace=0)
    oracle.state, oracle.samples, oracle.last = state.copy(), samples.copy(), (sequence, device.HELLO)
    allowed = [(oracle.state.copy(), oracle.samples.copy())]
    for frame in frames:
        oracle.answer(frame.sequence, frame.code, frame.payload)
        if not oracle.queue:
            allowed.append((oracle.state.copy(), oracle.samples.copy()))
        while oracle.queue:
            oracle.work(1)
            allowed.append((oracle.state.copy(), oracle.samples.copy()))
    return allowed


def play(line, pieces):
    """Puts the pieces of a case on the line, one after the other."""
    for piece in pieces:
        if isinstance(piece, bytes):
            line.write(piece)
        elif callable(piece):
            piece(line)
        else:
            line.run(1 << 40, until_sent=True)
            line.run(piece)


def survive(preset, cases, first_seed, verilog=None):
    """How often a board has changed in cases of faults, by kind; every change is one that a whole frame asked for."""
    network = network_preset(preset, SMALL)
    rng = np.random.default_rng(first_seed)
    samples, labels = samples_of(network, CAPACITY, 1)
    held = np.column_stack([samples, labels])
    state = initial(network, 4)
    changed, seen = dict.fromkeys(faults.KINDS, 0), dict.fromkeys(faults.KINDS, 0)
    with board(network, verilog=verilog) as line:
        trainer = Trainer(line, network, poll=0)
        trainer.load_state(state)
        trainer._write(Space.SAMPLES, 0, held.ravel())
        for n in range(cases):
            kind = faults.KINDS[n % len(faults.KINDS)]
            sequence = trainer.client._sequence
            case = faults.Case(kind, rng, network, trainer.regions, sequence, TIMEOUT + 1000)
            play(line, case.pieces)
            trainer = Trainer(line, network, poll=0, attempts=6)
            now = trainer.read_state()
            place = trainer._read(Space.SAMPLES, 0, held.size).reshape(held.shape)
            allowed = outcomes(network, state, held, sequence, case.frames)
            which = [k for k, (a, b) in enumerate(allowed) if a.equal(now) and np.array_equal(b, place)]
            assert which, f"case {n} of {preset}, {kind}: {state.differences(now)}"
            changed[kind] += which[0] > 0
            seen[kind] += 1
            state, held = now, place
            if n % 50 == 49:
                # Words of all kinds have come into the memories: back to those of a network.
                state = initial(network, n)
                held = np.column_stack([samples, labels])
                trainer.load_state(state)
                trainer._write(Space.SAMPLES, 0, held.ravel())
    return changed, seen


@pytest.fixture
def numbered(monkeypatch):
    """First numbers of hosts in an order that repeats."""
    rng = np.random.default_rng(1)
    monkeypatch.setattr("lnsmadam.fpga.trainer.client.secrets.randbelow", lambda limit: int(rng.integers(limit)))


#: Kinds that put a whole frame on the line, in at least some cases.
WHOLE = {"truncated, then whole", "twice", "reordered", "break", "glitches", "host gone in a run"}


@pytest.mark.parametrize("preset", ["FX"])
def test_faults_change_nothing_that_was_not_asked_for(preset, numbered):
    changed, _ = survive(preset, 80, 1)
    assert {kind for kind, count in changed.items() if count} <= WHOLE
    assert changed["twice"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("preset", NETWORK_PRESETS)
def test_many_faults_change_nothing_that_was_not_asked_for(preset, numbered):
    changed, seen = survive(preset, 600, 2)
    assert sum(seen.values()) == 600
    assert {kind for kind, count in changed.items() if count} == WHOLE


def planted(monkeypatch, module, name, old, new):
    """Verilog of a board in which one class of a module has been made from a changed text."""
    source = Path(module.__file__).read_text()
    changed = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), "planted", "exec"), changed.__dict__)
    user = server if module is receiver else top
    monkeypatch.setattr(user, name, getattr(changed, name))
    return verilog_of.__wrapped__(network_preset("FX", SMALL), LANES, CAPACITY)


#: What is wrong: module, class, text and what it is changed to.
FAULTS = {
    "CRC": (receiver, "FrameReceiver", "m.If(~self.crc.match)", "m.If(0)"),
    "silence": (receiver, "FrameReceiver", "m.Elif(expired)", "m.Elif(0)"),
    "sequence": (server, "TrainerServer", "(receiver.sequence == expected)", "(receiver.sequence >= 0)"),
    "repeat": (
        server, "TrainerServer", "same & ((command == Command.READ) | (command == Command.STATUS))", "same",
    ),
    "range": (server, "TrainerServer", " | (end > size)", ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_its_place(fault):
    """What the slow test changes is there: it is seldom run."""
    module, _, old, _ = FAULTS[fault]
    assert Path(module.__file__).read_text().count(old) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name", "old", "new"), FAULTS.values(), ids=FAULTS)
def test_planted_faults_are_found(module, name, old, new, numbered, monkeypatch):
    verilog = planted(monkeypatch, module, name, old, new)
    with pytest.raises((AssertionError, LinkError)) as caught:
        survive("FX", 200, 1, verilog)
    assert "case" in str(caught.value) or "Board" in str(caught.value)
