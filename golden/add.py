"""Addition and subtraction of LNS words."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.format import FLAG, LNS8, LNSFormat, Words, check_words
from lnsmadam.golden.log_sum import SumConfig, log_sum, near


@dataclass(frozen=True, kw_only=True)
class AddConfig(SumConfig):
    """Configuration of ``add``.

    Parameters
    ----------
    accumulator : LNSFormat
        Format of both operands and of the result.
    approximator, memory, pipeline
        See :class:`~lnsmadam.golden.log_sum.SumConfig`.
    """

    accumulator: LNSFormat = LNS8
    unit: ClassVar[str] = "add"

    @property
    def x_range(self) -> tuple[int, int]:
        return self.accumulator.code_min, self.accumulator.code_max

    @property
    def inputs(self) -> dict[str, Format]:
        return {"a": self.accumulator, "b": self.accumulator, "subtract": FLAG}

    @property
    def outputs(self) -> dict[str, Format]:
        return {"result": self.accumulator}

    def parameters(self) -> dict[str, Any]:
        assert self.approximator is not None
        return {
            **self.accumulator.parameters(),
            "approximator": self.approximator.value,
            "memory": self.memory.value,
            "pipeline": self.pipeline,
        }


def add(config: AddConfig, a: npt.ArrayLike, b: npt.ArrayLike, subtract: npt.ArrayLike = 0) -> Words:
    """``a + b``, or ``a - b`` where ``subtract`` is 1; rounded once, under the range rule.

    Correctly rounded up to 10 bits, faithful beyond; exact cancellation and underflow are +0.

    Parameters
    ----------
    a, b : arrays of words of ``config.accumulator``, shapes that broadcast
    subtract : array of 0 and 1

    Returns
    -------
    array of words of ``config.accumulator``, broadcast shape
    """
    fmt = config.accumulator
    sign_a, log_a = fmt.unpack(a)
    sign_b, log_b = fmt.unpack(b)
    negate = check_words(subtract, 1, "subtract").astype(np.int64)
    return log_sum(config, sign_a, log_a, log_a == fmt.zero_log, sign_b ^ negate, log_b, log_b == fmt.zero_log)


def directed(config: AddConfig, rng: np.random.Generator, count: int) -> dict[str, Words]:
    """Operands that are close on every scale, where uniform ones of a wide format seldom meet."""
    a = rng.integers(0, 1 << config.accumulator.width, count)
    _, log = config.accumulator.unpack(a)
    words = {"a": a, "b": near(config.accumulator, log, rng), "subtract": rng.integers(0, 2, count)}
    return {name: words[name].astype(fmt.dtype) for name, fmt in config.inputs.items()}
