"""The address map: every weight has one place, and rows come back as the matrices they were made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnsmadam.golden.trainer.config import SecondMoment, network_preset
from lnsmadam.golden.trainer.layout import Layout


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5).map(lambda n: (*n[:-1], n[-1] + 1)),
    lanes=st.integers(1, 64),
)
def test_rows_and_matrices(sizes: tuple[int, ...], lanes: int) -> None:
    layout = Layout(network_preset("FO", sizes), lanes)
    matrices = []
    first = 0
    for inputs, neurons in zip(sizes, sizes[1:], strict=False):
        matrices.append(np.arange(first, first + neurons * (inputs + 1)).reshape(neurons, inputs + 1))
        first += neurons * (inputs + 1)
    rows = layout.to_rows(matrices, -1)
    assert rows.shape == (layout.rows, lanes)
    assert np.array_equal(np.sort(rows[rows >= 0]), np.arange(layout.network.weights))
    for layer, matrix in enumerate(matrices):
        for j in range(matrix.shape[0]):
            for i in range(matrix.shape[1]):
                assert rows[layout.row(layer, j // lanes, i), j % lanes] == matrix[j, i]
    for back, matrix in zip(layout.from_rows(rows), matrices, strict=True):
        assert np.array_equal(back, matrix)


def test_trackers_stand_one_behind_the_other() -> None:
    layout = Layout(network_preset("FO", (64, 32, 10)), 8)
    assert [layout.first_input(k) for k in range(2)] == [0, 65]
    assert [layout.first_neuron(k) for k in range(2)] == [0, 32]
    assert layout.word_bits == 10
    assert Layout(network_preset("FV"), 8).word_bits == 19
    assert network_preset("FV").second_moment is SecondMoment.PER_WEIGHT


@pytest.mark.parametrize("lanes", [0, 65])
def test_lanes_out_of_range(lanes: int) -> None:
    with pytest.raises(ValueError, match=f"Lanes must be from 1 to 64, not {lanes}"):
        Layout(network_preset("FX"), lanes)
