"""What a machine's configuration derives."""

import json

import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import absolute_log, factor_of
from lnsmadam.hw.lns import signed_bits


def machine(preset="FO", sizes=(9, 6, 5), lanes=2, **changes):
    return TrainerConfig(network=network_preset(preset, sizes, **changes), lanes=lanes)


@pytest.mark.parametrize("low, high, width", [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-4, 3, 3), (-5, 3, 4), (-4, 4, 4)])
def test_signed_bits(low, high, width):
    assert signed_bits(low, high) == width


@pytest.mark.parametrize("lanes", [0, 65])
def test_lanes_out_of_range(lanes):
    with pytest.raises(ValueError, match=f"^Lanes must be from 1 to 64, not {lanes}$"):
        machine(lanes=lanes)


def test_weights_beyond_the_addresses():
    with pytest.raises(ValueError, match=r"^Weights must be at most 1048576 words with those of idle lanes, not \d+$"):
        machine(sizes=(1024, 1024, 10), lanes=64)


def test_activations_do_not_overlap():
    config = machine(sizes=(9, 6, 7, 5))
    starts = [config.source_base(0), config.source_base(0, 1), config.source_base(1), config.source_base(2)]
    assert starts == [0, 10, 20, 27] and config.sources == 35


def test_no_sum_leaves_its_width():
    for sizes, lanes in (((9, 6, 5), 4), ((3, 30, 2), 7), ((100, 4), 1)):
        config = machine(sizes=sizes, lanes=lanes)
        most = max(*(n + 1 for n in sizes[:-1]), *(lanes * -(-n // lanes) for n in sizes[1:]))
        largest = most << config.network.sum_fraction_bits
        assert signed_bits(-largest, largest) == config.sum_bits


@pytest.mark.parametrize("preset", NETWORK_PRESETS)
def test_logs_are_in_range(preset):
    """The logs that golden gives to words, zero left out, against the ranges that the hardware's widths come from."""
    changes = {"activation": LNSFormat(6, 4), "input_top": 2, "delta_top": -1}
    config = machine(preset, **changes)
    network = config.network
    for fmt, tops, logs in (
        (network.activation, (network.input_top, network.activation_top), config.input_log_range),
        (network.delta, (network.delta_top,), config.delta_log_range),
    ):
        words = fmt.pack(np.zeros(fmt.log_max - fmt.log_min + 1, int), np.arange(fmt.log_min, fmt.log_max + 1))
        got = [absolute_log(network, factor_of(fmt, words), top) for top in tops]
        assert (min(map(np.min, got)), max(map(np.max, got))) == logs


def test_descriptions_differ_with_the_machine():
    configs = [
        machine(),
        machine(lanes=3),
        machine("FX"),
        TrainerConfig(network=machine().network, memory_registers=True),
    ]
    assert len({json.dumps(config.describe(), sort_keys=True) for config in configs}) == len(configs)
    assert machine().describe() == machine().describe()
