"""What tests of single units share."""

import pytest

from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus

#: Transfers of a run where a unit has more operands than that.
MANY = 1 << 18


@pytest.fixture
def run(request):
    """Runs a configuration of the module's ``UNIT`` against its golden model: every operand, or ``count`` of them."""
    unit = request.module.UNIT

    def run(config, emitted=None, count=MANY, **options):
        operands = stimulus(config, 1, count, unit.directed)
        return compare(emitted or unit.emit(config), unit.model(config), operands, **options)

    return run
