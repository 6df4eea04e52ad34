"""The host against a second implementation of the protocol, over good lines and bad ones."""

import dataclasses

import device
import numpy as np
import pytest
from device import samples_of

from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer import frames
from lnsmadam.fpga.trainer.host import Trainer
from lnsmadam.fpga.trainer.identity import known_networks, machine_digest
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import initial

SIZES = (5, 7, 3)


def golden_epochs(network, state, samples, labels, seed, epochs, shift=0, first=0):
    """What the golden network makes of a state, and the outcomes' counts."""
    golden, counts = CompiledNetwork(network, state.copy()), []
    for epoch in range(first, first + epochs):
        places = order(len(samples), seed, epoch)
        outcome = golden.train(samples[places], labels[places], shift)
        counts.append((int(outcome.correct.sum()), int(outcome.gated.sum())))
    return golden, counts


def trainer_on(line, network, **options):
    return Trainer(line, network, poll=0, **options)


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("preset", NETWORK_PRESETS)
def test_state_goes_to_its_place_and_comes_back(preset, lanes):
    network = network_preset(preset, (5, 7, 4, 3))
    board = device.Device(network, lanes, 4)
    state = initial(network, 3)
    rng = np.random.default_rng(lanes)
    for name in ("trackers", "input_trackers", "neuron_trackers"):
        for array in getattr(state, name):
            array[...] = rng.integers(network.state.zero_log, network.state.code_max + 1, array.shape)
    state.update_count, state.input_noise, state.neuron_noise = 2**32 - 2, 77, 1234
    with trainer_on(device.Line(board), network) as trainer:
        trainer.load_state(state)
        assert board.state.differences(state) is None
        assert trainer.read_state().differences(state) is None
    assert board.dropped == 0


@pytest.mark.parametrize("gate", [None, 0.5])
@pytest.mark.parametrize("capacity", [64, 45, 44, 9, 8, 2, 1])
def test_training_does_not_depend_on_the_memory(capacity, gate):
    network = network_preset("FO", SIZES, gate=gate)
    samples, labels = samples_of(network, 45, 1)
    state, told = initial(network, 1), []
    with trainer_on(device.Line(device.Device(network, 4, capacity)), network) as trainer:
        trainer.load_state(state)
        got = trainer.train(samples, labels, epochs=3, first_epoch=2, seed=5, lr_shift=1, progress=told.append)
        left = trainer.read_state()
        predicted, accuracy = trainer.predict(samples[:30]), trainer.evaluate(samples[:30], labels[:30])
        assert trainer.read_state().equal(left)
    golden, counts = golden_epochs(network, state, samples, labels, 5, 3, shift=1, first=2)
    assert golden.state.differences(left) is None
    assert [(epoch.number, epoch.done, epoch.correct, epoch.gated) for epoch in got] == [
        (2 + n, 45, *count) for n, count in enumerate(counts)
    ]
    np.testing.assert_array_equal(predicted, golden.predict(samples[:30]))
    assert accuracy == np.mean(predicted == labels[:30])
    assert gate is None or sum(gated for _, gated in counts) > 0
    # Between two looks a count never falls, and every epoch ends with all of its samples.
    for before, after in zip(told, told[1:], strict=False):
        assert (before.number, before.done) <= (after.number, after.done)
    assert {epoch.done for epoch in told} >= {45} and all(0 <= epoch.accuracy <= 1 for epoch in told)


def test_samples_that_fit_are_sent_once():
    network = network_preset("FX", SIZES)
    board = device.Device(network, 2, 30)
    samples, labels = samples_of(network, 20, 1)
    with trainer_on(device.Line(board), network) as trainer:
        trainer.load_state(initial(network, 1))
        for _ in range(3):
            trainer.train(samples, labels, epochs=2)
            trainer.evaluate(samples[:10], labels[:10])
        sent = board.executed.count(device.WRITE)
        trainer.train(samples, labels)
        assert board.executed.count(device.WRITE) == sent
        # No room beside them: the memory is filled anew, and so it is for what was there before.
        trainer.evaluate(samples[:11], labels[:11])
        trainer.evaluate(samples, labels)
        assert board.executed.count(device.WRITE) == sent + 2


def test_weights_alone_begin_anew():
    network = network_preset("FO", SIZES)
    board = device.Device(network, 4, 8)
    board.state.update_count = 9
    weights = initial(network, 6).weights
    with trainer_on(device.Line(board), network) as trainer:
        trainer.load_weights(weights)
        assert trainer.read_state().differences(initial(network, 6)) is None
        with pytest.raises(ValueError, match="State's weights must have shapes"):
            trainer.load_weights(weights[:1])


@pytest.mark.parametrize("preset", NETWORK_PRESETS)
def test_what_was_saved_goes_on_as_if_never_stopped(preset, tmp_path):
    network = network_preset(preset, SIZES)
    samples, labels = samples_of(network, 30, 2)
    path = tmp_path / "network.npz"
    with trainer_on(device.Line(device.Device(network, 4, 16)), network) as trainer:
        trainer.load_state(initial(network, 2))
        trainer.train(samples, labels, epochs=2, seed=3)
        trainer.save(path)
    # Another board, of other lanes and memory; and a gate, in whose place the file's comes: none.
    gated = dataclasses.replace(network, gate=0.0)
    with trainer_on(device.Line(device.Device(network, 3, 40)), gated) as trainer:
        trainer.resume(path)
        assert trainer.network == network
        trainer.train(samples, labels, epochs=2, first_epoch=2, seed=3)
        left = trainer.read_state()
    golden, _ = golden_epochs(network, initial(network, 2), samples, labels, 3, 4)
    assert golden.state.differences(left) is None
    other = network_preset(preset, (5, 6, 3))
    with trainer_on(device.Line(device.Device(other, 3, 40)), other) as trainer:
        with pytest.raises(ValueError, match=r"has another network: sizes \[5, 7, 3\], not \[5, 6, 3\]$"):
            trainer.resume(path)


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_line_costs_time_and_changes_nothing(seed):
    network = network_preset(("FO", "FV")[seed % 2], SIZES)
    samples, labels = samples_of(network, 40, seed)
    state = initial(network, seed)
    line = device.FaultyLine(device.Device(network, 3, (64, 10)[seed // 4], deaf=bool(seed & 2)), seed)
    with trainer_on(line, network, attempts=60) as trainer:
        trainer.load_state(state)
        got = trainer.train(samples, labels, epochs=2, seed=seed)
        left = trainer.read_state()
        predicted = trainer.predict(samples)
    golden, counts = golden_epochs(network, state, samples, labels, seed, 2)
    assert golden.state.differences(left) is None
    assert [(epoch.correct, epoch.gated) for epoch in got] == counts
    np.testing.assert_array_equal(predicted, golden.predict(samples))
    assert line.faults > 10 and trainer.client.repeats > 5


def test_a_run_of_a_program_that_has_gone_is_ended():
    network = network_preset("FX", SIZES)
    board = device.Device(network, 2, 200, pace=1)
    samples, labels = samples_of(network, 200, 1)
    first = trainer_on(device.Line(board), network)
    rows = first._rows(samples, labels)
    first._write(frames.Space.SAMPLES, 0, rows.ravel())
    first._start(frames.Run(count=200))
    # It goes in the middle of a frame.
    board.feed(frames.Frame(first.client._sequence + 1 & 255, 1, bytes(100)).encode()[:50])
    with trainer_on(device.Line(board), network) as trainer:
        assert 0 < trainer._status().done < 20 and not board.queue
        trainer.load_state(initial(network, 1))
        assert trainer.read_state().equal(initial(network, 1))


# Errors: one line each


def refused(message, line, network=None, **options):
    with pytest.raises(LinkError, match=message) as caught:
        trainer_on(line, network, **options)
    assert "\n" not in str(caught.value)
    assert line.closed
    return str(caught.value)


def test_another_machine_is_named():
    held, wanted = network_preset("FX"), network_preset("FO")
    line = device.Line(device.Device(held, 8, 4))
    refused("^Board holds FX 64-32-10, not FO 64-32-10$", line, wanted)
    odd = network_preset("FO", SIZES)
    refused("^Board holds FX 64-32-10, not a network of digest [0-9a-f]{16}$", line, odd)
    line = device.Line(device.Device(odd, 8, 4))
    refused("^Board holds a network of digest [0-9a-f]{16}, which is no preset", line)


def test_a_preset_is_recognised_and_the_gate_is_not_the_machines():
    with trainer_on(device.Line(device.Device(network_preset("FV"), 8, 4)), None) as trainer:
        assert trainer.network == network_preset("FV")
    gated = network_preset("FV", gate=1.0)
    with trainer_on(device.Line(device.Device(network_preset("FV"), 8, 4)), gated) as trainer:
        assert trainer.network == gated
    assert len(known_networks()) == 6 and machine_digest(gated) in known_networks()


def test_a_board_out_of_order():
    hello = frames.Hello(1, machine_digest(network_preset("FO")), 0, 8, 1)

    class Empty(device.Device):
        def hello(self, _):
            return hello.encode()

    refused("^Board is out of order: 8 lanes, 0 samples$", device.Line(Empty(network_preset("FO"), 8, 4)))


def test_a_restart_is_noticed():
    network = network_preset("FO", SIZES)
    board = device.Device(network, 4, 8)
    with trainer_on(device.Line(board), network) as trainer:
        board.last = (0, device.HELLO)
        trainer.client._sequence = 100
        with pytest.raises(LinkError, match="^Board was restarted, or another program talks to it$"):
            trainer.read_state()


def test_a_run_that_hangs_or_ends_too_soon(monkeypatch):
    network = network_preset("FO", SIZES)
    board = device.Device(network, 4, 64)
    samples, labels = samples_of(network, 20, 1)
    with trainer_on(device.Line(board), network) as trainer:
        board.pace = 0
        monkeypatch.setattr("lnsmadam.fpga.trainer.host.STALL_S", 0.05)
        with pytest.raises(LinkError, match="^Board hangs: no sample for 0.05 s, 0 done$"):
            trainer.train(samples, labels)
        board.pace, board.queue = 7, []
        monkeypatch.setattr(board, "start", lambda payload: b"")
        with pytest.raises(LinkError, match="^Board ended a run after 0 of 20 samples$"):
            trainer.train(samples, labels)


def test_bad_samples_and_settings_send_nothing():
    network = network_preset("FO", SIZES)
    samples, labels = samples_of(network, 6, 1)
    line = device.Line(device.Device(network, 4, 8))
    with trainer_on(line, network) as trainer:
        asked = len(line.device.executed)
        for bad, message in (
            ((samples[:, 1:], labels), r"Samples must be integers of shape \(count, 5\), not int64 \(6, 4\)"),
            ((samples[:0], labels[:0]), r"Samples must be integers of shape \(count, 5\)"),
            ((samples * 1.0, labels), r"not float64 \(6, 5\)"),
            ((samples, labels[1:]), r"Labels must be 6 integers, not int64 \(5,\)"),
            ((samples + 128, labels), "Samples must be words of 7 bits"),
            ((samples, labels + 3), "Labels must be from 0 to 2"),
            ((samples, labels - 3), "Labels must be from 0 to 2"),
        ):
            with pytest.raises(ValueError, match=message):
                trainer.train(*bad)
        with pytest.raises(ValueError, match="Shift of the learning rate must be from 0 to 7, not 8"):
            trainer.train(samples, labels, lr_shift=lambda epoch: 8)
        for name, value in (("seed", -1), ("seed", 1 << 32), ("first_epoch", -1), ("epochs", 1.5), ("lr_shift", 1.5)):
            with pytest.raises(ValueError, match=f"must be (an integer )?from 0 to .*, not {value}$"):
                trainer.train(samples, labels, **{name: value})
        with pytest.raises(ValueError, match="State's"):
            trainer.load_state(initial(network_preset("FX", SIZES), 1))
        assert len(line.device.executed) == asked
    with pytest.raises(ValueError, match="Timeout must be above the board's own 0.05 s, not 0.01"):
        trainer_on(line, network, timeout=0.01)


def test_the_device_refuses_what_the_protocol_refuses():
    """Of the second implementation itself, so that the tests above mean something."""
    network = dataclasses.replace(network_preset("FO", SIZES))
    board = device.Device(network, 4, 8)
    ask = lambda sequence, command, payload=b"": board.take(sequence, command, payload)  # noqa: E731
    assert ask(7, device.HELLO)[0] == device.OK
    assert ask(9, device.STATUS) == (device.SEQUENCE, b"\x08")
    assert ask(8, device.WRITE, frames.write_payload(5, 0, [1], 1)) == (device.OK, b"")
    assert ask(8, device.READ, frames.read_payload(5, 0, 1)) == (device.SEQUENCE, b"\x09")
    assert ask(8, device.WRITE, frames.write_payload(5, 0, [2], 1)) == (device.OK, b"") and board.samples[0, 0] == 1
    assert ask(9, 6) == (device.UNKNOWN_COMMAND, b"")
    for n, (command, payload) in enumerate(
        (
            (device.READ, frames.read_payload(0, 0, 0)),
            (device.READ, frames.read_payload(0, 0, 257)),
            (device.READ, frames.read_payload(7, 0, 1)),
            (device.WRITE, frames.write_payload(4, 0, [1], 4)),
            (device.WRITE, frames.write_payload(3, 3, [1], 4)),
            (device.RUN, frames.Run(count=9).encode()),
            (device.STOP, b"x"),
        )
    ):
        assert ask(10 + n, command, payload) == (device.BAD_ARGUMENT, b"")
