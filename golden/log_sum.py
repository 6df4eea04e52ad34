"""The sum of two numbers given by their logs: what ``multiply_add`` and ``add`` share.

``log2(2**x ± 2**y) = max(x, y) + log2(1 ± 2**-z)`` with ``z = |x - y|`` an integer number of steps, so a table
over the integers z of ``f(z) = base_factor * log2(1 ± 2**(-z / base_factor))``, rounded, gives the correctly
rounded sum. Wide formats replace the table by an interpolator (:mod:`lnsmadam.golden.segments`) whose integer
values are within one step of f.
"""

import enum
import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden import segments
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import LNSFormat, Words
from lnsmadam.golden.reference import gauss_log_reals, round_gauss_log
from lnsmadam.golden.segments import SEGMENTABLE, Segments, fit_segments, is_segmentable

#: Widest result whose sum is a table by default, whatever its base factor.
NARROW_WIDTH = 10

#: Most distances with an entry for which a table's circuit is made; their number goes with the base factor.
MAX_TABLE_ENTRIES = 4096

#: Largest distance of two logs for which a table's circuit is made, of a narrow and of a wide result: its codes are
#: tried on every distance, those of narrow results on every pair of logs.
MAX_TABLE_DISTANCE = {True: 4096, False: 1 << 20}

Integers = npt.NDArray[np.int64]


class Approximator(enum.Enum):
    """How the Gaussian logs are evaluated."""

    TABLE = "table"
    SEGMENTS = "segments"


class Memory(enum.Enum):
    """Where the hardware keeps the approximator's constants."""

    LOGIC = "logic"
    BLOCK = "block"


def _clipped_gauss_log(z: Integers, base_factor: float, subtract: bool, limit: int) -> Integers:
    """Correctly rounded Gaussian logs, but ``limit`` where they are beyond it."""
    with np.errstate(over="ignore"):
        reals = gauss_log_reals(z, base_factor, subtract)
    steps = np.where(reals < 0, -limit, limit)
    inside = np.abs(reals) < limit
    steps[inside] = round_gauss_log(z[inside], base_factor, subtract)
    return steps


@functools.lru_cache(maxsize=64)
def gauss_log_tables(base_factor: float, z_max: int) -> tuple[Integers, Integers]:
    """Correctly rounded ``(f+, f-)`` for z from 0 to ``z_max`` or to the last that does not vanish, and a 0 behind it.

    ``f-(0)`` is minus infinity; its entry is 0 and the callers treat exact cancellation apart. A base factor far
    beyond the range of the logs has entries that saturate or underflow whatever they are added to: they are cut.
    """
    last = z_max
    if base_factor < z_max:
        # |f-(z)| > f+(z), and f-(z) < 1/2 from z = -base_factor * log2(1 - 2**(-1/(2 base_factor))) on.
        factor = max(base_factor, 1e-9)  # which vanishes from z = 1 on, as all smaller ones do
        vanishing = -factor * np.log2(-np.expm1(-np.log(2.0) / (2 * factor)))
        last = min(last, int(vanishing) + 8)
    z = np.arange(last + 1, dtype=np.int64)
    limit = 2 * z_max + 1
    add = _clipped_gauss_log(z, base_factor, False, limit)
    subtract = np.concatenate([[0], _clipped_gauss_log(z[1:], base_factor, True, limit)])
    length = int(np.flatnonzero((add != 0) | (subtract != 0) | (z == 0))[-1]) + 1
    return np.append(add[:length], 0), np.append(subtract[:length], 0)


@dataclass(frozen=True, kw_only=True)
class SumConfig(UnitConfig):
    """What the configurations of units with a sum share.

    Parameters
    ----------
    accumulator : LNSFormat
        Format of the result, and of the operand that is not a product.
    approximator : Approximator, optional
        By default a table up to 10 bits, and segments beyond where the base factor has them. A table is correctly
        rounded at any width; one of too many entries is the golden model's alone: see :meth:`require_hardware`.
    memory : Memory
        Logic alone, or block RAM for the approximator's constants.
    pipeline : int, optional
        Register stages; by default as many as the datapath has places for.
    """

    accumulator: LNSFormat
    approximator: Approximator | None = None
    memory: Memory = Memory.LOGIC

    def __post_init__(self) -> None:
        if self.approximator is not None:
            object.__setattr__(self, "approximator", Approximator(self.approximator))
        object.__setattr__(self, "memory", Memory(self.memory))
        narrow = self.is_narrow
        if self.approximator is None:
            has_segments = not narrow and is_segmentable(self.accumulator.base_factor)
            default = Approximator.SEGMENTS if has_segments else Approximator.TABLE
            object.__setattr__(self, "approximator", default)
        if self.approximator is Approximator.SEGMENTS and narrow:
            raise ValueError(
                f"Approximator segments takes results of more than {NARROW_WIDTH} bits, not {self.accumulator.width}"
            )
        if self.approximator is Approximator.SEGMENTS:
            _ = self.segments  # raises for a base factor that has none
        super().__post_init__()

    def require_hardware(self) -> None:
        """Raises ``ValueError`` if the sum's table is too large for a circuit."""
        if self.approximator is not Approximator.TABLE:
            return
        factor = self.accumulator.base_factor
        if self.z_max > MAX_TABLE_DISTANCE[self.is_narrow]:
            raise ValueError(
                f"Hardware takes tables for logs up to {MAX_TABLE_DISTANCE[self.is_narrow]} steps apart, "
                f"not {self.z_max}"
            )
        entries = len(self.gauss_logs[0]) - 1
        if entries > MAX_TABLE_ENTRIES:
            reason = "choose segments" if is_segmentable(factor) else f"segments need {SEGMENTABLE}, not {factor:g}"
            raise ValueError(f"Hardware takes tables of up to {MAX_TABLE_ENTRIES} entries, not {entries}; {reason}")

    @property
    def is_narrow(self) -> bool:
        """Whether the sum is a table by default, whatever its base factor."""
        return self.accumulator.width <= NARROW_WIDTH

    @property
    def min_pipeline(self) -> int:
        if self.approximator is Approximator.SEGMENTS:
            return segments.min_pipeline(self.memory.value)
        return int(self.memory is Memory.BLOCK)

    @property
    def max_pipeline(self) -> int:
        if self.approximator is Approximator.SEGMENTS:
            return segments.max_pipeline(self.memory.value)
        return 6 if is_addressed_by_difference(self) else 7

    @property
    def x_range(self) -> tuple[int, int]:
        """Smallest and largest log of the first operand of the sum, in steps of the result."""
        raise NotImplementedError

    @property
    def z_max(self) -> int:
        """Largest difference of two logs that can meet."""
        low, high = self.x_range
        return max(high - self.accumulator.code_min, self.accumulator.code_max - low)

    @property
    def segments(self) -> Segments:
        """The interpolator of a wide format."""
        return fit_segments(self.accumulator.base_factor, self.memory.value)

    @property
    def gauss_logs(self) -> tuple[Integers, Integers]:
        """Integer ``(f+, f-)`` by z, as this configuration evaluates them; 0 beyond the last entry."""
        if self.approximator is Approximator.TABLE:
            return gauss_log_tables(self.accumulator.base_factor, self.z_max)
        return _segment_tables(self.segments, self.z_max)

    def guarantee(self) -> dict[str, Any]:
        """Rounding and the largest error over every z that can occur, exact arguments 0 and 1 apart."""
        error = _max_error(self)
        return {
            "rounding": "nearest" if self.approximator is Approximator.TABLE else "faithful",
            "max_error_ulp": math.ceil(error * 1e6) / 1e6,
            "checked": f"all z, addition 0…{self.z_max}, subtraction 1…{self.z_max}",
        }


def is_addressed_by_difference(config: SumConfig) -> bool:
    """Whether the difference itself addresses a table in block RAM, which saves the step to the distance |d| at the
    price of four times the entries: the way of narrow results."""
    return config.memory is Memory.BLOCK and config.is_narrow


@functools.lru_cache(maxsize=8)
def _segment_tables(segments: Segments, z_max: int) -> tuple[Integers, Integers]:
    z = np.arange(z_max + 2, dtype=np.int64)
    subtract = segments.evaluate(z, True)
    subtract[0] = 0
    return segments.evaluate(z, False), subtract


@functools.lru_cache(maxsize=64)
def _max_error(config: SumConfig) -> float:
    worst = 0.0
    for table, subtract in zip(config.gauss_logs, (False, True), strict=True):
        z = np.arange(int(subtract), config.z_max + 1, dtype=np.int64)
        with np.errstate(over="ignore"):
            exact = gauss_log_reals(z, config.accumulator.base_factor, subtract)
        # Beyond these the sum saturates or underflows, which bounds leave out.
        inside = np.abs(exact) < 2 * config.z_max + 1
        errors = np.abs(table[np.minimum(z[inside], len(table) - 1)] - exact[inside])
        worst = max(worst, float(errors.max(initial=0.0)))
    return worst


def log_sum(
    config: SumConfig, sign_x: Words, log_x: Words, zero_x: Words, sign_y: Words, log_y: Words, zero_y: Words
) -> Words:
    """The word of ``x + y``, one rounding, under the range rule; exact cancellation is +0.

    Parameters
    ----------
    sign_x, log_x, zero_x : integer arrays that broadcast
        Sign, log in steps of the result, and whether the operand is zero; ``log_x`` may exceed the result's
        range.
    """
    add, subtract = config.gauss_logs
    differs = (sign_x ^ sign_y).astype(bool)
    last = len(add) - 1
    z = np.minimum(np.abs(log_x - log_y), last)
    total = np.maximum(log_x, log_y) + np.where(differs, subtract[z], add[z])
    sign = np.where(log_x > log_y, sign_x, sign_y)
    cancels = differs & (log_x == log_y)
    total = np.where(zero_x, log_y, np.where(zero_y, log_x, total))
    sign = np.where(zero_x, sign_y, np.where(zero_y, sign_x, sign))
    return config.accumulator.fit(sign, total, (zero_x & zero_y) | (cancels & ~zero_x & ~zero_y))


def near(fmt: LNSFormat, logs: Words, rng: np.random.Generator) -> Words:
    """Words of random sign whose logs lie around ``logs``, at distances spread over all powers of two.

    Parameters
    ----------
    fmt : LNSFormat
    logs : integer array
        May exceed the format's range; the words' logs are then at its ends.
    """
    largest = fmt.code_max.bit_length() + 1
    distance = rng.integers(0, 1 << largest, logs.shape) >> rng.integers(1, largest + 1, logs.shape)
    log = np.clip(logs + np.where(rng.random(logs.shape) < 0.5, -distance, distance), fmt.zero_log, fmt.code_max)
    sign = rng.integers(0, 2, logs.shape) << fmt.log_width
    return np.asarray(sign | (log & fmt.log_mask))
