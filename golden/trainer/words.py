"""A network's state as the words of a trainer's memories, as its stream ``access`` reads and writes them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment
from lnsmadam.golden.trainer.layout import Layout
from lnsmadam.golden.trainer.state import NetworkState

Integers = npt.NDArray[Any]

#: The address spaces of the machine.
WEIGHTS, INPUT_TRACKERS, NEURON_TRACKERS, REGISTERS, LOGITS = range(5)


def _signed(words: Integers, bits: int) -> Integers:
    """The low ``bits`` as two's complement."""
    low = words.astype(np.int64) & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits)


def spaces(layout: Layout) -> dict[int, int]:
    """Words of every address space that holds state between samples."""
    network = layout.network
    sizes = {WEIGHTS: layout.rows * layout.lanes}
    if network.second_moment is SecondMoment.FACTORED:
        sizes |= {INPUT_TRACKERS: layout.first_input(network.layers)}
        sizes |= {NEURON_TRACKERS: layout.first_neuron(network.layers)}
    return {**sizes, REGISTERS: 3}


def words_of_state(layout: Layout, state: NetworkState) -> dict[int, Integers]:
    """A network's state as the machine's words, by address space; 0 in lanes without a neuron."""
    network = layout.network
    mask = (1 << network.state.log_width) - 1
    rows = layout.to_rows(state.weights, 0)
    if network.second_moment is SecondMoment.PER_WEIGHT:
        rows |= (layout.to_rows(state.trackers, 0) & mask) << network.weight.width
    words = {
        WEIGHTS: rows.ravel(),
        REGISTERS: np.array([state.update_count, state.input_noise, state.neuron_noise]),
    }
    if network.second_moment is SecondMoment.FACTORED:
        words |= {
            INPUT_TRACKERS: np.concatenate(state.input_trackers) & mask,
            NEURON_TRACKERS: np.concatenate(state.neuron_trackers) & mask,
        }
    return words


def state_of_words(layout: Layout, words: dict[int, Integers]) -> NetworkState:
    """The inverse of :func:`words_of_state`."""
    network = layout.network
    width, bits = network.weight.width, network.state.log_width
    rows = words[WEIGHTS].astype(np.int64).reshape(layout.rows, layout.lanes)
    update_count, input_noise, neuron_noise = (int(word) for word in words[REGISTERS])
    inputs: list[Integers] = []
    neurons: list[Integers] = []
    trackers: list[Integers] = []
    if network.second_moment is SecondMoment.FACTORED:
        starts = range(1, network.layers)
        inputs = np.split(_signed(words[INPUT_TRACKERS], bits), [layout.first_input(layer) for layer in starts])
        neurons = np.split(_signed(words[NEURON_TRACKERS], bits), [layout.first_neuron(layer) for layer in starts])
    if network.second_moment is SecondMoment.PER_WEIGHT:
        trackers = layout.from_rows(_signed(rows >> width, bits))
    return NetworkState(
        weights=layout.from_rows(rows & ((1 << width) - 1)),
        input_trackers=inputs,
        neuron_trackers=neurons,
        trackers=trackers,
        update_count=update_count,
        input_noise=input_noise,
        neuron_noise=neuron_noise,
    )


def first_difference(network: NetworkConfig, want: NetworkState, got: NetworkState) -> str | None:
    """The first word in which two states differ, by its place in the network; None where none does."""
    kinds = (
        ("weight", want.weights, got.weights),
        ("tracker", want.trackers, got.trackers),
        ("tracker of input", want.input_trackers, got.input_trackers),
        ("tracker of neuron", want.neuron_trackers, got.neuron_trackers),
    )
    for kind, wants, gots in kinds:
        count = sum(int(np.count_nonzero(a != b)) for a, b in zip(wants, gots, strict=True))
        for layer, (a, b) in enumerate(zip(wants, gots, strict=True)):
            places = np.argwhere(a != b)
            if not len(places):
                continue
            place = tuple(int(n) for n in places[0])
            where = f"neuron {place[0]}, input {place[1]}" if len(place) == 2 else f"{kind.split()[-1]} {place[0]}"
            words = f"got {_told(network, kind, b[place])}, want {_told(network, kind, a[place])}"
            return f"{kind.split()[0]} of layer {layer}, {where}: {words} ({count} differ)"
    for name in ("update_count", "input_noise", "neuron_noise"):
        a, b = getattr(want, name), getattr(got, name)
        if a != b:
            return f"{name.replace('_', ' ')}: got {b}, want {a}"
    return None


def _told(network: NetworkConfig, kind: str, word: int) -> str:
    if kind != "weight":
        return str(int(word))
    sign, log = network.weight.unpack(np.array(word))
    return f"{'+-'[int(sign)]} log {int(log)}"
