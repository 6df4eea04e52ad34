"""Every product of two words, against the formula."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from amaranth.hdl import Cat, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.hw.trainer.product import Product, first_weight, operand_bits, prepare, prepared_zero

CONFIGS = {
    "preset": {},
    # A zero needs a code of its own: the products of the smallest words are not 0.
    "many fraction bits": {"sum_fraction_bits": 17, "mantissa_bits": 5, "sum_width": 24},
    # Below the forward weights' range a product is 0 though more bits would hold it.
    "narrow forward weights": {"forward_weight": LNSFormat(5, 4), "delta": LNSFormat(8, 4)},
    "one base factor": {"weight": LNSFormat(10, 16), "activation": LNSFormat(8, 16), "delta": LNSFormat(8, 16),
                        "forward_weight": LNSFormat(9, 16), "state": LNSFormat(12, 16), "mantissa_bits": 12},
    "octaves": {"weight": LNSFormat(8, 4), "activation": LNSFormat(5, 1), "delta": LNSFormat(4, 1), "delta_top": -2,
                "forward_weight": LNSFormat(5, 1), "mantissa_bits": 1, "sum_fraction_bits": 4, "sum_width": 8},
    # Two logs of an octave share a mantissa, and the last is next to 2.
    "few mantissa bits": {"weight": LNSFormat(10, 64), "activation": LNSFormat(8, 16), "delta": LNSFormat(8, 16),
                          "forward_weight": LNSFormat(8, 16), "state": LNSFormat(12, 16), "mantissa_bits": 3},
    "levels": {"weight": LNSFormat(10, 32, -200, 199), "forward_weight": LNSFormat(7, 4, -20, 25)},
}  # fmt: skip


class Prepared(wiring.Component):
    """A product with a plain log as its first operand."""

    def __init__(self, network, fmt, registered):
        self.network, self.fmt = network, fmt
        self.product = Product(network, frozenset(registered))
        super().__init__({
            "x": In(signed(fmt.log_width)), "x_sign": In(1), "log": In(signed(network.weight.log_width)), "sign": In(1),
            "value": Out(signed(network.sum_fraction_bits + 2)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.product = product = self.product
        m.d.comb += [
            product.x.eq(prepare(self.network, self.x, self.fmt)),
            product.sign.eq(self.x_sign),
            product.weight_log.eq(self.log),
            product.weight_sign.eq(self.sign),
            self.value.eq(Cat(product.addend, product.carry).as_signed() + product.carry),
        ]
        return m


def magnitudes(network, fmt):
    """By log of the first operand (from the zero code) and log of the weight (from its zero code)."""
    gamma, kept, forward = network.base_factor, network.weight, network.forward_weight
    ratio = int(kept.base_factor) // gamma
    with mpmath.workdps(40):
        mantissas = [int(mpmath.nint(mpmath.mpf(2) ** (mpmath.mpf(r) / gamma + network.mantissa_bits)))
                     for r in range(gamma)]  # fmt: skip
    rows = {}
    for log in range(kept.zero_log, kept.code_max + 1):
        rounded = forward.log_max + math.floor(Fraction(log - kept.log_max, ratio) + Fraction(1, 2))
        rounded = min(rounded, forward.log_max)
        rows[log] = None if rounded < forward.log_min else forward.log_max - rounded
    table = np.zeros((1 << fmt.log_width, len(rows)), dtype=np.int64)
    for i, x in enumerate(range(fmt.zero_log, fmt.code_max + 1)):
        for k, distance in enumerate(rows.values()):
            if x != fmt.zero_log and distance is not None:
                n = fmt.log_max - x + distance
                q = math.ceil(Fraction(n, gamma))
                scaled = mantissas[q * gamma - n] * Fraction(2) ** (
                    network.sum_fraction_bits - network.mantissa_bits - q
                )
                table[i, k] = math.floor(scaled)
    return table


@pytest.mark.parametrize("name, operand, registered", [
    ("preset", "activation", {1, 2, 3}), ("preset", "delta", {1, 2}), ("many fraction bits", "delta", {1, 3}),
    ("narrow forward weights", "delta", {3}),
    ("one base factor", "activation", {1, 2, 3}), ("octaves", "delta", {1}), ("levels", "activation", {2, 3}),
    ("few mantissa bits", "activation", {1, 2, 3}),
])  # fmt: skip
def test_every_product(run_cycles, name, operand, registered):
    network = NetworkConfig(**CONFIGS[name])
    fmt, kept = getattr(network, operand), network.weight
    component = Prepared(network, fmt, registered)
    grid = np.meshgrid(
        np.arange(fmt.zero_log, fmt.code_max + 1), np.arange(kept.zero_log, kept.code_max + 1), [0, 1], [0, 1],
        indexing="ij",
    )  # fmt: skip
    x, log, x_sign, sign = (axis.ravel() for axis in grid)
    latency = component.product.latency
    assert latency == len(registered)
    inputs = {
        port: np.append(column, np.zeros(latency, int))
        for port, column in (("x", x), ("log", log), ("x_sign", x_sign), ("sign", sign))
    }
    out = run_cycles(component, inputs)
    got = out["value"][latency:]
    want = magnitudes(network, fmt)[x - fmt.zero_log, log - kept.zero_log] * (1 - 2 * (x_sign ^ sign))
    assert len(want) > 500 and want.max() > 0 > want.min()
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), [(int(x[i]), int(log[i]), int(got[i]), int(want[i])) for i in wrong[:5]]


def test_bubbles_add_nothing(run_cycles):
    for name in ("preset", "many fraction bits"):
        network = NetworkConfig(**CONFIGS[name])
        log = np.arange(network.weight.zero_log, network.weight.code_max + 1)
        signs = {"sign": np.repeat([0, 0, 1, 1], len(log)), "weight_sign": np.repeat([0, 1, 0, 1], len(log))}
        out = run_cycles(Product(network), {"x": prepared_zero(network), "weight_log": np.tile(log, 4), **signs})
        negative = (1 << network.sum_fraction_bits + 1) - 1
        assert (out["addend"] == negative * out["carry"])[3:].all(), name


def test_the_preset_needs_no_rule_of_its_own_for_zeros():
    network = NetworkConfig()
    assert operand_bits(network) == 7 and first_weight(network) is None
    assert first_weight(NetworkConfig(**CONFIGS["narrow forward weights"])) is not None
