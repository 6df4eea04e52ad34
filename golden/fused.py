"""Fused multiply-add of floating-point words: ``c ± a * b`` with one rounding, IEEE 754's way.

The baselines ``bf16_multiply_add`` and ``sgd_update`` are this function under their own field names.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import BFLOAT16, FloatFormat
from lnsmadam.golden.format import Words, check_words

#: Rows at a time: what stays in the cache.
_BLOCK = 1 << 13


@dataclass(frozen=True, kw_only=True)
class FusedConfig(UnitConfig):
    """Base of the units that are one fused multiply-add.

    Parameters
    ----------
    float_format : FloatFormat
        Format of the operands and of the result: 2 to 10 mantissa bits (an exact sum fits 64 bits), at least 3
        exponent bits.
    hard_multiplier : bool
        The product is a plain multiplication, which tools can put into a DSP block, instead of rows of adders.
    pipeline : int
        Register stages.
    """

    float_format: FloatFormat = BFLOAT16
    hard_multiplier: bool = False
    pipeline: int = 12

    def __post_init__(self) -> None:
        fmt = self.float_format
        if not (2 <= fmt.mantissa_bits <= 10 and fmt.exponent_bits >= 3):
            raise ValueError(
                f"Float format of {self.unit} must have 2 to 10 mantissa bits and 3 to 8 exponent bits, not {fmt.name}"
            )
        super().__post_init__()

    @property
    def max_pipeline(self) -> int:
        return 12

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.float_format}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.float_format.parameters(),
            "hard_multiplier": self.hard_multiplier,
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        return {"rounding": "nearest, ties to even", "max_error_ulp": 0.5, "checked": "exact by construction"}


def fused(fmt: FloatFormat, a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, *, subtract: bool = False) -> Words:
    """``c + a * b``, or ``c - a * b``, rounded once to the nearest, ties to even.

    Subnormal operands and results are exact cases like any other; beyond the range the result is infinite. An
    operand that is NaN, ``0 * inf`` and ``inf - inf`` give the canonical NaN. Exact cancellation is +0; a sum of
    zeros of one sign keeps it, and so does a result that rounds to zero.

    Parameters
    ----------
    a, b, c : arrays of words of ``fmt``, shapes that broadcast

    Returns
    -------
    array of words of ``fmt``, broadcast shape
    """
    words = [check_words(array, fmt.width, name) for array, name in ((a, "a"), (b, "b"), (c, "c"))]
    shape = np.broadcast_shapes(*(array.shape for array in words))
    rows = [np.broadcast_to(array, shape).reshape(-1) for array in words]
    out = np.empty(rows[0].size, dtype=fmt.dtype)
    for start in range(0, out.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        block_a, block_b, block_c = (array[part].astype(np.int64) for array in rows)
        out[part] = _fused(fmt, block_a, block_b, block_c, subtract)
    return out.reshape(shape)[()]


def _fused(fmt: FloatFormat, a: Words, b: Words, c: Words, subtract: bool) -> Words:
    bits, precision, top = fmt.mantissa_bits, fmt.mantissa_bits + 1, fmt.exponent_max
    fields = []
    for words in (a, b, c):
        exponent = (words >> bits) & top
        fields.append((words & (fmt.sign_bit - 1), exponent, (words & ((1 << bits) - 1)) | (exponent != 0) << bits))
    (magnitude_a, exponent_a, a_int), (magnitude_b, exponent_b, b_int), (magnitude_c, exponent_c, c_int) = fields
    product_sign = ((a ^ b) >> (fmt.width - 1)) ^ int(subtract)
    c_sign = c >> (fmt.width - 1)

    # Weights of the last bits, as exponents above the smallest subnormal number's.
    product_last = np.maximum(exponent_a, 1) + np.maximum(exponent_b, 1) - 2 - (fmt.bias + bits - 1)
    c_last = np.maximum(exponent_c, 1) - 1
    product = a_int * b_int
    # Beyond these distances the smaller term only tells which side of a tie the sum is on, wherever it is.
    above, below = 2 * precision + 3, precision + 3
    distance = np.where(product == 0, 0, np.clip(c_last - product_last, -below, above))
    last = c_last - distance - below
    # A product far below c, or zero, is placed under c; c far below the product is placed under the product.
    last = np.where(c_last - product_last < -below, product_last - below, last)
    last = np.where(product == 0, c_last - below, last)
    # At most 2 * precision + 3 + precision + precision + 3 bits: 50 of 11.
    total = (np.where(c_sign == 1, -c_int, c_int) << (distance + below)) + (
        np.where(product_sign == 1, -product, product) << below
    )
    sign = np.where(total != 0, total < 0, c_sign & product_sign).astype(np.int64)
    magnitude = np.abs(total)

    drop = np.maximum(_bit_length(magnitude) - precision, -last)
    # Zero bits below make a shift to the right of every case.
    kept = np.where(drop > 0, magnitude >> np.clip(drop, 0, 62), magnitude << np.clip(-drop, 0, 62))
    rest = np.where(drop > 0, magnitude - (kept << np.clip(drop, 0, 62)), 0)
    half = np.where(drop > 0, 1 << np.clip(drop - 1, 0, 62), 1)
    kept += (rest > half) | ((rest == half) & ((kept & 1) == 1))
    # The leading one, and a mantissa that rounds up to the next octave, carry into the exponent.
    result = np.where(total == 0, 0, np.minimum(kept + ((last + drop) << bits), fmt.infinity))

    infinite_a, infinite_b = magnitude_a == fmt.infinity, magnitude_b == fmt.infinity
    infinite_c, infinite_product = magnitude_c == fmt.infinity, infinite_a | infinite_b
    result = np.where(infinite_c | infinite_product, fmt.infinity, result)
    sign = np.where(infinite_product, product_sign, np.where(infinite_c, c_sign, sign))
    is_nan = (magnitude_a > fmt.infinity) | (magnitude_b > fmt.infinity) | (magnitude_c > fmt.infinity)
    is_nan |= (infinite_a & (magnitude_b == 0)) | (infinite_b & (magnitude_a == 0))
    is_nan |= infinite_product & infinite_c & (product_sign != c_sign)
    return np.where(is_nan, fmt.nan, result | sign << (fmt.width - 1))


def _bit_length(values: Words) -> Words:
    """Bits of non-negative integers below 2**63."""
    length = np.zeros_like(values)
    for step in (32, 16, 8, 4, 2, 1):
        length += ((values >> (length + (step - 1))) > 1).astype(np.int64) * step
    return length + (values >> length)


def near_product(fmt: FloatFormat, rng: np.random.Generator, count: int) -> tuple[Words, Words, Words]:
    """Words a, b, c for which the sum is hard: c beside ``± a * b`` at every distance, cancellations, ties, all of it
    near the smallest normal number too.
    """
    bits, mantissas = fmt.mantissa_bits, (1 << fmt.mantissa_bits) - 1
    a, b, c = (rng.integers(0, 1 << fmt.width, count) for _ in range(3))
    # Half of the mantissas have few ones: their sums tie.
    for words in (a, b, c):
        few = rng.random(count) < 0.5
        words &= np.where(few, ~((1 << rng.integers(0, bits + 1, count)) - 1), -1)
    # A fifth of the products are about as small as the smallest normal number, and c is with them.
    exponent_a, exponent_b = (a >> bits) & fmt.exponent_max, (b >> bits) & fmt.exponent_max
    small = fmt.bias - exponent_a + rng.integers(-bits - 3, 4, count)
    is_small = (rng.random(count) < 0.2) & (small >= 0) & (small < fmt.exponent_max)
    exponent_b = np.where(is_small, small, exponent_b)
    b = b & (mantissas | fmt.sign_bit) | exponent_b << bits
    product = (a & mantissas | 1 << bits) * (b & mantissas | 1 << bits)
    carry = product >> (2 * bits + 1)
    exponent = exponent_a + exponent_b - fmt.bias + carry
    # A third so near that leading bits cancel, the rest anywhere that both terms count.
    reach = np.where(rng.random(count) < 0.35, rng.integers(-1, 2, count), rng.integers(-bits - 5, 2 * bits + 7, count))
    mantissa = (product >> (bits + carry)) + rng.integers(-1, 2, count)
    mantissa = np.where(rng.random(count) < 0.5, mantissa, c) & mantissas
    sign = c & fmt.sign_bit
    c = np.clip(exponent + reach, 0, fmt.exponent_max - 1) << bits | mantissa
    # A sixth ties, or all but ties, only by what c adds to the product's last bits.
    tie = _to_a_tie(fmt, a, b)
    chosen = (tie >= 0) & (rng.random(count) < 1 / 6)
    c = np.where(chosen, tie + rng.integers(-1, 2, count) * (rng.random(count) < 0.2), c)
    c = np.clip(c, 0, fmt.sign_bit - 1) | sign
    return a.astype(fmt.dtype), b.astype(fmt.dtype), c.astype(fmt.dtype)


def _to_a_tie(fmt: FloatFormat, a: Words, b: Words) -> Words:
    """The size of a c with which ``a * b`` is half-way between two words; -1 where no word has it."""
    bits = fmt.mantissa_bits

    def parts(words: Words) -> tuple[Words, Words]:
        exponent, mantissa = (words >> bits) & fmt.exponent_max, words & ((1 << bits) - 1)
        return np.maximum(exponent, 1), np.where(exponent > 0, mantissa | 1 << bits, mantissa)

    (exponent_a, mantissa_a), (exponent_b, mantissa_b) = parts(a), parts(b)
    product = mantissa_a * mantissa_b
    # How many places of the smallest number the product's last one is above it.
    above = exponent_a + exponent_b - fmt.bias - bits - 1
    cut = np.clip(np.maximum(_bit_length(product) - bits - 1, -above), 1, 2 * bits + 3)
    wanted = np.abs((product & ((1 << cut) - 1)) - (1 << (cut - 1)))
    # In the word's own last place, which is the smallest number's at least.
    place = np.maximum(_bit_length(wanted) - bits - 1, -above)
    mantissa = np.where(place > 0, wanted >> np.clip(place, 0, 62), wanted << np.clip(-place, 0, bits))
    exponent = above + place + 1
    is_exact = (place <= 0) | (mantissa << np.clip(place, 0, 2 * bits + 3) == wanted)
    word = np.where(mantissa >> bits, exponent << bits | mantissa & ((1 << bits) - 1), mantissa)
    return np.where(is_exact & (exponent < fmt.exponent_max) & (-place <= bits), word, -1)
