"""Sums over lanes and blocks."""

import numpy as np
import pytest

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.tree import Tree


@pytest.mark.parametrize("sizes, lanes", [((3, 6, 7), 3), ((3, 6, 7), 1), ((3, 9, 17), 8)])
def test_sums_over_lanes_and_blocks(run_cycles, sizes, lanes):
    config = TrainerConfig(network=network_preset("FX", sizes, sum_fraction_bits=6), lanes=lanes)
    tree, bits = Tree(config), config.network.sum_fraction_bits + 1
    layer = len(sizes) - 2
    blocks = config.layout.blocks(layer) if tree.depth or config.layout.blocks(layer) == 1 else 1
    inputs, passes, rng = config.layout.inputs(layer), 40, np.random.default_rng(3)
    gap = max(0, tree.spacing - inputs)
    period = inputs + gap

    shape = (passes, blocks, period, lanes)
    magnitude = np.where(rng.random(shape) < 0.2, 1 << (bits - 1), rng.integers(0, 1 << (bits - 1), shape))
    negative = rng.integers(0, 2, shape)
    valid = np.broadcast_to(np.arange(period) < inputs, shape[:3])
    addend = magnitude ^ (negative * ((1 << bits) - 1))
    packed = [sum(int(a) << bits * lane for lane, a in enumerate(row)) for row in addend.reshape(-1, lanes)]
    first = np.broadcast_to(np.arange(period) == 0, shape[:3])
    first_block = np.broadcast_to(np.arange(blocks)[:, None] == 0, shape[:3])
    tail = np.zeros(tree.latency, int)

    def column(values):
        return np.concatenate([np.asarray(values, dtype=object).ravel(), tail.astype(object)])

    out = run_cycles(
        tree,
        {
            "addends": column(packed),
            "carries": column((negative << np.arange(lanes)).sum(axis=-1)),
            "valid": column(valid.astype(int)),
            "first": column(first.astype(int)),
            "first_block": column(first_block.astype(int)),
        },
    )
    got = np.asarray(out["total"][tree.latency :]).astype(np.int64).reshape(shape[:3])[:, -1, :inputs]
    want = np.where(negative, -magnitude, magnitude).sum(axis=-1).cumsum(axis=1)[:, -1, :inputs]
    assert np.array_equal(got, want)
