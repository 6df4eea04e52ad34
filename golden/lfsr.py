"""Random bits of a linear-feedback shift register, the same in the model and in the hardware."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_WIDTH, MAX_WIDTH = 3, 24
Draws = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class LFSRConfig:
    """A Fibonacci register: ``state <- state << 1 | parity(state & taps)``, ``shift`` times per draw.

    A draw is the ``bits`` low bits of the state before it moves, so draw 0 comes from the seed.

    Parameters
    ----------
    width : int
        Bits of the state, 3 to 24.
    polynomial : int
        Bit i is the coefficient of x**i; primitive over GF(2), so the state visits every value but 0. The
        default is x**17 + x**14 + 1. ``taps`` is the polynomial without its constant, shifted right by one.
    seed : int
        State after reset, 1 … 2**width - 1.
    bits : int
        Bits per draw, 1 … width.
    shift : int
        Steps per draw, coprime to the period; with fewer steps than ``bits``, successive draws share bits.

    Raises
    ------
    ValueError
        A parameter is out of range, or the sequence would not have the full period.
    """

    width: int = 17
    polynomial: int = 0x24001
    seed: int = 1
    bits: int = 16
    shift: int = 1

    def __post_init__(self) -> None:
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise ValueError(f"Width of the LFSR must be from {MIN_WIDTH} to {MAX_WIDTH}, not {self.width}")
        if self.polynomial.bit_length() != self.width + 1 or not _is_primitive(self.polynomial):
            raise ValueError(f"Polynomial must be primitive and of degree {self.width}, not {self.polynomial:#x}")
        if not 0 < self.seed <= self.period:
            raise ValueError(f"Seed must be from 1 to {self.period}, not {self.seed}")
        if not 1 <= self.bits <= self.width:
            raise ValueError(f"Bits per draw must be from 1 to {self.width}, not {self.bits}")
        if self.shift < 1 or math.gcd(self.shift, self.period) != 1:
            raise ValueError(f"Shift must be positive and coprime to {self.period}, not {self.shift}")

    @property
    def period(self) -> int:
        """Draws until they repeat."""
        return (1 << self.width) - 1

    @property
    def taps(self) -> int:
        """The state's bits whose parity is the next bit."""
        return self.polynomial >> 1

    def describe(self) -> dict[str, Any]:
        """The register as a manifest writes it."""
        return {
            "width": self.width,
            "polynomial": self.polynomial,
            "seed": self.seed,
            "bits": self.bits,
            "shift": self.shift,
        }


def draws(config: LFSRConfig, start: int, count: int) -> Draws:
    """Draws ``start`` … ``start + count - 1`` since reset, as uint32 of shape (count,)."""
    if start < 0 or count < 0:
        raise ValueError(f"Start and count of draws must not be negative, not {start} and {count}")
    cycle = _cycle(config)
    begin = start % config.period
    if begin + count <= config.period:
        return cycle[begin : begin + count]
    return np.take(cycle, np.arange(begin, begin + count), mode="wrap")


@functools.lru_cache(maxsize=4)
def _cycle(config: LFSRConfig) -> Draws:
    """All draws of one period."""
    width, period = config.width, config.period
    lags = [i + 1 for i in range(width) if config.taps >> i & 1]
    bits = np.empty(period + width, dtype=np.uint8)
    # Oldest bit first: bit k of the state before step n is bits[n + width - 1 - k].
    bits[:width] = [config.seed >> (width - 1 - n) & 1 for n in range(width)]
    filled = width
    while filled < len(bits):
        # Squaring a polynomial over GF(2) doubles its exponents: the recurrence holds with all lags doubled.
        stride = 1 << ((filled // width).bit_length() - 1)
        end = min(len(bits), filled + min(lags) * stride)
        bits[filled:end] = 0
        for lag in lags:
            bits[filled:end] ^= bits[filled - lag * stride : end - lag * stride]
        filled = end
    drawn = np.zeros(period, dtype=np.uint32)
    for k in range(config.bits):
        drawn |= bits[width - 1 - k : width - 1 - k + period].astype(np.uint32) << np.uint32(k)
    if config.shift % period != 1:
        drawn = drawn[np.arange(period, dtype=np.int64) * config.shift % period]
    drawn.setflags(write=False)
    return drawn


@functools.lru_cache(maxsize=64)
def _is_primitive(polynomial: int) -> bool:
    """Whether x has order 2**degree - 1 modulo the polynomial."""
    degree = polynomial.bit_length() - 1
    period = (1 << degree) - 1
    if not polynomial & 1 or _power_of_x(period, polynomial) != 1:
        return False
    return all(_power_of_x(period // prime, polynomial) != 1 for prime in _prime_factors(period))


def _power_of_x(exponent: int, polynomial: int) -> int:
    """``x**exponent`` modulo a polynomial over GF(2), polynomials as bit masks."""
    top = 1 << (polynomial.bit_length() - 1)
    result, square = 1, 2
    while exponent:
        if exponent & 1:
            result = _product(result, square, polynomial, top)
        square = _product(square, square, polynomial, top)
        exponent >>= 1
    return result


def _product(a: int, b: int, polynomial: int, top: int) -> int:
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a & top:
            a ^= polynomial
        b >>= 1
    return result


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return sorted({*factors, number} - {1})
