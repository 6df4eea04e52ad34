"""Every operand triple of the LNS8 multiply-add, as the project promises."""

import pytest

from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.hw.emit import emit
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.sim.batch import compare
from lnsmadam.sim.stimulus import stimulus


@pytest.mark.parametrize("stalls_seed", [None, pytest.param(1, marks=pytest.mark.slow)])
def test_all_triples_of_lns8_in_under_a_minute(stalls_seed):
    config = MultiplyAddConfig(pipeline=4)
    chunks = stimulus(config, seed=0)
    assert chunks.is_exhaustive
    result = compare(
        emit(MultiplyAdd(config)),
        lambda fields, index: {"result": multiply_add(config, fields["a"], fields["b"], fields["c"])},
        chunks,
        stalls_seed=stalls_seed,
    )
    assert result.passed, result.failure
    assert result.count == 1 << 24
    assert result.seconds < 60, result
