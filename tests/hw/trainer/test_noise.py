"""Random bits that are set, read and repeated."""

import numpy as np

from lnsmadam.golden.lfsr import LFSRConfig, draws
from lnsmadam.hw.trainer.noise import Noise

CONFIG = LFSRConfig(width=9, polynomial=0x211, seed=5, bits=7, shift=8)


def test_draws(run_cycles):
    advance = np.random.default_rng(1).integers(0, 2, 700)
    out = run_cycles(Noise(CONFIG, repeats=False), {"advance": advance})
    taken = np.concatenate([[0], np.cumsum(advance)[:-1]])
    assert np.array_equal(out["draw"], draws(CONFIG, 0, len(advance))[taken])


def test_a_marked_sequence_comes_again(run_cycles):
    # Sequences of 5 draws, each three times.
    index = np.arange(15 * 8)
    first = index % 5 == 0
    inputs = {
        "advance": np.ones(len(index)),
        "mark": first & (index // 5 % 3 == 0),
        "rewind": first & (index // 5 % 3 > 0),
    }
    out = run_cycles(Noise(CONFIG, repeats=True), {name: column.astype(int) for name, column in inputs.items()})
    assert np.array_equal(out["draw"], draws(CONFIG, 0, 40).reshape(-1, 1, 5).repeat(3, axis=1).ravel())


def test_state_is_set(run_cycles):
    load = np.zeros(30, int)
    load[10] = 1
    advance = np.ones(30, int)
    out = run_cycles(
        Noise(CONFIG, repeats=False), {"advance": advance, "load": load, "value": np.full(30, CONFIG.seed)}
    )
    assert out["state"][11] == CONFIG.seed
    assert np.array_equal(out["draw"][11:], draws(CONFIG, 0, 19))
