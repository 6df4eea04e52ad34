"""Binary floating-point formats of IEEE 754's kind: bfloat16, float16, float32, and narrower ones.

A word is ``sign`` (most significant bit), ``exponent`` (biased) and ``mantissa``. An exponent of 0 means zero or a
subnormal number, one of all ones infinity (mantissa 0) or NaN.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.format import Words, check_words, word_dtype


@dataclass(frozen=True)
class FloatFormat:
    """Binary floating-point format with subnormals, infinities and NaN.

    Parameters
    ----------
    exponent_bits : int
        2 to 8.
    mantissa_bits : int
        Stored bits of the mantissa, 1 to 23.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """

    exponent_bits: int
    mantissa_bits: int

    kind: ClassVar[str] = "float"

    def __post_init__(self) -> None:
        for name, low, high in (("exponent_bits", 2, 8), ("mantissa_bits", 1, 23)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
                label = name.replace("_", " ").capitalize()
                raise ValueError(f"{label} must be an integer from {low} to {high}, not {value!r}")

    @property
    def width(self) -> int:
        """Bits of a word."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """NumPy type of arrays of words."""
        return word_dtype(self.width)

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent of a normal number."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_max(self) -> int:
        """The biased exponent of infinity and NaN."""
        return (1 << self.exponent_bits) - 1

    @property
    def sign_bit(self) -> int:
        """The bit of a word that holds its ``sign``."""
        return 1 << (self.width - 1)

    @property
    def infinity(self) -> int:
        """The word of plus infinity."""
        return self.exponent_max << self.mantissa_bits

    @property
    def nan(self) -> int:
        """The canonical quiet NaN: positive, only the highest mantissa bit set."""
        return self.infinity | 1 << (self.mantissa_bits - 1)

    @property
    def max_word(self) -> int:
        """The word of the largest finite value."""
        return self.infinity - 1

    @property
    def quantum_log(self) -> int:
        """log2 of the smallest subnormal number."""
        return 1 - self.bias - self.mantissa_bits

    def unpack(self, words: npt.ArrayLike) -> tuple[Words, Words, Words]:
        """``(sign, exponent, mantissa)`` of words: the fields as int64 arrays of the same shape."""
        array = check_words(words, self.width).astype(np.int64)
        mantissa = array & ((1 << self.mantissa_bits) - 1)
        return array >> (self.width - 1), (array >> self.mantissa_bits) & self.exponent_max, mantissa

    def pack(self, sign: npt.ArrayLike, exponent: npt.ArrayLike, mantissa: npt.ArrayLike) -> Words:
        """Words of fields; raises ``ValueError`` on one that does not fit."""
        fields = [np.asarray(field, dtype=np.int64) for field in (sign, exponent, mantissa)]
        limits = (1, self.exponent_max, (1 << self.mantissa_bits) - 1)
        for name, field, limit in zip(("Sign", "Exponent", "Mantissa"), fields, limits, strict=True):
            if field.size and (field.min() < 0 or field.max() > limit):
                raise ValueError(f"{name} must be in 0 … {limit}, not {field.min()} … {field.max()}")
        bits = fields[0] << (self.width - 1) | fields[1] << self.mantissa_bits | fields[2]
        return bits.astype(self.dtype)[()]

    def is_nan(self, words: npt.ArrayLike) -> Words:
        """Whether each word is a NaN."""
        _, exponent, mantissa = self.unpack(words)
        return np.asarray((exponent == self.exponent_max) & (mantissa != 0))[()]

    def is_infinite(self, words: npt.ArrayLike) -> Words:
        """Whether each word is an infinity."""
        _, exponent, mantissa = self.unpack(words)
        return np.asarray((exponent == self.exponent_max) & (mantissa == 0))[()]

    def decode(self, words: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of words, float64 (exact), same shape; infinities and NaN as such."""
        sign, exponent, mantissa = self.unpack(words)
        significand = mantissa + (np.minimum(exponent, 1) << self.mantissa_bits)
        magnitude = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - 1 + self.quantum_log)
        special = np.where(mantissa == 0, np.inf, np.nan)
        magnitude = np.where(exponent == self.exponent_max, special, magnitude)
        return np.where(sign.astype(bool), -magnitude, magnitude)[()]

    def encode(self, values: npt.ArrayLike) -> Words:
        """Words of real values, rounded once to the nearest, ties to even; beyond the range, infinity.

        NaN becomes :attr:`nan`, of whatever sign and payload.
        """
        values = np.asarray(values, dtype=np.float64)
        magnitude = np.abs(values)
        ordinary = np.where(np.isfinite(magnitude), magnitude, 0.0)
        _, exponent = np.frexp(ordinary)
        # The weight of the last bit; scaling by a power of two is exact, and rint rounds ties to even.
        last = np.maximum(exponent.astype(np.int64) - 1 - self.mantissa_bits, self.quantum_log)
        last = np.where(ordinary == 0, self.quantum_log, last)
        scaled = np.rint(np.ldexp(ordinary, -last)).astype(np.int64)
        # A significand that rounds up to the next octave carries into the exponent by itself.
        bits = scaled + ((last - self.quantum_log) << self.mantissa_bits)
        bits = np.where(np.isinf(magnitude), self.infinity, np.minimum(bits, self.infinity))
        words = bits | np.signbit(values).astype(np.int64) << (self.width - 1)
        return np.where(np.isnan(values), self.nan, words).astype(self.dtype)[()]

    @property
    def name(self) -> str:
        """The usual name, or ``e<exponent bits>m<mantissa bits>``."""
        return next(
            (name for name, known in FLOATS.items() if known == self), f"e{self.exponent_bits}m{self.mantissa_bits}"
        )

    @property
    def max_log2(self) -> float:
        """log2 of the largest finite value."""
        return math.log2(float(self.decode(self.max_word)))

    def parameters(self) -> dict[str, Any]:
        """The numbers that make the format, as a manifest's ``parameters`` write them."""
        return {"exponent_bits": self.exponent_bits, "mantissa_bits": self.mantissa_bits}

    def describe(self) -> dict[str, Any]:
        """The format of a port's field, as a manifest writes it."""
        return {"kind": self.kind, **self.parameters()}


BFLOAT16 = FloatFormat(8, 7)
FLOAT16 = FloatFormat(5, 10)
FLOAT32 = FloatFormat(8, 23)
FLOATS = {"bfloat16": BFLOAT16, "float16": FLOAT16, "float32": FLOAT32}
