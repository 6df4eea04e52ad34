"""Shapes of hardware fields: the golden formats as Amaranth layouts."""

from amaranth.hdl import Shape, ShapeCastable, signed, unsigned
from amaranth.lib import data

from lnsmadam.golden.config import Format
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat


class LNS(data.StructLayout):
    """Layout of an LNS word: ``log`` below ``sign``. Two are equal only if their formats are.

    Parameters
    ----------
    fmt : :class:`~lnsmadam.golden.format.LNSFormat`
        The format; constants and simulation values are its golden words.
    """

    def __init__(self, fmt: LNSFormat):
        self.fmt = fmt
        super().__init__({"log": signed(fmt.log_width), "sign": 1})

    def const(self, init):
        """A golden word (or nothing: +0) as a constant; raises ``ValueError`` out of range."""
        word = self.fmt.zero if init is None else init
        if not isinstance(word, int) or not 0 <= word < 1 << self.fmt.width:
            raise ValueError(f"Word must be in 0 … {(1 << self.fmt.width) - 1}, not {word!r}")
        return super().from_bits(word)

    def from_bits(self, raw):
        """The golden word: the bits themselves."""
        return raw

    def __eq__(self, other):
        return isinstance(other, LNS) and self.fmt == other.fmt

    def __hash__(self):
        return hash(self.fmt)

    def __repr__(self):
        return f"LNS({self.fmt!r})"


def float_layout(fmt: FloatFormat) -> data.StructLayout:
    """Layout of a floating-point word: ``mantissa`` below ``exponent`` below ``sign``."""
    return data.StructLayout({"mantissa": fmt.mantissa_bits, "exponent": fmt.exponent_bits, "sign": 1})


def shape_of(fmt: Format) -> Shape | ShapeCastable:
    """The Amaranth shape of a golden format."""
    if isinstance(fmt, LNSFormat):
        return LNS(fmt)
    if isinstance(fmt, FloatFormat):
        return float_layout(fmt)
    return signed(fmt.width) if fmt.signed else unsigned(fmt.width)


def layout_of(fields: dict[str, Format]) -> data.StructLayout:
    """The payload of a stream whose transfers carry ``fields``, the first in the least significant bits."""
    return data.StructLayout({name: shape_of(fmt) for name, fmt in fields.items()})


def is_zero_log(log):
    """Whether a ``log`` field holds the code of zero, its most negative value."""
    return log[-1] & ~log[:-1].any()


def signed_bits(*values: int) -> int:
    """Bits of a two's-complement integer that holds each of ``values``."""
    return max((value if value >= 0 else ~value).bit_length() for value in map(int, values)) + 1
