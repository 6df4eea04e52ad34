"""Stimulus: what the benches are fed."""

import itertools

import numpy as np
import pytest

from lnsmadam.golden.format import LNS8, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.sim.stimulus import corner_words, protocol_operands, stimulus


def _whole(chunks):
    chunks = list(chunks)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def test_few_bits_give_every_argument_once():
    chosen = stimulus(MultiplyConfig(format=LNS8), seed=7, chunk=5000)
    columns = _whole(chosen)
    assert chosen.is_exhaustive and chosen.total == 65536 == len(columns["a"])
    assert max(len(chunk["a"]) for chunk in chosen) == 5000
    pairs = columns["a"].astype(int) << 8 | columns["b"]
    assert np.array_equal(np.sort(pairs), np.arange(65536))


def test_successive_arguments_differ_in_every_field():
    columns = _whole(stimulus(MultiplyConfig(format=LNS8), seed=0))
    for column in columns.values():
        assert np.mean(column[1:] != column[:-1]) > 0.99


@pytest.mark.parametrize("fmt", [LNS8, LNS16])
def test_the_seed_decides_everything(fmt):
    config = MultiplyConfig(format=fmt)
    first, same, other = (_whole(stimulus(config, seed, 30000)) for seed in (3, 3, 4))
    for name in first:
        assert np.array_equal(first[name], same[name])
        assert not np.array_equal(first[name], other[name])
        assert first[name].dtype == fmt.dtype
    one, two = protocol_operands(config, 3, 100), protocol_operands(config, 3, 100)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_corners_are_the_edges_of_the_format():
    small = LNSFormat(5, 2)  # logs −7 … 7, zero −8
    logs = {-8, -7, -6, -1, 0, 1, 6, 7}
    assert set(corner_words(small).tolist()) == {sign << 4 | log & 15 for sign in (0, 1) for log in logs}
    narrow = corner_words(SYNAPSE).tolist()
    assert {SYNAPSE.zero, SYNAPSE.log_min & 31, SYNAPSE.log_max, SYNAPSE.zero | 32} <= set(narrow)
    assert corner_words(FixedFormat(1)).tolist() == [0, 1]
    assert corner_words(FixedFormat(8, 0, True)).tolist() == [0, 1, 126, 127, 128, 129, 255]
    assert corner_words(FixedFormat(64)).tolist() == [0, 1, 2**64 - 2, 2**64 - 1]


def test_a_sample_begins_with_all_corners_crossed():
    config = MultiplyConfig(format=LNS16)
    columns = _whole(stimulus(config, seed=1, count=2000))
    pairs = set(zip(columns["a"][:256].tolist(), columns["b"][:256].tolist(), strict=True))
    assert pairs == set(itertools.product(corner_words(LNS16).tolist(), repeat=2))
    assert len(columns["a"]) == 2000


def test_half_of_the_random_operands_are_directed():
    def directed(config, generator, count):
        return {"a": np.full(count, 0x1234), "b": generator.integers(0, 4, count)}

    chosen = stimulus(MultiplyConfig(format=LNS16), seed=1, count=20000, directed=directed)
    columns = _whole(chosen)
    share = np.mean((columns["a"] == 0x1234) & (columns["b"] < 4))
    assert 0.48 < share < 0.52
    assert "directed" in chosen.description
    assert np.mean(protocol_operands(chosen.config, 1, 3000, directed)["a"] == 0x1234) > 0.25


def test_first_gives_the_beginning_of_the_run():
    chosen = stimulus(MultiplyConfig(format=LNS16), seed=2, count=5000, chunk=1000)
    whole, first = _whole(chosen), chosen.first(1700)
    assert all(np.array_equal(first[name], whole[name][:1700]) for name in whole)
    assert len(chosen.first(10**6)["a"]) == 5000


def test_count_must_be_positive():
    with pytest.raises(ValueError, match="Count must be at least 1, not 0"):
        stimulus(MultiplyConfig(), seed=0, count=0)
