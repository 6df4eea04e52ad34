"""Vectors that are hard for the dot product: uniform words have one size, and seldom leave an accumulator's range."""

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import Words


def directed(config: DotConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Vectors of a few transfers up to a thousand, of products of any size, small ones, or those about the range."""
    columns: dict[str, Words] = {}
    fmt = config.operand
    # A vector of LENGTH products cannot leave a derived accumulator; the longest ones here are longer than the default.
    ends = np.repeat(rng.choice([0.5, 0.1, 0.01, 0.001], -(-count // 1024)), 1024)[:count]
    last = rng.random(count) < ends
    first = np.concatenate([[True], last[:-1]]) ^ (rng.random(count) < 0.02 * (ends > 0.005))
    vector: npt.NDArray[np.int64] = np.cumsum(last) - last
    # A vector's logs lie below a limit of its own, in some of them close below; half have the format's.
    vectors = int(last.sum()) + 1
    limit = rng.integers(fmt.code_min, fmt.code_max + 1, vectors)
    limit[rng.random(vectors) < 0.5] = fmt.code_max
    is_long = np.bincount(vector, minlength=vectors) > 256
    is_close = (rng.random(vectors) < 0.5) | is_long
    reach = np.where(is_close, 1 + config.base_factor // 2, 2 * fmt.code_max + 2)
    # Sums whose products have one sign leave the range sooner.
    signs = np.where(is_long, rng.integers(0, 2, vectors), rng.choice([0.0, 0.1, 0.5, 1.0], vectors))
    # Half of the long ones come back into the range, where only the flag still knows that they left it.
    place = np.arange(count) - np.searchsorted(vector, vector)
    turns = (rng.random(vectors) < 0.5) & is_long
    returns = turns[vector] & (place > 0.6 * np.bincount(vector, minlength=vectors)[vector])
    for name in config.inputs:
        log = limit[vector] - rng.integers(0, reach[vector])
        log = np.where(rng.random(count) < 0.03, fmt.zero_log, np.maximum(log, fmt.zero_log))
        sign = ((rng.random(count) < signs[vector]) ^ returns) & (name[0] == "a")
        sign ^= rng.random(count) < 0.03
        columns[name] = ((log & fmt.log_mask) | (sign.astype(np.int64) << fmt.log_width)).astype(fmt.dtype)
    columns["first"], columns["last"] = first.astype(np.uint8), last.astype(np.uint8)
    return columns
