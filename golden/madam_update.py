"""The Madam update: one weight's log moves by a step, sized by the gradient against its running RMS.

Source: Bernstein et al. 2020 (the rule and integer Madam), Zhao et al. 2022 (weights as logs). Written from the
formulas.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import LNS8, LNS16, FixedFormat, Format, LNSFormat, Words, check_words
from lnsmadam.golden.lfsr import LFSRConfig, draws
from lnsmadam.golden.madam_tables import AntilogTable, Table, antilog_table, rms_error, rms_table
from lnsmadam.golden.reference import round_log2

# Elements that are worked on at a time: their temporaries stay in the cache.
_BLOCK = 1 << 14
# Magnitudes of steps are int32 in the model.
_MAX_QUANTITY_BITS = 28


class Rounding(enum.Enum):
    """How a fraction becomes an integer: ``floor(x + 1/2)``, or ``floor(x + u)`` with u random."""

    NEAREST = "nearest"
    STOCHASTIC = "stochastic"


class Variant(enum.Enum):
    """What one unit of a step is, and what the learning rate means.

    MADAM: a step of the weight's log. INTEGER: the same, the learning rate being ``lr_factor``, the steps that a
    normalised gradient of 1 moves the weight. ROUNDED: 1/128 octave, as LNS-Madam rounds the gradient.
    """

    MADAM = "madam"
    INTEGER = "integer"
    ROUNDED = "rounded"


@dataclass(frozen=True, kw_only=True)
class MadamUpdateConfig(UnitConfig):
    """Configuration of ``madam_update``.

    Parameters
    ----------
    weight_format, grad_format : LNSFormat
        Weights may have any base factor; the state's must be an integer multiple of the gradients'.
    state_format : FixedFormat
        ``grad_rms``, log2 of the RMS gradient in octaves; signed. ``fraction_bits`` 4 is a base factor of 16.
        The most negative integer means that no gradient has been seen.
    variant : Variant
    rounding, state_rounding : Rounding
        Of the step, and of ``grad_rms``.
    beta_shift : int
        beta = 1 - 2**-beta_shift, 1 to 20.
    grad_bound : float
        Largest normalised gradient.
    step_fraction_bits : int, optional
        Bits below the point of what is rounded to the step. By default 4 where an octave has 2048 units, one more
        for each halving, at most 9: with coarse weights a usual step is a fraction of a unit.
    state_fraction_bits : int
        Bits below the point of what is rounded to the new state.
    lr_format : FixedFormat
        ``lr_log`` in octaves, with the state's fraction bits: log2 of what a normalised gradient of 1 moves the
        weight, in the variant's unit.
    coarse_outliers : bool
        Whether the state moves by a coarser amount (1/8 or 1/64 step) under a gradient far above its RMS, which
        halves the table's logic.
    mantissa_bits : int, optional
        Of the antilog; by default the fewest whose error, over all arguments, is below one step.
    lfsr : LFSRConfig
        A draw's low bits round the state, those above the step.
    """

    weight_format: LNSFormat = LNS16
    grad_format: LNSFormat = LNS8
    state_format: FixedFormat = FixedFormat(12, 4, signed=True)
    variant: Variant = Variant.MADAM
    rounding: Rounding = Rounding.STOCHASTIC
    state_rounding: Rounding = Rounding.STOCHASTIC
    beta_shift: int = 10
    grad_bound: float = 10.0
    step_fraction_bits: int = None  # type: ignore[assignment]  # filled in below
    state_fraction_bits: int = 8
    coarse_outliers: bool = True
    lr_format: FixedFormat = None  # type: ignore[assignment]
    mantissa_bits: int = None  # type: ignore[assignment]
    lfsr: LFSRConfig = LFSRConfig(bits=17)
    pipeline: int = 14
    unit: ClassVar[str] = "madam_update"

    def __post_init__(self) -> None:
        super().__post_init__()
        state = self.state_format
        if not state.signed or not 0 <= state.fraction_bits <= 11 or not 4 <= state.width <= 24:
            raise ValueError(
                f"State format must be signed, 4 to 24 bits wide with 0 to 11 fraction bits, not {state}"
            )
        multiple = self.base_factor / self.grad_format.base_factor
        if not multiple.is_integer():
            raise ValueError(
                f"Base factor of the state must be an integer multiple of the gradients' "
                f"{self.grad_format.base_factor:g}, not {self.base_factor}"
            )
        if self.variant is Variant.ROUNDED and (self.weight_format.base_factor / 128) not in _POWERS_OF_TWO:
            raise ValueError(
                f"Base factor of weights must be 128 times a power of two for the variant rounded, "
                f"not {self.weight_format.base_factor:g}"
            )
        if self.step_fraction_bits is None:
            octave = self.weight_format.base_factor / self.step_unit
            bits = min(max(15 - math.floor(math.log2(octave)), 4), 9)
            object.__setattr__(self, "step_fraction_bits", bits)
        for name, value, low, high in (
            ("Beta shift", self.beta_shift, 1, 20),
            ("State fraction bits", self.state_fraction_bits, 1, 16),
            ("Step fraction bits", self.step_fraction_bits, 1, 16),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        if self.base_factor * self.beta_shift % 2:
            raise ValueError(f"Beta shift must be even for a state of base factor 1, not {self.beta_shift}")
        if not 1 <= self.grad_bound <= 1024:
            raise ValueError(f"Gradient bound must be from 1 to 1024, not {self.grad_bound}")
        if self.lr_format is None:
            object.__setattr__(self, "lr_format", FixedFormat(4 + state.fraction_bits, state.fraction_bits, signed=True))
        if not self.lr_format.signed or self.lr_format.fraction_bits != state.fraction_bits:
            raise ValueError(f"Format of lr_log must be signed with {state.fraction_bits} fraction bits")
        self._check_state_range()
        self._choose_mantissa()
        if self.random_bits > self.lfsr.bits:
            raise ValueError(f"Bits per draw must be at least {self.random_bits}, not {self.lfsr.bits}")

    def _check_state_range(self) -> None:
        table, highest = self.rms_table, self.grad_multiple * self.grad_format.log_max
        lowest = self.grad_multiple * self.grad_format.log_min - self.first_offset
        gap = min(max(self.log_max - (highest - self.first_offset), 0), len(table) - 1)
        if lowest <= self.log_min or self.log_max < highest or table[gap] > 0:
            raise ValueError(
                f"State format must reach from {lowest / self.base_factor:g} to beyond "
                f"{highest / self.base_factor:g} octaves, not {self.log_min / self.base_factor:g} … "
                f"{self.log_max / self.base_factor:g}"
            )
        decay = int(table[-1]) + (self.half_state if self.state_rounding is Rounding.NEAREST else 0)
        if decay >= 0:
            raise ValueError(
                f"State would never decay: {self.state_rounding.value} rounding of {-table[-1]} / "
                f"{1 << self.state_fraction_bits} steps (more fraction bits, or a smaller beta shift)"
            )

    def _choose_mantissa(self) -> None:
        fewest = next(bits for bits in range(1, 24) if self._antilog(bits).max_error < 1)
        if self.mantissa_bits is None:
            object.__setattr__(self, "mantissa_bits", fewest)
        if not fewest <= self.mantissa_bits <= 24:
            raise ValueError(f"Mantissa bits must be from {fewest} to 24, not {self.mantissa_bits}")
        if self.quantity_bits > _MAX_QUANTITY_BITS:
            raise ValueError(
                f"Steps must fit in {_MAX_QUANTITY_BITS} bits, not {self.quantity_bits}: "
                "narrow lr_log, or use fewer fraction bits"
            )

    def _antilog(self, mantissa_bits: int) -> AntilogTable:
        return antilog_table(
            self.base_factor, self.grad_bound, self.lr_format.maximum, self.step_fraction_bits, mantissa_bits
        )

    @property
    def base_factor(self) -> int:
        """Steps of the state, of lr_log and of bias_log per octave."""
        return 1 << self.state_format.fraction_bits

    @property
    def grad_multiple(self) -> int:
        """Steps of the state per step of a gradient's log."""
        return int(self.base_factor / self.grad_format.base_factor)

    @property
    def first_offset(self) -> int:
        """``-log2(1 - beta) / 2``, in steps of the state."""
        return self.base_factor * self.beta_shift // 2

    @property
    def log_min(self) -> int:
        """Smallest state but the code for no gradient seen."""
        return self.state_format.minimum + 1

    @property
    def log_max(self) -> int:
        """Largest state."""
        return self.state_format.maximum

    @property
    def initial_state(self) -> int:
        """The word of ``grad_rms`` before the first gradient."""
        return int(self.state_format.pack(self.state_format.minimum))

    @property
    def half_state(self) -> int:
        """One half, in units of the state's fraction."""
        return 1 << (self.state_fraction_bits - 1)

    @property
    def step_unit(self) -> int:
        """Weight steps in one unit of the variant."""
        return int(self.weight_format.base_factor / 128) if self.variant is Variant.ROUNDED else 1

    @property
    def _rms_options(self) -> tuple[int, int, int, bool]:
        return self.base_factor, self.beta_shift, self.state_fraction_bits, self.coarse_outliers

    @property
    def rms_table(self) -> Table:
        """See :func:`~lnsmadam.golden.madam_tables.rms_table`."""
        return rms_table(*self._rms_options)

    @property
    def antilog(self) -> AntilogTable:
        """See :class:`~lnsmadam.golden.madam_tables.AntilogTable`."""
        return self._antilog(self.mantissa_bits)

    @property
    def quantity_bits(self) -> int:
        """Bits of the largest step, those below the point included."""
        return int(self.antilog.quantities.max()).bit_length()

    @property
    def random_bits(self) -> int:
        """Bits of a draw that are used."""
        state = self.state_fraction_bits if self.state_rounding is Rounding.STOCHASTIC else 0
        return state + (self.step_fraction_bits if self.rounding is Rounding.STOCHASTIC else 0)

    @property
    def bias_format(self) -> FixedFormat:
        """``bias_log`` in octaves: from that of the first update, ``log2(1 - beta) / 2``, to 0."""
        bits = (self.first_offset - 1).bit_length() + 1
        return FixedFormat(bits, self.state_format.fraction_bits, signed=True)

    @property
    def weight_max_format(self) -> FixedFormat:
        """``weight_max_log``: a log of the weight format."""
        return FixedFormat(self.weight_format.log_width, 0, signed=True)

    @property
    def max_pipeline(self) -> int:
        return 14

    @property
    def inputs(self) -> dict[str, Format]:
        return {
            "weight": self.weight_format,
            "grad_rms": self.state_format,
            "grad": self.grad_format,
            "lr_log": self.lr_format,
            "bias_log": self.bias_format,
            "weight_max_log": self.weight_max_format,
        }

    @property
    def outputs(self) -> dict[str, Format]:
        return {"weight": self.weight_format, "grad_rms": self.state_format}

    def parameters(self) -> dict[str, Any]:
        return {
            "weight": self.weight_format.describe(),
            "grad": self.grad_format.describe(),
            "state": self.state_format.describe(),
            "variant": self.variant.value,
            "rounding": self.rounding.value,
            "state_rounding": self.state_rounding.value,
            "beta_shift": self.beta_shift,
            "grad_bound": self.grad_bound,
            "step_fraction_bits": self.step_fraction_bits,
            "state_fraction_bits": self.state_fraction_bits,
            "coarse_outliers": self.coarse_outliers,
            "mantissa_bits": self.mantissa_bits,
            "lfsr": self.lfsr.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        table, antilog = self.rms_table, self.antilog
        return {
            "rounding": self.rounding.value,
            "max_error_ulp": round(antilog.max_error * self.step_unit, 6),
            "grad_rms_max_error_ulp": round(rms_error(*self._rms_options), 6),
            "checked": (
                f"before rounding: all {antilog.quantities.shape[1]} logs of a step, clipped or not, and below; "
                f"all {len(table)} distances of the running RMS, and beyond"
            ),
        }


_POWERS_OF_TWO = frozenset(2.0**n for n in range(24))

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
        check_words(field, fmt.width, name)
        for field, (name, fmt) in zip(words, config.inputs.items(), strict=True)
    ]
    arrays.append(check_words(random, config.lfsr.width, "random"))
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    # Scalars stay scalars: most updates share lr_log, bias_log and weight_max_log.
    flat = [
        array.astype(np.int32) if array.ndim == 0 else np.broadcast_to(array, shape).reshape(-1)
        for array in arrays
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
    distance = np.abs(rms - first)
    distance = np.where(is_zero, np.int32(len(table) - 1), np.minimum(distance, np.int32(len(table) - 1)))
    gain = table.astype(np.int32)[distance]
    if config.state_rounding is Rounding.STOCHASTIC:
        gain += random & np.int32((1 << config.state_fraction_bits) - 1)
        random = random >> np.int32(config.state_fraction_bits)
    else:
        gain += np.int32(config.half_state)
    gain >>= np.int32(config.state_fraction_bits)
    gain += np.where(is_zero, rms, np.maximum(rms, first))
    new_rms = np.where(rms <= config.log_min, np.where(is_zero, rms, first), np.maximum(gain, config.log_min))

    # log2 of the step's size, in steps of the state; logs below the table's first have no size.
    grad_norm = grad_log - new_rms + _signed(bias, config.bias_format.width)
    is_clipped = grad_norm > antilog.bound_log
    log = np.minimum(grad_norm, antilog.bound_log) + _signed(lr, config.lr_format.width)
    row = is_clipped * np.int32(antilog.quantities.shape[1])
    size = antilog.quantities.astype(np.int32).reshape(-1)[row + np.maximum(log - antilog.lowest, 0)]
    size[is_zero | (log < antilog.lowest)] = 0

    sign = weight & np.int32(fmt.sign_bit)
    is_same_sign = ((weight >> fmt.log_width) ^ (grad >> config.grad_format.log_width)) & 1 == 0
    step = np.where(is_same_sign, -size, size)
    if config.rounding is Rounding.STOCHASTIC:
        step += random & np.int32((1 << config.step_fraction_bits) - 1)
    else:
        step += np.int32(1 << (config.step_fraction_bits - 1))
    step >>= np.int32(config.step_fraction_bits)
    step *= np.int32(config.step_unit)

    log_max = np.minimum(_signed(top, fmt.log_width), fmt.log_max)
    log = np.maximum(np.minimum(_signed(weight, fmt.log_width), log_max), fmt.log_min)
    log = np.maximum(np.minimum(log + step, log_max), fmt.log_min)
    return sign | (log & np.int32(fmt.log_mask)), new_rms & np.int32((1 << config.state_format.width) - 1)


def model(config: MadamUpdateConfig) -> Callable[[dict[str, Words], int], dict[str, Words]]:
    """The unit since its reset: field arrays and the index of the first transfer → result field arrays."""

    def run(fields: dict[str, Words], start: int) -> dict[str, Words]:
        random = draws(config.lfsr, start, len(fields["weight"]))
        results = madam_update(config, *(fields[name] for name in config.inputs), random)
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
    reach = len(config.rms_table) + 2
    put("grad_rms", 0.9, np.clip(first + rng.integers(-reach, reach + 1, count), state.minimum, state.maximum))
    put("grad_rms", 0.15, rng.choice([state.minimum, config.log_min, config.log_min + 1, config.log_max], count))
    put("bias_log", 0.6, -(rng.integers(0, config.first_offset + 1, count) >> rng.integers(0, 12, count)))
    put("lr_log", 0.2, rng.choice([config.lr_format.minimum, config.lr_format.maximum], count))
    put("weight_max_log", 0.5, rng.integers(weight.log_max - (weight.log_max - weight.log_min) // 8, weight.log_max + 1, count))
    put("weight_max_log", 0.1, rng.choice([weight.zero_log, weight.log_min, weight.log_min + 1, weight.log_max], count))
    top = _signed(fields["weight_max_log"].astype(np.int32), weight.log_width).astype(np.int64)
    near = rng.integers(0, 1 << 30, count) >> rng.integers(16, 31, count)
    put("weight", 0.3, np.clip(top - near, weight.zero_log, weight.log_max))
    put("weight", 0.2, np.clip(weight.log_min + near, weight.zero_log, weight.log_max))
    put("weight", 0.1, weight.zero_log)
    return {name: words.astype(fmt.dtype) for (name, fmt), words in zip(config.inputs.items(), fields.values(), strict=True)}
