"""Number formats: what the bits of a word mean.

An LNS word of ``width`` bits is ``sign`` (most significant bit) and ``log``, a two's-complement integer of
``width - 1`` bits in steps of ``1 / base_factor`` octave. Its value is ``(-1)**sign * 2**(log / base_factor)``;
the most negative ``log`` means zero, written with sign 0 and read with either.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.reference import round_log2

Words = npt.NDArray[Any]
MIN_WIDTH, MAX_WIDTH = 4, 24
#: Largest magnitude of a fixed-point format's fraction bits: any word is a finite float64 other than 0.
MAX_FRACTION_BITS = 900


def word_dtype(width: int) -> type[np.unsignedinteger[Any]]:
    """Smallest unsigned NumPy type that holds ``width`` bits."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if width <= 8 * dtype().itemsize:
            return dtype
    return np.uint64


def check_words(words: npt.ArrayLike, width: int, name: str = "word") -> Words:
    """``words`` as an integer array; raises ``ValueError`` where one does not fit in ``width`` bits."""
    array = np.asarray(words)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {array.dtype}")
    # A type of exactly the width's bits cannot hold a word out of range: no pass over the data is needed.
    fits_by_type = array.dtype.kind == "u" and 8 * array.dtype.itemsize <= width
    if not fits_by_type and array.size and (array.min() < 0 or int(array.max()) >> width):
        raise ValueError(f"{name} must be in 0 … {(1 << width) - 1}, not {array.min()} … {array.max()}")
    return array


@dataclass(frozen=True)
class LNSFormat:
    """Logarithmic number format.

    Parameters
    ----------
    width : int
        Bits of a word, 4 to 24, sign included.
    base_factor : float
        Steps per octave (gamma in the papers), any positive real; the exact value of the float64 given.
    log_min, log_max : int, optional
        Smallest and largest log of a number other than zero. By default all that the width offers.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """

    width: int
    base_factor: float
    log_min: int = None  # type: ignore[assignment]  # filled in below
    log_max: int = None  # type: ignore[assignment]

    kind: ClassVar[str] = "lns"

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, (int, np.integer)):
            raise ValueError(f"Width must be an integer, not {self.width!r}")
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise ValueError(f"Width must be from {MIN_WIDTH} to {MAX_WIDTH}, not {self.width}")
        try:
            factor = float(self.base_factor)
        except (TypeError, ValueError):
            raise ValueError(f"Base factor must be a number, not {self.base_factor!r}") from None
        except OverflowError:
            factor = math.inf
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"Base factor must be positive and finite, not {self.base_factor}")
        object.__setattr__(self, "base_factor", factor)
        half = 1 << (self.width - 2)
        for name, limit in (("log_min", 1 - half), ("log_max", half - 1)):
            value = getattr(self, name)
            object.__setattr__(self, name, limit if value is None else int(value))
        if not 1 - half <= self.log_min <= self.log_max <= half - 1:
            raise ValueError(
                f"Logs must satisfy {1 - half} <= log_min <= log_max <= {half - 1}, not {self.log_min} … {self.log_max}"
            )

    @classmethod
    def levels(cls, count: int, ratio: float) -> "LNSFormat":
        """``count`` magnitudes, uniform in the log, whose largest is ``ratio`` times the smallest.

        The width is the least that also leaves a code for zero. Source: Bartol et al. 2015 (26 levels, ratio 60).
        """
        if count < 2:
            raise ValueError(f"Levels must be at least 2, not {count}")
        if not (math.isfinite(ratio) and ratio > 1):
            raise ValueError(f"Ratio must be above 1 and finite, not {ratio}")
        log_min = -(count // 2)
        # log_min … log_max and the zero code below them share width - 1 bits.
        width = max(MIN_WIDTH, (count // 2).bit_length() + 2)
        if width > MAX_WIDTH:
            # Of more levels float64 may not hold the number.
            raise ValueError(f"Width must be from {MIN_WIDTH} to {MAX_WIDTH}, not {width}")
        return cls(width, (count - 1) / math.log2(ratio), log_min, log_min + count - 1)

    @property
    def log_width(self) -> int:
        """Bits of the field ``log``."""
        return self.width - 1

    @property
    def log_mask(self) -> int:
        """The bits of a word that hold its ``log``."""
        return (1 << self.log_width) - 1

    @property
    def sign_bit(self) -> int:
        """The bit of a word that holds its ``sign``."""
        return 1 << self.log_width

    @property
    def zero_log(self) -> int:
        """The log that means zero: the most negative one."""
        return -(1 << (self.log_width - 1))

    @property
    def code_min(self) -> int:
        """Smallest log that a word can hold beside zero's: units read such a word as the number it stands for, even
        where ``levels`` ends the format sooner."""
        return self.zero_log + 1

    @property
    def code_max(self) -> int:
        """Largest log that a word can hold."""
        return -self.zero_log - 1

    @property
    def zero(self) -> int:
        """The word +0."""
        return self.zero_log & self.log_mask

    @property
    def max_word(self) -> int:
        """The word of the largest positive value."""
        return self.log_max & self.log_mask

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """NumPy type of arrays of words."""
        return word_dtype(self.width)

    @property
    def is_full_range(self) -> bool:
        """Whether log_min and log_max are those of the width."""
        return self.log_min == self.code_min and self.log_max == self.code_max

    def unpack(self, words: npt.ArrayLike) -> tuple[Words, Words]:
        """``(sign, log)`` of words, as int64 arrays of the same shape; a zero has log :attr:`zero_log`."""
        array = check_words(words, self.width).astype(np.int64)
        log = array & self.log_mask
        return array >> self.log_width, log - ((log << 1) & self.sign_bit)

    def pack(self, sign: npt.ArrayLike, log: npt.ArrayLike) -> Words:
        """Words of ``sign`` (0 or 1) and ``log`` (``log_min`` … ``log_max``, or :attr:`zero_log` for +0).

        The range rule is :meth:`fit`'s; ``pack`` raises ``ValueError`` on a log that has no code.
        """
        sign, log = np.asarray(sign, dtype=np.int64), np.asarray(log, dtype=np.int64)
        is_zero = log == self.zero_log
        if np.any(((log < self.log_min) | (log > self.log_max)) & ~is_zero):
            raise ValueError(f"Log must be in {self.log_min} … {self.log_max}, not {log.min()} … {log.max()}")
        sign = np.where(is_zero, 0, sign)
        return ((sign << self.log_width) | (log & self.log_mask)).astype(self.dtype)[()]

    def fit(self, sign: npt.ArrayLike, log: npt.ArrayLike, is_zero: npt.ArrayLike = False) -> Words:
        """Words of any integer logs under the range rule: above ``log_max`` saturates, below ``log_min`` is +0."""
        log = np.asarray(log, dtype=np.int64)
        flush = (log < self.log_min) | np.asarray(is_zero, dtype=bool)
        return self.pack(sign, np.where(flush, self.zero_log, np.minimum(log, self.log_max)))

    def is_zero(self, words: npt.ArrayLike) -> Words:
        """Whether each word means zero (either sign)."""
        return np.asarray((check_words(words, self.width).astype(np.int64) & self.log_mask) == self.zero)[()]

    def encode(self, values: npt.ArrayLike, saturate: bool = False) -> Words:
        """Nearest words to real values; ties in the log go up (``floor(log + 1/2)``), magnitudes below the
        smallest become +0.

        Parameters
        ----------
        values : array of float, any shape
        saturate : bool
            Whether values above the largest, and infinities, become the largest. Otherwise they raise.

        Raises
        ------
        ValueError
            A value is NaN, or too large and ``saturate`` is false.
        """
        values = np.asarray(values, dtype=np.float64)
        if np.isnan(values).any():
            raise ValueError("Cannot encode NaN: the format has no code for it")
        magnitude = np.abs(values)
        finite = np.isfinite(magnitude)
        log = np.full(values.shape, self.zero_log, dtype=np.int64)
        nonzero = finite & (magnitude > 0)
        log[nonzero] = round_log2(magnitude[nonzero], self.base_factor)
        log[~finite] = self.log_max + 1
        if not saturate and np.any(too_large := log > self.log_max):
            raise ValueError(
                f"Cannot encode {values[too_large].flat[0]:g}: the largest value is "
                f"{self.decode(self.max_word):g} (saturate=True clamps)"
            )
        return self.fit(np.signbit(values), log)

    def decode(self, words: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of words, float64, same shape; infinite or 0 where a format exceeds float64's range."""
        sign, log = self.unpack(words)
        with np.errstate(over="ignore", under="ignore"):
            magnitude = np.where(log == self.zero_log, 0.0, np.exp2(log / self.base_factor))
        return np.where(sign.astype(bool), -magnitude, magnitude)[()] + 0.0

    @property
    def name(self) -> str:
        """The preset's name, or ``lns<width>_<base factor>``."""
        return next(
            (name for name, preset in PRESETS.items() if preset == self),
            f"lns{self.width}_{self.base_factor:g}",
        )

    def parameters(self) -> dict[str, Any]:
        """The numbers that make the format, as a manifest's ``parameters`` write them."""
        factor = int(self.base_factor) if self.base_factor.is_integer() else self.base_factor
        entry: dict[str, Any] = {"width": self.width, "base_factor": factor}
        return entry if self.is_full_range else entry | {"log_min": self.log_min, "log_max": self.log_max}

    def describe(self) -> dict[str, Any]:
        """The format of a port's field, as a manifest writes it."""
        return {"kind": self.kind, **self.parameters()}


@dataclass(frozen=True)
class FixedFormat:
    """A linear fixed-point field: an integer of ``width`` bits that counts ``2**-fraction_bits``."""

    width: int
    fraction_bits: int = 0
    signed: bool = False

    kind: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        for name, low, high in (("width", 1, 64), ("fraction_bits", -MAX_FRACTION_BITS, MAX_FRACTION_BITS)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
                label = name.replace("_", " ").capitalize()
                raise ValueError(f"{label} must be from {low} to {high}, not {value!r}")

    @property
    def dtype(self) -> type[np.unsignedinteger[Any]]:
        """NumPy type of arrays of words."""
        return word_dtype(self.width)

    @property
    def minimum(self) -> int:
        """Smallest integer."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest integer."""
        return (1 << (self.width - self.signed)) - 1

    def unpack(self, words: npt.ArrayLike) -> Words:
        """Integers (int64) of words."""
        array = check_words(words, self.width).astype(np.int64)
        return array - ((array << 1) & (1 << self.width)) if self.signed else array

    def pack(self, integers: npt.ArrayLike) -> Words:
        """Words of integers; raises ``ValueError`` on one that does not fit."""
        array = np.asarray(integers, dtype=np.int64)
        if array.size and (array.min() < self.minimum or array.max() > self.maximum):
            raise ValueError(f"Integer must be in {self.minimum} … {self.maximum}, not {array.min()} … {array.max()}")
        return (array & ((1 << self.width) - 1)).astype(self.dtype)[()]

    def decode(self, words: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of words, float64."""
        return self.unpack(words) * 2.0**-self.fraction_bits

    def describe(self) -> dict[str, Any]:
        """The format as a manifest writes it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}


FLAG = FixedFormat(1)

LNS6 = LNSFormat(6, 4)
LNS8 = LNSFormat(8, 8)
LNS10 = LNSFormat(10, 32)
LNS12 = LNSFormat(12, 128)
LNS16 = LNSFormat(16, 2048)
SYNAPSE = LNSFormat.levels(26, 60)
PRESETS = {
    "lns6": LNS6,
    "lns8": LNS8,
    "lns10": LNS10,
    "lns12": LNS12,
    "lns16": LNS16,
    "synapse": SYNAPSE,
}
