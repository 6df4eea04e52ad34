"""What a dot product means in real numbers; see :mod:`lnsmadam.proof.meaning`.

The bound of a sum is a share of its products' magnitudes and a part of the accumulator's least bit for each: the
errors of a mantissa, of one product and of whole vectors are looked at apart, and where the result is an LNS word, its
log against that of the fixed-point sum.
"""

import dataclasses
import functools
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.format import LNSFormat
from lnsmadam.proof.meaning import (
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
from lnsmadam.proof.worst_error import Arguments, Case, Columns, Measure, Operands
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
        if config.antilog is Antilog.TABLE:
            # Its entries are rounded to nearest.
            self.relative = min(self.relative, 2.0 ** -(config.mantissa_bits + 1))

    # The fixed-point sum.

    def sums(self, columns: Columns) -> tuple[Reals, Reals, Reals, npt.NDArray[np.bool_]]:
        """Result, real result, sum of the products' magnitudes, and whether nothing overflowed; a row a vector."""
        products = self.operand.decode(columns["a"]) * self.operand.decode(columns["b"])
        result, overflow = self.golden(self.fixed, columns["a"], columns["b"])
        return self.fixed.result.decode(result), products.sum(axis=1), np.abs(products).sum(axis=1), overflow == 0

    def exact_sum(self, operands: Operands) -> tuple[Any, Any, Any]:
        """The first three of them, of mpmath, for one vector."""
        pairs = zip(operands["a"], operands["b"], strict=True)
        products = [value(self.operand, a) * value(self.operand, b) for a, b in pairs]
        result, _ = self.golden(self.fixed, operands["a"], operands["b"])
        return value(self.fixed.result, int(result)), mpmath.fsum(products), mpmath.fsum(abs(x) for x in products)

    def mantissa_errors(self, columns: Columns) -> Reals:
        got, real, _, inside = self.sums(columns)
        return np.where(inside, np.abs(got / real - 1), 0.0)

    def mantissa_case(self, operands: Operands) -> Case:
        got, real, _ = self.exact_sum(operands)
        return Case(got, real, abs(real))

    def share_errors(self, columns: Columns) -> Reals:
        """Errors as shares of what is promised of the vector."""
        got, real, magnitude, inside = self.sums(columns)
        length = columns["a"].shape[1]
        return np.where(inside, np.abs(got - real) / (self.relative * magnitude + length * self.least), 0.0)

    def share_case(self, operands: Operands) -> Case:
        got, real, magnitude = self.exact_sum(operands)
        return Case(got, real, self.relative * magnitude + len(operands["a"]) * mpmath.mpf(self.least))

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
        """Products of one octave, the largest; none where the accumulator cuts off bits of a mantissa there."""
        top, base_factor = 2 * self.operand.code_max, self.config.base_factor
        if top // base_factor - 1 + self.config.accumulator.fraction_bits < self.config.mantissa_bits:
            return None
        octave = top - np.arange(min(base_factor, top - 2 * self.operand.code_min + 1))
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
