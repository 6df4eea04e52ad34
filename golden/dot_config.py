"""Configuration of ``dot``: its number formats, the fixed-point accumulator, and the places of its pipeline."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import Antilog, antilog_error, mantissas, octave_bits
from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import FLAG, LNS8, FixedFormat, LNSFormat
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.log_sum import Memory

MAX_LANES = 64
#: Widest accumulator, and widest sum of one transfer's products: one more of them still fits 64 bits.
MAX_BITS = 62
#: Most steps per octave of a table, and of chords (whose error is tried on every remainder).
MAX_TABLE_FACTOR, MAX_CHORD_FACTOR = 1 << 10, 1 << 20


@dataclass(frozen=True, kw_only=True)
class DotConfig(UnitConfig):
    """Configuration of ``dot``.

    Parameters
    ----------
    operand : LNSFormat
        Format of both vectors. Its base factor is a power of two: logs split into octaves and a remainder.
    lanes : int
        Products per cycle, 1 to 64.
    accumulator : FixedFormat, optional
        Signed. By default ``mantissa_bits + 1`` fraction bits, so that products from 1/2 up lose nothing, and the
        fewest bits that hold any sum of ``length`` products: those of ``length * largest_product``, and a sign.
    length : int
        Products that the derived accumulator must hold the sum of.
    result : FixedFormat, optional
        By default the accumulator's; or one with fewer bits above the same point, which saturates.
    lns_result : LNSFormat, optional
        The result leaves as an LNS word of this format: the fixed-point result, converted by what ``linear_to_log``
        does. Its base factor must be a power of two. By default the fixed-point result itself.
    antilog : Antilog, optional
        By default a table up to 32 steps per octave, chords beyond.
    mantissa_bits : int, optional
        Bits of a mantissa below the point; by default 4 more than a remainder has, at least 7.
    chord_bits : int, optional
        Of chords: bits of the remainder that address their table; by default the upper half.
    memory : Memory
        Logic alone, or block RAM for the mantissas.
    pipeline : int, optional
        Register stages from the transfer with ``last`` to its result; by default all that the datapath has places
        for. At least 2: the addend's and the accumulator's.
    """

    operand: LNSFormat = LNS8
    lanes: int = 1
    accumulator: FixedFormat = None  # type: ignore[assignment]  # filled in below
    length: int = 256
    result: FixedFormat = None  # type: ignore[assignment]
    lns_result: LNSFormat | None = None
    antilog: Antilog = None  # type: ignore[assignment]
    mantissa_bits: int = None  # type: ignore[assignment]
    chord_bits: int = None  # type: ignore[assignment]
    memory: Memory = Memory.LOGIC
    unit: ClassVar[str] = "dot"
    result_when: ClassVar[str | None] = "last"

    def __post_init__(self) -> None:
        def fill(name: str, value: Any) -> None:
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

        bits = octave_bits(self.operand.base_factor)
        fill("antilog", Antilog.TABLE if bits <= 5 else Antilog.CHORD)
        object.__setattr__(self, "antilog", Antilog(self.antilog))
        object.__setattr__(self, "memory", Memory(self.memory))
        fill("mantissa_bits", max(7, bits + 4))
        fill("chord_bits", (bits + 1) // 2)
        if not 1 <= self.lanes <= MAX_LANES:
            raise ValueError(f"Lanes must be from 1 to {MAX_LANES}, not {self.lanes}")
        if self.length < 1:
            raise ValueError(f"Length must be at least 1, not {self.length}")
        if not max(1, bits) <= self.mantissa_bits <= 32:
            raise ValueError(f"Mantissa bits must be from {max(1, bits)} to 32, not {self.mantissa_bits}")
        if not 0 <= self.chord_bits <= bits:
            raise ValueError(f"Chord bits must be from 0 to {bits}, not {self.chord_bits}")
        limit = MAX_TABLE_FACTOR if self.antilog is Antilog.TABLE else MAX_CHORD_FACTOR
        if self.base_factor > limit:
            raise ValueError(f"Base factor of a {self.antilog.value} must be at most {limit}, not {self.base_factor}")
        if self.memory is Memory.BLOCK and self.antilog is not Antilog.TABLE:
            raise ValueError("Block RAM holds a table of mantissas, not chords")
        if self.accumulator is None:
            fraction_bits = self.mantissa_bits + 1
            width = (self.length * self.largest_product_at(fraction_bits)).bit_length() + 1
            if width > MAX_BITS:
                raise ValueError(
                    f"Accumulator of {self.length} products of this format would need {width} bits, above {MAX_BITS}"
                )
            fill("accumulator", FixedFormat(width, fraction_bits, signed=True))
        fill("result", self.accumulator)
        if not self.accumulator.signed or not 2 <= self.accumulator.width <= MAX_BITS:
            raise ValueError(f"Accumulator must be signed, of 2 to {MAX_BITS} bits, not {self.accumulator}")
        if self.addend_bits > MAX_BITS:
            raise ValueError(f"Products of one transfer would need {self.addend_bits} bits, above {MAX_BITS}")
        if self.product_bits < 1:
            raise ValueError(
                f"Every product is below the accumulator's least bit, 2**{-self.accumulator.fraction_bits}"
            )
        if (
            not self.result.signed
            or not 2 <= self.result.width <= self.accumulator.width
            or self.result.fraction_bits != self.accumulator.fraction_bits
        ):
            raise ValueError(
                f"Result must be signed, with the accumulator's {self.accumulator.fraction_bits} fraction bits and "
                f"2 to {self.accumulator.width} bits, not {self.result.width}:{self.result.fraction_bits}"
            )
        _ = self.magnitude_log  # raises for a format that does not split into octaves
        super().__post_init__()

    @property
    def base_factor(self) -> int:
        """Steps per octave."""
        return int(self.operand.base_factor)

    @property
    def remainder_bits(self) -> int:
        """Bits of a log below one octave."""
        return octave_bits(self.operand.base_factor)

    @property
    def quotient_bits(self) -> int:
        """Bits of a product's octaves, a two's-complement integer; a product's log has ``operand.width`` bits."""
        return max(self.operand.width - self.remainder_bits, 1)

    @property
    def mantissas(self) -> npt.NDArray[np.int64]:
        """The mantissa of every remainder, in steps of ``2**-mantissa_bits``."""
        return mantissas(self.antilog, self.base_factor, self.mantissa_bits, self.chord_bits)

    def largest_product_at(self, fraction_bits: int) -> int:
        """The largest product's magnitude, in steps of ``2**-fraction_bits``."""
        quotient, remainder = divmod(2 * self.operand.code_max, self.base_factor)
        shift = quotient + fraction_bits - self.mantissa_bits
        mantissa = int(self.mantissas[remainder])
        return mantissa << shift if shift >= 0 else mantissa >> -shift

    @property
    def largest_product(self) -> int:
        """The largest product's magnitude, in the accumulator's steps."""
        return self.largest_product_at(self.accumulator.fraction_bits)

    @property
    def product_bits(self) -> int:
        """Bits of a product's magnitude: those of the largest octave."""
        return (1 << (self.quotient_bits - 1)) + self.accumulator.fraction_bits

    @property
    def tree_levels(self) -> int:
        """Levels of the tree that adds the lanes."""
        return (self.lanes - 1).bit_length()

    @property
    def magnitude_log(self) -> MagnitudeLog | None:
        """The log of the fixed-point result's magnitude, where the result is an LNS word."""
        if self.lns_result is None:
            return None
        return MagnitudeLog(self.result.width, self.result.fraction_bits, self.lns_result)

    @property
    def addend_bits(self) -> int:
        """Bits of the sum of one transfer's products: a sign, and one more bit a level of the tree."""
        return self.product_bits + 1 + self.tree_levels

    @property
    def stages(self) -> tuple[str, ...]:
        """Places for a register, in the order of the datapath."""
        chord = ("chord",) if self.antilog is Antilog.CHORD else ()
        shift = ("mantissa",) if self.memory is Memory.BLOCK else ("mantissa", *chord, "shift_low", "shift_middle")
        tree = tuple(f"tree_{level}" for level in range(self.tree_levels))
        log = self.magnitude_log
        to_lns = ("magnitude", *(f"to_log_{n}" for n in range(log.boundaries)), "fit") if log else ()
        return ("log", *shift, "addend", *tree, "low_sum", "high_sum", "overflow", "clip_high", "clip_low", *to_lns)

    @property
    def min_pipeline(self) -> int:
        return 3 if self.memory is Memory.BLOCK else 2

    @property
    def max_pipeline(self) -> int:
        return len(self.stages)

    @property
    def inputs(self) -> dict[str, Format]:
        names = ["a", "b"] if self.lanes == 1 else [f"{name}_{i}" for i in range(self.lanes) for name in "ab"]
        return {**dict.fromkeys(names, self.operand), "first": FLAG, "last": FLAG}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.lns_result or self.result, "overflow": FLAG}

    def parameters(self) -> dict[str, Any]:
        return {
            **self.operand.parameters(),
            "lanes": self.lanes,
            "accumulator": self.accumulator.describe(),
            "result": self.result.describe(),
            **({"lns_result": self.lns_result.describe()} if self.lns_result else {}),
            "length": self.length,
            "antilog": self.antilog.value,
            "mantissa_bits": self.mantissa_bits,
            **({"chord_bits": self.chord_bits} if self.antilog is Antilog.CHORD else {}),
            "memory": self.memory.value,
            "pipeline": self.pipeline,
        }

    def guarantee(self) -> dict[str, Any]:
        log = self.magnitude_log
        rounding = "each product toward zero at the accumulator's least bit, the sum exact"
        bound = "sum over the products of max_antilog_error * |product| + least_bit"
        error = antilog_error(self.antilog, self.base_factor, self.mantissa_bits, self.chord_bits)
        return {
            "rounding": f"{rounding}, its log {log.core.rounding}" if log else rounding,
            "max_antilog_error": error,
            # As of the other units, in steps of the log: what its rounding adds to the bound on the sum.
            **({"max_error_ulp": log.core.max_error()} if log else {}),
            "error_bound": f"{bound}, then max_error_ulp of its log" if log else bound,
            "least_bit": 2.0**-self.accumulator.fraction_bits,
            "checked": f"all {self.base_factor} remainders",
            "safe_length": self.safe_length,
        }

    @property
    def safe_length(self) -> int:
        """Products whose sum never overflows, whatever they are."""
        return min(self.accumulator.maximum, self.result.maximum) // max(self.largest_product, 1)
