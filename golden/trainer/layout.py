"""Where a trainer with a number of lanes keeps its words: the map that hardware, benches and host share.

Lane p owns the neurons j with ``j % lanes == p``. A row of the weight memory holds one word of every lane, those of
one input i: so a row read serves the forward pass (each lane adds to its own neuron's sum) and the backward pass
(the lanes' products of one input are added to each other). Rows of a layer: block ``j // lanes``, then input.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment

MAX_LANES = 64
Integers = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The address map of a network in a machine of ``lanes`` lanes.

    Parameters
    ----------
    network : NetworkConfig
    lanes : int
        1 to 64.
    """

    network: NetworkConfig
    lanes: int

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= MAX_LANES:
            raise ValueError(f"Lanes must be from 1 to {MAX_LANES}, not {self.lanes}")

    def inputs(self, layer: int) -> int:
        """Inputs of a layer, the constant 1 (the last) included."""
        return self.network.sizes[layer] + 1

    def blocks(self, layer: int) -> int:
        """Groups of ``lanes`` neurons of a layer."""
        return -(-self.network.sizes[layer + 1] // self.lanes)

    def first_row(self, layer: int) -> int:
        """The first row of a layer in the weight memory."""
        return sum(self.blocks(k) * self.inputs(k) for k in range(layer))

    @property
    def rows(self) -> int:
        """Rows of the weight memory."""
        return self.first_row(self.network.layers)

    def row(self, layer: int, block: int, source: int) -> int:
        """The row of input ``source`` of the neurons of ``block``."""
        return self.first_row(layer) + block * self.inputs(layer) + source

    def first_input(self, layer: int) -> int:
        """The first input tracker of a layer; those of a layer follow in the inputs' order, the constant's last."""
        return sum(self.inputs(k) for k in range(layer))

    def first_neuron(self, layer: int) -> int:
        """The first neuron tracker of a layer."""
        return sum(self.network.sizes[k + 1] for k in range(layer))

    @property
    def word_bits(self) -> int:
        """Bits of one lane's word: a weight in the low bits, above it its tracker where there is one."""
        per_weight = self.network.second_moment is SecondMoment.PER_WEIGHT
        return self.network.weight.width + self.network.state.log_width * per_weight

    @property
    def label_bits(self) -> int:
        """Bits of a class."""
        return (self.network.sizes[-1] - 1).bit_length()

    @property
    def sample_width(self) -> int:
        """Bits of a word of a sample: an input, or the label."""
        return max(self.network.activation.width, self.label_bits)

    def to_rows(self, layers: list[Integers], fill: int) -> Integers:
        """Matrices of shape (neurons, inputs + 1), one a layer, as the memory's rows, shape (rows, lanes)."""
        out = np.full((self.rows, self.lanes), fill, np.int64)
        for layer, matrix in enumerate(layers):
            neurons, inputs = matrix.shape
            padded = np.full((self.blocks(layer) * self.lanes, inputs), fill, np.int64)
            padded[:neurons] = matrix
            blocks = padded.reshape(self.blocks(layer), self.lanes, inputs).transpose(0, 2, 1)
            start = self.first_row(layer)
            out[start : start + self.blocks(layer) * inputs] = blocks.reshape(-1, self.lanes)
        return out

    def from_rows(self, rows: Integers) -> list[Integers]:
        """The inverse of :meth:`to_rows`; words of lanes without a neuron are left out."""
        layers = []
        for layer in range(self.network.layers):
            start, inputs, blocks = self.first_row(layer), self.inputs(layer), self.blocks(layer)
            part = rows[start : start + blocks * inputs].reshape(blocks, inputs, self.lanes)
            layers.append(part.transpose(0, 2, 1).reshape(blocks * self.lanes, inputs)[: self.network.sizes[layer + 1]])
        return layers
