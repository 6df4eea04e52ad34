"""What a unit means in real numbers, and how far its golden function is from it: what all units share.

A meaning starts from the words' definition (sign and log, mantissa and exponent) and never calls the unit's own
arithmetic or tables; the golden function itself is handed in, as units are. Each ``meaning_of_….py`` beside it has a
function a unit, a :data:`Meaning`.

Where all words are too many, the arguments are those over which the error varies: the distance of the logs of a sum (an
integer added to both is added to the result), the remainder of an antilog, the mantissa of a conversion.
"""

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat
from lnsmadam.proof.error.worst_error import Arguments, Case, Columns, Measure, Operands, in_chunks
from lnsmadam.sim.stimulus import Directed, stimulus

#: ``golden(config, *words)`` → words of the result, or a tuple of them.
Golden = Callable[..., Any]
Reals = npt.NDArray[np.float64]
#: ``meaning(config, golden, directed)`` → a measure for each promise of that configuration.
Meaning = Callable[[Any, Golden, Directed | None], list[Measure]]
#: Signs (whether a number is negative), and logs in steps: minus infinity for zero.
SignsAndLogs = tuple[npt.NDArray[np.bool_], Reals]

SEED = 0
#: Transfers of a sample.
SAMPLE = 1 << 21


def every(config: UnitConfig) -> Arguments | None:
    """Every argument of a unit without state, where that is feasible."""
    found = stimulus(config, SEED)
    return Arguments(f"all {found.total:,} arguments", found, found.total) if found.is_exhaustive else None


def sample(config: UnitConfig, directed: Directed | None) -> Arguments:
    """Corners, uniform and directed words."""
    found = stimulus(config, SEED, SAMPLE, directed)
    return Arguments(f"{found.total:,} arguments: {found.description}", found, found.total)


def table(description: str, columns: Columns) -> Arguments:
    """Columns that are in memory; ``{count}`` in the description becomes their number."""
    total = len(next(iter(columns.values())))
    return Arguments(description.format(count=f"{total:,}"), list(in_chunks(columns)), total)


def promised_error(guarantee: Mapping[str, Any]) -> float:
    """The largest error that a guarantee states, and that its kind of rounding allows.

    The figure alone would prove nothing: the configuration takes it from the tables whose faults are looked for.
    """
    limit = {"exact": 0.0, "nearest": 0.5, "faithful": 1.0}[guarantee["rounding"].split(",")[0]]
    return float(min(guarantee["max_error_ulp"], limit))


def first_result(results: Any) -> Any:
    """What a golden function computes, without its flags."""
    return results[0] if isinstance(results, tuple) else results


def log_words(fmt: LNSFormat, sign: npt.ArrayLike, log: npt.ArrayLike) -> npt.NDArray[Any]:
    """Words of logs that have a code, whatever the format's range."""
    return np.asarray((np.asarray(sign) << fmt.log_width) | (np.asarray(log) & fmt.log_mask)).astype(fmt.dtype)


def value(fmt: Format, word: int) -> Any:
    """The real number that a word is, of mpmath."""
    if isinstance(fmt, LNSFormat):
        sign, log = (int(part) for part in fmt.unpack(word))
        if log == fmt.zero_log:
            return mpmath.mpf(0)
        return (1 - 2 * sign) * mpmath.power(2, mpmath.mpf(log) / mpmath.mpf(fmt.base_factor))
    if isinstance(fmt, FloatFormat):
        return mpmath.mpf(float(fmt.decode(word)))
    return mpmath.ldexp(int(fmt.unpack(word)), -fmt.fraction_bits)


# Results that are logs.


def log_errors(fmt: LNSFormat, got: Any, negative: Any, steps: Any) -> Reals:
    """Distance of the results' logs from the real ones, in steps; ``got`` are words, all of the same shape.

    Zero stands for every log up to ``log_min - 1``, the largest for every log above it. Of the wrong sign, or a number
    where the real result is 0: infinite.
    """
    sign, log = fmt.unpack(got)
    zero = log == fmt.zero_log
    errors = np.abs(log - steps)
    errors = np.where((log == fmt.log_max) & (steps > fmt.log_max), 0.0, errors)
    errors = np.where(zero, np.maximum(steps - (fmt.log_min - 1), 0.0), errors)
    return np.asarray(np.where(~zero & (sign.astype(bool) != negative), np.inf, errors))


def log_case(fmt: LNSFormat, got: int, real: Any) -> Case:
    """One word's log beside that of a real number, of mpmath; saturation and the sign are :func:`log_errors`'s."""
    log = int(fmt.unpack(got)[1])
    steps = fmt.base_factor * mpmath.log(abs(real), 2) if real else mpmath.ninf
    return Case(fmt.log_min - 1 if log == fmt.zero_log else log, steps)


def log_measure(
    config: UnitConfig,
    golden: Golden,
    arguments: Arguments,
    fmt: LNSFormat,
    reals: Callable[[Columns], SignsAndLogs],
    exact: Callable[[Operands], Any],
) -> Measure:
    """The error of a unit's result that is a word of ``fmt``.

    Parameters
    ----------
    reals : function
        Operands → sign and log of the real results, in float64.
    exact : function
        Operands of one transfer → the real result, of mpmath.
    """

    def errors(columns: Columns) -> Reals:
        return log_errors(fmt, first_result(golden(config, *columns.values())), *reals(columns))

    def case(operands: Operands) -> Case:
        return log_case(fmt, first_result(golden(config, *operands.values())), exact(operands))

    return Measure("log", "ulp", promised_error(config.guarantee()), config.inputs, arguments, errors, case)


def signs_and_logs(fmt: LNSFormat, words: Any) -> SignsAndLogs:
    """Words as real numbers."""
    sign, log = fmt.unpack(words)
    return sign.astype(bool), np.where(log == fmt.zero_log, -np.inf, log)


# Results that are floats.


def last_place(fmt: FloatFormat, values: Any) -> Any:
    """Exponent of the last place of real numbers in a float format, as int64."""
    _, exponent = np.frexp(values)
    exponent = np.where(values == 0, fmt.quantum_log, exponent.astype(np.int64) - 1 - fmt.mantissa_bits)
    return np.maximum(exponent, fmt.quantum_log)


def behind(fmt: FloatFormat) -> float:
    """The number behind a float format's largest finite one: what an infinity counts as."""
    return 2.0 ** (fmt.bias + 1)


def without_infinities(fmt: FloatFormat, got: Reals, real: Reals) -> Reals:
    """Results as finite numbers: an infinity is right where the real result has its sign and is beyond :func:`behind`,
    and is else as wrong as that; a NaN stays one."""
    got = np.clip(got, -behind(fmt), behind(fmt))
    return np.where((np.abs(got) == behind(fmt)) & (real * np.sign(got) > behind(fmt)), real, got)


def float_case(fmt: FloatFormat, got: int, real: Any) -> Case:
    """A float's error in last places of the real result; an infinity is the number behind the largest finite one."""
    exponent = int(mpmath.floor(mpmath.log(abs(real), 2))) - fmt.mantissa_bits if real else fmt.quantum_log
    number = value(fmt, got)
    if mpmath.isinf(number):
        number = mpmath.sign(number) * behind(fmt)
    return Case(number, real, mpmath.ldexp(1, max(exponent, fmt.quantum_log)))
