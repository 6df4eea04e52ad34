"""What is proved of the units' arithmetic, for every operand."""

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Mux, Value

from lnsmadam.golden.add import AddConfig
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.divide import DivideConfig
from lnsmadam.golden.format import LNS6, LNS8, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.log_sum import Approximator, SumConfig
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.golden.sqrt import SqrtConfig
from lnsmadam.golden.square import SquareConfig
from lnsmadam.hw.add import Add
from lnsmadam.hw.divide import Divide
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.hw.sqrt import Sqrt
from lnsmadam.hw.square import Square
from lnsmadam.proof.formal.claim import (
    Claim,
    Route,
    Statement,
    Statements,
    any_zero,
    canonical,
    is_a_number,
    is_zero,
    log_of,
    magnitude,
    negated,
    order,
)
from lnsmadam.proof.formal.proof import Proof

STATEMENTS = Statements()
about = STATEMENTS.about

# The log of 1 is 0, in every format.
ONE = 0

COMPONENTS: dict[str, Any] = {
    "multiply_add": MultiplyAdd,
    "add": Add,
    "multiply": Multiply,
    "divide": Divide,
    "square": Square,
    "sqrt": Sqrt,
}


def in_range(word: Any, fmt: LNSFormat) -> Value:
    """What leaves a unit for the number of a word: a code beyond log_min … log_max is read as what it stands for, and
    the result is under the range rule; zero is +0."""
    log = log_of(word, fmt)
    fitted = Mux(log > fmt.log_max, fmt.max_word | (word & fmt.sign_bit), canonical(word, fmt))
    return Mux(log < fmt.log_min, fmt.zero, fitted)


@about("multiply_add", "a · b + c = b · a + c")
def multiply_add_commutes(claim: Claim) -> None:
    a, b, c = claim.free("a", "b", "c")
    claim.equal(claim(a=a, b=b, c=c), claim(a=b, b=a, c=c), "b · a + c is a · b + c")


@about("multiply_add", "a · 1 + 0 = a, for 0 of either sign; -0 becomes +0")
def multiply_add_one(claim: Claim) -> None:
    fmt = claim.config.operand
    a, zero = claim.free("a"), any_zero(claim, "sign_of_0", fmt)
    claim.equal(claim(a=a, b=ONE, c=zero), in_range(a, fmt), "a · 1 + 0 is a")


@about("multiply_add", "x · 1 + (-x) = +0")
def multiply_add_cancels(claim: Claim) -> None:
    fmt = claim.config.operand
    x = claim.free("x", like="a")
    claim.equal(claim(a=x, b=ONE, c=x ^ fmt.sign_bit), fmt.zero, "x · 1 + (-x) is +0")


@about("multiply_add", "(-a) · b + (-c) = -(a · b + c)")
def multiply_add_negation(claim: Claim) -> None:
    fmt = claim.config.operand
    a, b, c = claim.free("a", "b", "c")
    result = claim(a=a, b=b, c=c)
    claim.equal(
        claim(a=a ^ fmt.sign_bit, b=b, c=c ^ fmt.sign_bit), negated(result, fmt), "(-a) · b + (-c) is -(a · b + c)"
    )


@about("multiply_add", "c ≤ d implies a · b + c ≤ a · b + d")
def multiply_add_monotone(claim: Claim) -> None:
    fmt = claim.config.operand
    a, b, c = claim.free("a", "b", "c")
    d = claim.free("d", like="c")
    claim.holds(
        order(claim(a=a, b=b, c=c), fmt) <= order(claim(a=a, b=b, c=d), fmt),
        "a · b + c ≤ a · b + d",
        given=order(c, fmt) <= order(d, fmt),
    )


@about("multiply_add", "the result is +0 or has a log of log_min … log_max")
def multiply_add_range(claim: Claim) -> None:
    a, b, c = claim.free("a", "b", "c")
    claim.holds(is_a_number(claim(a=a, b=b, c=c), claim.config.accumulator), "a · b + c is in range")


@about("multiply_add", "0 · b + c = c, for 0 of either sign and any b")
def multiply_add_zero(claim: Claim) -> None:
    fmt = claim.config.operand
    zero, (b, c) = any_zero(claim, "sign_of_0", fmt), claim.free("b", "c")
    claim.equal(claim(a=zero, b=b, c=c), in_range(c, fmt), "0 · b + c is c")


@about("add", "a + b = b + a")
def add_commutes(claim: Claim) -> None:
    a, b = claim.free("a", "b")
    claim.equal(claim(a=a, b=b, subtract=0), claim(a=b, b=a, subtract=0), "b + a is a + b")


@about("add", "a - b = -(b - a)")
def add_antisymmetry(claim: Claim) -> None:
    a, b = claim.free("a", "b")
    difference = claim(a=a, b=b, subtract=1)
    claim.equal(claim(a=b, b=a, subtract=1), negated(difference, claim.config.accumulator), "b - a is -(a - b)")


@about("add", "a - b = a + (-b)")
def add_subtract(claim: Claim) -> None:
    a, b = claim.free("a", "b")
    minus_b = b ^ claim.config.accumulator.sign_bit
    claim.equal(claim(a=a, b=b, subtract=1), claim(a=a, b=minus_b, subtract=0), "a - b is a + (-b)")


@about("add", "x - x = +0")
def add_cancels(claim: Claim) -> None:
    x = claim.free("x", like="a")
    claim.equal(claim(a=x, b=x, subtract=1), claim.config.accumulator.zero, "x - x is +0")


@about("add", "a + 0 = a, for 0 of either sign; -0 becomes +0")
def add_zero(claim: Claim) -> None:
    fmt = claim.config.accumulator
    a, zero = claim.free("a"), any_zero(claim, "sign_of_0", fmt)
    claim.equal(claim(a=a, b=zero, subtract=0), in_range(a, fmt), "a + 0 is a")


@about("add", "a ≤ c implies a + b ≤ c + b")
def add_monotone(claim: Claim) -> None:
    fmt = claim.config.accumulator
    a, b = claim.free("a", "b")
    c = claim.free("c", like="a")
    claim.holds(
        order(claim(a=a, b=b, subtract=0), fmt) <= order(claim(a=c, b=b, subtract=0), fmt),
        "a + b ≤ c + b",
        given=order(a, fmt) <= order(c, fmt),
    )


@about("add", "the result is +0 or has a log of log_min … log_max")
def add_range(claim: Claim) -> None:
    a, b, subtract = claim.free("a", "b", "subtract")
    claim.holds(is_a_number(claim(a=a, b=b, subtract=subtract), claim.config.accumulator), "a ± b is in range")


@about("multiply", "a · b = b · a")
def multiply_commutes(claim: Claim) -> None:
    a, b = claim.free("a", "b")
    claim.equal(claim(a=a, b=b), claim(a=b, b=a), "b · a is a · b")


@about("multiply", "a · 1 = a; -0 becomes +0")
def multiply_one(claim: Claim) -> None:
    a = claim.free("a")
    claim.equal(claim(a=a, b=ONE), in_range(a, claim.config.format), "a · 1 is a")


@about("multiply", "a · 0 = +0, for 0 of either sign")
def multiply_zero(claim: Claim) -> None:
    fmt = claim.config.format
    a, zero = claim.free("a"), any_zero(claim, "sign_of_0", fmt)
    claim.equal(claim(a=a, b=zero), fmt.zero, "a · 0 is +0")


@about("multiply", "(-a) · b = -(a · b), whatever the sign of b")
def multiply_negation(claim: Claim) -> None:
    fmt = claim.config.format
    a, b = claim.free("a", "b")
    claim.equal(claim(a=a ^ fmt.sign_bit, b=b), negated(claim(a=a, b=b), fmt), "(-a) · b is -(a · b)")


@about("multiply", "|a| ≤ |c| implies |a · b| ≤ |c · b|")
def multiply_monotone(claim: Claim) -> None:
    fmt = claim.config.format
    a, b = claim.free("a", "b")
    c = claim.free("c", like="a")
    claim.holds(
        log_of(claim(a=a, b=b), fmt) <= log_of(claim(a=c, b=b), fmt),
        "|a · b| ≤ |c · b|",
        given=log_of(a, fmt) <= log_of(c, fmt),
    )


@about("multiply", "the result is +0 or has a log of log_min … log_max")
def multiply_range(claim: Claim) -> None:
    a, b = claim.free("a", "b")
    claim.holds(is_a_number(claim(a=a, b=b), claim.config.format), "a · b is in range")


@about("divide", "x / x = 1 and x / 1 = x, unflagged, for x ≠ 0")
def divide_one(claim: Claim) -> None:
    fmt = claim.config.format
    x = claim.free("x", like="a")
    itself, by_one = claim.unit(a=x, b=x), claim.unit(a=x, b=ONE)
    is_number = ~is_zero(x, fmt)
    claim.holds((itself["result"] == ONE) & ~itself["invalid"], "x / x is 1", given=is_number)
    claim.holds((by_one["result"] == in_range(x, fmt)) & ~by_one["invalid"], "x / 1 is x", given=is_number)


@about("divide", "x / 0 = the largest with the sign of x, 0 / 0 = +0, both flagged; nothing else is")
def divide_zero(claim: Claim) -> None:
    fmt = claim.config.format
    a, b = claim.free("a", "b")
    quotient, sign = claim.unit(a=a, b=b), a & fmt.sign_bit
    by_zero = is_zero(b, fmt)
    want = Mux(is_zero(a, fmt), fmt.zero, fmt.max_word | sign)
    claim.holds(quotient["invalid"] == by_zero, "invalid says that b is 0")
    claim.equal(quotient["result"], want, "x / 0 is the largest with the sign of x", given=by_zero)


@about("divide", "(-a) / b = -(a / b)")
def divide_negation(claim: Claim) -> None:
    fmt = claim.config.format
    a, b = claim.free("a", "b")
    claim.equal(claim(a=a ^ fmt.sign_bit, b=b), negated(claim(a=a, b=b), fmt), "(-a) / b is -(a / b)")


@about("divide", "(a · b) / b = a, where the product is in range")
def divide_product(claim: Claim) -> None:
    fmt = claim.config.format
    a, b = claim.free("a", "b")
    log = log_of(a, fmt) + log_of(b, fmt)
    product = claim(Multiply, MultiplyConfig(format=fmt, pipeline=0), a=a, b=b)
    is_exact = (
        (log >= fmt.log_min) & (log <= fmt.log_max) & (a == in_range(a, fmt)) & ~is_zero(a, fmt) & ~is_zero(b, fmt)
    )
    claim.equal(claim(a=product, b=b), a, "(a · b) / b is a", given=is_exact)


@about("square", "a² = a · a")
def square_product(claim: Claim) -> None:
    a = claim.free("a")
    product = claim(Multiply, MultiplyConfig(format=claim.config.format, pipeline=0), a=a, b=a)
    claim.equal(claim(a=a), product, "a² is a · a")


@about("sqrt", "√(a²) = |a|, unflagged, where a² is in range")
def sqrt_square(claim: Claim) -> None:
    fmt = claim.config.format
    a = claim.free("a")
    square = claim(Square, SquareConfig(format=fmt, pipeline=0), a=a)
    root = claim.unit(a=square)
    twice = log_of(a, fmt) + log_of(a, fmt)
    is_exact = ((twice >= fmt.log_min) & (twice <= fmt.log_max)) | is_zero(a, fmt)
    claim.holds((root["result"] == magnitude(a, fmt)) & ~root["invalid"], "√(a²) is |a|", given=is_exact)


@about("sqrt", "the root of a negative number is +0 and flagged; no other is flagged, none is negative")
def sqrt_invalid(claim: Claim) -> None:
    fmt = claim.config.format
    a = claim.free("a")
    root, is_negative = claim.unit(a=a), a[fmt.log_width] & ~is_zero(a, fmt)
    claim.holds(root["invalid"] == is_negative, "invalid says that a is negative")
    claim.equal(root["result"], fmt.zero, "the root of a negative number is +0", given=is_negative)
    claim.holds(~root["result"][fmt.log_width], "no root is negative")


@about("sqrt", "0 ≤ a ≤ c implies √a ≤ √c")
def sqrt_monotone(claim: Claim) -> None:
    fmt = claim.config.format
    a, c = claim.free("a", "c", like="a")
    is_ordered = (order(a, fmt) >= 0) & (order(a, fmt) <= order(c, fmt))
    claim.holds(order(claim(a=a), fmt) <= order(claim(a=c), fmt), "√a ≤ √c", given=is_ordered)


def configurations(unit: str) -> Iterable[tuple[LNSFormat, UnitConfig]]:
    """The configurations of a unit that statements are proved of, without registers, and their formats."""
    for fmt in (LNS6, LNS8, SYNAPSE, LNS16):
        match unit:
            case "multiply_add":
                yield fmt, MultiplyAddConfig(operand=fmt, pipeline=0)
            case "add":
                yield fmt, AddConfig(accumulator=fmt, pipeline=0)
            case "multiply":
                yield fmt, MultiplyConfig(format=fmt, pipeline=0)
            case "divide":
                yield fmt, DivideConfig(format=fmt, pipeline=0)
            case "square":
                yield fmt, SquareConfig(format=fmt, pipeline=0)
            case "sqrt":
                yield fmt, SqrtConfig(format=fmt, pipeline=0)


def holds(statement: Statement, config: UnitConfig) -> bool:
    """Whether a statement is one about this configuration."""
    # A faithful sum may fall by a step where its operands rise.
    return (
        statement.name != "monotone" or not isinstance(config, SumConfig) or config.approximator is Approximator.TABLE
    )


def proofs() -> Iterable[Proof]:
    """All of them."""
    for statement in STATEMENTS:
        for fmt, config in configurations(statement.unit):
            if holds(statement, config):
                is_wide = fmt is LNS16
                route = Route.MERGE if is_wide else Route.SOLVER
                make = COMPONENTS[statement.unit]
                yield statement.proof(config, make, fmt.name, route, is_long=is_wide or fmt is SYNAPSE)
