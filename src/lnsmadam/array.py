"""Arrays of LNS numbers that behave as NumPy's do: what a notebook computes is what the hardware computes."""

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.dot import dot
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import LNS8, FixedFormat, LNSFormat, Words, check_words
from lnsmadam.golden.linear_to_log import LinearToLogConfig, linear_to_log
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.golden.sqrt import SqrtConfig, sqrt
from lnsmadam.golden.square import SquareConfig, square


class LNSArray(np.lib.mixins.NDArrayOperatorsMixin):
    """Array of words of one format, whose arithmetic is the golden functions'.

    ``+ - * / @``, unary ``-``, ``abs``, comparisons, ``np.sqrt``, ``np.square``, ``np.maximum`` and
    ``np.minimum`` give what the units of that format give, bit for bit: no float is computed with. Shapes
    broadcast, slices are views, ``x += y`` writes into ``x``, as in NumPy.

    - Numbers and NumPy arrays on either side are encoded into the array's format first, so
      ``LNSArray(1.3) == 1.3``. Those too large for the format raise.
    - Two formats never mix: ``LNSArray(x, format)`` converts.
    - Results saturate and underflow to +0 as the format's range rule says.
    - ``x / 0`` is ± the largest value, ``0 / 0`` and the root of a negative number are +0; they warn as
      ``np.errstate`` tells NumPy to.
    - ``a @ b``, and ``sum`` as ``a @ 1``, are ``dot`` with an accumulator that holds every product, of up to 62
      bits, and one ``linear_to_log``. Formats that those units refuse (base factors that are no power of two, very
      wide ranges) add one product after the other, first index first, each with ``multiply_add``.
    - ``np.asarray(x)`` gives the real values, float64. NumPy's functions that are no ufunc (``np.mean``,
      ``np.concatenate``) take those and return floats.

    >>> from lnsmadam import LNSArray
    >>> x = LNSArray([1, 2, -3])
    >>> x
    LNSArray([1.0, 2.0, -3.08], lns8)
    >>> x * x
    LNSArray([1.0, 4.0, 9.51], lns8)
    >>> x[1] / x[0] + 0.5
    LNSArray(2.59, lns8)
    >>> (x @ x).words
    array(31, dtype=uint8)

    Parameters
    ----------
    values : array of float, any shape, or LNSArray
        Real values; each becomes the nearest word (:meth:`LNSFormat.encode`).
    format : LNSFormat
    saturate : bool
        Whether values beyond the largest become the largest. Otherwise they raise.

    Raises
    ------
    ValueError
        A value is NaN or too large, shapes do not fit, or formats differ.
    """

    words: Words
    format: LNSFormat
    __hash__ = None  # type: ignore[assignment]  # equal arrays may change, as NumPy's

    def __init__(self, values: npt.ArrayLike, format: LNSFormat = LNS8, saturate: bool = False):
        if not isinstance(format, LNSFormat):
            raise TypeError(f"Format must be an LNSFormat such as lnsmadam.golden.LNS16, not {format!r}")
        self.words = np.asarray(format.encode(values, saturate))
        self.format = format

    @classmethod
    def from_words(cls, words: npt.ArrayLike, format: LNSFormat = LNS8) -> "LNSArray":
        """Array of these words (a copy); raises ``ValueError`` where one does not fit the format."""
        return cls._of(check_words(words, format.width, "words").astype(format.dtype), format)

    @classmethod
    def _of(cls, words: Words, format: LNSFormat) -> "LNSArray":
        array = cls.__new__(cls)
        array.words, array.format = np.asarray(words), format
        return array

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements along every axis."""
        return self.words.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.words.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.words.size

    @property
    def T(self) -> "LNSArray":
        """The array with its axes in reverse order, a view."""
        return self._of(self.words.T, self.format)

    def reshape(self, *shape: int | tuple[int, ...]) -> "LNSArray":
        """The same elements in another shape; a view where NumPy's is."""
        return self._of(self.words.reshape(*shape), self.format)  # type: ignore[arg-type]

    def copy(self) -> "LNSArray":
        """An array with words of its own."""
        return self._of(self.words.copy(), self.format)

    __copy__ = copy

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator["LNSArray"]:
        return (self._of(words, self.format) for words in self.words)

    def __getitem__(self, index: Any) -> "LNSArray":
        return self._of(self.words[index], self.format)

    def __setitem__(self, index: Any, values: Any) -> None:
        self.words[index] = self._operand(values)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("Real values of LNS words are computed: there is no array to share")
        return np.asarray(self.format.decode(self.words), dtype=dtype)

    def __repr__(self) -> str:
        # Enough digits to tell neighbours apart, which are a factor of 2**(1 / base_factor) from each other.
        digits = min(max(3, 1 + math.ceil(math.log10(self.format.base_factor / math.log(2)))), 17)

        def text(value: Any) -> str:
            short = f"{value:.{digits}g}"
            return short if any(mark in short for mark in ".en") else f"{short}.0"

        reals = np.asarray(self)
        shown = np.array2string(reals, separator=", ", prefix="LNSArray(", formatter={"float_kind": text})
        return f"LNSArray({shown}, {self.format.name})"

    def item(self) -> float:
        """The real value of an array of one element."""
        return float(np.asarray(self).item())

    __float__ = item

    def __bool__(self) -> bool:
        return bool(~self.format.is_zero(self.words))

    def multiply_add(self, b: Any, c: Any) -> "LNSArray":
        """``c + self * b`` with one rounding."""
        words = multiply_add(MultiplyAddConfig(operand=self.format), self.words, self._operand(b), self._operand(c))
        return self._of(words, self.format)

    def sum(self, axis: int | None = None, out: None = None) -> "LNSArray":
        """Sum over one axis, or over all elements.

        Parameters
        ----------
        axis : int, optional
        out : None
            For ``np.sum``; an array is refused.
        """
        if out is not None:
            raise TypeError("LNSArray.sum has no place for out")
        words = self.words.reshape(-1) if axis is None else np.moveaxis(self.words, axis, -1)
        return self._of(_dot(self.format, words, self._operand(1.0)), self.format)

    def _operand(self, value: Any) -> Words:
        """Words of an operand, in this array's format."""
        if isinstance(value, LNSArray):
            if value.format != self.format:
                raise ValueError(
                    f"Formats must be the same, not {self.format.name} and {value.format.name}: "
                    "LNSArray(x, format) converts"
                )
            return value.words
        return self.format.encode(value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        (out,) = options.pop("out", (None,))
        if method != "__call__" or options or not (out is None or isinstance(out, LNSArray)):
            refused = method if method != "__call__" else " ".join(options) or "out of another type"
            raise TypeError(f"np.{ufunc.__name__} of an LNSArray has no {refused}")
        if ufunc not in _ON_WORDS and ufunc not in _ON_ORDER:
            raise TypeError(f"np.{ufunc.__name__} has no LNS unit: np.asarray(x) gives float64 values to compute with")
        if any(np.asarray(value).dtype.kind not in "biuf" for value in inputs if not isinstance(value, LNSArray)):
            return NotImplemented
        first = next(value for value in inputs if isinstance(value, LNSArray))
        operands = [first._operand(value) for value in inputs]
        if ufunc in _ON_ORDER:
            if out is not None:
                raise TypeError(f"np.{ufunc.__name__} gives booleans, not an LNSArray")
            return ufunc(*(_order(first.format, words) for words in operands))
        words = _ON_WORDS[ufunc](first.format, *operands)
        if out is None:
            return self._of(words, first.format)
        out._operand(first)  # raises where the formats differ
        out.words[...] = words
        return out


#: Bits of the accumulator of ``@``, and products that it has in memory at a time.
_ACCUMULATOR_BITS, _PRODUCTS = 62, 1 << 22


def _order(fmt: LNSFormat, words: Words) -> Words:
    """Integers in the order of the words' values; 0 for zero of either sign."""
    sign, log = fmt.unpack(words)
    return np.asarray(np.where(sign == 1, fmt.zero_log - log, log - fmt.zero_log))


def _report(kind: str, flags: Words, what: str) -> None:
    """Treats operands that have no result as ``np.errstate(kind=…)`` says."""
    mode = np.geterr()[kind]  # type: ignore[literal-required]
    if mode == "ignore" or not np.any(flags):
        return
    if mode == "raise":
        raise FloatingPointError(what)
    # The user's line: above are NumPy's operator, __array_ufunc__, and the operation.
    warnings.warn(what, RuntimeWarning, stacklevel=5)


def _add(fmt: LNSFormat, a: Words, b: Words) -> Words:
    return add(AddConfig(accumulator=fmt), a, b)


def _subtract(fmt: LNSFormat, a: Words, b: Words) -> Words:
    return add(AddConfig(accumulator=fmt), a, b, 1)


def _multiply(fmt: LNSFormat, a: Words, b: Words) -> Words:
    return multiply(MultiplyConfig(format=fmt), a, b)


def _divide(fmt: LNSFormat, a: Words, b: Words) -> Words:
    result, invalid = divide(DivideConfig(format=fmt), a, b)
    _report("divide", invalid, "divide by zero encountered in divide")
    return result


def _sqrt(fmt: LNSFormat, a: Words) -> Words:
    result, invalid = sqrt(SqrtConfig(format=fmt), a)
    _report("invalid", invalid, "invalid value encountered in sqrt")
    return result


def _square(fmt: LNSFormat, a: Words) -> Words:
    return square(SquareConfig(format=fmt), a)


def _negative(fmt: LNSFormat, a: Words) -> Words:
    sign, log = fmt.unpack(a)
    return fmt.fit(1 - sign, log)


def _positive(fmt: LNSFormat, a: Words) -> Words:
    return a.copy()


def _absolute(fmt: LNSFormat, a: Words) -> Words:
    _, log = fmt.unpack(a)
    return fmt.fit(0, log)


def _maximum(fmt: LNSFormat, a: Words, b: Words) -> Words:
    return np.asarray(np.where(_order(fmt, a) >= _order(fmt, b), a, b))


def _minimum(fmt: LNSFormat, a: Words, b: Words) -> Words:
    return np.asarray(np.where(_order(fmt, a) <= _order(fmt, b), a, b))


@functools.lru_cache(maxsize=64)
def _dot_units(fmt: LNSFormat, length: int) -> tuple[DotConfig, LinearToLogConfig] | None:
    """The units that sum up to ``length`` products and convert the sum; None for a format without them."""
    try:
        draft = DotConfig(operand=fmt, length=length)
        # The smallest product has this many octaves below 1, and a mantissa below that.
        fraction_bits = 2 * fmt.code_max // draft.base_factor + 1 + draft.mantissa_bits
        spare = _ACCUMULATOR_BITS - draft.accumulator.width
        fraction_bits = min(fraction_bits, draft.accumulator.fraction_bits + spare)
        width = (length * draft.largest_product_at(fraction_bits)).bit_length() + 1
        accumulator = FixedFormat(width, fraction_bits, signed=True)
        return (
            DotConfig(operand=fmt, length=length, accumulator=accumulator),
            LinearToLogConfig(format=fmt, linear_format=accumulator),
        )
    except ValueError:
        return None


def _dot(fmt: LNSFormat, a: Words, b: Words) -> Words:
    """Sum of products over the last axis of ``a`` and ``b``, whose shapes broadcast."""
    a, b = np.broadcast_arrays(a, b)
    # One accumulator for all lengths up to a power of two, at least those of a usual layer.
    units = _dot_units(fmt, 1 << max((a.shape[-1] - 1).bit_length(), 8))
    if units is not None:
        result, _ = dot(units[0], a, b)
        return linear_to_log(units[1], result)
    config = MultiplyAddConfig(operand=fmt)
    total: Words = np.full(a.shape[:-1], fmt.zero, dtype=fmt.dtype)
    for index in range(a.shape[-1]):
        total = multiply_add(config, a[..., index], b[..., index], total)
    return total


def _matmul(fmt: LNSFormat, a: Words, b: Words) -> Words:
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("Operands of @ must have an axis; * multiplies by a number")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise ValueError(f"Shapes of @ must agree in the summed axis, not {a.shape} and {b.shape}")
    rows = a if a.ndim > 1 else a[None, :]
    columns = b.swapaxes(-1, -2) if b.ndim > 1 else b[None, :]
    # Some rows at a time, which bounds the products in memory.
    block = max(_PRODUCTS // max(columns.size, 1), 1)
    starts = range(0, max(rows.shape[-2], 1), block)
    parts = [_dot(fmt, rows[..., i : i + block, None, :], columns[..., None, :, :]) for i in starts]
    result = np.concatenate(parts, axis=-2)
    # As in NumPy, the axis that a vector lent goes again.
    result = result if b.ndim > 1 else result[..., 0]
    return result if a.ndim > 1 else result[..., 0, :] if b.ndim > 1 else result[..., 0]


#: What computes on words: NumPy's function → that of the golden model.
_ON_WORDS: dict[np.ufunc, Callable[..., Words]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.sqrt: _sqrt,
    np.square: _square,
    np.negative: _negative,
    np.positive: _positive,
    np.absolute: _absolute,
    np.maximum: _maximum,
    np.minimum: _minimum,
    np.matmul: _matmul,
}

#: What compares values.
_ON_ORDER = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}
