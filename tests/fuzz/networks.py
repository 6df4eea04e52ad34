"""Strategies for networks that learn: any formats, sizes, roundings and tops that belong together; states; samples."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment, WarmUp, network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.state import initial


@st.composite
def formats(draw, octave_bits, largest=12):
    width = draw(st.integers(max(4, octave_bits + 2), largest))
    half = 1 << (width - 2)
    if draw(st.booleans()):
        return LNSFormat(width, 1 << octave_bits)
    low = draw(st.integers(1 - half, half - 1))
    return LNSFormat(width, 1 << octave_bits, low, draw(st.integers(low, half - 1)))


GENERATORS = [LFSRConfig(), LFSRConfig(20, 0x120001, 5, 12, 13), LFSRConfig(5, 0x25, 3, 5, 2)]

warm_ups = st.sampled_from(WarmUp)
roundings = st.sampled_from([Rounding.NEAREST, Rounding.STOCHASTIC])
gates = st.none() | st.floats(0, 3)


def layers(most):
    return st.tuples(
        st.lists(st.integers(1, 6), min_size=1, max_size=most).map(tuple), st.integers(2, 5).map(lambda n: (n,))
    ).map(lambda parts: sum(parts, ()))


@st.composite
def odd_networks(draw, most_layers=4):
    """A network of which no format and no number of bits need be a preset's."""
    octave_bits = draw(st.integers(0, 4))
    activation = draw(formats(octave_bits))
    # The constant 1 must have a word.
    top = st.integers(0, min(5, (activation.log_max - activation.log_min) >> octave_bits))
    weight_top = st.integers(-3, 4)
    sizes = draw(layers(most_layers))
    generators = [draw(st.sampled_from(GENERATORS)) for _ in range(2)]
    bits = st.integers(1, min(12, *(generator.bits for generator in generators)))
    width, fraction_bits = draw(st.integers(6, 28)), draw(st.integers(4, 24))
    return NetworkConfig(
        sizes=sizes,
        activation=activation,
        delta=draw(formats(octave_bits)),
        forward_weight=draw(formats(octave_bits)),
        weight=draw(formats(octave_bits + draw(st.integers(0, 4)), 16)),
        input_top=draw(top),
        activation_top=draw(top),
        delta_top=draw(weight_top),
        weight_tops=draw(st.none() | st.tuples(*[weight_top] * (len(sizes) - 1))) if fraction_bits > 10 else None,
        mantissa_bits=draw(st.integers(max(octave_bits - 1, 1), 12)),
        sum_fraction_bits=max(fraction_bits, width - 16),
        sum_width=width,
        logit_bits=draw(st.integers(max(octave_bits, 1), 6)),
        exp_bits=draw(st.integers(4, 12)),
        second_moment=draw(st.sampled_from(SecondMoment)),
        warm_up=draw(warm_ups),
        state=draw(formats(octave_bits + draw(st.integers(0, 3)), 14)),
        beta_shift=draw(st.integers(1, 12)),
        grad_bound=draw(st.integers(0, 8)),
        lr=draw(st.integers(-8, 4)),
        step_bits=draw(bits),
        state_fraction_bits=draw(bits),
        weight_rounding=draw(roundings),
        state_rounding=draw(roundings),
        input_noise=generators[0],
        neuron_noise=generators[1],
        gate=draw(gates),
    )


def preset_networks(most_layers=4):
    """A preset's formats under any rule of learning."""
    return st.builds(
        network_preset, st.sampled_from(("FO", "FX", "FV")), layers(most_layers), warm_up=warm_ups,
        weight_rounding=roundings, state_rounding=roundings, gate=gates, lr=st.integers(-6, 0),
    )  # fmt: skip


def networks(most_layers=4):
    return st.one_of(odd_networks(most_layers), odd_networks(most_layers), preset_networks(most_layers))


#: Small ones: a build of the whole machine takes its time.
machines = st.builds(TrainerConfig, network=networks(3), lanes=st.integers(1, 5), memory_registers=st.booleans())


def samples(network, rng, count):
    """Words of inputs within eight octaves of their top, of either sign; and labels."""
    fmt = network.activation
    log = fmt.log_max - rng.integers(0, 8 * network.base_factor, (count, network.sizes[0]))
    words = np.where(log < fmt.log_min, fmt.zero, (rng.integers(0, 2, log.shape) << fmt.log_width) | log & fmt.log_mask)
    return words, rng.integers(0, network.sizes[-1], count)


def worn(network, rng):
    """A state whose words are any whatever, late in its training."""
    state = initial(network, int(rng.integers(1000)))
    trackers = (network.state.zero_log, network.state.log_max + 1)
    names = ("input_trackers", "neuron_trackers", "trackers")
    return dataclasses.replace(
        state,
        weights=[rng.integers(0, 1 << network.weight.width, array.shape) for array in state.weights],
        **{name: [rng.integers(*trackers, array.shape) for array in getattr(state, name)] for name in names},
        update_count=int(rng.integers(0, 1 << network.beta_shift + 2)),
    )
