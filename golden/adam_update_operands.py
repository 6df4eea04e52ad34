"""Operands that are hard for the Adam update: uniform words leave one term of every sum far below the other."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.adam_update import AdamUpdateConfig, adam_update
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.format import Words

_Fields = dict[str, Words]
#: Shares of operands that are next to a step that they have: see :func:`_near_step`.
_EXACT, _LARGEST, _CLOSE = 0.03, 0.03, 0.02


def directed(config: AdamUpdateConfig, rng: np.random.Generator, count: int) -> _Fields:
    """Operands that reach every part of the unit, one column per field of ``config.inputs``.

    A tenth is uniform; in the rest the exponents are near those of training, or near an end of the range, terms
    cancel, and zeros are frequent. Of some, the weight is chosen by the step that it takes.
    """
    fields = _near_training(config, rng, count)
    draw = rng.random(count)
    is_exact, is_largest = draw < _EXACT, (draw >= _EXACT) & (draw < _EXACT + _LARGEST)
    is_close = (draw >= _EXACT + _LARGEST) & (draw < _EXACT + _LARGEST + _CLOSE)
    # A quotient of few bits, and one near 2: there is no root, epsilon is a power of two and the gradient zero.
    exponents = {name: rng.integers(110, 130, count) for name in ("m", "lr", "epsilon")}
    mantissa_bits, shift = config.m_format.mantissa_bits, config.beta1_shift
    rate = np.where(is_exact, rng.integers(0, 16, count) << 3, 127 - rng.integers(0, 3, count))
    mean = np.where(is_exact, 0, _before_decay(mantissa_bits, shift, rng.integers(0, 6, count)))
    chosen: dict[str, Any] = {
        "m": exponents["m"] << mantissa_bits | mean,
        "v": 0,
        "grad": 0,
        "lr": exponents["lr"] << 7 | rate,
        "epsilon": exponents["epsilon"] << 7,
    }
    for name, words in chosen.items():
        fields[name] = np.where(is_exact | is_largest, words, fields[name])
    is_near = is_exact | is_largest | is_close
    fields["weight"][is_near] = _near_step(
        config, rng, {name: words[is_near] for name, words in fields.items()}, is_largest[is_near]
    )
    return {name: fields[name].astype(fmt.dtype) for name, fmt in config.inputs.items()}


def _before_decay(mantissa_bits: int, shift: int, below: Words) -> Words:
    """Mantissas of numbers that are, decayed once by 2**-shift of themselves, about so far below a power of two."""
    one = 1 << mantissa_bits
    significand = ((2 * one - below << shift) + (1 << shift - 1)) // ((1 << shift) - 1)
    return np.where(significand >= 2 * one, significand + 1 >> 1, significand) & (one - 1)


def _near_step(config: AdamUpdateConfig, rng: np.random.Generator, fields: _Fields, is_below: Words) -> Words:
    """Weights that the step cancels, as well as a weight can; of some, any that is up to 9 octaves below the step."""
    count = len(is_below)
    # Of a weight of zero, the step with its sign changed remains.
    moved = adam_update(config, **(fields | {"weight": np.zeros(count, np.int64)}))[0].astype(np.int64)
    cancelled = moved ^ 1 << BFLOAT16.width - 1
    exponent = np.maximum((moved >> 7 & 255) - rng.integers(0, 10, count), 0)
    below = rng.integers(0, 2, count) << 15 | exponent << 7 | rng.integers(0, 128, count)
    return np.where(is_below, below, cancelled)


def _near_training(config: AdamUpdateConfig, rng: np.random.Generator, count: int) -> _Fields:
    """Exponents that make terms meet, among those of training or at the ends of the range."""
    fields = {
        name: rng.integers(0, 1 << fmt.width, count, dtype=np.uint32).astype(np.int64)
        for name, fmt in config.inputs.items()
    }
    sensible = rng.random(count) < 0.9

    def put(name: str, exponent: npt.ArrayLike, share: float | npt.NDArray[np.bool_] = 1.0) -> None:
        """Replaces the exponents of a share of a field's words, or of chosen ones."""
        bits = config.inputs[name].width - 9
        chosen = sensible & (rng.random(count) < share if isinstance(share, float) else share)
        words = fields[name] & ~(255 << bits) | np.clip(exponent, 0, 254) << bits
        fields[name] = np.where(chosen, words, fields[name])

    def near(centre: npt.ArrayLike, reach: int) -> Any:
        return np.asarray(centre) + rng.integers(-reach, reach + 1, count)

    centre = np.where(rng.random(count) < 0.8, near(120, 12), rng.integers(0, 256, count))
    put("grad", centre)
    put("m", near(centre, 4))
    put("v", near(2 * centre - 127, 12))
    put("epsilon", near(centre, 12))
    put("lr", near(118, 12), 0.5)
    # The step is about the rate, its exponent the quotient's.
    lr_exponent = fields["lr"] >> 7 & 255
    put("weight", near(lr_exponent, 4), 0.5)
    put("weight", rng.integers(0, 4, count), 0.1)
    put("lr", near(4, 4), 0.05)
    # Rate and weight about as small as numbers are.
    is_small, small = rng.random(count) < 0.03, rng.integers(0, 10, count)
    put("lr", small, is_small)
    put("weight", near(small, 3), is_small)
    put("weight", near(252, 2), 0.03)
    put("lr", near(252, 2), 0.03)
    for name in fields:
        put(name, 0, 0.03)
        fields[name] = np.where(rng.random(count) < 0.03, 0, fields[name])
    # Few significant bits give ties and exact cancellations.
    for name in ("weight", "m", "grad", "lr"):
        bits = config.inputs[name].width - 9
        low = rng.integers(0, bits + 1, count)
        fields[name] = np.where(rng.random(count) < 0.3, fields[name] >> low << low, fields[name])
    return fields
