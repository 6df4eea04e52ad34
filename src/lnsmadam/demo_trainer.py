"""The demo's last part: the whole network learns in the emitted Verilog of the trainer."""

from pathlib import Path
from typing import Any

import numpy as np

from lnsmadam.digits import CLASSES, Progress, Split
from lnsmadam.float_network import train_adam
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.state import encode_inputs, initial
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.sim.batch import HardwareFault
from lnsmadam.sim.trainer import PHASES, CompiledTrainer
from lnsmadam.sim.training import Epoch, EpochOnRTL, train_on_rtl
from lnsmadam.train import Plan

PRESET, LANES, SEED = "FO", 8, 0
#: Adam's better of 0.003 and 0.01 on this network.
ADAM_LR = 0.01


def learn_in_hardware(split: Split, directory: Path, *, epochs: int, hidden: int, progress: Progress) -> dict[str, Any]:
    """Trains on a split in the emitted Verilog, every bit compared with the golden network after every epoch.

    Parameters
    ----------
    split : Split
    directory : Path
        Takes the Verilog and its manifest.
    epochs, hidden : int
    progress : callable

    Returns
    -------
    dict, JSON types only
        Accuracies on the test images of the machine and of the same network under Adam in float32 (before the first
        epoch, for the machine, and after each), what was compared and what differed, cycles and rates.
    """
    sizes = (split.x_train.shape[1], hidden, CLASSES)
    network = network_preset(PRESET, sizes)
    machine = TrainerConfig(network=network, lanes=LANES)
    train, test = (encode_inputs(network, x) for x in (split.x_train, split.x_test))
    plan = Plan(
        network=network, state=initial(network, SEED), samples=train, labels=split.y_train, test_samples=test,
        test_labels=split.y_test, seed=SEED, epochs=epochs,
    )  # fmt: skip
    progress("Training in float32 with Adam, for comparison", 0, 0)
    adam = train_adam(sizes, split, epochs, ADAM_LR, SEED)
    emitted = emit_trainer(Trainer(machine))
    emitted.write(directory)
    progress("Compiling the Verilog of the trainer", 0, 0)
    accuracy, failure = [plan.test_accuracy(CompiledNetwork(network, plan.state))], ""
    ends: list[EpochOnRTL] = []

    def tell(done: int, total: int) -> None:
        what = f"Training in the Verilog of the trainer, test accuracy {accuracy[-1]:.1%}"
        progress(what, len(ends) * total + done, epochs * total)

    ordered = (Epoch(*plan.ordered(epoch), plan.lr_shift(epoch)) for epoch in plan.numbers())
    test_set = Epoch(plan.test_samples, plan.test_labels)
    try:
        for end in train_on_rtl(machine, plan.state, ordered, test=test_set, emitted=emitted, progress=tell):
            ends.append(end)
            accuracy.append(end.test_accuracy or 0.0)
            failure = f"epoch {end.number}: {end.difference}" if end.difference else ""
    except HardwareFault as fault:
        failure = f"epoch {len(ends) + 1}: {fault}"
    samples, seconds = sum(len(end.outcome.correct) for end in ends), sum(end.seconds for end in ends)
    return {
        "preset": PRESET,
        "layers": list(sizes),
        **{"lanes": LANES, "epochs": epochs, "seed": SEED, "weights": network.weights},
        "state_bits": network.state_bits,
        "formats": {name: getattr(network, name).describe() for name in ("activation", "weight", "state")},
        "accuracy": [round(value, 4) for value in accuracy],
        "adam": [round(value, 4) for value in adam],
        "samples": samples,
        "compared": sum(end.compared for end in ends),
        "passed": not failure and len(ends) == epochs,
        "failure": failure,
        "cycles_per_sample": round(max((end.cycles_per_sample for end in ends), default=0)),
        "schedule": [] if failure else _schedule(machine, plan, emitted),
        "seconds": round(seconds, 1),
        "samples_per_second": round(samples / max(seconds, 1e-9)),
    }


def _schedule(machine: TrainerConfig, plan: Plan, emitted: Emitted) -> list[dict[str, Any]]:
    """What the machine does while it learns three samples back to back: runs of cycles of one phase."""
    with CompiledTrainer(machine, emitted) as trainer:
        trainer.load(plan.state)
        phases = trainer.phases(plan.samples[:3], plan.labels[:3])
    starts = [0, *(np.flatnonzero(np.diff(phases)) + 1).tolist(), len(phases)]
    return [
        {"phase": PHASES[phases[start]], "start": start, "cycles": end - start}
        for start, end in zip(starts, starts[1:], strict=False)
    ]
