"""Floating point to LNS: the exponent is the octave, the log of the mantissa the rest."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import BFLOAT16, FloatFormat
from lnsmadam.golden.format import FLAG, LNS16, LNSFormat, Words
from lnsmadam.golden.log_of_mantissa import MantissaLog, mantissa_log, normalise


@dataclass(frozen=True, kw_only=True)
class FloatToLNSConfig(UnitConfig):
    """Configuration of ``float_to_lns``.

    Parameters
    ----------
    format : LNSFormat
        Format of the result; its base factor a power of two.
    float_format : FloatFormat
        Format of the operand.
    pipeline : int, optional
        By default all that the datapath offers.
    """

    format: LNSFormat = LNS16
    float_format: FloatFormat = BFLOAT16
    unit: ClassVar[str] = "float_to_lns"

    def __post_init__(self) -> None:
        _ = self.core
        super().__post_init__()

    @property
    def core(self) -> MantissaLog:
        """How the log of the mantissa is evaluated."""
        return mantissa_log(self.format, self.float_format.mantissa_bits)

    @property
    def has_subnormals(self) -> bool:
        """Whether a subnormal number can be other than +0: the largest is just below ``2**(1 - bias)``."""
        return (1 - self.float_format.bias) * int(self.format.base_factor) >= self.format.log_min

    @property
    def max_pipeline(self) -> int:
        # The range rule, and the normaliser where there is one.
        return self.core.boundaries + 1 + self.has_subnormals

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.float_format}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.format, "invalid": FLAG, "infinite": FLAG}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.format.parameters(),
            "float_format": self.float_format.describe(),
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        return {
            "rounding": self.core.rounding,
            "max_error_ulp": self.core.max_error(),
            "checked": f"every mantissa of {self.core.mantissa_bits} bits",
        }


def float_to_lns(config: FloatToLNSConfig, a: npt.ArrayLike) -> tuple[Words, Words, Words]:
    """The LNS word of a floating-point number, under the range rule, and two flags.

    Correctly rounded up to 10 bits, and beyond where the mantissa is short (bfloat16); else faithful
    (``config.guarantee()`` has the worst case). Subnormal numbers are numbers like the others, ±0 is +0.

    Parameters
    ----------
    a : array of words of ``config.float_format``

    Returns
    -------
    result : array of words of ``config.format``, same shape
        NaN is +0, an infinity the largest of its sign.
    invalid, infinite : arrays of 0 and 1
        Whether ``a`` is NaN, whether it is infinite.
    """
    fmt, core = config.float_format, config.core
    sign, exponent, mantissa = fmt.unpack(a)
    is_special = exponent == fmt.exponent_max
    is_nan = is_special & (mantissa != 0)
    is_infinite = is_special & (mantissa == 0)

    position, below = normalise(np.asarray(mantissa), fmt.mantissa_bits)
    octave = np.where(exponent == 0, position + fmt.quantum_log, exponent - fmt.bias)
    below = np.where(exponent == 0, below << 1, mantissa)
    log = (octave << core.log2_base_factor) + core.evaluate(below)
    # Beyond every range.
    log = np.where(is_infinite, config.format.log_max + 1, log)
    result = config.format.fit(sign, log, is_nan | ((exponent == 0) & (mantissa == 0)))
    return result, is_nan.astype(np.uint8)[()], is_infinite.astype(np.uint8)[()]


def directed(config: FloatToLNSConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Numbers of every class, half of them next to a number whose log lies half-way between two steps."""
    fmt, base_factor = config.float_format, int(config.format.base_factor)
    # Exponents around those that the result's range holds, and any.
    reach = config.format.log_max // base_factor + 2
    near_octave = np.clip(fmt.bias + rng.integers(-reach, reach + 1, count), 0, fmt.exponent_max)
    exponent = np.where(rng.integers(0, 8, count) > 0, near_octave, rng.integers(0, fmt.exponent_max + 1, count))
    exponent = np.where(rng.integers(0, 16, count) > 0, exponent, rng.choice([0, fmt.exponent_max], count))
    size = 1 << fmt.mantissa_bits
    tie = np.exp2((rng.integers(0, base_factor, count) + 0.5) / base_factor) - 1
    near = np.clip(np.floor(tie * size).astype(np.int64) + rng.integers(-1, 3, count), 0, size - 1)
    plain = rng.integers(0, size, count) >> rng.integers(0, fmt.mantissa_bits + 1, count)
    mantissa = np.where(rng.integers(0, 2, count), near, plain)
    return {"a": np.asarray(fmt.pack(rng.integers(0, 2, count), exponent, mantissa))}
