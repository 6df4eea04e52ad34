"""What a dot product means in real numbers; see :mod:`lnsmadam.proof.error.meaning`.

The bound of a sum is a share of its products' magnitudes and a part of the accumulator's least bit for each: the
errors of a mantissa, of one product and of whole vectors are looked at apart, and where the result is an LNS word, its
log against that of the fixed-point sum.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import LNSFormat
from lnsmadam.proof.error.meaning import (
    SEED,
    Golden,
    Reals,
    first_result,
    log_case,
    log_errors,
    log_words,
    promised_error,
    table,
    value,
)
from lnsmadam.proof.error.worst_error import Arguments, Case, Columns, Measure, Operands
from lnsmadam.sim.stimulus import Directed

#: Most logs of a product of which all are looked at.
_MAX_LOGS = 1 << 18
#: Vectors that are drawn, and the length of each.
_VECTORS = 1 << 16, 4


class _Dot:
    """A dot product's errors, in columns of shape ``(vectors, length)`` for ``a`` and ``b``.

    Attributes
    ----------
    fixed : DotConfig
        The same with the sum as a fixed-point number.
    relative : float
        Promised error of a mantissa, relative to it.
    """

    def __init__(self, config: DotConfig, golden: Golden):
        self.config, self.golden, self.operand = config, golden, config.operand
        self.fixed = dataclasses.replace(config, lns_result=None, pipeline=config.min_pipeline)
        promise = config.guarantee()
        self.relative, self.least = promise["max_antilog_error"], promise["least_bit"]
        self.largest = min(self.fixed.accumulator.maximum, self.fixed.result.maximum) * self.least
        if config.antilog is Antilog.TABLE:
            # Its entries are rounded to nearest.
            self.relative = min(self.relative, 2.0 ** -(config.mantissa_bits + 1))

    # The fixed-point sum.

    def errors(self, columns: Columns, allowed: Callable[[Reals, Reals, int], Reals]) -> Reals:
        """Errors of the results that did not overflow as shares of what is ``allowed`` of sum, sum of magnitudes and
        length; infinity where by the real sums there was an overflow or there was none, and the flag says else, and
        where the result of an overflow is not at an end of its range."""
        products = self.operand.decode(columns["a"]) * self.operand.decode(columns["b"])
        got, overflow = self.golden(self.fixed, columns["a"], columns["b"])
        length = products.shape[1]
        real, magnitude = products.sum(axis=1), np.abs(products).sum(axis=1)
        # After each transfer; the last may be short.
        ends = np.minimum(np.arange(self.config.lanes, length + self.config.lanes, self.config.lanes), length) - 1
        reach = np.abs(np.cumsum(products, axis=1)[:, ends])
        slack = self.bound(magnitude, length)
        highest = self.fixed.accumulator.maximum * self.least
        left = (reach.max(axis=1) > highest + slack + self.least) | (reach[:, -1] > self.largest + slack + self.least)
        stayed = (reach.max(axis=1) < highest - slack) & (reach[:, -1] < self.largest - slack)
        result = self.fixed.result.decode(got)
        inside = (self.fixed.result.minimum * self.least < result) & (result < self.fixed.result.maximum * self.least)
        found = np.where(overflow, 0.0, np.abs(result - real) / allowed(real, magnitude, length))
        return np.where(np.where(overflow, stayed | inside, left), np.inf, found)

    def bound(self, magnitude: Any, length: int) -> Any:
        """What is promised of a sum."""
        return self.relative * magnitude + length * self.least

    def exact_sum(self, operands: Operands) -> tuple[Any, Any, Any]:
        """Result, real result and sum of the products' magnitudes, of mpmath, for one vector."""
        pairs = zip(operands["a"], operands["b"], strict=True)
        products = [value(self.operand, a) * value(self.operand, b) for a, b in pairs]
        result, _ = self.golden(self.fixed, operands["a"], operands["b"])
        return value(self.fixed.result, int(result)), mpmath.fsum(products), mpmath.fsum(abs(x) for x in products)

    def mantissa_errors(self, columns: Columns) -> Reals:
        return self.errors(columns, lambda real, magnitude, length: np.abs(real))

    def mantissa_case(self, operands: Operands) -> Case:
        got, real, _ = self.exact_sum(operands)
        return Case(got, real, abs(real))

    def share_errors(self, columns: Columns) -> Reals:
        """Errors as shares of what is promised of the vector."""
        return self.errors(columns, lambda real, magnitude, length: self.bound(magnitude, length))

    def share_case(self, operands: Operands) -> Case:
        got, real, magnitude = self.exact_sum(operands)
        return Case(got, real, self.bound(magnitude, len(operands["a"])))

    # The log of it.

    def log_errors(self, fmt: LNSFormat, columns: Columns) -> Reals:
        """Distance of the result's log from that of the fixed-point sum, which is exact."""
        total = self.fixed.result.decode(first_result(self.golden(self.fixed, columns["a"], columns["b"])))
        with np.errstate(divide="ignore"):
            steps = np.log2(np.abs(total)) * fmt.base_factor
        return log_errors(fmt, first_result(self.golden(self.config, columns["a"], columns["b"])), total < 0, steps)

    def log_case(self, fmt: LNSFormat, operands: Operands) -> Case:
        got = first_result(self.golden(self.config, operands["a"], operands["b"]))
        return log_case(fmt, got, self.exact_sum(operands)[0])

    # Arguments.

    def pairs(self, sum_of_logs: npt.NDArray[np.int64], signs: npt.ArrayLike = 0) -> Columns:
        """Vectors of length 1 whose product has that log and sign."""
        log_a = np.clip(sum_of_logs, self.operand.code_min, self.operand.code_max)
        words = log_words(self.operand, signs, log_a), log_words(self.operand, 0, sum_of_logs - log_a)
        return {name: column[:, None] for name, column in zip("ab", words, strict=True)}

    def remainders(self) -> Arguments | None:
        """Products of one octave, the largest that does not overflow; none where the accumulator cuts off bits of a
        mantissa there."""
        top, base_factor = 2 * self.operand.code_max, self.config.base_factor
        highest = math.log2(self.largest / (1 + self.relative)) * base_factor
        top -= max(math.ceil((top - highest) / base_factor), 0) * base_factor
        least, fraction_bits = 2 * self.operand.code_min, self.config.accumulator.fraction_bits
        if top < least or top // base_factor - 1 + fraction_bits < self.config.mantissa_bits:
            return None
        octave = top - np.arange(min(base_factor, top - least + 1))
        return table("all {count} remainders", self.pairs(octave))

    def products_and_vectors(self) -> tuple[Arguments, Arguments]:
        """Vectors of length 1 with every log and both signs, and longer ones of random words."""
        rng = np.random.default_rng(SEED)
        low, high = 2 * self.operand.code_min, 2 * self.operand.code_max
        logs, description = np.arange(low, high + 1), "all {count} logs and signs of one product"
        if len(logs) > _MAX_LOGS:
            logs = rng.integers(low, high + 1, _MAX_LOGS)
            description = f"{{count}} logs and signs of one product, seed {SEED}"
        logs = np.repeat(logs, 2)
        products = table(description, self.pairs(logs, np.arange(len(logs)) & 1))
        fmt = self.operand
        words = {name: rng.integers(0, 1 << fmt.width, _VECTORS).astype(fmt.dtype) for name in "ab"}
        return products, table(f"{{count}} vectors of {_VECTORS[1]}, seed {SEED}", words)


def dot_meaning(config: DotConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The sum of products: its mantissas, and the sum within the bound; the log of an LNS result apart."""
    del directed  # Of transfers; here are whole vectors.
    dot = _Dot(config, golden)
    formats = {"a": config.operand, "b": config.operand}
    measures = []
    if remainders := dot.remainders():
        measures.append(
            Measure("mantissa", "relative", dot.relative, formats, remainders, dot.mantissa_errors, dot.mantissa_case)
        )
    products, vectors = dot.products_and_vectors()
    for what, arguments in (("one product", products), ("sum", vectors)):
        measures.append(Measure(what, "of its bound", 1.0, formats, arguments, dot.share_errors, dot.share_case))
    fmt = config.lns_result
    if fmt is not None and config.magnitude_log is not None:
        promised = promised_error({**config.guarantee(), "rounding": config.magnitude_log.core.rounding})
        errors, case = functools.partial(dot.log_errors, fmt), functools.partial(dot.log_case, fmt)
        for arguments in (products, vectors):
            measures.append(Measure("log of the sum", "ulp", promised, formats, arguments, errors, case))
    return measures
