"""What a network keeps between samples, how it begins, and the words of numbers below a tensor's top."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.reference import round_log2
from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Where the count of updates stands still.
LAST_COUNT = (1 << 32) - 1


def encode(fmt: LNSFormat, values: npt.ArrayLike, top: int, *, flush: bool = True) -> Integers:
    """The nearest words, int64, of reals in a tensor of this top: ``2**top`` is the largest, to which others saturate.

    Magnitudes below the smallest become +0; without ``flush`` they, and zeros, become the smallest. NaN raises
    ``ValueError``.
    """
    reals = np.asarray(values, dtype=np.float64)
    if np.isnan(reals).any():
        raise ValueError("Cannot encode NaN: the format has no code for it")
    magnitude = np.abs(reals)
    ordinary = (magnitude > 0) & np.isfinite(magnitude)
    log = np.where(magnitude > 0, fmt.log_max, fmt.log_min - 1)
    shift = fmt.log_max - int(fmt.base_factor) * top
    log[ordinary] = round_log2(magnitude[ordinary], fmt.base_factor) + shift
    if not flush:
        log = np.maximum(log, fmt.log_min)
    return np.asarray(fmt.fit(np.signbit(reals), log), dtype=np.int64)[()]


def decode(fmt: LNSFormat, words: npt.ArrayLike, top: int, *, flush: bool = True) -> Floats:
    """Reals, float64, of words in a tensor of this top; without ``flush`` the zero code is the number next below
    the others, as the code of a kept weight is read."""
    sign, log = fmt.unpack(words)
    magnitude = np.exp2((log - fmt.log_max) / fmt.base_factor + top)
    if flush:
        magnitude = np.where(log == fmt.zero_log, 0.0, magnitude)
    return np.asarray(np.where(sign.astype(bool), -magnitude, magnitude) + 0.0)[()]


def encode_inputs(config: NetworkConfig, values: npt.ArrayLike) -> Integers:
    """Samples as the words that the network reads: reals of magnitude up to ``2**config.input_top``."""
    return encode(config.activation, values, config.input_top)


def first_weights(config: NetworkConfig, seed: int) -> list[Floats]:
    """He's normal weights of standard deviation ``sqrt(2 / inputs)``, shape (neurons, inputs + 1) a layer; the
    constant's, in the last column, are drawn like the others."""
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal((after, before + 1)) * np.sqrt(2 / before)
        for before, after in zip(config.sizes, config.sizes[1:], strict=False)
    ]


@dataclass
class NetworkState:
    """All that a network keeps between samples.

    Attributes
    ----------
    weights : list of int64 array
        Words of ``config.weight``, shape (neurons, inputs + 1) a layer; the constant's are in the last column.
    input_trackers, neuron_trackers : list of int64 array
        Logs, shape (inputs + 1,) and (neurons,) a layer; empty lists but for ``SecondMoment.FACTORED``.
    trackers : list of int64 array
        Logs, of the weights' shapes; an empty list but for ``SecondMoment.PER_WEIGHT``.
    update_count : int
        Samples that changed something, up to 2**32 - 1, where it stays.
    input_noise, neuron_noise : int
        The registers of the two random generators.
    """

    weights: list[Integers]
    input_trackers: list[Integers] = field(default_factory=list)
    neuron_trackers: list[Integers] = field(default_factory=list)
    trackers: list[Integers] = field(default_factory=list)
    update_count: int = 0
    input_noise: int = 1
    neuron_noise: int = 1

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        arrays: list[Integers] = [array for name in LISTS for array in getattr(self, name)]
        return sum(array.size for array in arrays) + len(NUMBERS)

    def copy(self) -> "NetworkState":
        """A state of its own arrays."""
        lists: dict[str, Any] = {name: [array.copy() for array in getattr(self, name)] for name in LISTS}
        return dataclasses.replace(self, **lists)

    def differences(self, other: "NetworkState") -> str | None:
        """Where two states first differ, in words and with both numbers; ``None`` where they do not."""
        for name in LISTS:
            mine, others = getattr(self, name), getattr(other, name)
            if (shapes := [a.shape for a in mine]) != (other_shapes := [a.shape for a in others]):
                return f"{name}: shapes {shapes} and {other_shapes}"
            for layer, (a, b) in enumerate(zip(mine, others, strict=True)):
                if different := np.argwhere(a != b).tolist():
                    first = tuple(different[0])
                    place = ", ".join(str(index) for index in first)
                    return (
                        f"{name} of layer {layer}: {len(different)} differ, first [{place}]: {a[first]} and {b[first]}"
                    )
        for name in NUMBERS:
            if getattr(self, name) != getattr(other, name):
                return f"{name}: {getattr(self, name)} and {getattr(other, name)}"
        return None

    def equal(self, other: "NetworkState") -> bool:
        """Whether every bit is the same."""
        return self.differences(other) is None

    def check(self, config: NetworkConfig) -> None:
        """Raises ``ValueError``, in one line, unless this is a state of the network.

        Every code of a weight is allowed, and every code of a tracker.
        """
        weight, state = config.weight, config.state
        shapes = expected_shapes(config)
        limits = dict.fromkeys(LISTS, (state.zero_log, state.code_max)) | {"weights": (0, (1 << weight.width) - 1)}
        for name in LISTS:
            arrays: list[Any] = getattr(self, name)
            if any(getattr(array, "dtype", None) != np.int64 for array in arrays):
                raise ValueError(f"State's {name} must be arrays of int64")
            if [array.shape for array in arrays] != shapes[name]:
                raise ValueError(f"State's {name} must have shapes {shapes[name]}, not {[a.shape for a in arrays]}")
            low, high = limits[name]
            for array in arrays:
                if array.min() < low or array.max() > high:
                    raise ValueError(f"State's {name} must be in {low} … {high}, not {array.min()} … {array.max()}")
        for name, low, high in (
            ("update_count", 0, LAST_COUNT),
            ("input_noise", 1, config.input_noise.period),
            ("neuron_noise", 1, config.neuron_noise.period),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"State's {name} must be an integer in {low} … {high}, not {value!r}")


LISTS = ("weights", "input_trackers", "neuron_trackers", "trackers")
NUMBERS = ("update_count", "input_noise", "neuron_noise")


def expected_shapes(config: NetworkConfig) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the arrays of each list of a :class:`NetworkState`."""
    pairs = list(zip(config.sizes, config.sizes[1:], strict=False))
    factored = config.second_moment is SecondMoment.FACTORED
    per_weight = config.second_moment is SecondMoment.PER_WEIGHT
    return {
        "weights": [(after, before + 1) for before, after in pairs],
        "input_trackers": [(before + 1,) for before, _ in pairs if factored],
        "neuron_trackers": [(after,) for _, after in pairs if factored],
        "trackers": [(after, before + 1) for before, after in pairs if per_weight],
    }


def state_of_weights(config: NetworkConfig, weights: list[Floats]) -> NetworkState:
    """A state that has not learned yet, of real weights: each takes the nearest word of its layer, never zero."""
    words = [
        encode(config.weight, layer, top, flush=False) for layer, top in zip(weights, config.weight_tops, strict=True)
    ]
    state = fresh(config, words)
    state.check(config)
    return state


def fresh(config: NetworkConfig, weights: Sequence[npt.ArrayLike]) -> NetworkState:
    """The state before the first update of a network whose weights have these words; not checked."""
    shapes = expected_shapes(config)
    words = [np.asarray(layer, np.int64) for layer in weights]
    state = NetworkState(words, input_noise=config.input_noise.seed, neuron_noise=config.neuron_noise.seed)
    for name in LISTS[1:]:
        setattr(state, name, [np.full(shape, config.state_zero, np.int64) for shape in shapes[name]])
    return state


def initial(config: NetworkConfig, seed: int) -> NetworkState:
    """The state before the first sample: :func:`first_weights` of this seed, no gradient seen."""
    return state_of_weights(config, first_weights(config, seed))
