"""The whole machine against the golden network: after any samples, every word of state is the same."""

import dataclasses
import functools
import re

import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import WarmUp, network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import Network
from lnsmadam.golden.trainer.state import decode, encode_inputs, initial
from lnsmadam.golden.trainer.words import first_difference
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.hw.trainer.schedule import cycles_per_sample
from lnsmadam.sim.trainer import PHASES, CompiledTrainer
from lnsmadam.sim.training import Epoch, train_on_rtl

EXACT, STOCHASTIC, NEAREST = WarmUp.EXACT, Rounding.STOCHASTIC, Rounding.NEAREST

#: Formats in which no two tensors agree, and no number of bits is the default.
ODD = {
    "activation": LNSFormat(6, 2),
    "delta": LNSFormat(8, 2),
    "forward_weight": LNSFormat(7, 2),
    "weight": LNSFormat(11, 16),
    "state": LNSFormat(11, 16),
    "input_top": 1,
    "activation_top": 4,
    "delta_top": 1,
    "mantissa_bits": 6,
    "sum_fraction_bits": 10,
    "sum_width": 10,
    "logit_bits": 3,
    "exp_bits": 10,
    "beta_shift": 5,
    "grad_bound": 2,
    "step_bits": 6,
    "state_fraction_bits": 9,
}

#: Preset, sizes, lanes, changes: every place of the second moment, both warm-ups, both roundings, the gate, one to four
#: layers, lanes that divide the neurons and lanes that do not.
CASES = [
    ("FO", (9, 6, 5), 2, {}),
    ("FO", (5, 12, 4), 1, {"warm_up": EXACT, "weight_rounding": STOCHASTIC, "state_rounding": NEAREST, "gate": 1.0}),
    ("FO", (6, 7, 3), 5, ODD | {"lr": -2}),
    ("FX", (8, 6, 5, 4), 3, {}),
    ("FX", (6, 9, 5, 6, 3), 4, {"weight_rounding": STOCHASTIC, "gate": 1.0}),
    ("FV", (7, 6, 3), 4, {}),
    ("FV", (5, 4), 2, {"warm_up": EXACT, "weight_rounding": STOCHASTIC, "gate": 1.0}),
    ("FV", (6, 7, 3), 3, ODD | {"lr": -2, "state_rounding": NEAREST}),
]


#: Those that are compared quickly: a build of the whole machine takes its time.
QUICK = (0, 1, 7)
MARKED = [case if number in QUICK else pytest.param(case, marks=pytest.mark.slow) for number, case in enumerate(CASES)]


def case_name(case):
    preset, sizes, lanes, changes = case
    words = [getattr(value, "value", value) for name, value in changes.items() if name not in ODD]
    return "-".join(map(str, [preset, *sizes, f"on{lanes}", *words, *(["odd"] if "sum_width" in changes else [])]))


def machine_of(case):
    preset, sizes, lanes, changes = case
    return TrainerConfig(network=network_preset(preset, sizes, **changes), lanes=lanes)


def stimulus(network, count, seed):
    """Words of inputs, half of them near the top, a fifth of them zero, and labels that a line tells apart."""
    rng, fmt = np.random.default_rng(seed), network.activation
    shape = (count, network.sizes[0])
    log = np.where(
        rng.random(shape) < 0.5,
        rng.integers(fmt.log_min, fmt.log_max + 1, shape),
        rng.integers(fmt.log_max - 4 * network.base_factor, fmt.log_max + 1, shape),
    )
    words = np.where(rng.random(shape) < 0.2, fmt.zero, fmt.pack(rng.random(shape) < 0.3, log))
    values = decode(fmt, words, network.input_top)
    directions = np.random.default_rng(0).standard_normal((network.sizes[0], network.sizes[-1]))
    return words.astype(np.int64), (values @ directions).argmax(axis=1)


def wild(network, seed):
    """A state of any words whatever, late in its training."""
    rng, state = np.random.default_rng(seed), initial(network, seed)
    tracker = (network.state.zero_log, network.state.log_max + 1)
    state = dataclasses.replace(
        state,
        weights=[rng.integers(0, 1 << network.weight.width, array.shape) for array in state.weights],
        **{
            name: [rng.integers(*tracker, array.shape) for array in getattr(state, name)]
            for name in ("input_trackers", "neuron_trackers", "trackers")
        },
        update_count=int(rng.integers(0, 2000)),
    )
    if network.uses_noise:
        state.input_noise = int(rng.integers(1, network.input_noise.period))
        state.neuron_noise = int(rng.integers(1, network.neuron_noise.period))
    return state


@functools.cache
def emitted_of(machine):
    """The machine's Verilog; the gate is a setting of a call, not of the machine."""
    return emit_trainer(Trainer(machine))


def without_gate(machine):
    return dataclasses.replace(machine, network=dataclasses.replace(machine.network, gate=None))


def first_failure(machine, state, *, emitted=None, chunks=6, size=30, stalls_seed=None):
    """What differs first, results or state; chunks with shifts of the learning rate of their own."""
    network, gated = machine.network, 0
    golden = Network(network, state)
    with CompiledTrainer(machine, emitted or emitted_of(without_gate(machine))) as trainer:
        trainer.load(state, stalls_seed)
        for chunk in range(chunks):
            samples, labels = stimulus(network, size, chunk)
            seed = None if stalls_seed is None else stalls_seed + chunk
            got = trainer.train(samples, labels, chunk % 4, stalls_seed=seed)
            want = golden.train(samples, labels, chunk % 4)
            for name in ("predicted", "correct", "gated"):
                if not np.array_equal(getattr(want, name), getattr(got, name)):
                    return f"chunk {chunk}: {name}: got {getattr(got, name)}, want {getattr(want, name)}"
            if difference := first_difference(network, golden.state, trainer.state(seed)):
                return f"chunk {chunk}: {difference}"
            if not np.array_equal(golden.logits(samples[:3]), trainer.logits(samples[:3])):
                return f"chunk {chunk}: logits"
            gated += int(got.gated.sum())
        if network.gate is not None and not 0 < gated < chunks * size:
            return "the gate was never open, or never closed"
    return None


@pytest.mark.parametrize("case", MARKED, ids=case_name)
def test_hardware_is_the_golden_network(case):
    machine = machine_of(case)
    assert first_failure(machine, initial(machine.network, 1)) is None


@pytest.mark.parametrize("case", MARKED, ids=case_name)
def test_from_any_state_and_under_stalls(case):
    # A gate that few samples of nonsense pass says nothing.
    machine = without_gate(machine_of(case))
    assert first_failure(machine, wild(machine.network, 2), stalls_seed=5) is None


def test_update_count_stands_still_at_its_end():
    machine = machine_of(CASES[0])
    state = dataclasses.replace(initial(machine.network, 1), update_count=2**32 - 3)
    assert first_failure(machine, state, chunks=1, size=5) is None


def test_without_learning_nothing_changes():
    machine = machine_of(CASES[0])
    state = initial(machine.network, 1)
    samples, labels = stimulus(machine.network, 50, 1)
    with CompiledTrainer(machine, emitted_of(machine)) as trainer:
        trainer.load(state)
        outcome = trainer.train(samples, labels, learn=False)
        assert trainer.state().equal(state)
    assert np.array_equal(outcome.predicted, Network(machine.network, state).predict(samples))
    assert np.array_equal(outcome.correct, outcome.predicted == labels) and not outcome.gated.any()


# The last lies half-way between two steps of a logit.
@pytest.mark.parametrize("gate", [0.0, 0.25, 0.03125])
def test_a_gate_of_the_call(gate):
    """A gate given to the call is that of a network with this gate."""
    machine = machine_of(CASES[0])
    gated = dataclasses.replace(machine.network, gate=gate)
    samples, labels = stimulus(machine.network, 60, 1)
    golden = Network(gated, initial(gated, 1))
    want = golden.train(samples, labels)
    with CompiledTrainer(machine, emitted_of(machine)) as trainer:
        trainer.load(initial(gated, 1))
        got = trainer.train(samples, labels, gate=gate)
        assert first_difference(gated, golden.state, trainer.state()) is None
    assert 0 < got.gated.sum() < 60 and np.array_equal(got.gated, want.gated)


@pytest.mark.parametrize("case", MARKED, ids=case_name)
def test_cycles_are_those_of_the_machine(case):
    machine = machine_of(case)
    samples, labels = stimulus(machine.network, 8, 1)
    with CompiledTrainer(machine, emitted_of(machine)) as trainer:
        trainer.load(initial(machine.network, 1))
        phases = trainer.phases(samples, labels)
        cycles = trainer.train(samples, labels).cycles
    assert set(cycles[1:]) == {cycles_per_sample(machine)}
    assert {PHASES[phase] for phase in np.unique(phases)} == set(PHASES)


#: Hardware of a network that is another one in one point.
OTHER_NETWORKS = [
    {"mantissa_bits": 5}, {"sum_fraction_bits": 13, "sum_width": 17}, {"weight_tops": (2, 2)}, {"activation_top": 2},
    {"delta_top": 1}, {"exp_bits": 7}, {"grad_bound": 2}, {"lr": -5}, {"beta_shift": 3}, {"step_bits": 4},
    {"state_fraction_bits": 11}, {"warm_up": EXACT}, {"weight_rounding": STOCHASTIC}, {"state_rounding": NEAREST},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("changes", OTHER_NETWORKS, ids=str)
def test_a_wrong_network_is_found(changes):
    machine = machine_of(CASES[0])
    assert machine.network.weight_tops != (2, 2)
    other = dataclasses.replace(machine, network=dataclasses.replace(machine.network, **changes))
    failure = first_failure(machine, initial(machine.network, 1), emitted=emitted_of(other), chunks=8, size=60)
    assert failure is not None
    place = r"weight of layer \d, neuron \d+, input \d+: got [+-] log -?\d+, want [+-] log -?\d+ \(\d+ differ\)"
    tracker = r"tracker of layer \d, (input|neuron) \d+: got -?\d+, want -?\d+ \(\d+ differ\)"
    assert re.search(rf"chunk \d: ({place}|{tracker}|predicted|gated|logits|(input|neuron) noise: got)", failure), (
        failure
    )


def test_epochs_are_compared():
    machine = machine_of(CASES[0])
    data = [Epoch(*stimulus(machine.network, 150, seed), lr_shift=seed) for seed in range(3)]
    state, told = initial(machine.network, 1), []
    epochs = list(train_on_rtl(machine, state, data, progress=lambda *step: told.append(step)))
    assert [epoch.number for epoch in epochs] == [1, 2, 3] and not any(epoch.difference for epoch in epochs)
    assert told[:2] == [(128, 150), (150, 150)]
    words = sum(
        array.size for arrays in (state.weights, state.input_trackers, state.neuron_trackers) for array in arrays
    )
    assert epochs[0].compared == 3 * 150 + words + 3
    golden = Network(machine.network, state)
    for epoch in data:
        golden.train(epoch.samples, epoch.labels, epoch.lr_shift)
    assert epochs[-1].state.equal(golden.state)
    assert state.equal(initial(machine.network, 1)), "the caller's state changed"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_any_network(seed):
    rng = np.random.default_rng(seed)

    def pick(*choices):
        return choices[rng.integers(len(choices))]

    layers = int(rng.integers(1, 5))
    sizes = tuple(int(n) for n in (*rng.integers(1, 24, layers), rng.integers(2, 17)))
    changes = {
        "warm_up": pick(*WarmUp),
        "weight_rounding": pick(*Rounding),
        "state_rounding": pick(*Rounding),
        "gate": pick(None, None, 0.5, 2.0),
        "beta_shift": pick(2, 7, 10, 12),
        "sum_width": pick(16, 16, 12),
        **(ODD if rng.random() < 0.3 else {}),
    }
    # Any network learns at some rate; a high one moves weights to their ends.
    changes |= {"lr": pick(-6, -3, 0)}
    machine = TrainerConfig(
        network=network_preset(pick("FO", "FX", "FV"), sizes, **changes), lanes=int(pick(1, 2, 3, 4, 7, 8))
    )
    ungated = without_gate(machine)
    assert first_failure(ungated, initial(machine.network, seed), chunks=8, size=100) is None
    assert first_failure(ungated, wild(machine.network, seed), chunks=8, size=100, stalls_seed=seed) is None


@pytest.mark.slow
def test_long_run_on_digits():
    """Two epochs of the digits in FO, every bit; and a second moment for each weight."""
    from lnsmadam.datasets import TASKS

    for preset in ("FO", "FV"):
        machine = TrainerConfig(network=network_preset(preset), lanes=8)
        split = TASKS["digits"].load()
        words = encode_inputs(machine.network, split.x_train)
        epochs = list(train_on_rtl(machine, initial(machine.network, 0), [Epoch(words, split.y_train)] * 2))
        assert len(epochs) == 2 and not any(epoch.difference for epoch in epochs)
        assert epochs[1].accuracy > 0.8
