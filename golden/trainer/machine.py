"""The machine that trains a network: how many lanes, and what follows from that for widths, addresses and cycles."""

import functools
from dataclasses import dataclass
from typing import Any

from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment, WarmUp
from lnsmadam.golden.trainer.layout import Layout

#: Bits of an address at the access port.
ADDRESS_BITS = 20
#: Bits of a word at the access port.
DATA_BITS = 32


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """A network and the machine for it.

    Parameters
    ----------
    network : NetworkConfig
    lanes : int
        Multipliers that work side by side, 1 to 64. No bit of a result depends on it.
    memory_registers : bool
        Whether weights and activations stand in a register between their memory and the lanes: a faster clock where
        block RAM is slow (ECP5), for ``word_bits`` flip-flops a lane and one cycle a layer.

    Raises
    ------
    ValueError
        The lanes are out of range, or the weights need more addresses than the access port has; one line.
    """

    network: NetworkConfig = NetworkConfig()
    lanes: int = 8
    memory_registers: bool = False

    def __post_init__(self) -> None:
        words = self.layout.rows * self.lanes
        if words > 1 << ADDRESS_BITS:
            raise ValueError(f"Weights must be at most {1 << ADDRESS_BITS} words with those of idle lanes, not {words}")

    @functools.cached_property
    def layout(self) -> Layout:
        """Where the words are."""
        return Layout(self.network, self.lanes)

    @property
    def label_bits(self) -> int:
        """Bits of a class."""
        return self.layout.label_bits

    @property
    def sample_width(self) -> int:
        """Bits of a word of the sample stream: an input, or the label."""
        return self.layout.sample_width

    @property
    def sum_bits(self) -> int:
        """Bits of an exact sum, forward or backward, sign included: no product is more than 1."""
        layout, layers = self.layout, range(self.network.layers)
        terms = max(max(layout.inputs(k), layout.blocks(k) * self.lanes) for k in layers)
        return (terms << self.network.sum_fraction_bits).bit_length() + 1

    # Activations: two buffers for the inputs of samples, then each hidden layer; the constant 1 ends each of them.

    def source_base(self, layer: int, buffer: int = 0) -> int:
        """Address of a layer's first input among the activations."""
        if layer == 0:
            return buffer * self.layout.inputs(0)
        return 2 * self.layout.inputs(0) + sum(self.layout.inputs(k) for k in range(1, layer))

    @property
    def sources(self) -> int:
        """Words of the activation memory."""
        return self.source_base(self.network.layers)

    # Logs in state steps, see the specification of the learning step.

    @property
    def step_ratio(self) -> int:
        """State steps in a step of activations and deltas."""
        return int(self.network.state.base_factor) // self.network.base_factor

    def input_log_offset(self, layer: int) -> int:
        """What an input's distance from its top is subtracted from, to give its log in state steps."""
        return self.step_ratio * self.network.base_factor * self.network.source_top(layer)

    @property
    def delta_log_offset(self) -> int:
        """The same for deltas."""
        return self.step_ratio * self.network.base_factor * self.network.delta_top

    @property
    def input_log_range(self) -> tuple[int, int]:
        """Least and largest log of an input."""
        fmt = self.network.activation
        offsets = [self.input_log_offset(layer) for layer in range(self.network.layers)]
        return min(offsets) - self.step_ratio * (fmt.log_max - fmt.log_min), max(offsets)

    @property
    def delta_log_range(self) -> tuple[int, int]:
        """Least and largest log of a delta."""
        fmt = self.network.delta
        return self.delta_log_offset - self.step_ratio * (fmt.log_max - fmt.log_min), self.delta_log_offset

    def term_range(self, logs: tuple[int, int]) -> tuple[int, int]:
        """Range of what an input or a neuron adds to the log of a normalised gradient, without a start's correction.

        Parameters
        ----------
        logs : (int, int)
            Range of its own log.
        """
        if self.network.second_moment is not SecondMoment.FACTORED:
            return logs
        state = self.network.state
        return logs[0] - state.log_max, logs[1] - state.log_min

    @property
    def terms_carry_bias(self) -> bool:
        """Whether the input's term also corrects both trackers for their start."""
        return self.network.second_moment is SecondMoment.FACTORED and self.network.warm_up is WarmUp.EXACT

    def describe(self) -> dict[str, Any]:
        """JSON form."""
        return {"network": self.network.describe(), "lanes": self.lanes, "memory_registers": self.memory_registers}
