"""What conversions mean in real numbers; see :mod:`lnsmadam.proof.error.meaning`."""

from typing import Any

import mpmath
import numpy as np

from lnsmadam.golden.float_to_lns import FloatToLNSConfig
from lnsmadam.golden.linear_to_log import LinearToLogConfig
from lnsmadam.golden.lns_to_float import LNSToFloatConfig
from lnsmadam.golden.log_to_linear import LogToLinearConfig
from lnsmadam.proof.error.meaning import (
    Golden,
    Reals,
    every,
    first_result,
    float_case,
    last_place,
    log_measure,
    promised_error,
    sample,
    table,
    value,
)
from lnsmadam.proof.error.worst_error import Case, Columns, Measure, Operands
from lnsmadam.sim.stimulus import Directed

#: Bits of the integers that float64 has to spare for a fraction.
_FLOAT64_BITS = 44


def linear_to_log_meaning(config: LinearToLogConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The log of a fixed-point number."""
    fmt, linear = config.format, config.linear_format

    def reals(columns: Columns) -> Any:
        integers = linear.unpack(columns["a"])
        with np.errstate(divide="ignore"):
            octaves = np.log2(np.abs(integers).astype(np.float64)) - linear.fraction_bits
        return integers < 0, octaves * fmt.base_factor

    def exact(operands: Operands) -> Any:
        return value(linear, operands["a"])

    return [log_measure(config, golden, every(config) or sample(config, directed), fmt, reals, exact)]


def float_to_lns_meaning(config: FloatToLNSConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The log of a floating-point number."""
    fmt, floats = config.format, config.float_format

    def reals(columns: Columns) -> Any:
        values = floats.decode(columns["a"])
        # NaN is +0 by rule.
        values = np.where(np.isnan(values), 0.0, values)
        with np.errstate(divide="ignore"):
            return np.signbit(values) & (values != 0), np.log2(np.abs(values)) * fmt.base_factor

    def exact(operands: Operands) -> Any:
        number = value(floats, operands["a"])
        return mpmath.mpf(0) if mpmath.isnan(number) else number

    everything = every(config)
    if everything:
        looked_at = [everything]
    else:
        # The exponent adds whole octaves, which have no error.
        octave = np.arange(1 << floats.mantissa_bits, dtype=np.int64) | floats.bias << floats.mantissa_bits
        mantissas = "all {count} mantissas, in one octave"
        looked_at = [table(mantissas, {"a": octave.astype(floats.dtype)}), sample(config, directed)]
    return [log_measure(config, golden, arguments, fmt, reals, exact) for arguments in looked_at]


def lns_to_float_meaning(config: LNSToFloatConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The number whose log is given, in last places of the float; beyond the largest finite, that one."""
    fmt, floats = config.format, config.float_format
    largest = float(floats.decode(floats.max_word))

    def errors(columns: Columns) -> Reals:
        real = fmt.decode(columns["a"])
        got = floats.decode(first_result(golden(config, columns["a"])))
        found = np.abs(np.ldexp(got - real, -last_place(floats, real)))
        return np.asarray(np.where((np.abs(real) > largest) & (got == np.copysign(largest, real)), 0.0, found))

    def exact(operands: Operands) -> Case:
        return float_case(floats, int(first_result(golden(config, operands["a"]))), value(fmt, operands["a"]))

    arguments = every(config) or sample(config, directed)
    promised = promised_error(config.guarantee())
    return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]


def log_to_linear_meaning(config: LogToLinearConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The number whose log is given, in last places of the fixed-point format; beyond the range, its end.

    Raises
    ------
    ValueError
        The result has more bits than float64 can measure the error of.
    """
    fmt, linear = config.format, config.linear_format
    if linear.width > _FLOAT64_BITS:
        raise ValueError(
            f"Width of the result must be at most {_FLOAT64_BITS} for its error to be measured, not {linear.width}"
        )

    def errors(columns: Columns) -> Reals:
        with np.errstate(over="ignore"):
            real = np.ldexp(fmt.decode(columns["a"]), linear.fraction_bits)
        got = linear.unpack(first_result(golden(config, columns["a"])))
        return np.asarray(np.abs(got - np.clip(real, -linear.maximum if linear.signed else 0, linear.maximum)))

    def exact(operands: Operands) -> Case:
        real = mpmath.ldexp(value(fmt, operands["a"]), linear.fraction_bits)
        return Case(int(linear.unpack(first_result(golden(config, operands["a"])))), real)

    arguments = every(config) or sample(config, directed)
    promised = promised_error(config.guarantee())
    return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]
