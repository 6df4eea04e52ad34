"""What LNS arithmetic means in real numbers: products, quotients, roots and sums.

See :mod:`lnsmadam.proof.error.meaning`.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.log_sum import SumConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.proof.error.meaning import (
    SEED,
    Golden,
    Meaning,
    Reals,
    SignsAndLogs,
    every,
    log_measure,
    log_words,
    sample,
    signs_and_logs,
    table,
    value,
)
from lnsmadam.proof.error.worst_error import Arguments, Columns, Measure, Operands
from lnsmadam.sim.stimulus import Directed

#: Most distances of two logs of which all are looked at.
_MAX_DISTANCES = 1 << 18


def _of_logs(reals: Callable[..., SignsAndLogs], exact: Callable[..., Any]) -> Meaning:
    """The meaning of a unit with LNS operands of one format, whose result's log is a linear function of theirs.

    Parameters
    ----------
    reals : function
        Sign and log of each operand, in turn → those of the result.
    exact : function
        The operands as real numbers → the real result.
    """

    def meaning(config: Any, golden: Golden, directed: Directed | None) -> list[Measure]:
        fmt = config.format
        arguments = every(config) or sample(config, directed)

        def from_words(columns: Columns) -> SignsAndLogs:
            return reals(*(part for words in columns.values() for part in signs_and_logs(fmt, words)))

        def from_values(operands: Operands) -> Any:
            return exact(*(value(fmt, word) for word in operands.values()))

        return [log_measure(config, golden, arguments, fmt, from_words, from_values)]

    return meaning


def _quotient(sign_a: Any, log_a: Any, sign_b: Any, log_b: Any) -> Any:
    # Division by zero has a result by rule: the largest of a's sign, +0 of a zero.
    with np.errstate(invalid="ignore"):
        log = np.where(np.isneginf(log_a), -np.inf, log_a - log_b)
    return np.where(np.isneginf(log_b), sign_a, sign_a ^ sign_b), log


def _root(sign: Any, log: Any) -> Any:
    # The root of a negative number is +0 by rule.
    return np.zeros_like(sign), np.where(sign, -np.inf, log / 2)


multiply_meaning = _of_logs(lambda sign_a, a, sign_b, b: (sign_a ^ sign_b, a + b), lambda a, b: a * b)
divide_meaning = _of_logs(_quotient, lambda a, b: a / b if b else a * mpmath.inf if a else a)
square_meaning = _of_logs(lambda sign, a: (np.zeros_like(sign), 2 * a), lambda a: a * a)
sqrt_meaning = _of_logs(_root, lambda a: mpmath.sqrt(max(a, 0)))


# Sums.


def _sum_logs(config: SumConfig) -> Callable[..., SignsAndLogs]:
    """``(sign x, log x, sign y, log y)`` → sign and log of x + y, the logs in steps of the result."""
    plus, minus = _gauss_logs(config)

    def sum_logs(sign_x: Any, x: Any, sign_y: Any, y: Any) -> SignsAndLogs:
        both = ~np.isneginf(x) & ~np.isneginf(y)
        with np.errstate(invalid="ignore"):
            distance = np.where(both, np.abs(x - y), 0).astype(np.int64)
        change = np.where(both, np.where(sign_x ^ sign_y, minus[distance], plus[distance]), 0.0)
        return np.where(x > y, sign_x, sign_y), np.maximum(x, y) + change

    return sum_logs


def _gauss_logs(config: SumConfig) -> tuple[Reals, Reals]:
    """What a sum and a difference add to the larger log, by the distance of the two: 0 to ``z_max`` steps."""
    # Not golden's function of the same name: a fault of that one would be in both. In as many digits as there are.
    base_factor = np.longdouble(config.accumulator.base_factor)
    octaves = -np.arange(config.z_max + 1) / base_factor
    with np.errstate(over="ignore", divide="ignore"):
        plus = base_factor * np.log2(1 + np.exp2(octaves))
        # Near 1, where digits cancel, the difference comes from the function that keeps them.
        minus = base_factor * np.log2(-np.expm1(octaves * np.log(np.longdouble(2))))
    return plus.astype(np.float64), minus.astype(np.float64)


def _distances(config: SumConfig, x_multiple: int) -> tuple[str, tuple[npt.NDArray[np.int64], ...]]:
    """What is looked at, and ``(x, y, differs)``: every distance of two logs, either the larger, and both signs.

    The logs are as large as they may be without the sum or the difference being above the range, and others. Those of
    ``x`` are multiples of ``x_multiple``.
    """
    low, high = config.x_range
    fmt = config.accumulator
    z, description = np.arange(config.z_max + 1), f"all {config.z_max + 1:,} distances of two logs"
    if len(z) > _MAX_DISTANCES:
        rest = np.random.default_rng(SEED).integers(_MAX_DISTANCES, len(z), _MAX_DISTANCES)
        z = np.concatenate([z[:_MAX_DISTANCES], rest])
        description = f"the {_MAX_DISTANCES:,} smallest distances of two logs and as many others, seed {SEED}"
    plus, minus = (np.clip(reals[z], -2 * high, 2 * high) for reals in _gauss_logs(config))
    tops = [
        (fmt.log_max - np.ceil(plus)).astype(np.int64),
        fmt.log_max + 0 * z,
        np.minimum(fmt.code_max + z, (fmt.log_max - np.ceil(minus)).astype(np.int64)),
        0 * z,
    ]
    rows = []
    # Of the larger log: the sum just fits, it is the largest there is, the difference just fits, 0.
    for top in tops:
        for x_is_larger in (False, True):
            x = (top if x_is_larger else top - z) // x_multiple * x_multiple
            y = x - z if x_is_larger else x + z
            fits = (low <= x) & (x <= high) & (fmt.code_min <= y) & (y <= fmt.code_max)
            rows += [(x[fits], y[fits], np.full(int(fits.sum()), differs)) for differs in (0, 1)]
    x, y, differs = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return f"{description}, both signs ({{count}} arguments)", (x, y, differs)


def _sum_arguments(config: SumConfig, description: str, columns: Columns, directed: Directed | None) -> list[Arguments]:
    """All arguments, or where they are too many the columns and a sample."""
    everything = every(config)
    return [everything] if everything else [table(description, columns), sample(config, directed)]


def multiply_add_meaning(config: MultiplyAddConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """``c + a b``."""
    operand, fmt, sum_logs = config.operand, config.accumulator, _sum_logs(config)

    def reals(columns: Columns) -> Any:
        (sign_a, log_a), (sign_b, log_b) = (signs_and_logs(operand, columns[name]) for name in "ab")
        return sum_logs(sign_a ^ sign_b, (log_a + log_b) * config.multiple, *signs_and_logs(fmt, columns["c"]))

    def exact(operands: Operands) -> Any:
        a, b, c = (value(config.inputs[name], operands[name]) for name in "abc")
        return c + a * b

    description, (x, y, differs) = _distances(config, config.multiple)
    log_a = np.clip(x // config.multiple, operand.code_min, operand.code_max)
    log_b = x // config.multiple - log_a
    columns = {"a": log_words(operand, 0, log_a), "b": log_words(operand, 0, log_b), "c": log_words(fmt, differs, y)}
    return [
        log_measure(config, golden, arguments, fmt, reals, exact)
        for arguments in _sum_arguments(config, description, columns, directed)
    ]


def add_meaning(config: SumConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """``a + b`` or ``a - b``."""
    fmt, sum_logs = config.accumulator, _sum_logs(config)

    def reals(columns: Columns) -> Any:
        (sign_a, log_a), (sign_b, log_b) = (signs_and_logs(fmt, columns[name]) for name in "ab")
        return sum_logs(sign_a, log_a, sign_b ^ columns["subtract"].astype(bool), log_b)

    def exact(operands: Operands) -> Any:
        a, b = (value(fmt, operands[name]) for name in "ab")
        return a - b if operands["subtract"] else a + b

    description, (x, y, differs) = _distances(config, 1)
    columns = {"a": log_words(fmt, 0, x), "b": log_words(fmt, 0, y), "subtract": differs.astype(np.uint8)}
    return [
        log_measure(config, golden, arguments, fmt, reals, exact)
        for arguments in _sum_arguments(config, description, columns, directed)
    ]
