"""Everything that fixes a learning network bit for bit: sizes, formats, and the rule by which it learns."""

import dataclasses
import enum
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from lnsmadam.golden.antilog import octave_bits
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.log_of_mantissa import log2_base_factor
from lnsmadam.golden.madam_config import Rounding

MAX_LAYERS, MAX_INPUTS, MAX_NEURONS = 4, 1024, 1024
#: Largest right shift of the learning rate while training, in octaves.
MAX_LR_SHIFT = 7
#: Largest magnitude of a top.
MAX_TOP = 16
#: log2 of the largest base factor of the state.
MAX_STATE_OCTAVE_BITS = 8


class SecondMoment(enum.Enum):
    """Where the running RMS of the gradients lives."""

    NONE = "none"
    FACTORED = "factored"
    PER_WEIGHT = "per_weight"


class WarmUp(enum.Enum):
    """How the running RMS begins.

    ``GROWING``: beta is ``1 - 2**-k`` with ``k = floor(log2(t))``, from 1 to ``beta_shift``, in update t (1 the first).
    ``EXACT``: beta is constant, and the RMS is divided by ``sqrt(1 - beta**t)``.
    """

    GROWING = "growing"
    EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A multilayer perceptron in LNS words that learns sample by sample.

    A tensor's words count from its top: a word's value is ``2**((log - log_max) / base_factor + top)``.

    Parameters
    ----------
    sizes : tuple of int
        Inputs, hidden layers, outputs: 2 to 5 numbers. Every layer has one more input, the constant 1.
    activation, delta, forward_weight : LNSFormat
        Of inputs and hidden activations; of the loss's derivatives; of weights as they are multiplied. One base
        factor, a power of two.
    weight : LNSFormat
        Of weights as they are kept. Its base factor is a power-of-two multiple of the others'.
    input_top, activation_top, delta_top : int
        Tops of inputs, hidden activations and deltas, in octaves.
    weight_tops : tuple of int, optional
        Of each layer. By default twice the power of two next to 3 times the RMS ``sqrt(2 / inputs)`` of its first
        weights: about the cap of 6 RMS that narrow networks need.
    mantissa_bits : int
        Bits below the point of the products' mantissas, at least log2 of the base factor less 1: with fewer, the last
        mantissa of an octave would be rounded up to 2.
    sum_fraction_bits : int
        A sum counts ``2**-sum_fraction_bits`` of the largest product.
    sum_width : int
        Bits of a finished sum, sign included, to which it saturates once.
    logit_bits : int
        Fraction bits of a logit, in octaves.
    exp_bits : int
        Fraction bits of ``2**-difference`` in the softmax.
    second_moment : SecondMoment
    warm_up : WarmUp
    state : LNSFormat
        Its ``log`` field alone (``state.log_width`` bits, its zero code "no gradient yet") is a tracker: log2 of a
        running RMS. Its base factor is also that of the normalised gradients.
    beta_shift : int
        The second moment decays by ``1 - 2**-beta_shift``, 1 to 12.
    grad_bound : int
        log2 of the largest normalised gradient.
    lr : int
        log2 of the learning rate in octaves per unit of normalised gradient.
    step_bits : int
        Fraction bits of a step before it is rounded.
    state_fraction_bits : int
        Fraction bits of a tracker's change before it is rounded.
    weight_rounding, state_rounding : Rounding
    input_noise, neuron_noise : LFSRConfig
        Random bits, one draw for each input and for each neuron of a layer that learns.
    gate : float, optional
        A sample whose label's logit exceeds all others by this many octaves is not learned from. By default all are.

    Raises
    ------
    ValueError
        A parameter is out of range, or two do not go together; one line.
    """

    sizes: tuple[int, ...] = (64, 32, 10)
    activation: LNSFormat = LNSFormat(7, 4)
    delta: LNSFormat = LNSFormat(7, 4)
    forward_weight: LNSFormat = LNSFormat(7, 4)
    weight: LNSFormat = LNSFormat(10, 64)
    input_top: int = 0
    activation_top: int = 3
    delta_top: int = 0
    weight_tops: tuple[int, ...] = None  # type: ignore[assignment]  # filled in below
    mantissa_bits: int = 4
    sum_fraction_bits: int = 12
    sum_width: int = 16
    logit_bits: int = 4
    exp_bits: int = 8
    second_moment: SecondMoment = SecondMoment.FACTORED
    warm_up: WarmUp = WarmUp.GROWING
    state: LNSFormat = LNSFormat(10, 8)
    beta_shift: int = 10
    grad_bound: int = 3
    lr: int = -6
    step_bits: int = 8
    state_fraction_bits: int = 12
    weight_rounding: Rounding = Rounding.NEAREST
    state_rounding: Rounding = Rounding.STOCHASTIC
    input_noise: LFSRConfig = LFSRConfig(width=17, polynomial=0x24001, seed=1, bits=12, shift=12)
    neuron_noise: LFSRConfig = LFSRConfig(width=20, polynomial=0x120001, seed=1, bits=12, shift=13)
    gate: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(n) for n in self.sizes))
        for name, kind in (
            ("second_moment", SecondMoment), ("warm_up", WarmUp), ("weight_rounding", Rounding),
            ("state_rounding", Rounding),
        ):  # fmt: skip
            object.__setattr__(self, name, kind(getattr(self, name)))
        if not 2 <= len(self.sizes) <= MAX_LAYERS + 1:
            raise ValueError(f"Network must have 1 to {MAX_LAYERS} layers, not {len(self.sizes) - 1}")
        if not 1 <= self.sizes[0] <= MAX_INPUTS:
            raise ValueError(f"Inputs must be from 1 to {MAX_INPUTS}, not {self.sizes[0]}")
        if not all(1 <= n <= MAX_NEURONS for n in self.sizes[1:]) or self.sizes[-1] < 2:
            raise ValueError(f"Layers must have 1 to {MAX_NEURONS} neurons, the last 2 or more, not {self.sizes}")
        factor = self.activation.base_factor
        if {self.delta.base_factor, self.forward_weight.base_factor} != {factor}:
            raise ValueError("Activations, deltas and forward weights must have one base factor")
        for fmt, name in ((self.weight, "Weight"), (self.state, "State")):
            if octave_bits(fmt.base_factor) < octave_bits(factor):
                raise ValueError(f"{name}'s base factor must be a multiple of {factor:g}, not {fmt.base_factor:g}")
        if self.weight_tops is None:
            tops = tuple(round(math.log2(3 * math.sqrt(2 / n))) + 1 for n in self.sizes[:-1])
            object.__setattr__(self, "weight_tops", tops)
        object.__setattr__(self, "weight_tops", tuple(int(top) for top in self.weight_tops))
        if len(self.weight_tops) != self.layers:
            raise ValueError(f"Weight tops must be {self.layers}, one a layer, not {len(self.weight_tops)}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, low, high in (
            ("mantissa_bits", 1, 12), ("sum_fraction_bits", 4, 24), ("sum_width", 6, 32), ("logit_bits", 1, 6),
            ("exp_bits", 4, 12), ("beta_shift", 1, 12), ("grad_bound", 0, 8), ("step_bits", 1, 12),
            ("state_fraction_bits", 1, 12), ("lr", -16, 8),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                label = name.replace("_", " ").capitalize()
                raise ValueError(f"{label} must be from {low} to {high}, not {getattr(self, name)}")
        tops = (self.input_top, self.activation_top, self.delta_top, *self.weight_tops)
        if not all(-MAX_TOP <= top <= MAX_TOP for top in tops):
            raise ValueError(f"Tops must be from -{MAX_TOP} to {MAX_TOP} octaves, not {tops}")
        for top, fmt, name in (
            (self.input_top, self.activation, "Input top"), (self.activation_top, self.activation, "Activation top"),
        ):  # fmt: skip
            if not fmt.log_min <= fmt.log_max - int(fmt.base_factor) * top <= fmt.log_max:
                raise ValueError(f"{name} must leave a word for the constant 1, not {top}")
        if self.logit_bits < octave_bits(self.delta.base_factor):
            raise ValueError("Logit bits must be at least those of the deltas' base factor")
        # The last of an octave, 2**(1 - 1/g), is between 1 / g and 2 / g below 2, and half a step is 2**-(bits + 1).
        if self.mantissa_bits < (least := octave_bits(self.base_factor) - 1):
            raise ValueError(
                f"Mantissa bits must be at least {least} at base factor {self.base_factor}, not {self.mantissa_bits}"
            )
        for fmt in (self.activation, self.delta):
            log2_base_factor(fmt)
        if not octave_bits(self.state.base_factor) <= MAX_STATE_OCTAVE_BITS:
            raise ValueError(
                f"State's base factor must be at most {1 << MAX_STATE_OCTAVE_BITS}, not {self.state.base_factor:g}"
            )
        last = self.layers - 1
        unused = self.sum_fraction_bits - self.logit_bits - self.source_top(last) - self.weight_tops[last]
        if self.sum_width - min(unused, 0) > 32:
            raise ValueError(f"Logits must have at most 32 bits, not {self.sum_width - unused}")
        bits = max(self.step_bits, self.state_fraction_bits)
        if min(self.input_noise.bits, self.neuron_noise.bits) < bits:
            raise ValueError(f"Noise must have at least {bits} bits a draw")
        if self.gate is not None and not 0 <= self.gate < 256:
            raise ValueError(f"Gate must be from 0 to 256 octaves, not {self.gate}")

    @property
    def layers(self) -> int:
        """Layers of weights."""
        return len(self.sizes) - 1

    @property
    def base_factor(self) -> int:
        """Steps per octave of what is multiplied."""
        return int(self.activation.base_factor)

    def source_top(self, layer: int) -> int:
        """Top of the inputs of a layer, 0 the first."""
        return self.activation_top if layer else self.input_top

    def one(self, layer: int) -> int:
        """The word of the constant 1 among a layer's inputs."""
        return (self.activation.log_max - self.base_factor * self.source_top(layer)) & self.activation.log_mask

    @property
    def uses_noise(self) -> bool:
        """Whether anything is rounded stochastically; without, the generators stand still."""
        has_state = self.second_moment is not SecondMoment.NONE
        return self.weight_rounding is Rounding.STOCHASTIC or (has_state and self.state_rounding is Rounding.STOCHASTIC)

    @property
    def state_zero(self) -> int:
        """A tracker's log that means "no gradient yet"."""
        return self.state.zero_log

    @property
    def weights(self) -> int:
        """Weights in all."""
        return sum((a + 1) * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def state_bits(self) -> int:
        """Bits of all that a network keeps between samples: weights and trackers."""
        per_weight = self.weight.width + self.state.log_width * (self.second_moment is SecondMoment.PER_WEIGHT)
        trackers = sum(a + 1 + b for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        factored = trackers * self.state.log_width * (self.second_moment is SecondMoment.FACTORED)
        return self.weights * per_weight + factored

    def describe(self) -> dict[str, Any]:
        """JSON form; :meth:`from_description` reads it back."""

        def plain(value: Any) -> Any:
            if isinstance(value, LNSFormat):
                return dataclasses.asdict(value)
            if isinstance(value, LFSRConfig):
                return value.describe()
            return value.value if isinstance(value, enum.Enum) else list(value) if isinstance(value, tuple) else value

        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "NetworkConfig":
        """The configuration that :meth:`describe` described; ``ValueError`` for anything else."""
        try:
            values = dict(description)
            for name in ("activation", "delta", "forward_weight", "weight", "state"):
                values[name] = LNSFormat(**values[name])
            for name in ("input_noise", "neuron_noise"):
                values[name] = LFSRConfig(**values[name])
            for name in ("sizes", "weight_tops"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError):
            raise ValueError("Description is not that of a network") from None

    def digest(self) -> str:
        """A hash of :meth:`describe`, 16 hexadecimal digits: two networks with one digest compute the same bits."""
        text = json.dumps(self.describe(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


#: Named choices: FO with a tracker for each input and each neuron; FX with no state beside the weights and a fixed
#: scale; FV with FO's formats and a tracker for each weight.
NETWORK_PRESETS: dict[str, dict[str, Any]] = {
    "FO": {"second_moment": SecondMoment.FACTORED, "lr": -6, "grad_bound": 4},
    "FX": {"second_moment": SecondMoment.NONE, "lr": -2},
    "FV": {"second_moment": SecondMoment.PER_WEIGHT, "lr": -6, "grad_bound": 4},
}


def network_preset(name: str, sizes: tuple[int, ...] = (64, 32, 10), **changes: Any) -> NetworkConfig:
    """The configuration of a preset with these layer sizes; ``changes`` replace its parameters.

    Raises
    ------
    ValueError
        No such preset, or the configuration is not one.
    """
    try:
        preset = NETWORK_PRESETS[name.upper()]
    except KeyError:
        raise ValueError(f"Preset must be one of {', '.join(NETWORK_PRESETS)}, not {name!r}") from None
    return NetworkConfig(**{"sizes": sizes, **preset, **changes})
