"""The worst error of a golden function against the real-number meaning, and the operands where it occurs.

A unit promises bounds; :mod:`lnsmadam.proof.error.meaning` says for each how far a result is from the real one. Here
every argument is looked at in float64, and the worst again with 50 digits: that is the figure which is compared and
printed.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat

Columns = Mapping[str, npt.NDArray[Any]]
#: Words by field, of one transfer; a list for a field that is a vector.
Operands = dict[str, Any]

CHUNK = 1 << 20
_DIGITS = 50
#: Bounds are float64, and some of them not rounded up.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Arguments:
    """What is looked at: columns of words in chunks, and what they are.

    Attributes
    ----------
    description : str
        With their number, and whether they are all there are: ``all 16,777,216 arguments``.
    chunks : iterable of columns
    total : int
    """

    description: str
    chunks: Iterable[Columns]
    total: int


@dataclass(frozen=True)
class Case:
    """One result, in numbers of mpmath.

    Attributes
    ----------
    got, real : number
        The unit's result and the real one, as logs where the error is one of the log.
    one : number
        What an error of 1 is, in the same measure: 1, the last place, or the real result for relative errors.
    slack : number
        What rounding alone may add where a promise is about what is rounded.
    """

    got: Any
    real: Any
    one: Any = 1
    slack: Any = 0

    @property
    def error(self) -> Any:
        """Distance in the promise's measure."""
        return max(abs(self.got - self.real) - self.slack, 0) / self.one


@dataclass(frozen=True)
class Measure:
    """One promise of a configuration, and how its error is measured.

    Attributes
    ----------
    what, unit : str
        ``log`` and ``ulp``: the error of what, in which measure.
    promised : float
    formats : dict
        Of the operands, for the report.
    arguments : Arguments
    errors : callable
        Columns → float64 errors, accurate to some 1e-9; infinite where a result is wrong altogether (of the other
        sign, not zero for an exact cancellation), 0 where nothing is promised.
    exact : callable
        Operands → :class:`Case`, called with 50 digits.
    """

    what: str
    unit: str
    promised: float
    formats: Mapping[str, Format]
    arguments: Arguments
    errors: Callable[[Columns], npt.NDArray[np.float64]]
    exact: Callable[[Operands], Case]


@dataclass(frozen=True)
class Worst:
    """Where the error is largest.

    Attributes
    ----------
    error : float
    operands : dict
        Words by field; empty where every result is exact.
    text : str
        The operands and both results, as numbers.
    passed : bool
        Whether the error is within the promise.
    """

    measure: Measure
    error: float
    operands: Operands
    text: str
    passed: bool

    def __str__(self) -> str:
        figure = f"{self.error:.9g} {self.measure.unit}".strip()
        at = f" at {self.text}" if self.operands else ""
        promise = f"promised {self.measure.promised:.9g}" if self.passed else f"above {self.measure.promised:.9g}"
        return f"{figure}{at}; {promise}; {self.measure.arguments.description}"


def in_chunks(columns: Columns, chunk: int = CHUNK) -> Iterator[Columns]:
    """Columns of any length, ``chunk`` rows at a time."""
    rows = len(next(iter(columns.values())))
    for first in range(0, rows, chunk):
        yield {name: column[first : first + chunk] for name, column in columns.items()}


def number(fmt: Format, word: int) -> str:
    """A word as sign and log, or as the number that it is."""
    if isinstance(fmt, LNSFormat):
        sign, log = (int(part) for part in fmt.unpack(word))
        return "+-"[sign] + ("0" if log == fmt.zero_log else f"2^({log}/{fmt.base_factor:g})")
    if isinstance(fmt, FloatFormat):
        return f"{float(fmt.decode(word)):.9g} ({word:#x})"
    return f"{float(fmt.decode(word)):.17g}"


def _written(formats: Mapping[str, Format], operands: Operands) -> str:
    texts = []
    for name, words in operands.items():
        one_by_one = [number(formats[name], word) for word in (words if isinstance(words, list) else [words])]
        texts.append(f"{name} = {', '.join(one_by_one)}")
    return ", ".join(texts)


def search(measure: Measure, progress: Callable[[int, int], None] = lambda done, total: None) -> Worst:
    """The worst error over all arguments of a measure; of equal ones the first.

    Raises
    ------
    ValueError
        There are no arguments.
    """
    worst, operands, done = -1.0, Operands(), 0
    for columns in measure.arguments.chunks:
        errors = np.asarray(measure.errors(columns), dtype=np.float64)
        errors = np.where(np.isnan(errors), np.inf, errors)
        if errors.size and (largest := float(errors.max())) > worst:
            row = int(errors.argmax())
            worst, operands = largest, {name: column[row].tolist() for name, column in columns.items()}
        done += errors.size
        progress(done, measure.arguments.total)
    if not done:
        raise ValueError(f"There is no argument to measure the error of the {measure.what} with")
    if worst == 0:
        return Worst(measure, 0.0, {}, "", measure.promised >= 0)
    with mpmath.workdps(_DIGITS):
        case = measure.exact(operands)
        error = math.inf if math.isinf(worst) else float(case.error)
        got, real = (mpmath.nstr(mpmath.mpf(value), 15).removesuffix(".0") for value in (case.got, case.real))
    text = f"{_written(measure.formats, operands)}: got {got}, exactly {real}"
    passed = error <= measure.promised * (1 + _TOLERANCE)
    return Worst(measure, error, operands, text, passed)
