"""Integer tables of the learning network, correctly rounded, for all arguments that can occur.

*Steps* are those of ``config.state``: 1/g octave, g = ``config.state.base_factor``.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import antilog_table
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.reference import round_nearest
from lnsmadam.golden.trainer.config import NetworkConfig, WarmUp

Integers = npt.NDArray[np.int64]

# A format of at most 10 bits has correctly rounded logs, and 10 bits hold any base factor of a logit.
_LOG_WIDTH = 10


def shifted(numbers: npt.ArrayLike, octaves: npt.ArrayLike) -> Integers:
    """``floor(numbers * 2**octaves)`` of integers."""
    up = np.clip(octaves, 0, 62)
    down = np.clip(np.negative(octaves), 0, 63)
    return np.asarray(np.left_shift(numbers, up) >> down, dtype=np.int64)


def power_table(base_factor: int, mantissa_bits: int, fraction_bits: int) -> Integers:
    """``2**(-n / base_factor)`` in steps of ``2**-fraction_bits``, n = 0, 1, …: with q = ceil(n / base_factor), the
    exactly rounded mantissa of ``mantissa_bits`` bits of the remainder, shifted by q, bits below cut off. The last
    entry, the only 0, holds for all that follow."""
    n = np.arange((fraction_bits + 1) * base_factor + 1)
    quotient = -(-n // base_factor)
    mantissa = antilog_table(base_factor, mantissa_bits)[quotient * base_factor - n]
    table = shifted(mantissa, fraction_bits - mantissa_bits - quotient)
    return table[: int(np.flatnonzero(table)[-1]) + 2]


def product_table(config: NetworkConfig) -> Integers:
    """Magnitude of a product by the sum of its factors' distances from their tops."""
    return power_table(config.base_factor, config.mantissa_bits, config.sum_fraction_bits)


def exp_table(config: NetworkConfig) -> Integers:
    """``2**-difference`` of the softmax by a difference of logits."""
    return power_table(1 << config.logit_bits, config.exp_bits, config.exp_bits)


def softmax_log(config: NetworkConfig) -> MagnitudeLog:
    """log2 of a sum of exponentials, in logit's steps."""
    width = (config.sizes[-1] << config.exp_bits).bit_length()
    return MagnitudeLog(width, config.exp_bits, LNSFormat(_LOG_WIDTH, 1 << config.logit_bits))


def magnitude_log(config: NetworkConfig, fmt: LNSFormat) -> MagnitudeLog:
    """log2 of the magnitude of a sum, in steps of ``fmt``."""
    return MagnitudeLog(config.sum_width, config.sum_fraction_bits, fmt)


def warm_up_shift(config: NetworkConfig, update_count: int) -> int:
    """k of update t = ``update_count`` (1 the first): the second moment decays by ``1 - 2**-k``."""
    if config.warm_up is WarmUp.EXACT:
        return config.beta_shift
    return min(max(update_count.bit_length() - 1, 1), config.beta_shift)


@dataclass(frozen=True)
class TrackerTable:
    """``round(2**b * g/2 * log2(beta + (1 - beta) * 4**(d / g)))``, beta = 1 - 2**-k, for every integer d.

    Attributes
    ----------
    first : int
        The d of the first value, which holds for all below as well, and for an input of zero.
    values : int64 array
        For d = first, first + 1, …; above the last one it rises by ``2**b`` a step.
    slope_bits : int
        b, ``config.state_fraction_bits``.
    """

    first: int
    values: Integers
    slope_bits: int

    @property
    def decay(self) -> int:
        """The change that an input of zero makes."""
        return int(self.values[0])

    def change(self, distance: npt.ArrayLike) -> Integers:
        """Values for any distances d in steps."""
        index = np.maximum(np.asarray(distance, dtype=np.int64) - self.first, 0)
        last = len(self.values) - 1
        return np.asarray(self.values[np.minimum(index, last)] + (np.maximum(index - last, 0) << self.slope_bits))[()]


@functools.lru_cache(maxsize=256)
def tracker_table(base_factor: int, shift: int, fraction_bits: int) -> TrackerTable:
    """The table for g = ``base_factor``, k = ``shift`` and b = ``fraction_bits``."""
    unit = math.ldexp(base_factor, fraction_bits - 1)
    rest = math.ldexp(1.0, -shift)
    # log2(1 + x) < 1.45 x: from half as far from the corner on, either asymptote is less than half a unit away. The
    # lower is no integer, and may lie next to a tie.
    reach = math.ceil(base_factor * (math.log2(unit) + shift + 3))
    distance = np.arange(-reach, reach + 1)
    reals = unit / math.log(2) * np.log1p(rest * np.expm1(2 * math.log(2) / base_factor * distance))

    def exact(index: int) -> Any:
        beta = 1 - mpmath.mpf(2) ** -shift
        power = mpmath.mpf(4) ** (mpmath.mpf(int(distance[index])) / base_factor)
        return mpmath.mpf(unit) * mpmath.log(beta + (1 - beta) * power, 2)

    values = round_nearest(reals, exact)
    # The curve rises everywhere, by less than 2**b a step: once at an asymptote's integer it stays there.
    above = values - (distance << fraction_bits)
    low = int(np.flatnonzero(values == values[0])[-1])
    high = int(np.flatnonzero(above == above[-1])[0])
    values = values[low : high + 1].copy()
    values.setflags(write=False)
    return TrackerTable(int(distance[low]), values, fraction_bits)


def tracker_tables(config: NetworkConfig) -> dict[int, TrackerTable]:
    """The tables of all k that a network meets, by k."""
    first = config.beta_shift if config.warm_up is WarmUp.EXACT else 1
    factor = int(config.state.base_factor)
    return {
        shift: tracker_table(factor, shift, config.state_fraction_bits) for shift in range(first, config.beta_shift + 1)
    }


@functools.lru_cache(maxsize=16)
def _exact_bias(base_factor: int, shift: int) -> Integers:
    rest = math.ldexp(1.0, -shift)
    # beta**t < exp(-t * rest): from here on the bias is less than half a step.
    count = math.ceil((math.log(base_factor) + 1) / rest) + 2
    t = np.arange(1, count + 1)
    reals = base_factor / 2 * np.log2(-np.expm1(t * math.log1p(-rest)))

    def exact(index: int) -> Any:
        # The first is rational, and may be a tie.
        beta = 1 - mpmath.mpf(2) ** -shift
        log = mpmath.log(1 - beta ** int(t[index]), 2) if index else -shift
        return mpmath.mpf(base_factor) / 2 * log

    table = np.concatenate([[0], round_nearest(reals, exact)])
    table = table[: int(np.flatnonzero(np.append(-1, table[1:]))[-1]) + 2]
    table.setflags(write=False)
    return table


def bias_table(config: NetworkConfig) -> Integers:
    """``round(g/2 * log2(1 - beta**t))`` in steps by t, the number of the update; entry 0 is no update. The last
    entry, 0, holds for all that follow, and is the only one unless the warm-up is exact."""
    if config.warm_up is WarmUp.GROWING:
        return np.zeros(1, np.int64)
    return _exact_bias(int(config.state.base_factor), config.beta_shift)


def step_offset(config: NetworkConfig, lr_shift: int) -> int:
    """What turns log2 of a normalised gradient, in steps, into log2 of steps of a weight."""
    octaves = config.lr + int(config.weight.base_factor).bit_length() - 1 - lr_shift
    return int(config.state.base_factor) * octaves


def step_sizes(config: NetworkConfig, logs: npt.ArrayLike) -> Integers:
    """``floor(2**(log / g) * 2**step_bits)``, the mantissa rounded first: what a weight moves, in fractions of its
    step, by the log in steps of the state."""
    factor = int(config.state.base_factor)
    logs = np.asarray(logs, dtype=np.int64)
    return shifted(antilog_table(factor, config.step_bits)[logs % factor], logs // factor)


def rounded_steps(config: NetworkConfig, sizes: Integers, random: npt.ArrayLike) -> Integers:
    """Whole steps of a weight: to nearest, or up with the chance that ``random``, a noise, gives."""
    half = 1 << (config.step_bits - 1)
    nearest = config.weight_rounding is Rounding.NEAREST
    return np.asarray((sizes + (half if nearest else np.asarray(random) & (2 * half - 1))) >> config.step_bits)


def gate_margin(config: NetworkConfig) -> int | None:
    """The gate in logit's steps, rounded to nearest; ``None`` where nothing is gated."""
    return None if config.gate is None else gate_steps(config, config.gate)


def gate_steps(config: NetworkConfig, octaves: float) -> int:
    """A gate in logit's steps, rounded to nearest."""
    return math.floor(octaves * (1 << config.logit_bits) + 0.5)
