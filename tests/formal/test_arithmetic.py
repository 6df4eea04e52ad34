import pytest
from listed import marked, title

from lnsmadam.golden.format import LNS6, LNS16
from lnsmadam.proof.formal.arithmetic import COMPONENTS, STATEMENTS, configurations, proofs
from lnsmadam.proof.formal.claim import Route

FMT = LNS6
ZERO, SIGN = FMT.zero, FMT.sign_bit
MAX, MIN = FMT.max_word, FMT.log_min & FMT.log_mask
ONE = 0

#: A fault for every statement: the operands at which a unit of LNS6 is wrong, and what it gives there instead.
FAULTS = {
    "multiply_add commutes": (dict(a=5, b=3, c=7), dict(result=MAX)),
    "multiply_add one": (dict(a=5, b=ONE, c=ZERO | SIGN), dict(result=6)),
    "multiply_add cancels": (dict(a=5, b=ONE, c=5 | SIGN), dict(result=MIN)),
    "multiply_add negation": (dict(a=5, b=3, c=7), dict(result=MAX | SIGN)),
    "multiply_add monotone": (dict(a=5, b=3, c=7), dict(result=MIN)),
    "multiply_add range": (dict(a=5, b=3, c=7), dict(result=ZERO | SIGN)),
    "multiply_add zero": (dict(a=ZERO | SIGN, b=3, c=7), dict(result=6)),
    "add commutes": (dict(a=5, b=3, subtract=0), dict(result=MAX)),
    "add antisymmetry": (dict(a=5, b=3, subtract=1), dict(result=MAX)),
    "add subtract": (dict(a=5, b=3, subtract=1), dict(result=MAX)),
    "add cancels": (dict(a=5, b=5, subtract=1), dict(result=MIN)),
    "add zero": (dict(a=5, b=ZERO | SIGN, subtract=0), dict(result=6)),
    "add monotone": (dict(a=5, b=3, subtract=0), dict(result=MIN)),
    "add range": (dict(a=5, b=3, subtract=1), dict(result=ZERO | SIGN)),
    "multiply commutes": (dict(a=5, b=3), dict(result=9)),
    "multiply one": (dict(a=5, b=ONE), dict(result=6)),
    "multiply zero": (dict(a=5, b=ZERO | SIGN), dict(result=MIN)),
    "multiply negation": (dict(a=5, b=3), dict(result=8 | SIGN)),
    "multiply monotone": (dict(a=5, b=3), dict(result=4)),
    "multiply range": (dict(a=5, b=3), dict(result=ZERO | SIGN)),
    "divide one": (dict(a=5, b=5), dict(result=1)),
    "divide zero": (dict(a=5, b=ZERO), dict(result=MAX | SIGN)),
    "divide negation": (dict(a=5, b=3), dict(result=3)),
    "divide product": (dict(a=8, b=3), dict(result=4)),
    "square product": (dict(a=5), dict(result=9)),
    "sqrt square": (dict(a=10), dict(result=4)),
    "sqrt invalid": (dict(a=5 | SIGN), dict(invalid=0)),
    "sqrt monotone": (dict(a=5), dict(result=MAX)),
}


@pytest.mark.parametrize("proof", marked(proofs()))
def test_holds_for_every_operand(proof, proved):
    proved(proof)


@pytest.mark.parametrize("statement", STATEMENTS, ids=title)
def test_a_fault_at_one_set_of_operands_is_found(statement, finds):
    config = next(config for fmt, config in configurations(statement.unit) if fmt is FMT)
    finds(statement, config, COMPONENTS[statement.unit], *FAULTS[title(statement)])


@pytest.mark.slow
def test_merging_equivalent_nodes_hides_no_fault(finds):
    statement = next(item for item in STATEMENTS if title(item) == "multiply_add negation")
    config = next(config for fmt, config in configurations(statement.unit) if fmt is LNS16)
    operands = dict(a=1234, b=4321 | LNS16.sign_bit, c=5555)
    finds(statement, config, COMPONENTS[statement.unit], operands, dict(result=1), route=Route.MERGE)


@pytest.mark.slow
def test_a_faithful_sum_is_not_monotone(refuted):
    """Why the statement is not one about wide formats: with segments a sum may fall by a step as c rises."""
    statement = next(item for item in STATEMENTS if title(item) == "add monotone")
    config = next(config for fmt, config in configurations(statement.unit) if fmt is LNS16)
    cycle = refuted(statement, config, COMPONENTS[statement.unit], Route.MERGE)
    first, second = (int(LNS16.unpack(cycle[f"result_{n}"])[1]) for n in (1, 2))
    assert abs(first - second) <= 2
