"""Every sum of 16 bits as a word of every layer and direction, against the formula."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.hw.trainer.to_word import ToWord

CONFIGS = {
    "preset": {},
    "three layers": {"sizes": (64, 64, 32, 10), "sum_width": 12, "sum_fraction_bits": 9, "delta_top": -3},
    "two formats": {"delta": LNSFormat(8, 4, -50, 40), "activation": LNSFormat(6, 4), "sum_width": 14},
    "wide words": {
        "activation": LNSFormat(10, 64), "delta": LNSFormat(12, 64), "forward_weight": LNSFormat(10, 64),
        "weight": LNSFormat(16, 64), "state": LNSFormat(12, 64), "mantissa_bits": 6, "logit_bits": 6, "sum_width": 13,
    },
}  # fmt: skip


def logs(network):
    """``base_factor * log2(n / 2**F)`` rounded to nearest, for n from 1 to ``2**(sum_width - 1)``."""
    n = np.arange(1, (1 << network.sum_width - 1) + 1)
    reals = network.base_factor * (np.log2(n) - network.sum_fraction_bits)
    rounded = np.floor(reals + 0.5).astype(int)
    for i in np.flatnonzero(np.abs(reals - np.floor(reals) - 0.5) < 1e-9):
        with mpmath.workdps(40):
            rounded[i] = mpmath.floor(network.base_factor * mpmath.log(int(n[i]), 2)
                                      - network.base_factor * network.sum_fraction_bits + mpmath.mpf(0.5))  # fmt: skip
    return rounded


@pytest.mark.parametrize("name", CONFIGS)
def test_every_sum(run_cycles, name):
    network = NetworkConfig(**CONFIGS[name])
    component = ToWord(network)
    half = 1 << network.sum_width - 1
    cases = [(0, layer) for layer in range(network.layers - 1)] + [(1, layer) for layer in range(1, network.layers)]
    value = np.tile(np.arange(-half, half), len(cases))
    backward, layer = (np.repeat([case[i] for case in cases], 2 * half) for i in (0, 1))
    kill = (np.arange(len(value)) % 7 == 0).astype(int)
    latency = component.latency
    columns = {"value": value, "backward": backward, "layer": layer, "kill": kill}
    out = run_cycles(component, {port: np.append(column, [0] * latency) for port, column in columns.items()})

    nearest = np.concatenate([[0], logs(network)])[np.abs(value)]
    in_top = np.array([network.source_top(k) for k in range(network.layers)])[layer]
    weight_top = np.array(network.weight_tops)[layer]
    factor = network.base_factor
    for output, fmt in (("activation", network.activation), ("delta", network.delta)):
        if output == "activation":
            rows = backward == 0
            log = nearest + fmt.log_max + factor * (in_top + weight_top - network.activation_top)
            zero, sign = value <= 0, 0 * value
        else:
            rows = backward == 1
            log = nearest + fmt.log_max + factor * weight_top
            zero, sign = value == 0, (value < 0).astype(int)
        zero = zero | (kill == 1) | (log < fmt.log_min)
        word = np.minimum(log, fmt.log_max) & fmt.log_mask | sign << fmt.log_width
        want = np.where(zero, fmt.zero_log & fmt.log_mask, word)[rows]
        got = out[output][latency:][rows]
        assert len(want) >= half
        # Every word that there can be occurs.
        assert len(np.unique(want)) > (20 if output == "activation" else 40)
        wrong = np.flatnonzero(got != want)
        assert not len(wrong), [(int(value[rows][i]), int(got[i]), int(want[i])) for i in wrong[:5]]
