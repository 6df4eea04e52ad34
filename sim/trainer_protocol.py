"""Runs a trainer's emitted Verilog under cocotb: stalls, back-to-back samples, accesses between them, reset in one.

The bench itself is :mod:`lnsmadam.sim.trainer_bench`; what it expects comes from the golden network.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import Network
from lnsmadam.golden.trainer.state import NetworkState
from lnsmadam.golden.trainer.tables import gate_margin
from lnsmadam.golden.trainer.words import NEURON_TRACKERS, REGISTERS, WEIGHTS, words_of_state
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.hw.trainer.schedule import cycles_per_sample
from lnsmadam.sim.ports import Check
from lnsmadam.sim.protocol import build_bench, run_bench
from lnsmadam.sim.trainer import requests

Integers = npt.NDArray[Any]

#: Checks of the bench in the order they run, and what each shows.
CHECKS = {
    "samples": "each sample with its own settings, read when it begins; the whole state after each",
    "throughput": "samples back to back, a fixed number of cycles each",
    "stalls": "under seeded random pauses of all four streams: nothing lost, nothing extra, no bit changed",
    "hold": "a result that nobody takes stays, and valid does not wait for ready",
    "access": "accesses between samples meet the state after those before",
    "reset": "reset in the middle of a sample: idle, and every word of memory old or new",
}


def _settings(network: NetworkConfig, learn: bool, lr_shift: int) -> dict[str, int]:
    margin = gate_margin(network)
    return {
        "learn": int(learn),
        "lr_shift": lr_shift,
        "gate_on": int(margin is not None),
        "gate_margin": margin or 0,
    }


def _run(
    machine: TrainerConfig, state: NetworkState, samples: Integers, labels: Integers, *, varied: bool
) -> dict[str, Any]:
    """Results and states of a row of samples, as the bench compares them."""
    network, label_bits = machine.network, machine.label_bits
    results, states, settings = [], [_words(machine, state)], []
    now = state.copy()
    for number, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        # Every third sample is only classified, and every other one is open to the gate.
        learn = not varied or number % 3 != 1
        gate = 1.0 if varied and number % 2 else network.gate
        lr_shift = number % 3 if varied else 0
        config = replace(network, gate=gate if learn else network.gate)
        golden = Network(config, now)
        if learn:
            outcome = golden.train(sample[None], np.array([label]), lr_shift)
            predicted, gated = int(outcome.predicted[0]), bool(outcome.gated[0])
        else:
            predicted, gated = int(golden.predict(sample[None])[0]), False
        now = golden.state.copy()
        results.append(predicted | int(predicted == label) << label_bits | int(gated) << (label_bits + 1))
        states.append(_words(machine, now))
        settings.append(_settings(config, learn, lr_shift))
    return {"results": results, "states": states, "settings": settings}


def _words(machine: TrainerConfig, state: NetworkState) -> list[int]:
    words = words_of_state(machine.layout, state)
    return [int(word) for space in sorted(words) for word in words[space]]


def run_trainer_protocol(
    machine: TrainerConfig,
    state: NetworkState,
    samples: Integers,
    labels: Integers,
    *,
    emitted: Emitted | None = None,
    seed: int = 0,
    checks: Sequence[str] = tuple(CHECKS),
    arguments: Sequence[str] = (),
) -> list[Check]:
    """Checks a trainer's streams, one :class:`~lnsmadam.sim.ports.Check` for each of ``checks``.

    Parameters
    ----------
    machine : TrainerConfig
        Of a small network: the bench runs some ten thousand cycles a second.
    state : NetworkState
        Before the first sample; its update count is 0.
    samples, labels : integer arrays
        About ten samples, of shape (count, inputs), and their classes.
    emitted : Emitted, optional
        Other Verilog with the ports of this machine.
    seed : int
        Of the pauses.
    checks : list of str
        Of :data:`CHECKS`.
    arguments : list
        More arguments of the simulator.

    Raises
    ------
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """
    network, layout = machine.network, machine.layout
    emitted = emitted or emit_trainer(Trainer(machine))
    words = words_of_state(layout, state)
    widths = {space: network.state.log_width for space in range(WEIGHTS + 1, NEURON_TRACKERS + 1)}
    widths |= {WEIGHTS: layout.word_bits, REGISTERS: 32}
    varied, plain = (_run(machine, state, samples, labels, varied=flag) for flag in (True, False))
    task: dict[str, Any] = {
        "manifest": emitted.manifest,
        "samples": np.column_stack([samples, labels]).tolist(),
        "reads": [int(word) for space in sorted(words) for word in requests(space, np.arange(len(words[space])))],
        "writes": [
            int(word) for space in sorted(words) for word in requests(space, np.arange(len(words[space])), words[space])
        ],
        "masks": [(1 << widths[space]) - 1 for space in sorted(words) for _ in words[space]],
        "after_reset": [0, network.input_noise.seed, network.neuron_noise.seed],
        "cycles_per_sample": cycles_per_sample(machine),
        "lanes": machine.lanes,
        "patience": 512 + 8 * (layout.rows + sum(network.sizes)),
        "seed": seed,
        "checks": list(checks),
        "runs": {name: varied if name == "samples" else plain for name in checks},
    }
    entries = run_bench("lnsmadam.sim.trainer_bench", build_bench(emitted), task, seed=seed, arguments=arguments)
    return [Check(**entry) for entry in entries]
