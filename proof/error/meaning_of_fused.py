"""What floating point with one rounding means in real numbers; see :mod:`lnsmadam.proof.error.meaning`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lnsmadam.golden.floats import FloatFormat
from lnsmadam.proof.error.meaning import (
    Golden,
    Meaning,
    Reals,
    every,
    float_case,
    last_place,
    promised_error,
    sample,
    value,
    without_infinities,
)
from lnsmadam.proof.error.worst_error import Case, Columns, Measure, Operands
from lnsmadam.sim.stimulus import Directed


def _fused(names: Sequence[str], sign: int) -> Meaning:
    """The meaning of ``c ± a b``, in last places of the result.

    Parameters
    ----------
    names : sequence of str
        The unit's fields for c, a, b.
    sign : int
        1 or -1.
    """

    def meaning(config: Any, golden: Golden, directed: Directed | None) -> list[Measure]:
        fmt: FloatFormat = config.float_format

        def errors(columns: Columns) -> Reals:
            c, a, b = (fmt.decode(columns[name]) for name in names)
            finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
            c, a, b = (np.where(finite, part, 0.0) for part in (c, a, b))
            # The product is exact in float64, and so is what the sum leaves over.
            product = sign * a * b
            total = c + product
            back = total - product
            rest = (product - (total - back)) + (c - back)
            got = without_infinities(fmt, fmt.decode(golden(config, *columns.values())), total)
            found = np.abs(np.ldexp((total - got) + rest, -last_place(fmt, total)))
            return np.where(finite, found, 0.0)

        def exact(operands: Operands) -> Case:
            c, a, b = (value(fmt, operands[name]) for name in names)
            return float_case(fmt, int(golden(config, *operands.values())), c + sign * a * b)

        arguments = every(config) or sample(config, directed)
        promised = promised_error(config.guarantee())
        return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]

    return meaning


bf16_multiply_add_meaning = _fused(("c", "a", "b"), 1)
sgd_update_meaning = _fused(("weight", "lr", "grad"), -1)
