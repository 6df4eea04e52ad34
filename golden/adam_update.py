"""The Adam update with bfloat16 weights: the usual float rule, as a baseline for the Madam update.

Source: Kingma and Ba 2015, algorithm 1, with the bias correction folded into two scalars as in their section 2.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import BFLOAT16, FloatFormat
from lnsmadam.golden.format import FLAG, Words, check_words

#: Bits below the last one of a moment while it is computed.
GUARD_BITS = 3


@dataclass(frozen=True, kw_only=True)
class AdamUpdateConfig(UnitConfig):
    """Fixes every bit of :func:`adam_update`.

    Parameters
    ----------
    m_format : FloatFormat
        Running mean of the gradient: 8 exponent bits, 7 to 23 mantissa bits and at least beta1_shift + 2.
    v_format : FloatFormat
        Running mean of its square: 8 exponent bits, 12 to 23 mantissa bits and at least beta2_shift + 2. A step of
        the decay is 2**-beta2_shift of the value: with bfloat16's 8 bits it would be rounded away.
    beta1_shift, beta2_shift : int
        beta = 1 - 2**-shift, 1 to 12: 0.875 and 0.99902 by default. The decays need no multiplier.
    ratio_bits : int
        Bits of the root and of the quotient, 9 to 14.
    pipeline : int
        Register stages.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """

    m_format: FloatFormat = FloatFormat(8, 10)
    v_format: FloatFormat = FloatFormat(8, 15)
    beta1_shift: int = 3
    beta2_shift: int = 10
    ratio_bits: int = 10
    pipeline: int = 33

    unit = "adam_update"

    def __post_init__(self) -> None:
        for name, low, high in (("beta1_shift", 1, 12), ("beta2_shift", 1, 12), ("ratio_bits", 9, 14)):
            if not low <= getattr(self, name) <= high:
                label = name.replace("_", " ").capitalize()
                raise ValueError(f"{label} must be from {low} to {high}, not {getattr(self, name)}")
        for label, fmt, least, shift in (
            ("m", self.m_format, 7, self.beta1_shift),
            ("v", self.v_format, 12, self.beta2_shift),
        ):
            if fmt.exponent_bits != 8:
                raise ValueError(f"Exponent bits of {label} must be 8, not {fmt.exponent_bits}")
            if fmt.mantissa_bits < max(least, shift + 2):
                raise ValueError(
                    f"Mantissa bits of {label} must be at least {max(least, shift + 2)}, not {fmt.mantissa_bits}"
                )
        super().__post_init__()

    @property
    def max_pipeline(self) -> int:
        # Moments 9, root, its sum with epsilon 3, quotient, product with the rate 7, weight 7.
        return 9 + self.ratio_bits + 3 + self.ratio_bits + 1 + 7 + 7

    @property
    def step_bits(self) -> int:
        """Bits of the step that meets the weight."""
        return self.ratio_bits + 2

    @property
    def inputs(self) -> dict[str, Format]:
        return {
            "weight": BFLOAT16,
            "m": self.m_format,
            "v": self.v_format,
            "grad": BFLOAT16,
            "lr": BFLOAT16,
            "epsilon": BFLOAT16,
        }

    @property
    def outputs(self) -> dict[str, Format]:
        return {"weight": BFLOAT16, "m": self.m_format, "v": self.v_format, "invalid": FLAG}

    @property
    def step_error(self) -> float:
        """Bound of the relative error of the step, given the new m and v as stored."""
        # Low: mantissa, quotient and product are cut, each by less than one unit of at least 2**(ratio_bits - 1).
        # High: root and smaller summand are cut, together less than two.
        return 3 * 2.0 ** (1 - self.ratio_bits)

    def parameters(self) -> dict[str, Any]:
        return {
            "m_format": self.m_format.parameters(),
            "v_format": self.v_format.parameters(),
            "beta1_shift": self.beta1_shift,
            "beta2_shift": self.beta2_shift,
            "ratio_bits": self.ratio_bits,
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        return {
            "rounding": "weight - step to nearest even; moments within 1.25 ulp of the larger term",
            "max_step_error": self.step_error,
            "checked": "sampled against float64",
        }


def lr_of(config: AdamUpdateConfig, lr: float, update_count: int) -> int:
    """The word of ``lr`` for update number ``update_count`` (from 1): lr sqrt(1 - beta2**t) / (1 - beta1**t)."""
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"Learning rate must be positive and finite, not {lr}")
    return int(
        BFLOAT16.encode(lr * _root_correction(config, update_count) / _correction(config.beta1_shift, update_count))
    )


def epsilon_of(config: AdamUpdateConfig, epsilon: float, update_count: int) -> int:
    """The word of ``epsilon`` for update number ``update_count`` (from 1): epsilon sqrt(1 - beta2**t)."""
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"Epsilon must be finite and at least 0, not {epsilon}")
    return int(BFLOAT16.encode(epsilon * _root_correction(config, update_count)))


def _correction(shift: int, update_count: int) -> float:
    if update_count < 1:
        raise ValueError(f"Update count must be at least 1, not {update_count}")
    # -expm1 and log1p keep the digits while beta**t is near 1.
    return -math.expm1(update_count * math.log1p(-(2.0**-shift)))


def _root_correction(config: AdamUpdateConfig, update_count: int) -> float:
    return math.sqrt(_correction(config.beta2_shift, update_count))


def adam_update(
    config: AdamUpdateConfig,
    weight: npt.ArrayLike,
    m: npt.ArrayLike,
    v: npt.ArrayLike,
    grad: npt.ArrayLike,
    lr: npt.ArrayLike,
    epsilon: npt.ArrayLike,
) -> tuple[Words, Words, Words, Words]:
    """One update of each weight and of its two moments::

        m      += (grad - m) / 2**beta1_shift
        v      += (grad**2 - v) / 2**beta2_shift
        weight -= lr m / (sqrt(v) + epsilon)        the new m and v, as stored

    The step is within ``config.step_error`` of the real one, relative; weight - step is then rounded once, to the
    nearest, ties to even, subnormals included, and beyond the range infinity. A moment is within half an ulp of the
    result and a quarter of one of the larger of old moment and new term. Subnormal moments, gradients, rates and
    epsilons count as zero; v saturates. The sign of v and of epsilon is ignored. Where sqrt(v) + epsilon is zero the
    weight stays.

    An infinity or NaN in any operand leaves weight and moments as they are (a subnormal moment becomes zero) and
    sets ``invalid``.

    Parameters
    ----------
    weight, m, v, grad, lr, epsilon : arrays of words of ``config.inputs``
        Shapes that broadcast.

    Returns
    -------
    weight, m, v, invalid : arrays of words of ``config.outputs``, broadcast shape
    """
    words = (weight, m, v, grad, lr, epsilon)
    arrays = [
        check_words(field, fmt.width, name) for field, (name, fmt) in zip(words, config.inputs.items(), strict=True)
    ]
    weight, m, v, grad, lr, epsilon = np.broadcast_arrays(*arrays)
    specials = [BFLOAT16.unpack(words)[1] == 255 for words in (weight, grad, lr, epsilon)]
    specials += [config.m_format.unpack(m)[1] == 255, config.v_format.unpack(v)[1] == 255]
    invalid = np.logical_or.reduce(specials)

    grad_sign, grad_exponent, grad_significand = _flushed(BFLOAT16, grad)
    grad_significand = np.where(invalid, 0, grad_significand)
    m_sign, m_exponent, m_significand = _new_m(config, m, grad_sign, grad_exponent, grad_significand, invalid)
    v_exponent, v_significand = _new_v(config, v, grad_exponent, grad_significand, invalid)

    lr_sign, lr_exponent, lr_significand = _flushed(BFLOAT16, lr)
    root_exponent, root = _root(config, v_exponent, v_significand)
    ratio_exponent, ratio = _ratio(config, m_exponent, m_significand, root_exponent, root, epsilon)
    # In units of 2**(exponent - bias - ratio_bits): the product's upper bits.
    step = ratio * lr_significand >> (config.ratio_bits + 9 - config.step_bits)
    step = np.where(invalid, 0, step)
    step_exponent = np.where(step == 0, -512, ratio_exponent + lr_exponent)
    new_weight = _moved(config, weight, m_sign ^ lr_sign, step_exponent, step, invalid)

    m_mask, v_mask = (1 << config.m_format.mantissa_bits) - 1, (1 << config.v_format.mantissa_bits) - 1
    return (
        new_weight.astype(BFLOAT16.dtype)[()],
        config.m_format.pack(m_sign, m_exponent, m_significand & m_mask),
        config.v_format.pack(v_exponent * 0, v_exponent, v_significand & v_mask),
        invalid.astype(FLAG.dtype)[()],
    )


def _flushed(fmt: FloatFormat, words: Words) -> tuple[Words, Words, Words]:
    """Sign, biased exponent and significand of words, subnormals as zeros."""
    sign, exponent, mantissa = fmt.unpack(words)
    return sign, exponent, np.where(exponent == 0, 0, mantissa | 1 << fmt.mantissa_bits)


def _bit_length(values: Words) -> Words:
    """Bits of non-negative integers below 2**52."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def _rounded(fmt: FloatFormat, exponent: Words, total: Words, left: Words) -> tuple[Words, Words]:
    """Exponent and significand of ``total``, of mantissa_bits + GUARD_BITS + 2 bits, after ``left`` shifts."""
    bits = ((total << left) >> GUARD_BITS) + 1 >> 1
    carry = bits >> (fmt.mantissa_bits + 1)
    return exponent + 1 - left + carry, bits >> carry


def _new_m(
    config: AdamUpdateConfig, m: Words, grad_sign: Words, grad_exponent: Words, grad: Words, invalid: Words
) -> tuple[Words, Words, Words]:
    fmt, shift = config.m_format, config.beta1_shift
    width = fmt.mantissa_bits + 1 + GUARD_BITS
    sign, exponent, old = _flushed(fmt, m)
    old = old << GUARD_BITS
    old = old - np.where(invalid, 0, old >> shift)
    new = grad << (width - 8)
    distance = exponent - (grad_exponent - shift)
    is_grad = (distance < 0) & (grad != 0)
    away = np.minimum(np.where(is_grad, -distance, np.abs(distance)), 63)
    big, small = np.where(is_grad, new, old), np.where(is_grad, old, new) >> away
    big_sign = np.where(is_grad, grad_sign, sign)
    total = np.where(sign == grad_sign, big + small, big - small)
    new_sign = big_sign ^ (total < 0)
    total = np.abs(total)
    base = np.where(is_grad, grad_exponent - shift, exponent)
    new_exponent, significand = _rounded(fmt, base, total, width + 1 - _bit_length(total))
    is_zero = (total == 0) | (new_exponent <= 0)
    return tuple(np.where(is_zero, 0, part) for part in (new_sign, new_exponent, significand))  # type: ignore[return-value]


def _new_v(
    config: AdamUpdateConfig, v: Words, grad_exponent: Words, grad: Words, invalid: Words
) -> tuple[Words, Words]:
    fmt, shift = config.v_format, config.beta2_shift
    width = fmt.mantissa_bits + 1 + GUARD_BITS
    _, exponent, old = _flushed(fmt, v)
    old = old << GUARD_BITS
    old = old - np.where(invalid, 0, old >> shift)
    new = grad * grad << (width - 16)
    # The square is from 1 to 4, its highest bit stands for 2.
    square_exponent = 2 * grad_exponent - BFLOAT16.bias + 1 - shift
    distance = exponent - square_exponent
    is_grad = (distance < 0) & (grad != 0)
    away = np.minimum(np.where(is_grad, -distance, np.abs(distance)), 63)
    total = np.where(is_grad, new, old) + (np.where(is_grad, old, new) >> away)
    base = np.where(is_grad, square_exponent, exponent)
    new_exponent, significand = _rounded(fmt, base, total, np.minimum(width + 1 - _bit_length(total), 2))
    is_above, is_zero = (new_exponent >= 255) & ~invalid, new_exponent <= 0
    new_exponent = np.where(is_above, 254, new_exponent)
    significand = np.where(is_above, (1 << (fmt.mantissa_bits + 1)) - 1, significand)
    return np.where(is_zero, 0, new_exponent), np.where(is_zero, 0, significand)


def _root(config: AdamUpdateConfig, exponent: Words, significand: Words) -> tuple[Words, Words]:
    """Exponent and significand, of ratio_bits bits, of the root, cut."""
    up = 2 * config.ratio_bits - 1 - config.v_format.mantissa_bits
    radicand = significand << np.int64(max(up, 0)) >> np.int64(max(-up, 0))
    # An even biased exponent is an odd power of two.
    radicand = radicand >> (exponent & 1)
    # Below 2**28, where the float64 root rounded down is exact.
    root = np.sqrt(radicand.astype(np.float64)).astype(np.int64)
    return np.where(significand == 0, 0, (exponent + 1 >> 1) + 63), root


def _ratio(
    config: AdamUpdateConfig, m_exponent: Words, m: Words, root_exponent: Words, root: Words, epsilon: Words
) -> tuple[Words, Words]:
    """m / (root + epsilon), cut: exponent, and ratio_bits + 1 bits in units of 2**-ratio_bits."""
    bits = config.ratio_bits
    _, epsilon_exponent, epsilon_significand = _flushed(BFLOAT16, epsilon)
    epsilon_significand = epsilon_significand << (bits - 8)
    base = np.maximum(root_exponent, epsilon_exponent)
    total = root >> np.minimum(base - root_exponent, 63)
    total = total + (epsilon_significand >> np.minimum(base - epsilon_exponent, 63))
    carry = total >> bits
    divisor = total >> carry
    spare = config.m_format.mantissa_bits + 1 - bits
    dividend = m << np.int64(max(-spare, 0)) >> np.int64(max(spare, 0))
    quotient = np.where(divisor == 0, 0, (dividend << bits) // np.maximum(divisor, 1))
    return m_exponent - (base + carry), quotient


def _moved(
    config: AdamUpdateConfig, weight: Words, step_sign: Words, step_exponent: Words, step: Words, invalid: Words
) -> Words:
    """Words of weight - step, rounded once."""
    sign, exponent, mantissa = BFLOAT16.unpack(weight)
    significand = mantissa | np.minimum(exponent, 1) << 7
    exponent = np.maximum(exponent, 1)
    # Both in units of 2**(exponent - bias - ratio_bits - 2); one more bit below tells what was cut.
    wide, step = significand << (config.ratio_bits - 5), step << 2
    distance = exponent - step_exponent
    is_step = distance < 0
    small, away = np.where(is_step, wide, step), np.minimum(np.abs(distance), 40)
    is_cut = (small >> away << away) != small
    small = (small >> away) << 1 | is_cut
    big = np.where(is_step, step, wide) << 1
    # The step is subtracted: of equal signs the smaller is taken away.
    total = np.where(sign == step_sign, big - small, big + small)
    new_sign = np.where(is_step, 1 - step_sign, sign) ^ (total < 0)
    total = np.abs(total)
    new_sign = np.where((total == 0) & (step != 0), 0, new_sign)
    base = np.where(is_step, step_exponent, exponent)
    width = config.step_bits + 4
    left = np.minimum(width - _bit_length(total), base + 1)
    total = total << left
    kept, cut = total >> (width - 8), total & ((1 << (width - 8)) - 1)
    half = 1 << (width - 9)
    kept = kept + ((cut > half) | ((cut == half) & (kept & 1 == 1)))
    # A hidden one counts into the exponent, and so does a carry.
    bits = np.where(total == 0, 0, (base + 1 - left << 7) + kept)
    bits = np.where((bits > BFLOAT16.infinity) & ~invalid, BFLOAT16.infinity, bits)
    return np.asarray(new_sign << 15 | bits)
