"""The Madam update: one weight's log moves by a step, sized by the gradient against its running RMS.

Source: Bernstein et al. 2020 (the rule and integer Madam), Zhao et al. 2022 (weights as logs). Written from the
formulas.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import LNSFormat, Words, check_words
from lnsmadam.golden.lfsr import draws
from lnsmadam.golden.madam_config import MadamUpdateConfig, Rounding, Variant
from lnsmadam.golden.reference import round_log2

__all__ = [
    "INTEGER_MADAM",
    "MadamUpdateConfig",
    "Rounding",
    "Variant",
    "bias_log_of",
    "directed",
    "integer_madam",
    "lr_log_of",
    "madam_update",
    "model",
    "weight_max_log_of",
]

# Elements that are worked on at a time: their temporaries stay in the cache.
_BLOCK = 1 << 14

#: Bits of integer Madam → nats per level, and the published lr_factor.
INTEGER_MADAM = {12: (0.001, 16), 10: (0.005, 2), 8: (0.01, 1)}


def integer_madam(bits: int, **options: Any) -> MadamUpdateConfig:
    """Integer Madam with ``2**bits`` levels, 12, 10 or 8 bits; the published ``lr_factor`` is 16, 2 or 1.

    Other options are those of :class:`MadamUpdateConfig`; rounding is to nearest unless they say otherwise.
    """
    if bits not in INTEGER_MADAM:
        raise ValueError(f"Bits of integer Madam must be 8, 10 or 12, not {bits}")
    level, _ = INTEGER_MADAM[bits]
    weights = LNSFormat.levels(1 << bits, math.exp(level * ((1 << bits) - 1)))
    options = {"variant": Variant.INTEGER, "rounding": Rounding.NEAREST} | options
    return MadamUpdateConfig(weight_format=weights, **options)


def lr_log_of(config: MadamUpdateConfig, lr: float) -> int:
    """The word of ``lr_log`` for a learning rate (for the variant INTEGER: an lr_factor).

    Rounded to the nearest step of the state; rates below the range, which no longer move a weight, take its
    lowest code.

    Raises
    ------
    ValueError
        The rate is not a positive number, or above what the format of lr_log holds.
    """
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"Learning rate must be positive and finite, not {lr}")
    octave = 1.0
    if config.variant is not Variant.INTEGER:
        octave = math.log2(math.e) * config.weight_format.base_factor / config.step_unit
    log = int(round_log2(np.array([lr * octave]), config.base_factor)[0])
    fmt = config.lr_format
    if log > fmt.maximum:
        raise ValueError(
            f"Learning rate must be at most {2.0 ** (fmt.maximum / config.base_factor) / octave:.4g} "
            f"for this configuration, not {lr:g}"
        )
    return int(fmt.pack(max(log, fmt.minimum)))


def bias_log_of(config: MadamUpdateConfig, update_count: int) -> int:
    """The word of ``bias_log`` for the update number ``update_count`` (1 is the first): log2(1 - beta**t) / 2."""
    if update_count < 1:
        raise ValueError(f"Update count must be at least 1, not {update_count}")
    # -expm1 and log1p keep the digits while beta**t is near 1.
    complement = -math.expm1(update_count * math.log1p(-(2.0**-config.beta_shift)))
    log = int(math.floor(config.base_factor / 2 * math.log2(complement) + 0.5))
    return int(config.bias_format.pack(max(log, config.bias_format.minimum)))


def weight_max_log_of(config: MadamUpdateConfig, weight_max: float) -> int:
    """The word of ``weight_max_log`` for the largest magnitude that a weight may take, within the format."""
    if not (math.isfinite(weight_max) and weight_max > 0):
        raise ValueError(f"Largest weight must be positive and finite, not {weight_max}")
    fmt = config.weight_format
    log = int(round_log2(np.array([weight_max]), fmt.base_factor)[0])
    return int(config.weight_max_format.pack(min(max(log, fmt.log_min), fmt.log_max)))


def madam_update(
    config: MadamUpdateConfig,
    weight: npt.ArrayLike,
    grad_rms: npt.ArrayLike,
    grad: npt.ArrayLike,
    lr_log: npt.ArrayLike,
    bias_log: npt.ArrayLike,
    weight_max_log: npt.ArrayLike,
    random: npt.ArrayLike = 0,
) -> tuple[Words, Words]:
    """One update of each weight and of its running RMS gradient::

        t  = log2|grad| + log2(1 - beta) / 2
        r  = max(grad_rms, t) + floor(table(|grad_rms - t|) + u)                   the new grad_rms, stored
        q  = 2**(min(log2|grad| - r + bias_log, log2(grad_bound)) + lr_log)        size of the step
        weight's log += floor(-sign(weight) sign(grad) q + u')                     within log_min … weight_max_log

    u and u' are random fractions, or 1/2 where the rounding is NEAREST. q is within one step of the real rule
    for the stored r, the new r before rounding within ``guarantee()``'s bound of the running mean. A weight above
    weight_max_log, and a zero, first take the nearest log allowed; its sign stays. A zero gradient moves no
    weight, and r decays. A state at its log_min, or without a gradient seen, is set to t by the next gradient
    other than zero and stays as it is until then.

    Parameters
    ----------
    weight, grad_rms, grad, lr_log, bias_log, weight_max_log : arrays of words of ``config.inputs``
        Shapes that broadcast.
    random : array of integers
        Draws of ``config.lfsr``; may be left out where nothing is rounded stochastically.

    Returns
    -------
    weight, grad_rms : arrays of words of ``config.outputs``, broadcast shape
    """
    words = (weight, grad_rms, grad, lr_log, bias_log, weight_max_log)
    arrays = [
        check_words(field, fmt.width, name) for field, (name, fmt) in zip(words, config.inputs.items(), strict=True)
    ]
    arrays.append(check_words(random, config.lfsr.width, "random"))
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    # Scalars stay scalars: most updates share lr_log, bias_log and weight_max_log.
    flat = [
        array.astype(np.int32) if array.ndim == 0 else np.broadcast_to(array, shape).reshape(-1) for array in arrays
    ]
    count = math.prod(shape)
    new_weight = np.empty(count, dtype=config.weight_format.dtype)
    new_rms = np.empty(count, dtype=config.state_format.dtype)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        part = [array if array.ndim == 0 else array[block].astype(np.int32) for array in flat]
        new_weight[block], new_rms[block] = _update(config, *part)
    return new_weight.reshape(shape)[()], new_rms.reshape(shape)[()]


def _signed(words: Any, width: int) -> Any:
    """Two's-complement integers in the low ``width`` bits of int32 words."""
    spare = np.int32(32 - width)
    return (words << spare) >> spare


def _update(
    config: MadamUpdateConfig, weight: Any, grad_rms: Any, grad: Any, lr: Any, bias: Any, top: Any, random: Any
) -> tuple[Any, Any]:
    """:func:`madam_update` on int32 words."""
    fmt, table, antilog = config.weight_format, config.rms_table, config.antilog

    grad_log = _signed(grad, config.grad_format.log_width)
    is_zero = grad_log == config.grad_format.zero_log
    grad_log = grad_log * np.int32(config.grad_multiple)
    first = grad_log - np.int32(config.first_offset)

    rms = _signed(grad_rms, config.state_format.width)
    distance, last = rms - first, np.int32(table.shape[1] - 1)
    row = (distance < 0) * (last + 1) if config.is_two_sided else np.int32(0)
    gain = table.astype(np.int32).reshape(-1)[np.where(is_zero, last, np.minimum(np.abs(distance), last) + row)]
    if config.state_rounding is Rounding.STOCHASTIC:
        gain = gain + (random & np.int32((1 << config.state_fraction_bits) - 1))
        random = random >> np.int32(config.state_fraction_bits)
    else:
        gain = gain + np.int32(config.half_state)
    gain = (gain >> np.int32(config.state_fraction_bits)) + np.where(is_zero, rms, np.maximum(rms, first))
    new_rms = np.where(rms <= config.log_min, np.where(is_zero, rms, first), np.maximum(gain, config.log_min))

    # log2 of the step's size, in steps of the state; logs below the table's first have no size.
    grad_norm = grad_log - new_rms + _signed(bias, config.bias_format.width)
    is_clipped = grad_norm > antilog.bound_log
    log = np.minimum(grad_norm, antilog.bound_log) + _signed(lr, config.lr_format.width)
    row = is_clipped * np.int32(antilog.quantities.shape[1])
    size = antilog.quantities.astype(np.int32).reshape(-1)[row + np.maximum(log - antilog.lowest, 0)]
    size = np.where(is_zero | (log < antilog.lowest), np.int32(0), size)

    sign = weight & np.int32(fmt.sign_bit)
    is_same_sign = ((weight >> fmt.log_width) ^ (grad >> config.grad_format.log_width)) & 1 == 0
    step = np.where(is_same_sign, -size, size)
    if config.rounding is Rounding.STOCHASTIC:
        step = step + (random & np.int32((1 << config.step_fraction_bits) - 1))
    else:
        step = step + np.int32(1 << (config.step_fraction_bits - 1))
    step = (step >> np.int32(config.step_fraction_bits)) * np.int32(config.step_unit)

    log_max = np.minimum(_signed(top, fmt.log_width), fmt.log_max)
    log = np.maximum(np.minimum(_signed(weight, fmt.log_width), log_max), fmt.log_min)
    log = np.maximum(np.minimum(log + step, log_max), fmt.log_min)
    return sign | (log & np.int32(fmt.log_mask)), new_rms & np.int32((1 << config.state_format.width) - 1)


def model(config: MadamUpdateConfig) -> Callable[[dict[str, Words], int], dict[str, Words]]:
    """The unit since its reset: field arrays and the index of the first transfer → result field arrays."""

    def run(fields: dict[str, Words], start: int) -> dict[str, Words]:
        random = draws(config.lfsr, start, len(fields["weight"]))
        weight, grad_rms, grad, lr_log, bias_log, top = (fields[name] for name in config.inputs)
        results = madam_update(config, weight, grad_rms, grad, lr_log, bias_log, top, random)
        return dict(zip(config.outputs, results, strict=True))

    return run


def directed(config: MadamUpdateConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Operands that reach every part of the unit, one column per field of ``config.inputs``.

    Uniform words leave the gradient far from its RMS and most weights saturated. Here an eighth is uniform; in
    the rest the state lies within the table's reach of the gradient, the step within the antilog's, and zeros,
    an unseen state, and the ends of every range are frequent.
    """
    fields = {
        name: rng.integers(0, 1 << fmt.width, count, dtype=np.uint32).astype(np.int64)
        for name, fmt in config.inputs.items()
    }
    sensible = rng.random(count) < 0.875

    def put(name: str, share: float, integers: npt.ArrayLike, among: Any = sensible) -> None:
        """Replaces a share of a field's words by those of integers (of logs, for LNS, with a random sign)."""
        fmt = config.inputs[name]
        bits = fmt.log_width if isinstance(fmt, LNSFormat) else fmt.width
        chosen = among & (rng.random(count) < share)
        words = (fields[name] & ~((1 << bits) - 1)) | (np.asarray(integers) & ((1 << bits) - 1))
        fields[name] = np.where(chosen, words, fields[name])

    grad, weight, state = config.grad_format, config.weight_format, config.state_format
    put("grad", 0.1, grad.zero_log)
    grad_log = _signed(fields["grad"].astype(np.int32), grad.log_width).astype(np.int64) * config.grad_multiple
    first = grad_log - config.first_offset
    reach = config.rms_table.shape[1] + 2
    put("grad_rms", 0.9, np.clip(first + rng.integers(-reach, reach + 1, count), state.minimum, state.maximum))
    put("grad_rms", 0.15, rng.choice([state.minimum, config.log_min, config.log_min + 1, config.log_max], count))
    put("bias_log", 0.6, -(rng.integers(0, config.first_offset + 1, count) >> rng.integers(0, 12, count)))
    put("lr_log", 0.2, rng.choice([config.lr_format.minimum, config.lr_format.maximum], count))
    upper = weight.log_max - (weight.log_max - weight.log_min) // 8
    put("weight_max_log", 0.5, rng.integers(upper, weight.log_max + 1, count))
    put("weight_max_log", 0.1, rng.choice([weight.zero_log, weight.log_min, weight.log_min + 1, weight.log_max], count))
    top = _signed(fields["weight_max_log"].astype(np.int32), weight.log_width).astype(np.int64)
    near = rng.integers(0, 1 << 30, count) >> rng.integers(16, 31, count)
    put("weight", 0.3, np.clip(top - near, weight.zero_log, weight.log_max))
    put("weight", 0.2, np.clip(weight.log_min + near, weight.zero_log, weight.log_max))
    put("weight", 0.1, weight.zero_log)
    return {name: fields[name].astype(fmt.dtype) for name, fmt in config.inputs.items()}
