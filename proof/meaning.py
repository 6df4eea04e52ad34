"""What every unit means in real numbers, and how far its golden function is from it.

A meaning starts from the words' definition (sign and log, mantissa and exponent) and never calls the unit's own
arithmetic or tables; the golden function itself is handed in, as units are. :data:`MEANINGS` has one function a unit:
``meaning(config, golden, directed) -> list[Measure]``.

Where all words are too many, the arguments are those over which the error varies: the distance of the logs of a sum (an
integer added to both is added to the result), the remainder of an antilog, the mantissa of a conversion.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.dot import DotConfig
from lnsmadam.golden.float_to_lns import FloatToLNSConfig
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.linear_to_log import LinearToLogConfig
from lnsmadam.golden.lns_to_float import LNSToFloatConfig
from lnsmadam.golden.log_sum import SumConfig
from lnsmadam.golden.log_to_linear import LogToLinearConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.golden.reference import gauss_log_reals
from lnsmadam.proof.worst_error import Arguments, Case, Columns, Measure, Operands, in_chunks
from lnsmadam.sim.stimulus import Directed, stimulus

Golden = Callable[..., Any]
Reals = npt.NDArray[np.float64]
Meaning = Callable[[Any, Golden, Directed | None], list[Measure]]
#: A unit's operands → whether the real result is negative, and its log in steps: minus infinity for zero.
RealLogs = Callable[[Columns], tuple[npt.NDArray[np.bool_], Reals]]

SEED = 0
#: Transfers of a sample.
SAMPLE = 1 << 21
#: Most distances of two logs of which all are looked at, and most logs of a product.
_MAX_DISTANCES = 1 << 18
#: Bits of the integers that float64 has to spare for a fraction.
_FLOAT64_BITS = 44


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


def _first(results: Any) -> Any:
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
    """Distance of the result's log from the real one, in steps.

    Zero stands for every log up to ``log_min - 1``, the largest for every log above it. Of the wrong sign, or a number
    where the real result is 0: infinite.
    """
    sign, log = fmt.unpack(got)
    zero = log == fmt.zero_log
    errors = np.abs(log - steps)
    errors = np.where((log == fmt.log_max) & (steps > fmt.log_max), 0.0, errors)
    errors = np.where(zero, np.maximum(steps - (fmt.log_min - 1), 0.0), errors)
    return np.asarray(np.where(~zero & (sign.astype(bool) != negative), np.inf, errors))


def log_measure(
    config: UnitConfig,
    golden: Golden,
    arguments: Arguments,
    fmt: LNSFormat,
    reals: RealLogs,
    exact: Callable[[Operands], Any],
    promised: float,
) -> Measure:
    """The error of a result's log; ``exact`` gives the real result, ``reals`` its log in float64."""

    def errors(columns: Columns) -> Reals:
        return log_errors(fmt, _first(golden(config, *columns.values())), *reals(columns))

    def case(operands: Operands) -> Case:
        real = exact(operands)
        log = int(fmt.unpack(_first(golden(config, *operands.values())))[1])
        steps = fmt.base_factor * mpmath.log(abs(real), 2) if real else mpmath.ninf
        return Case(fmt.log_min - 1 if log == fmt.zero_log else log, steps)

    return Measure("log", "ulp", promised, config.inputs, arguments, errors, case)


def _logs(fmt: LNSFormat, words: Any) -> tuple[npt.NDArray[np.bool_], Reals]:
    """Signs, and logs with minus infinity for zero."""
    sign, log = fmt.unpack(words)
    return sign.astype(bool), np.where(log == fmt.zero_log, -np.inf, log)


def _of_logs(reals: Callable[..., tuple[npt.NDArray[np.bool_], Reals]], exact: Callable[..., Any]) -> Meaning:
    """The meaning of a unit with LNS operands of one format, whose result's log is a linear function of theirs."""

    def meaning(config: Any, golden: Golden, directed: Directed | None) -> list[Measure]:
        fmt = config.format
        arguments = every(config) or sample(config, directed)

        def from_words(columns: Columns) -> tuple[npt.NDArray[np.bool_], Reals]:
            return reals(*(part for words in columns.values() for part in _logs(fmt, words)))

        def from_values(operands: Operands) -> Any:
            return exact(*(value(fmt, word) for word in operands.values()))

        promised = promised_error(config.guarantee())
        return [log_measure(config, golden, arguments, fmt, from_words, from_values, promised)]

    return meaning


def _quotient(sign_a: Any, log_a: Any, sign_b: Any, log_b: Any) -> Any:
    # Division by zero has a result by rule: the largest of a's sign, +0 of a zero.
    with np.errstate(invalid="ignore"):
        log = np.where(np.isneginf(log_a), -np.inf, log_a - log_b)
    return np.where(np.isneginf(log_b), sign_a, sign_a ^ sign_b), log


def _root(sign: Any, log: Any) -> Any:
    # The root of a negative number is +0 by rule.
    return np.zeros_like(sign), np.where(sign, -np.inf, log / 2)


# Sums.


def _sum_logs(config: SumConfig) -> Callable[..., tuple[npt.NDArray[np.bool_], Reals]]:
    """``(sign x, log x, sign y, log y)`` → sign and log of x + y, the logs in steps of the result."""
    plus, minus = _gauss_logs(config)

    def of(sign_x: Any, x: Any, sign_y: Any, y: Any) -> tuple[npt.NDArray[np.bool_], Reals]:
        both = ~np.isneginf(x) & ~np.isneginf(y)
        with np.errstate(invalid="ignore"):
            distance = np.where(both, np.abs(x - y), 0).astype(np.int64)
        change = np.where(both, np.where(sign_x ^ sign_y, minus[distance], plus[distance]), 0.0)
        return np.where(x > y, sign_x, sign_y), np.maximum(x, y) + change

    return of


def _gauss_logs(config: SumConfig) -> tuple[Reals, Reals]:
    """What a sum and a difference add to the larger log, by the distance of the two."""
    z = np.arange(config.z_max + 1)
    with np.errstate(over="ignore", divide="ignore"):
        plus, minus = (gauss_log_reals(z, config.accumulator.base_factor, subtract) for subtract in (False, True))
    minus[0] = -np.inf
    return plus, minus


def _distances(config: SumConfig, x_multiple: int) -> tuple[str, tuple[npt.NDArray[np.int64], ...]]:
    """``(x, y, differs)`` for every distance of two logs, either the larger; and what they are.

    The logs are as large as they may be without the sum or the difference being above the range, and others.
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
    for top in tops:
        for x_is_larger in (False, True):
            x = (top if x_is_larger else top - z) // x_multiple * x_multiple
            y = x - z if x_is_larger else x + z
            fits = (low <= x) & (x <= high) & (fmt.code_min <= y) & (y <= fmt.code_max)
            rows += [(x[fits], y[fits], np.full(int(fits.sum()), differs)) for differs in (0, 1)]
    x, y, differs = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return f"{description}, both signs ({{count}} arguments)", (x, y, differs)


def _sum_arguments(config: SumConfig, description: str, columns: Columns, directed: Directed | None) -> list[Arguments]:
    everything = every(config)
    return [everything] if everything else [table(description, columns), sample(config, directed)]


def multiply_add_meaning(config: MultiplyAddConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """``c + a b``."""
    operand, fmt, sum_logs = config.operand, config.accumulator, _sum_logs(config)

    def reals(columns: Columns) -> Any:
        (sign_a, log_a), (sign_b, log_b) = (_logs(operand, columns[name]) for name in "ab")
        return sum_logs(sign_a ^ sign_b, (log_a + log_b) * config.multiple, *_logs(fmt, columns["c"]))

    def exact(operands: Operands) -> Any:
        a, b, c = (value(config.inputs[name], operands[name]) for name in "abc")
        return c + a * b

    description, (x, y, differs) = _distances(config, config.multiple)
    log_a = np.clip(x // config.multiple, operand.code_min, operand.code_max)
    log_b = x // config.multiple - log_a
    columns = {"a": log_words(operand, 0, log_a), "b": log_words(operand, 0, log_b), "c": log_words(fmt, differs, y)}
    promised = promised_error(config.guarantee())
    return [
        log_measure(config, golden, arguments, fmt, reals, exact, promised)
        for arguments in _sum_arguments(config, description, columns, directed)
    ]


def add_meaning(config: SumConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """``a + b`` or ``a - b``."""
    fmt, sum_logs = config.accumulator, _sum_logs(config)

    def reals(columns: Columns) -> Any:
        (sign_a, log_a), (sign_b, log_b) = (_logs(fmt, columns[name]) for name in "ab")
        return sum_logs(sign_a, log_a, sign_b ^ columns["subtract"].astype(bool), log_b)

    def exact(operands: Operands) -> Any:
        a, b = (value(fmt, operands[name]) for name in "ab")
        return a - b if operands["subtract"] else a + b

    description, (x, y, differs) = _distances(config, 1)
    columns = {"a": log_words(fmt, 0, x), "b": log_words(fmt, 0, y), "subtract": differs.astype(np.uint8)}
    promised = promised_error(config.guarantee())
    return [
        log_measure(config, golden, arguments, fmt, reals, exact, promised)
        for arguments in _sum_arguments(config, description, columns, directed)
    ]


# Conversions.


def linear_to_log_meaning(config: LinearToLogConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The log of a fixed-point number."""
    fmt, linear = config.format, config.linear_format

    def reals(columns: Columns) -> Any:
        integers = linear.unpack(columns["a"])
        with np.errstate(divide="ignore"):
            octaves = np.log2(np.abs(integers).astype(np.float64)) - linear.fraction_bits
        return integers < 0, octaves * fmt.base_factor

    return [
        log_measure(
            config,
            golden,
            every(config) or sample(config, directed),
            fmt,
            reals,
            lambda operands: value(linear, operands["a"]),
            promised_error(config.guarantee()),
        )
    ]


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
        octave = np.arange(1 << floats.mantissa_bits, dtype=np.int64) | floats.bias << floats.mantissa_bits
        mantissas = "all {count} mantissas, in one octave"
        looked_at = [table(mantissas, {"a": octave.astype(floats.dtype)}), sample(config, directed)]
    return [
        log_measure(
            config,
            golden,
            arguments,
            fmt,
            reals,
            exact,
            promised_error(config.guarantee()),
        )
        for arguments in looked_at
    ]


def last_place(fmt: FloatFormat, values: Any) -> Any:
    """Exponent of the last place of real numbers in a float format, as int64."""
    _, exponent = np.frexp(values)
    exponent = np.where(values == 0, fmt.quantum_log, exponent.astype(np.int64) - 1 - fmt.mantissa_bits)
    return np.maximum(exponent, fmt.quantum_log)


def _float_case(fmt: FloatFormat, got: int, real: Any) -> Case:
    """A float's error in last places of the real result; an infinity is the number behind the largest finite one."""
    exponent = int(mpmath.floor(mpmath.log(abs(real), 2))) - fmt.mantissa_bits if real else fmt.quantum_log
    number = value(fmt, got)
    if mpmath.isinf(number):
        number = mpmath.sign(number) * mpmath.ldexp(1, fmt.bias + 1)
    return Case(number, real, mpmath.ldexp(1, max(exponent, fmt.quantum_log)))


def lns_to_float_meaning(config: LNSToFloatConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The number whose log is given, in last places of the float; beyond the largest finite, that one."""
    fmt, floats = config.format, config.float_format
    largest = float(floats.decode(floats.max_word))

    def errors(columns: Columns) -> Reals:
        real = fmt.decode(columns["a"])
        got = floats.decode(_first(golden(config, columns["a"])))
        found = np.abs(np.ldexp(got - real, -last_place(floats, real)))
        return np.asarray(np.where((np.abs(real) > largest) & (got == np.copysign(largest, real)), 0.0, found))

    def exact(operands: Operands) -> Case:
        return _float_case(floats, int(_first(golden(config, operands["a"]))), value(fmt, operands["a"]))

    arguments = every(config) or sample(config, directed)
    promised = promised_error(config.guarantee())
    return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]


def log_to_linear_meaning(config: LogToLinearConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The number whose log is given, in last places of the fixed-point format."""
    fmt, linear = config.format, config.linear_format
    if linear.width > _FLOAT64_BITS:
        raise ValueError(
            f"Width of the result must be at most {_FLOAT64_BITS} for its error to be measured, not {linear.width}"
        )

    def errors(columns: Columns) -> Reals:
        with np.errstate(over="ignore"):
            real = np.ldexp(fmt.decode(columns["a"]), linear.fraction_bits)
        got = linear.unpack(_first(golden(config, columns["a"])))
        return np.asarray(np.abs(got - np.clip(real, -linear.maximum if linear.signed else 0, linear.maximum)))

    def exact(operands: Operands) -> Case:
        real = mpmath.ldexp(value(fmt, operands["a"]), linear.fraction_bits)
        return Case(int(linear.unpack(_first(golden(config, operands["a"])))), real)

    arguments = every(config) or sample(config, directed)
    promised = promised_error(config.guarantee())
    return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]


# Floating point with one rounding.


def _fused(names: Sequence[str], sign: int) -> Meaning:
    """``c ± a b``; names are those of c, a, b."""

    def meaning(config: Any, golden: Golden, directed: Directed | None) -> list[Measure]:
        fmt: FloatFormat = config.float_format
        behind = np.ldexp(1.0, fmt.bias + 1)

        def errors(columns: Columns) -> Reals:
            c, a, b = (fmt.decode(columns[name]) for name in names)
            finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
            c, a, b = (np.where(finite, part, 0.0) for part in (c, a, b))
            # The product is exact in float64, and so is what the sum leaves over.
            product = sign * a * b
            total = c + product
            back = total - product
            rest = (product - (total - back)) + (c - back)
            got = np.clip(fmt.decode(golden(config, *columns.values())), -behind, behind)
            got = np.where((np.abs(got) == behind) & (np.abs(total) > behind), total, got)
            found = np.abs(np.ldexp((total - got) + rest, -last_place(fmt, total)))
            return np.where(finite, found, 0.0)

        def exact(operands: Operands) -> Case:
            c, a, b = (value(fmt, operands[name]) for name in names)
            return _float_case(fmt, int(golden(config, *operands.values())), c + sign * a * b)

        arguments = every(config) or sample(config, directed)
        promised = promised_error(config.guarantee())
        return [Measure("result", "ulp", promised, config.inputs, arguments, errors, exact)]

    return meaning


# Dot products.


def dot_meaning(config: DotConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The sum of products: its mantissas, and the sum within the bound; the log of an LNS result apart."""
    del directed  # Of transfers; here are whole vectors.
    operand, promise = config.operand, config.guarantee()
    fixed = dataclasses.replace(config, lns_result=None, pipeline=config.min_pipeline)
    formats = {"a": operand, "b": operand}
    relative, least = promise["max_antilog_error"], promise["least_bit"]
    if config.antilog is Antilog.TABLE:
        # Its entries are rounded to nearest.
        relative = min(relative, 2.0 ** -(config.mantissa_bits + 1))

    def sums(columns: Columns) -> tuple[Reals, Reals, Reals, npt.NDArray[np.bool_]]:
        """Result, real result, sum of the products' magnitudes, and whether nothing overflowed."""
        products = operand.decode(columns["a"]) * operand.decode(columns["b"])
        result, overflow = golden(fixed, columns["a"], columns["b"])
        return fixed.result.decode(result), products.sum(axis=1), np.abs(products).sum(axis=1), overflow == 0

    def exact_sum(operands: Operands) -> tuple[Any, Any, Any]:
        pairs = zip(operands["a"], operands["b"], strict=True)
        products = [value(operand, a) * value(operand, b) for a, b in pairs]
        result, _ = golden(fixed, operands["a"], operands["b"])
        return value(fixed.result, int(result)), mpmath.fsum(products), mpmath.fsum(abs(x) for x in products)

    def mantissa_errors(columns: Columns) -> Reals:
        got, real, _, inside = sums(columns)
        return np.where(inside, np.abs(got / real - 1), 0.0)

    def mantissa_exact(operands: Operands) -> Case:
        got, real, _ = exact_sum(operands)
        return Case(got, real, abs(real))

    def share_errors(columns: Columns) -> Reals:
        got, real, magnitude, inside = sums(columns)
        length = columns["a"].shape[1]
        return np.where(inside, np.abs(got - real) / (relative * magnitude + length * least), 0.0)

    def share_exact(operands: Operands) -> Case:
        got, real, magnitude = exact_sum(operands)
        return Case(got, real, relative * magnitude + len(operands["a"]) * mpmath.mpf(least))

    def pairs(sum_of_logs: npt.NDArray[np.int64], signs: npt.ArrayLike = 0) -> Columns:
        log_a = np.clip(sum_of_logs, operand.code_min, operand.code_max)
        words = log_words(operand, signs, log_a), log_words(operand, 0, sum_of_logs - log_a)
        return {name: column[:, None] for name, column in zip("ab", words, strict=True)}

    measures = []
    top = 2 * operand.code_max
    # An octave where no bit of a mantissa is below the accumulator's least.
    if top // config.base_factor - 1 + config.accumulator.fraction_bits >= config.mantissa_bits:
        octave = top - np.arange(min(config.base_factor, top - 2 * operand.code_min + 1))
        remainders = table("all {count} remainders", pairs(octave))
        measures.append(Measure("mantissa", "relative", relative, formats, remainders, mantissa_errors, mantissa_exact))
    rng = np.random.default_rng(SEED)
    logs, description = np.arange(2 * operand.code_min, top + 1), "all {count} logs and signs of one product"
    if len(logs) > _MAX_DISTANCES:
        logs = rng.integers(logs[0], top + 1, _MAX_DISTANCES)
        description = f"{{count}} logs and signs of one product, seed {SEED}"
    logs = np.repeat(logs, 2)
    products = table(description, pairs(logs, np.arange(len(logs)) & 1))
    shape = (1 << 16, 4)
    words = {name: rng.integers(0, 1 << operand.width, shape).astype(operand.dtype) for name in "ab"}
    vectors = table(f"{{count}} vectors of {shape[1]}, seed {SEED}", words)
    for what, arguments in (("one product", products), ("sum", vectors)):
        measures.append(Measure(what, "of its bound", 1.0, formats, arguments, share_errors, share_exact))

    log = config.lns_result
    if log is not None and config.magnitude_log is not None:

        def log_of_sum_errors(columns: Columns) -> Reals:
            total = fixed.result.decode(_first(golden(fixed, columns["a"], columns["b"])))
            with np.errstate(divide="ignore"):
                steps = np.log2(np.abs(total)) * log.base_factor
            return log_errors(log, _first(golden(config, columns["a"], columns["b"])), total < 0, steps)

        def log_of_sum_exact(operands: Operands) -> Case:
            total = exact_sum(operands)[0]
            word = _first(golden(config, operands["a"], operands["b"]))
            found = int(log.unpack(word)[1])
            steps = log.base_factor * mpmath.log(abs(total), 2) if total else mpmath.ninf
            return Case(log.log_min - 1 if found == log.zero_log else found, steps)

        bound = promised_error({**promise, "rounding": config.magnitude_log.core.rounding})
        for arguments in (products, vectors):
            measures.append(
                Measure("log of the sum", "ulp", bound, formats, arguments, log_of_sum_errors, log_of_sum_exact)
            )
    return measures


#: How each unit without a state or a rule for learning is measured.
MEANINGS: dict[str, Meaning] = {
    "multiply": _of_logs(lambda sign_a, a, sign_b, b: (sign_a ^ sign_b, a + b), lambda a, b: a * b),
    "divide": _of_logs(_quotient, lambda a, b: a / b if b else a * mpmath.inf if a else a),
    "square": _of_logs(lambda sign, a: (np.zeros_like(sign), 2 * a), lambda a: a * a),
    "sqrt": _of_logs(_root, lambda a: mpmath.sqrt(max(a, 0))),
    "add": add_meaning,
    "multiply_add": multiply_add_meaning,
    "dot": dot_meaning,
    "linear_to_log": linear_to_log_meaning,
    "log_to_linear": log_to_linear_meaning,
    "float_to_lns": float_to_lns_meaning,
    "lns_to_float": lns_to_float_meaning,
    "bf16_multiply_add": _fused(("c", "a", "b"), 1),
    "sgd_update": _fused(("weight", "lr", "grad"), -1),
}
