"""What is proved of the conversions and of the bfloat16 baselines, for every operand."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Const, Mux, Value

from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.float_to_lns import FloatToLNSConfig
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNS6, LNS8, LNS16
from lnsmadam.golden.linear_to_log import LinearToLogConfig
from lnsmadam.golden.lns_to_float import LNSToFloatConfig
from lnsmadam.golden.log_to_linear import LogToLinearConfig
from lnsmadam.golden.sgd_update import SgdUpdateConfig
from lnsmadam.hw.bf16_multiply_add import Bf16MultiplyAdd
from lnsmadam.hw.float_to_lns import FloatToLNS
from lnsmadam.hw.linear_to_log import LinearToLog
from lnsmadam.hw.lns_to_float import LNSToFloat
from lnsmadam.hw.log_to_linear import LogToLinear
from lnsmadam.hw.sgd_update import SgdUpdate
from lnsmadam.proof.formal.claim import (
    Claim,
    Route,
    Statement,
    Statements,
    any_zero,
    canonical,
    is_a_number,
    log_of,
    negated,
    order,
    successor,
)
from lnsmadam.proof.formal.proof import Proof

STATEMENTS = Statements()
about = STATEMENTS.about


def float_magnitude(word: Any, fmt: FloatFormat) -> Value:
    """The bits below the sign: they rise with the size of what is not NaN."""
    return word[: fmt.width - 1]


def float_order(word: Any, fmt: FloatFormat) -> Value:
    """An integer that rises with the number; zeros of both signs are 0."""
    size = float_magnitude(word, fmt)
    return Mux(word[fmt.width - 1], -size, size)


def is_nan(word: Any, fmt: FloatFormat) -> Value:
    return float_magnitude(word, fmt) > fmt.infinity


def is_finite(word: Any, fmt: FloatFormat) -> Value:
    return float_magnitude(word, fmt) < fmt.infinity


def sign_bit(fmt: FloatFormat) -> int:
    return 1 << (fmt.width - 1)


@about("linear_to_log", "log(a) ≤ log(a + 1): a ≤ b implies log(a) ≤ log(b)")
def linear_to_log_monotone(claim: Claim) -> None:
    fmt, linear = claim.config.format, claim.config.linear_format
    a = claim.free("a")
    following = (a + 1)[: linear.width]
    claim.holds(
        order(claim(a=a), fmt) <= order(claim(a=following), fmt),
        "log(a) ≤ log(a + 1)",
        given=a != linear.maximum,
    )


@about("linear_to_log", "log(-a) = -log(a), and 0 is +0")
def linear_to_log_odd(claim: Claim) -> None:
    linear, fmt = claim.config.linear_format, claim.config.format
    a = claim.free("a")
    result = claim(a=a)
    minus_a = (-a.as_signed())[: linear.width]
    # The most negative integer has no positive partner.
    has_partner = a != 1 << (linear.width - 1)
    claim.equal(claim(a=minus_a), negated(result, fmt), "log(-a) is -log(a)", given=has_partner)
    claim.equal(result, fmt.zero, "0 is +0", given=a == 0)


@about("linear_to_log", "the result is +0 or has a log of log_min … log_max")
def linear_to_log_range(claim: Claim) -> None:
    claim.holds(is_a_number(claim(a=claim.free("a")), claim.config.format), "log(a) is in range")


@about("log_to_linear", "linear(a) ≤ linear(b) where b is the next number: a ≤ b implies linear(a) ≤ linear(b)")
def log_to_linear_monotone(claim: Claim) -> None:
    fmt = claim.config.format
    a, largest = claim.free("a"), fmt.code_max
    claim.holds(
        claim(a=a).as_signed() <= claim(a=successor(a, fmt)).as_signed(),
        "linear(a) ≤ linear(b)",
        given=a != largest,
    )


@about("log_to_linear", "linear(-a) = -linear(a) where it does not saturate, and 0 of either sign is 0, unflagged")
def log_to_linear_odd(claim: Claim) -> None:
    fmt, width = claim.config.format, claim.config.linear_format.width
    a, zero = claim.free("a"), any_zero(claim, "sign_of_0", claim.config.format)
    result = claim.unit(a=a)
    claim.equal(
        claim(a=a ^ fmt.sign_bit),
        (-result["result"])[:width],
        "linear(-a) is -linear(a)",
        given=~result["overflow"],
    )
    nothing = claim.unit(a=zero)
    claim.holds((nothing["result"] == 0) & ~nothing["overflow"], "0 is 0, unflagged")


@about("log_to_linear", "a from 2^5 least bits up comes back from fixed point")
def log_to_linear_round_trip(claim: Claim) -> None:
    fmt, linear = claim.config.format, claim.config.linear_format
    a = claim.free("a")
    there = claim.unit(a=a)
    back = claim(LinearToLog, LinearToLogConfig(format=fmt, linear_format=linear, pipeline=0), a=there["result"])
    is_large = log_of(a, fmt) >= (5 - linear.fraction_bits) * int(fmt.base_factor)
    claim.equal(back, a, "a comes back", given=is_large & ~there["overflow"])


@about("float_to_lns", "a ≤ b implies log(a) ≤ log(b), for what is not NaN")
def float_to_lns_monotone(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a, b = claim.free("a"), claim.free("b", like="a")
    claim.holds(
        order(claim(a=a), lns) <= order(claim(a=b), lns),
        "log(a) ≤ log(b)",
        given=~is_nan(a, fmt) & ~is_nan(b, fmt) & (float_order(a, fmt) <= float_order(b, fmt)),
    )


@about("float_to_lns", "log(-a) = -log(a), for all but NaN; the result is in range")
def float_to_lns_odd(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a = claim.free("a")
    result = claim(a=a)
    claim.equal(claim(a=a ^ sign_bit(fmt)), negated(result, lns), "log(-a) is -log(a)", given=~is_nan(a, fmt))
    claim.holds(is_a_number(result, lns), "log(a) is in range")


@about("float_to_lns", "NaN is +0 and invalid, ±∞ the largest and infinite, nothing else flagged")
def float_to_lns_special(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a = claim.free("a")
    result = claim.unit(a=a)
    is_infinite = float_magnitude(a, fmt) == fmt.infinity
    claim.holds(result["invalid"] == is_nan(a, fmt), "invalid says NaN")
    claim.holds(result["infinite"] == is_infinite, "infinite says ±∞")
    claim.equal(result["result"], lns.zero, "NaN is +0", given=is_nan(a, fmt))
    sign = Mux(a[fmt.width - 1], lns.sign_bit, 0)
    claim.equal(result["result"], lns.max_word | sign, "±∞ is the largest with its sign", given=is_infinite)


@about("lns_to_float", "a ≤ b implies float(a) ≤ float(b)")
def lns_to_float_monotone(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a, b = claim.free("a"), claim.free("b", like="a")
    claim.holds(
        float_order(claim(a=a), fmt) <= float_order(claim(a=b), fmt),
        "float(a) ≤ float(b)",
        given=order(a, lns) <= order(b, lns),
    )


@about("lns_to_float", "float(-a) = -float(a), finite; 0 of either sign is +0")
def lns_to_float_odd(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a, zero = claim.free("a"), any_zero(claim, "sign_of_0", claim.config.format)
    result = claim(a=a)
    is_zero = float_magnitude(result, fmt) == 0
    claim.equal(claim(a=a ^ lns.sign_bit), Mux(is_zero, result, result ^ sign_bit(fmt)), "float(-a) is -float(a)")
    claim.holds(is_finite(result, fmt), "float(a) is finite")
    claim.equal(claim(a=zero), 0, "0 is +0")


@about("lns_to_float", "a comes back from floating point; -0 as +0")
def lns_to_float_round_trip(claim: Claim) -> None:
    fmt, lns = claim.config.float_format, claim.config.format
    a = claim.free("a")
    back = claim(FloatToLNS, FloatToLNSConfig(format=lns, float_format=fmt, pipeline=0), a=claim(a=a))
    claim.equal(back, canonical(a, lns), "a comes back")


@about("bf16_multiply_add", "a · b + c = b · a + c")
def bf16_multiply_add_commutes(claim: Claim) -> None:
    a, b, c = claim.free("a", "b", "c")
    claim.equal(claim(a=a, b=b, c=c), claim(a=b, b=a, c=c), "b · a + c is a · b + c")


@about("bf16_multiply_add", "(-a) · b + (-c) = -(a · b + c), but for NaN and exact cancellation, which is +0")
def bf16_multiply_add_negation(claim: Claim) -> None:
    fmt = claim.config.float_format
    a, b, c = claim.free("a", "b", "c")
    result, other = claim(a=a, b=b, c=c), claim(a=a ^ sign_bit(fmt), b=b, c=c ^ sign_bit(fmt))
    size = float_magnitude(result, fmt)
    claim.equal(float_magnitude(other, fmt), size, "(-a) · b + (-c) is as large as a · b + c")
    is_signed = (size != 0) & ~is_nan(result, fmt)
    claim.equal(other, result ^ sign_bit(fmt), "(-a) · b + (-c) is -(a · b + c)", given=is_signed)


@about("bf16_multiply_add", "a · 1 + (-0) = a for all but NaN, which stays NaN")
def bf16_multiply_add_one(claim: Claim) -> None:
    fmt = claim.config.float_format
    a = claim.free("a")
    one = fmt.bias << fmt.mantissa_bits
    result = claim(a=a, b=one, c=Const(sign_bit(fmt), fmt.width))
    claim.equal(result, a, "a · 1 + (-0) is a", given=~is_nan(a, fmt))
    claim.equal(result, fmt.nan, "NaN stays NaN", given=is_nan(a, fmt))


@about("bf16_multiply_add", "x · 1 + (-x) = +0, for finite x")
def bf16_multiply_add_cancels(claim: Claim) -> None:
    fmt = claim.config.float_format
    x = claim.free("x", like="a")
    one = fmt.bias << fmt.mantissa_bits
    result = claim(a=x, b=one, c=x ^ sign_bit(fmt))
    claim.equal(result, 0, "x · 1 + (-x) is +0", given=is_finite(x, fmt))


@about("sgd_update", "weight - lr · grad = weight + (-lr) · grad, as bf16_multiply_add has it")
def sgd_update_product(claim: Claim) -> None:
    fmt = claim.config.float_format
    weight, grad, lr = claim.free("weight", "grad", "lr")
    other = claim(
        Bf16MultiplyAdd, Bf16MultiplyAddConfig(float_format=fmt, pipeline=0), a=lr ^ sign_bit(fmt), b=grad, c=weight
    )
    claim.equal(claim(weight=weight, grad=grad, lr=lr), other, "weight - lr · grad is weight + (-lr) · grad")


COMPONENTS: dict[str, Any] = {
    "linear_to_log": LinearToLog,
    "log_to_linear": LogToLinear,
    "float_to_lns": FloatToLNS,
    "lns_to_float": LNSToFloat,
    "bf16_multiply_add": Bf16MultiplyAdd,
    "sgd_update": SgdUpdate,
}

#: Not of wide formats: a step of 1/2048 octave is finer than a bfloat16, and than a fixed-point number of few bits.
NARROW = ("round-trip",)


def configurations(statement: Statement) -> Iterable[tuple[str, UnitConfig, Route]]:
    """The configurations, without registers, that a statement is proved of: a reader's name, and how it is decided."""
    for fmt in (LNS6, LNS8, LNS16):
        route = Route.MERGE if fmt is LNS16 else Route.SOLVER
        match statement.unit:
            case "linear_to_log":
                yield fmt.name, LinearToLogConfig(format=fmt, pipeline=0), route
            case "log_to_linear":
                yield fmt.name, LogToLinearConfig(format=fmt, pipeline=0), route
            case "float_to_lns":
                yield f"bfloat16 to {fmt.name}", FloatToLNSConfig(format=fmt, pipeline=0), route
            case "lns_to_float":
                yield f"{fmt.name} to bfloat16", LNSToFloatConfig(format=fmt, pipeline=0), route
    match statement.unit:
        case "bf16_multiply_add":
            route = Route.MERGE_HARD if statement.name == "commutes" else Route.MERGE
            yield "bfloat16", Bf16MultiplyAddConfig(pipeline=0), route
        case "sgd_update":
            yield "bfloat16", SgdUpdateConfig(pipeline=0), Route.MERGE


def proofs() -> Iterable[Proof]:
    """All of them."""
    for statement in STATEMENTS:
        for label, config, route in configurations(statement):
            if route is Route.SOLVER or statement.name not in NARROW:
                is_long = LNS8.name not in label
                yield statement.proof(config, COMPONENTS[statement.unit], label, route, is_long=is_long)
