"""What a network may be, and how it is described."""

import contextlib
import json

import mpmath
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment, WarmUp, network_preset

WRONG = {
    "Network must have 1 to 4 layers, not 0": {"sizes": (3,)},
    "Network must have 1 to 4 layers, not 5": {"sizes": (3,) * 6},
    "Inputs must be from 1 to 1024, not 0": {"sizes": (0, 2)},
    "Inputs must be from 1 to 1024, not 1025": {"sizes": (1025, 2)},
    r"Layers must have 1 to 1024 neurons, the last 2 or more, not \(3, 1\)": {"sizes": (3, 1)},
    "Layers must have 1 to 1024 neurons, the last 2 or more, not .3, 0": {"sizes": (3, 0, 2)},
    "Layers must have 1 to 1024 neurons, the last 2 or more, not .3, 1025": {"sizes": (3, 1025)},
    "Activations, deltas and forward weights must have one base factor": {"delta": LNSFormat(7, 8)},
    "must have one base factor": {"forward_weight": LNSFormat(7, 2)},
    "Weight's base factor must be a multiple of 4, not 2": {"weight": LNSFormat(10, 2)},
    "State's base factor must be a multiple of 4, not 2": {"state": LNSFormat(10, 2)},
    "State's base factor must be at most 256, not 512": {"state": LNSFormat(14, 512)},
    "Base factor must be a power of two, not 6": {"weight": LNSFormat(10, 6)},
    "Base factor must be a power of two from 1 to 4 to convert 4 bits, not 8": {
        "activation": LNSFormat(4, 8), "delta": LNSFormat(4, 8), "forward_weight": LNSFormat(7, 8),
        "activation_top": 0,
    },
    "Weight tops must be 2, one a layer, not 3": {"weight_tops": (0, 0, 0)},
    "Mantissa bits must be from 1 to 12, not 0": {"mantissa_bits": 0},
    "Mantissa bits must be at least 2 at base factor 8, not 1": {
        "activation": LNSFormat(8, 8), "delta": LNSFormat(8, 8), "forward_weight": LNSFormat(8, 8), "mantissa_bits": 1,
    },
    "Sum fraction bits must be from 4 to 24, not 25": {"sum_fraction_bits": 25},
    "Sum width must be from 6 to 32, not 33": {"sum_width": 33},
    "Logit bits must be from 1 to 6, not 7": {"logit_bits": 7},
    "Exp bits must be from 4 to 12, not 3": {"exp_bits": 3},
    "Beta shift must be from 1 to 12, not 13": {"beta_shift": 13},
    "Grad bound must be from 0 to 8, not -1": {"grad_bound": -1},
    "Step bits must be from 1 to 12, not 0": {"step_bits": 0},
    "State fraction bits must be from 1 to 12, not 13": {"state_fraction_bits": 13},
    "Lr must be from -16 to 8, not 9": {"lr": 9},
    "Activation top must leave a word for the constant 1, not 16": {"activation_top": 16},
    "Input top must leave a word for the constant 1, not -1": {"input_top": -1},
    r"Tops must be from -16 to 16 octaves, not \(0, 3, 17, ": {"delta_top": 17},
    "Tops must be from -16 to 16 octaves": {"weight_tops": (0, -17)},
    "Logit bits must be at least those of the deltas' base factor": {"logit_bits": 1},
    "Logits must have at most 32 bits, not 34": {"sum_width": 32, "sum_fraction_bits": 8, "weight_tops": (0, 3)},
    "Noise must have at least 12 bits a draw": {"input_noise": LFSRConfig(bits=11)},
    "Noise must have at least 12 bits": {"neuron_noise": LFSRConfig(bits=4)},
    "Gate must be from 0 to 256 octaves, not -1": {"gate": -1},
    "Gate must be from 0 to 256 octaves, not nan": {"gate": float("nan")},
    "'sometimes' is not a valid Rounding": {"weight_rounding": "sometimes"},
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_refuses(message):
    with pytest.raises(ValueError, match=message) as caught:
        NetworkConfig(**WRONG[message])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("bits", range(1, 7))
def test_no_mantissa_is_2(factor, bits):
    fmt = LNSFormat(12, factor)
    with mpmath.workdps(40):
        last = mpmath.nint(mpmath.mpf(2) ** (bits + 1 - mpmath.mpf(1) / factor))
    is_refused = last == 2 << bits
    with pytest.raises(ValueError, match="^Mantissa bits must be") if is_refused else contextlib.nullcontext():
        NetworkConfig(
            activation=fmt, delta=fmt, forward_weight=fmt, weight=LNSFormat(14, 64), state=LNSFormat(14, 64),
            mantissa_bits=bits, logit_bits=6,
        )  # fmt: skip


def test_describes_itself(config):
    description = json.loads(json.dumps(config.describe()))
    again = NetworkConfig.from_description(description)
    assert again == config and again.digest() == config.digest()
    other = dict(description, lr=config.lr - 1)
    assert NetworkConfig.from_description(other).digest() != config.digest()


@pytest.mark.parametrize(
    "damage",
    [{"sizes": 3}, {"sizes": None}, {"activation": {"width": 7}}, {"weight": [1]}, {"unknown": 1}, {"input_noise": 5},
     {"second_moment": "elsewhere"}, {"lr": "fast"}, {"gate": []}, {"sizes": ["a", "b"]}, {"sum_width": None}],
)  # fmt: skip
def test_refuses_other_descriptions(damage):
    description = network_preset("FO").describe()
    with pytest.raises(ValueError):
        NetworkConfig.from_description(description | damage)
    for key in description:
        if key in ("activation", "weight", "input_noise", "sizes", "weight_tops"):
            with pytest.raises(ValueError, match="Description is not that of a network"):
                NetworkConfig.from_description({k: v for k, v in description.items() if k != key})


def test_presets():
    assert network_preset("fo").second_moment is SecondMoment.FACTORED
    assert network_preset("FX", (8, 4, 2), gate=1.0).sizes == (8, 4, 2)
    assert network_preset("FV").warm_up is WarmUp.GROWING
    with pytest.raises(ValueError, match="Preset must be one of FO, FX, FV, not 'XX'"):
        network_preset("XX")


def test_counts_its_bits():
    """Of the study's network: 10 bits a weight, and 9 for each input and neuron of a layer."""
    assert network_preset("FX").weights == 65 * 32 + 33 * 10 == 2410
    assert network_preset("FX").state_bits == 24100
    assert network_preset("FO").state_bits == 24100 + 9 * (65 + 32 + 33 + 10)
    assert network_preset("FV").state_bits == 2410 * 19


@pytest.mark.parametrize("inputs, top", [(64, 0), (32, 1), (1024, -2), (1, 3)])
def test_weight_tops(inputs, top):
    """Twice the power of two next to 3 RMS: 64 inputs, RMS 0.177, 3 RMS 0.53, 2 * 0.5."""
    assert network_preset("FO", (inputs, 2)).weight_tops == (top,)


def test_the_constant(config):
    for layer in range(config.layers):
        fmt, top = config.activation, config.source_top(layer)
        log = int(fmt.unpack(config.one(layer))[1])
        assert 2.0 ** ((log - fmt.log_max) / fmt.base_factor + top) == 1


@pytest.mark.parametrize(
    "changes, uses",
    [({}, True), ({"state_rounding": "nearest"}, False), ({"second_moment": "none"}, False),
     ({"second_moment": "none", "weight_rounding": Rounding.STOCHASTIC}, True)],
)  # fmt: skip
def test_uses_noise(changes, uses):
    assert network_preset("FO", **changes).uses_noise is uses
