"""Any configuration of any unit: it is refused in one line, or its hardware is the golden model and the golden model
keeps its promise about the real number."""

import pytest
from configurations import choices
from hypothesis import assume
from hypothesis import strategies as st
from properties import property_of

from lnsmadam.golden.format import FixedFormat, LNSFormat
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

#: Transfers of a comparison: enough for every corner, beside which a build takes seconds.
TRANSFERS = 6000

#: Found by these searches: what was wrong before.
FOUND = [
    # A sum above a largest log that is negative took the sign of the sum's own log.
    ("multiply_add", {"operand": LNSFormat(7, 8, -4, -4), "memory": Memory.BLOCK, "pipeline": 1}),
    ("add", {"accumulator": LNSFormat(7, 8, -31, -4)}),
    ("add", {"accumulator": LNSFormat(12, 128, -1000, -40), "approximator": Approximator.SEGMENTS}),
    # Words too narrow for a distance of eight octaves had no circuit of segments, but a traceback.
    ("multiply_add", {"operand": LNSFormat(14, 2048), "pipeline": 0}),
    ("add", {"accumulator": LNSFormat(11, 2048)}),
    # Where every log but that of zero is beyond the largest integer, the golden model's zero was too.
    ("log_to_linear", {"format": LNSFormat(6, 1), "linear_format": FixedFormat(2, 19, signed=False)}),
    ("log_to_linear", {"format": LNSFormat(6, 1), "linear_format": FixedFormat(2, 19, signed=True)}),
    # Addends that do not come to the upper half of a wide accumulator were refused, and not in the user's words.
    ("dot", {"operand": LNSFormat(6, 4), "accumulator": FixedFormat(49, 4, signed=True), "mantissa_bits": 5}),
    ("dot", {"operand": LNSFormat(6, 8, -11, -4), "accumulator": FixedFormat(29, 3, signed=True), "lanes": 3}),
]


def configured(name, options):
    """Unit and configuration, or nothing if it is refused; the refusal is one line."""
    try:
        return UNITS[name].configure(options)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return None


def check_hardware(name, options, stalls_seed=None):
    """Compares hardware with golden; returns whether there is hardware, which a refused configuration has not."""
    unit, config = UNITS[name], configured(name, options)
    try:
        emitted = unit.emit(config) if config else None
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        emitted = None
    if emitted is None:
        return False
    assert emitted.manifest["latency"] == config.pipeline
    operands = stimulus(config, 1, TRANSFERS, unit.directed)
    outcome = compare(emitted, unit.model(config), operands, stalls_seed=stalls_seed)
    assert outcome.passed, f"{name} {options}: {outcome.failure}"
    return True


def hardware_is_the_golden_model(name, data):
    unit, options = data.draw(choices((name,)))
    # What is refused is no example: a unit of which all were would be a failure.
    assume(check_hardware(unit, options, data.draw(st.sampled_from((None, 5)))))


test_hardware, test_hardware_of_many = (
    pytest.mark.parametrize("name", UNITS)(form)
    for form in property_of("hardware_is_the_golden_model", shrink=False, data=st.data())(hardware_is_the_golden_model)
)


@pytest.mark.parametrize("name, options", FOUND)
def test_hardware_found_wrong(name, options):
    assert check_hardware(name, options)
