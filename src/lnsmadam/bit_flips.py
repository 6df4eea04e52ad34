"""Measures what bit flips in weight memory do, and what further training mends: ``python -m lnsmadam.bit_flips``.

Networks trained in LNS on digits, 64-32-10, are damaged: a number of bits of their weights, chosen at random and each
once, are inverted. Three networks are compared that hold the same weights: the LNS one; one of bfloat16 words that
computes in float32; and the bfloat16 one again, its weights clipped to the largest of LNS as they are read (NaN to 0),
which is a comparator that LNS does not need, for its format ends there. Then all are trained further from the
damaged state: in LNS as before the damage, in float32 by Adam.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from lnsmadam.console import FolderPath, progress_bar
from lnsmadam.datasets import TASKS
from lnsmadam.digits import Split
from lnsmadam.float_network import Adam, Float32, accuracy
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.trainer.config import NetworkConfig, network_preset
from lnsmadam.golden.trainer.files import float_weights
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.network import accuracy as network_accuracy
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import NetworkState, encode_inputs
from lnsmadam.hw.emit import write_atomically
from lnsmadam.learning import Figure, train
from lnsmadam.pages import markdown, put_tables

Integers = npt.NDArray[np.int64]

#: Bits that are inverted.
COUNTS = (1, 3, 10, 30, 100, 300, 1000)
#: The same as parts of all bits of a memory.
SHARES = (1e-4, 1e-3, 1e-2, 5e-2)
#: Further training: halvings of the learning rate, one number an epoch.
RETRAINING_SHIFTS = (1, 2, 3)
#: The same, Adam's learning rates.
RETRAINING_LRS = (0.003, 0.001, 0.0003)

KINDS = ("LNS", "bfloat16", "bfloat16, clipped")


def flipped(layers: Sequence[Integers], width: int, count: int, rng: np.random.Generator) -> list[Integers]:
    """Words with ``count`` different bits inverted, all bits equally likely.

    Raises
    ------
    ValueError
        There are fewer bits.
    """
    words = np.concatenate([layer.ravel() for layer in layers])
    if not 0 <= count <= words.size * width:
        raise ValueError(f"Bits to flip must be from 0 to {words.size * width}, not {count}")
    for bit in rng.choice(words.size * width, size=count, replace=False):
        words[bit // width] ^= 1 << (bit % width)
    parts = np.split(words, np.cumsum([layer.size for layer in layers])[:-1])
    return [part.reshape(layer.shape) for part, layer in zip(parts, layers, strict=True)]


def bfloat16_words(config: NetworkConfig, state: NetworkState) -> list[Integers]:
    """The state's weights, rounded to bfloat16."""
    return [BFLOAT16.encode(layer).astype(np.int64) for layer in float_weights(config, state)]


def clipped(config: NetworkConfig, weights: list[Float32]) -> list[Float32]:
    """Weights no larger than the largest of LNS, NaN as 0."""
    limits = [np.float32(2.0**top) for top in config.weight_tops]
    return [
        np.clip(np.nan_to_num(layer, nan=0.0, posinf=np.inf, neginf=-np.inf), -limit, limit)
        for layer, limit in zip(weights, limits, strict=True)
    ]


@dataclass
class Damaged:
    """Accuracies of damaged networks, one row a seed: at once, and after each epoch of further training."""

    accuracy: dict[str, list[list[float]]] = field(default_factory=dict)

    def figure(self, kind: str, epochs: int) -> Figure:
        """Mean and standard error after so many epochs of further training."""
        return Figure.of([row[epochs] for row in self.accuracy[kind]])

    def worst(self, kind: str) -> float:
        """The lowest accuracy of a seed before further training, in percent."""
        return 100 * min(row[0] for row in self.accuracy[kind])


def lns_after(
    config: NetworkConfig, state: NetworkState, flips: int, split: Split, seed: int, first_epoch: int
) -> list[float]:
    """Accuracy of the LNS network after damage, and after each epoch of further training."""
    damaged = state.copy()
    damaged.weights = flipped(state.weights, config.weight.width, flips, np.random.default_rng(seed))
    network = CompiledNetwork(config, damaged)
    x_train, x_test = (encode_inputs(config, x) for x in (split.x_train, split.x_test))

    def test() -> float:
        return network_accuracy(network, x_test, split.y_test)

    result = [test()]
    for epoch, lr_shift in enumerate(RETRAINING_SHIFTS, first_epoch):
        chosen = order(len(x_train), seed, epoch)
        network.train(x_train[chosen], split.y_train[chosen], lr_shift)
        result.append(test())
    return result


def bfloat16_after(
    config: NetworkConfig, state: NetworkState, flips: int, split: Split, seed: int, first_epoch: int, is_clipped: bool
) -> list[float]:
    """The same of the network of bfloat16 weights."""
    words = flipped(bfloat16_words(config, state), BFLOAT16.width, flips, np.random.default_rng(seed))
    weights = [BFLOAT16.decode(layer).astype(np.float32) for layer in words]
    adam = Adam(clipped(config, weights) if is_clipped else weights)
    x_train, x_test = (x.astype(np.float32) for x in (split.x_train, split.x_test))
    # Weights beyond 2**100 overflow in sums and squares: infinities and NaN are what such a network computes.
    with np.errstate(all="ignore"):
        result = [accuracy(adam.weights, x_test, split.y_test)]
        for epoch, lr in enumerate(RETRAINING_LRS, first_epoch):
            adam.epoch(x_train, split.y_train, order(len(x_train), seed, epoch), lr)
            result.append(accuracy(adam.weights, x_test, split.y_test))
    return result


def bits_of(config: NetworkConfig) -> dict[str, int]:
    """Bits of the weights by kind of memory."""
    return {kind: config.weights * (config.weight.width if kind == "LNS" else BFLOAT16.width) for kind in KINDS}


def measure(preset: str, seeds: int, progress: Callable[[str, int, int], None]) -> dict[str, Damaged]:
    """All counts and shares; keys as they read in the tables."""
    task = TASKS["digits"]
    config, split = network_preset(preset, task.sizes), task.load()
    states = []
    for seed in range(seeds):
        progress("Training", seed, seeds)
        states.append(train(config, split, task.epochs, seed).network.state)
    bits = bits_of(config)
    cases = {str(count): dict.fromkeys(KINDS, count) for count in (0, *COUNTS)}
    cases |= {f"{share:.2%}": {kind: round(share * bits[kind]) for kind in KINDS} for share in SHARES}
    result = {}
    for index, (name, flips) in enumerate(cases.items()):
        progress(f"Flips: {name}", index, len(cases))
        damaged = result[name] = Damaged()
        for kind in KINDS:
            damaged.accuracy[kind] = [
                lns_after(config, state, flips[kind], split, seed, task.epochs)
                if kind == "LNS"
                else bfloat16_after(config, state, flips[kind], split, seed, task.epochs, kind != "bfloat16")
                for seed, state in enumerate(states)
            ]
    return result


def table(result: dict[str, Damaged]) -> str:
    """Damage and mending of each kind of memory, by number or share of flipped bits."""
    headings = ["flipped"]
    for kind in KINDS:
        headings += [f"{kind} (worst seed)", "trained 1 epoch, 3 epochs"]
    rows = []
    for name, damaged in result.items():
        row = [name]
        for kind in KINDS:
            row.append(f"{damaged.figure(kind, 0)} ({damaged.worst(kind):.1f})")
            row.append(", ".join(str(damaged.figure(kind, epochs)) for epochs in (1, len(RETRAINING_SHIFTS))))
        rows.append(tuple(row))
    return markdown(tuple(headings), rows)


@click.command()
@click.option("-o", "--output", type=FolderPath(), default=Path("build/bit_flips"))
@click.option("--preset", default="FX", show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=20, show_default=True)
@click.option("--document", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Page to update.")
def main(output: Path, preset: str, seeds: int, document: Path | None) -> None:
    """Measures what flipped bits of weight memory cost, and what further training mends."""
    with progress_bar() as progress:
        result = measure(preset, seeds, progress)
    text = table(result)
    described: dict[str, Any] = {name: damaged.accuracy for name, damaged in result.items()}
    write_atomically(output / "bit_flips.json", json.dumps(described, indent=2) + "\n")
    write_atomically(output / "bit_flips.md", text)
    click.echo(text)
    if document:
        put_tables(document, {"bit flips": text})


if __name__ == "__main__":
    sys.exit(main())
