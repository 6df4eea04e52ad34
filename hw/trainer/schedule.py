"""What happens in each cycle of a sample, from the distances that the machine keeps."""

import gc
import warnings
from dataclasses import dataclass

from amaranth.hdl import UnusedElaboratable

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.tables import softmax_log
from lnsmadam.hw.trainer.core import Trainer

Cycles = list[list[int]]
"""Cycles by layer."""


@dataclass(frozen=True)
class Schedule:
    """Cycles of a sample that is learned, with the next one waiting and its result taken at once; 0 is that of the
    first row.

    Attributes
    ----------
    config : TrainerConfig
    forward_rows, learn_rows : Cycles
        When each row goes, in their order.
    sums : Cycles
        When each neuron's sum stands at the end of the lanes' chain.
    activations : Cycles
        When each hidden neuron's activation is written.
    deltas : Cycles
        When each neuron's delta is written.
    loads : Cycles
        When each neuron's delta is read, to go to its lane.
    decided : int
        When the prediction is known.
    written : int
        When the last weight is written.
    """

    config: TrainerConfig
    forward_rows: Cycles
    learn_rows: Cycles
    sums: Cycles
    activations: Cycles
    deltas: Cycles
    loads: Cycles
    decided: int
    written: int

    @property
    def forward(self) -> int:
        """Cycles from the first row of weights to the last."""
        return self.forward_rows[-1][-1] + 1

    @property
    def loss(self) -> int:
        """Cycles from there to the first row that learns."""
        return self.learn_rows[-1][0] - self.forward

    @property
    def backward(self) -> int:
        """Cycles from there to the first row of layer 0: the layers through which deltas go back."""
        return self.learn_rows[0][0] - self.learn_rows[-1][0]

    @property
    def learn(self) -> int:
        """Cycles from the first row that learns to the last; its first part is ``backward``."""
        return self.learn_rows[0][-1] + 1 - self.learn_rows[-1][0]

    @property
    def sample(self) -> int:
        """Cycles from one result to the next."""
        # The last weight is written, the result left, the next sample begun; its first row.
        return self.written + 3

    @property
    def useful_forward(self) -> int:
        """What ``forward`` would be if every lane multiplied in each cycle."""
        return self._useful(range(self.config.network.layers), 1)

    @property
    def useful_backward(self) -> int:
        """What ``backward`` would be; the constant 1 has no delta."""
        return self._useful(range(1, self.config.network.layers), 0)

    @property
    def useful_learn(self) -> int:
        """What ``learn`` would be."""
        return self.useful_forward

    def _useful(self, layers: range, constants: int) -> int:
        sizes = self.config.network.sizes
        weights = sum((sizes[layer] + constants) * sizes[layer + 1] for layer in layers)
        return -(-weights // self.config.lanes)


def cycles_per_sample(config: TrainerConfig) -> int:
    """Cycles from one result to the next, see :class:`Schedule`."""
    return schedule(config).sample


def schedule(config: TrainerConfig) -> Schedule:
    """Follows one sample through the machine, row by row."""
    with warnings.catch_warnings():
        # This machine only tells its distances; its parts know each other, and go all at once.
        warnings.simplefilter("ignore", UnusedElaboratable)
        trainer = Trainer(config)
        result = _follow(trainer)
        del trainer
        gc.collect()
    return result


def _follow(trainer: Trainer) -> Schedule:
    forward_rows, sums, activations = _forward(trainer)
    # A logit is decided on 4 cycles after it has come.
    decided = sums[-1][-1] + trainer.outputs.logit_latency + 4
    learn_rows, deltas, loads = _learn(trainer, decided)
    written = learn_rows[0][-1] + trainer.word_at
    return Schedule(trainer.config, forward_rows, learn_rows, sums, activations, deltas, loads, decided, written)


def _by_layer(trainer: Trainer) -> Cycles:
    return [[] for _ in range(trainer.config.network.layers)]


def _neurons(trainer: Trainer, layer: int, block: int) -> int:
    """Lanes that have a neuron."""
    lanes = trainer.config.lanes
    return min(lanes, trainer.config.network.sizes[layer + 1] - block * lanes)


def _forward(trainer: Trainer) -> tuple[Cycles, Cycles, Cycles]:
    """Rows, sums and activations."""
    config, layout = trainer.config, trainer.config.layout
    rows, sums, activations = (_by_layer(trainer) for _ in range(3))
    # From a block's last row to the first of its sums at the end of the chain.
    to_sum = trainer.forward_at + trainer.lanes[0].product_latency + 1
    cycle = drained = 0
    for layer in range(config.network.layers):
        constant = layout.inputs(layer) - 1
        for block in range(layout.blocks(layer)):
            for source in range(constant + 1):
                if layer and not block and source < constant:
                    cycle = max(cycle, activations[layer - 1][source] + 1)
                if source == constant:
                    cycle = max(cycle, drained)
                rows[layer].append(cycle)
                cycle += 1
            drained = rows[layer][-1] + config.lanes
            first = rows[layer][-1] + to_sum
            sums[layer] += range(first, first + _neurons(trainer, layer, block))
        if layer < config.network.layers - 1:
            activations[layer] = [made + trainer.outputs.word_latency for made in sums[layer]]
    return rows, sums, activations


def _learn(trainer: Trainer, decided: int) -> tuple[Cycles, Cycles, Cycles]:
    """Rows, deltas and loads."""
    config, layout, network = trainer.config, trainer.config.layout, trainer.config.network
    rows, deltas, loads = (_by_layer(trainer) for _ in range(3))
    # After the decision the sum of exponentials takes 4 cycles and one a class, two logs 3 and their stages, deltas 5.
    first = decided + 4 + network.sizes[-1] + 3 + softmax_log(network).boundaries + 5
    deltas[-1] += range(first, first + network.sizes[-1])
    to_delta = trainer.total_at + trainer.outputs.word_latency
    waits = max(config.lanes, trainer.deltas.loader.spacing - 1) - config.lanes
    cycle = loading = decided + 1
    for layer in reversed(range(network.layers)):
        made = iter(deltas[layer])
        for block in range(layout.blocks(layer)):
            loading += waits
            for place in range(config.lanes):
                if place < _neurons(trainer, layer, block):
                    loading = max(loading, next(made) + 1)
                    loads[layer].append(loading)
                loading += 1
            cycle = max(cycle, loading)
            # The row that takes this block frees the chain for the next.
            loading = cycle + 1
            block_rows = range(cycle, cycle + layout.inputs(layer))
            rows[layer] += block_rows
            cycle = block_rows.stop
        if layer:
            # From the last block, but for the constant 1.
            deltas[layer - 1] += [row + to_delta for row in block_rows[:-1]]
    return rows, deltas, loads
