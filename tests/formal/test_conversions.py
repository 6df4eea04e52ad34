import pytest
from listed import marked, title

from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.format import LNS6
from lnsmadam.proof.formal.claim import Route
from lnsmadam.proof.formal.conversions import COMPONENTS, STATEMENTS, configurations, proofs

ZERO, SIGN, MAX = LNS6.zero, LNS6.sign_bit, LNS6.max_word
ONE, TWO, THREE, MINUS_0 = 0x3F80, 0x4000, 0x4040, 0x8000

#: A fault for every statement: the operands at which a unit of LNS6 or bfloat16 is wrong, and what it gives there
#: instead. Of fixed-point numbers 256 is 1.
FAULTS = {
    "linear_to_log monotone": (dict(a=256), dict(result=MAX)),
    "linear_to_log odd": (dict(a=256), dict(result=3)),
    "linear_to_log range": (dict(a=256), dict(result=ZERO | SIGN)),
    "log_to_linear monotone": (dict(a=4), dict(result=1)),
    "log_to_linear odd": (dict(a=4), dict(result=513)),
    "log_to_linear round-trip": (dict(a=4), dict(result=256)),
    "float_to_lns monotone": (dict(a=ONE), dict(result=MAX)),
    "float_to_lns odd": (dict(a=ONE), dict(result=3)),
    "float_to_lns special": (dict(a=BFLOAT16.nan), dict(invalid=0)),
    "lns_to_float monotone": (dict(a=4), dict(result=ONE)),
    "lns_to_float odd": (dict(a=4), dict(result=ONE)),
    "lns_to_float round-trip": (dict(a=4), dict(result=ONE)),
    "bf16_multiply_add commutes": (dict(a=TWO, b=THREE, c=ONE), dict(result=ONE)),
    "bf16_multiply_add negation": (dict(a=TWO, b=THREE, c=ONE), dict(result=ONE)),
    "bf16_multiply_add one": (dict(a=TWO, b=ONE, c=MINUS_0), dict(result=THREE)),
    "bf16_multiply_add cancels": (dict(a=TWO, b=ONE, c=TWO | MINUS_0), dict(result=MINUS_0)),
    "sgd_update product": (dict(weight=ONE, grad=TWO, lr=THREE), dict(result=ONE)),
}


@pytest.mark.parametrize("proof", marked(proofs()))
def test_holds_for_every_operand(proof, proved):
    proved(proof)


def _faulty(statement):
    _, config, route = next(iter(configurations(statement)))
    marks = [] if route is Route.SOLVER else [pytest.mark.slow]
    return pytest.param(statement, config, route, id=title(statement), marks=marks)


@pytest.mark.parametrize("statement, config, route", [_faulty(statement) for statement in STATEMENTS])
def test_a_fault_at_one_operand_is_found(statement, config, route, finds):
    finds(statement, config, COMPONENTS[statement.unit], *FAULTS[title(statement)], route=route)
