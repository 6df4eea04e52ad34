"""Operands for the benches: every one where they are few, else corners and seeded random ones."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat, Words

#: A unit's own operands: configuration, generator, how many → one column a field.
Directed = Callable[[Any, np.random.Generator, int], Mapping[str, npt.ArrayLike]]

EXHAUSTIVE_BITS = 26
DEFAULT_COUNT = 1 << 22
CHUNK = 1 << 20
# Of all combinations of corners, at most so many are run.
_MAX_CORNERS = 1 << 16
# Odd, so that multiplying by it permutes the integers modulo a power of two: every argument comes once, and
# two successive ones differ in all fields, which shows what a transfer leaves behind for the next.
_SCRAMBLE = 0x9E37_79B1


def corner_words(fmt: Format) -> Words:
    """The words of a format where mistakes live, each once, ascending.

    LNS: both zeros and, with both signs, the largest, the smallest, one, and their neighbours. Fixed point:
    0, ±1, the extremes and their neighbours. Floating point: zeros, subnormal and normal ends, one, infinities,
    NaN.
    """
    if isinstance(fmt, LNSFormat):
        logs = {fmt.zero_log, fmt.log_min, fmt.log_min + 1, -1, 0, 1, fmt.log_max - 1, fmt.log_max}
        low = np.array(sorted(log & fmt.log_mask for log in logs if log <= fmt.log_max))
        return np.unique(np.concatenate([low, low | fmt.sign_bit])).astype(fmt.dtype)
    if isinstance(fmt, FloatFormat):
        one, smallest_normal = fmt.bias << fmt.mantissa_bits, 1 << fmt.mantissa_bits
        ends = [0, 1, 2, smallest_normal - 1, smallest_normal, smallest_normal + 1, one - 1, one, one + 1]
        magnitudes = np.array([*ends, fmt.max_word - 1, fmt.max_word, fmt.infinity, fmt.infinity + 1, fmt.nan])
        return np.unique(np.concatenate([magnitudes, magnitudes | fmt.sign_bit])).astype(fmt.dtype)
    near = {fmt.minimum, fmt.minimum + 1, -1, 0, 1, fmt.maximum - 1, fmt.maximum}
    inside = sorted(value for value in near if fmt.minimum <= value <= fmt.maximum)
    return np.unique(np.array([value & (1 << fmt.width) - 1 for value in inside], dtype=fmt.dtype))


def _corners(config: UnitConfig, generator: np.random.Generator, limit: int) -> dict[str, Words]:
    """Corner words of every field, crossed; a sample of ``limit`` where there are more."""
    words = {name: corner_words(fmt) for name, fmt in config.inputs.items()}
    total = math.prod(len(column) for column in words.values())
    if total >= 1 << 63:
        # No integer numbers them all: each field is drawn by itself.
        return {name: column[generator.integers(0, len(column), limit)] for name, column in words.items()}
    chosen = np.arange(total) if total <= limit else generator.integers(0, total, limit)
    columns = {}
    for name, column in words.items():
        columns[name] = column[chosen % len(column)]
        chosen = chosen // len(column)
    return columns


def random_operands(config: UnitConfig, generator: np.random.Generator, count: int) -> dict[str, Words]:
    """Uniform words of every field."""
    return {
        name: generator.integers(0, 1 << fmt.width, count, dtype=np.uint64).astype(fmt.dtype)
        for name, fmt in config.inputs.items()
    }


def mixed_operands(
    config: UnitConfig, generator: np.random.Generator, count: int, directed: Directed | None = None
) -> dict[str, Words]:
    """Uniform words of every field; half of the transfers are directed ones, where the unit has such.

    Every other one, or where a result follows many transfers, which uniform ones between them would cut short, those
    of the second half.
    """
    columns = random_operands(config, generator, count)
    if directed is not None:
        chosen = directed(config, generator, -(-count // 2))
        for name, fmt in config.inputs.items():
            places = columns[name][::2] if config.result_when is None else columns[name][count // 2 :]
            places[:] = np.asarray(chosen[name]).astype(fmt.dtype)
    return columns


def some_arguments(config: UnitConfig, seed: int, first: int, count: int) -> dict[str, Words]:
    """A part of the list of all arguments, each of which is in it once, in an order that the seed turns."""
    mask = np.uint64((1 << sum(fmt.width for fmt in config.inputs.values())) - 1)
    index = np.arange(first, first + count, dtype=np.uint64)
    index = (index * np.uint64(_SCRAMBLE) + np.uint64(seed & 0xFFFF_FFFF)) & mask
    columns, lsb = {}, 0
    for name, fmt in config.inputs.items():
        field = (index >> np.uint64(lsb)) & np.uint64((1 << fmt.width) - 1)
        columns[name] = field.astype(fmt.dtype)
        lsb += fmt.width
    return columns


@dataclass(frozen=True)
class Stimulus:
    """Operands of a volume run, in chunks; iterating twice gives the same.

    Attributes
    ----------
    total : int
        Transfers.
    description : str
        What they are, for the report.
    """

    config: UnitConfig
    seed: int
    total: int
    is_exhaustive: bool
    description: str
    directed: Directed | None = None
    chunk: int = CHUNK

    def __iter__(self) -> Iterator[dict[str, Words]]:
        return self._every() if self.is_exhaustive else self._sampled()

    def _every(self) -> Iterator[dict[str, Words]]:
        for first in range(0, self.total, self.chunk):
            yield some_arguments(self.config, self.seed, first, min(self.chunk, self.total - first))

    def _sampled(self) -> Iterator[dict[str, Words]]:
        generator = np.random.default_rng(self.seed)
        # At most half of the run, and in random order: a run cut short still has all kinds.
        corners = _corners(self.config, generator, min(_MAX_CORNERS, -(-self.total // 2)))
        done = len(next(iter(corners.values())))
        order = generator.permutation(done)
        yield {name: column[order] for name, column in corners.items()}
        while done < self.total:
            count = min(self.chunk, self.total - done)
            yield mixed_operands(self.config, generator, count, self.directed)
            done += count

    def first(self, count: int) -> dict[str, Words]:
        """The first ``count`` transfers (or all, where there are fewer) as one chunk."""
        chunks, rows = [], 0
        for chunk in self:
            chunks.append(chunk)
            rows += len(next(iter(chunk.values())))
            if rows >= count:
                break
        return {name: np.concatenate([chunk[name] for chunk in chunks])[:count] for name in chunks[0]}


def stimulus(
    config: UnitConfig,
    seed: int,
    count: int | None = None,
    directed: Directed | None = None,
    chunk: int = CHUNK,
) -> Stimulus:
    """Chooses the operands of a volume run.

    Parameters
    ----------
    config : UnitConfig
    seed : int
    count : int, optional
        At most so many transfers. By default every argument where a transfer has at most
        ``EXHAUSTIVE_BITS`` bits, else ``DEFAULT_COUNT``.
    directed : function, optional
        The unit's own operands; half of the sampled ones.
    chunk : int
        Transfers a chunk: what the run holds in memory.
    """
    if count is not None and count < 1:
        raise ValueError(f"Count must be at least 1, not {count}")
    bits = sum(fmt.width for fmt in config.inputs.values())
    # What a unit that sums over transfers gives depends on more than one: there is no list of all arguments.
    is_stateless = config.result_when is None
    if is_stateless and bits <= EXHAUSTIVE_BITS and (count is None or count >= 1 << bits):
        return Stimulus(config, seed, 1 << bits, True, f"all 2^{bits} arguments", chunk=chunk)
    kinds = ["corners", "random", *(["directed"] if directed else [])]
    description = f"{', '.join(kinds[:-1])} and {kinds[-1]}, seed {seed}"
    total = DEFAULT_COUNT if count is None else count
    return Stimulus(config, seed, total, False, description, directed, chunk)


def protocol_operands(config: UnitConfig, seed: int, count: int, directed: Directed | None = None) -> dict[str, Words]:
    """A short mixture for the benches that are slow a transfer: corners, random and directed in turn."""
    generator = np.random.default_rng([seed, 1])
    kinds = [_corners(config, generator, count), random_operands(config, generator, count)]
    if directed is not None:
        chosen = directed(config, generator, count)
        kinds.append({name: np.asarray(column) for name, column in chosen.items()})
    takes = [generator.integers(0, len(next(iter(kind.values()))), count) for kind in kinds]
    which = generator.integers(0, len(kinds), count)
    result = {}
    for name, fmt in config.inputs.items():
        columns = [kind[name][take] for kind, take in zip(kinds, takes, strict=True)]
        result[name] = np.choose(which, columns).astype(fmt.dtype)
    return result


__all__ = [
    "CHUNK",
    "Directed",
    "Stimulus",
    "corner_words",
    "mixed_operands",
    "protocol_operands",
    "random_operands",
    "some_arguments",
    "stimulus",
]
