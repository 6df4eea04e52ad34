"""Multiply-add: every triple against the real-number answer, the quick way against the definition, xlns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS16, SYNAPSE, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.multiply_add import (
    MultiplyAddConfig,
    directed,
    multiply_add,
    multiply_add_by_definition,
)


def check_all_triples(operand, accumulator, reals, function=multiply_add):
    config = MultiplyAddConfig(operand=operand, accumulator=accumulator)
    row, want = reals.sum_by_product(operand, accumulator)
    b, c = np.arange(1 << operand.width)[:, None], np.arange(1 << accumulator.width)[None, :]
    for a in range(1 << operand.width):
        reals.assert_same(
            function(config, a, b.astype(operand.dtype), c.astype(accumulator.dtype)),
            want[row[a]],
            {"a": (operand, a), "b": (operand, b), "c": (accumulator, c), "result": accumulator},
        )


def test_every_triple(sum_formats, reals):
    operand, accumulator = sum_formats
    if 2 * operand.width + accumulator.width > 24:
        check_distinct_triples(operand, accumulator, reals)
    else:
        check_all_triples(operand, accumulator, reals)


def check_distinct_triples(operand, accumulator, reals):
    """One pair a, b for each product; with it every c."""
    config = MultiplyAddConfig(operand=operand, accumulator=accumulator)
    row, want = reals.sum_by_product(operand, accumulator)
    rows, first = np.unique(row.ravel(), return_index=True)
    a, b = first[:, None] >> operand.width, first[:, None] & ((1 << operand.width) - 1)
    c = np.arange(1 << accumulator.width)[None, :]
    reals.assert_same(
        multiply_add(config, a, b, c),
        want[rows],
        {"a": (operand, a), "b": (operand, b), "c": (accumulator, c), "result": accumulator},
    )


@pytest.mark.parametrize("fmt", [LNS6, SYNAPSE, LNSFormat(7, 3.7)])
def test_definition_on_every_triple(fmt, reals):
    check_all_triples(fmt, fmt, reals, multiply_add_by_definition)


def test_quick_way_is_the_definition_on_all_of_lns8():
    config = MultiplyAddConfig(operand=LNS8)
    b, c = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    b, c = b.ravel(), c.ravel()
    for a in range(256):
        wrong = multiply_add(config, a, b, c) != multiply_add_by_definition(config, a, b, c)
        assert not wrong.any(), f"a {a}, b {b[wrong][0]}, c {c[wrong][0]}"


def test_wide_operands_are_faithful(reals):
    """LNS16: below one step from the real sum, for directed operands, and exact where one operand is 0."""
    config = MultiplyAddConfig(operand=LNS16)
    words = directed(config, np.random.default_rng(1), 200_000)
    (sign_a, log_a, zero_a), (sign_b, log_b, zero_b), (sign_c, log_c, zero_c) = (
        reals.fields(LNS16, words[name]) for name in "abc"
    )
    sign, log, zero = sign_a ^ sign_b, log_a + log_b, zero_a | zero_b
    got = multiply_add(config, words["a"], words["b"], words["c"])
    got_sign, got_log, got_zero = reals.fields(LNS16, got)
    top = np.maximum(log, log_c)
    value = np.where(sign, -1, 1) * np.exp2((log - top) / np.longdouble(2048))
    value = value + np.where(sign_c, -1, 1) * np.exp2((log_c - top) / np.longdouble(2048))
    regular = ~zero & ~zero_c & (value != 0)
    exact = 2048 * np.log2(np.abs(np.where(regular, value, 1))) + top
    inside = regular & (exact > LNS16.log_min) & (exact < LNS16.log_max)
    assert inside.sum() > 10_000
    assert np.abs(got_log - exact)[inside].max() < 1 and not got_zero[inside].any()
    assert (got_sign == (value < 0))[inside].all()
    assert got_zero[~zero & ~zero_c & (value == 0)].all()
    assert (got_log == LNS16.log_max)[regular & (exact >= LNS16.log_max + 1)].all()
    assert got_zero[regular & (exact <= LNS16.log_min - 1)].all()
    only_c = zero & ~zero_c
    assert only_c.any() and (got == words["c"])[only_c].all()


def test_against_xlns(reals, outside):
    """xlns's product has an unbounded log and its sum is rounded from the ideal: the same thing, range rule apart.

    It does not define exact cancellation (it takes the difference at z = 1): those are left out.
    """
    config = MultiplyAddConfig(operand=LNS8)
    row, _ = reals.sum_by_product(LNS8, LNS8)
    rows, first = np.unique(row.ravel(), return_index=True)
    c, pair = np.meshgrid(np.arange(256), first)
    a, b, c = pair.ravel() >> 8, pair.ravel() & 255, c.ravel()
    result = outside.array(LNS8, a) * outside.array(LNS8, b) + outside.array(LNS8, c)
    want = reals.words_of(LNS8, *outside.parts(result))
    (sign_a, log_a, _), (sign_b, log_b, _), (sign_c, log_c, _) = (reals.fields(LNS8, words) for words in (a, b, c))
    defined = (log_a + log_b != log_c) | (sign_a ^ sign_b == sign_c)
    assert defined.mean() > 0.99
    operands = {"a": (LNS8, a[defined]), "b": (LNS8, b[defined]), "c": (LNS8, c[defined]), "result": LNS8}
    reals.assert_same(multiply_add(config, a, b, c)[defined], want[defined], operands)


@st.composite
def configurations(draw):
    width = draw(st.integers(4, 10))
    base_factor = draw(st.one_of(st.sampled_from([1, 2, 3.5, 8, 32]), st.floats(0.6, 400)))
    operand = LNSFormat(width, base_factor)
    multiple = draw(st.integers(1, 4))
    accumulator = LNSFormat(draw(st.integers(4, 10)), operand.base_factor * multiple)
    if (accumulator.base_factor / operand.base_factor) != multiple:
        accumulator = LNSFormat(accumulator.width, operand.base_factor)
    return MultiplyAddConfig(operand=operand, accumulator=accumulator)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(config=configurations(), data=st.data())
def test_algebra(config, data, reals):
    operand, accumulator = config.operand, config.accumulator
    a, b = (data.draw(st.integers(0, (1 << operand.width) - 1)) for _ in range(2))
    c = data.draw(st.integers(0, (1 << accumulator.width) - 1))
    result = multiply_add(config, a, b, c)
    assert multiply_add(config, b, a, c) == result
    assert multiply_add_by_definition(config, a, b, c) == result
    zero = reals.fields(accumulator, result)[2]
    negative = multiply_add(config, a ^ operand.sign_bit, b, c ^ accumulator.sign_bit)
    assert negative == (result if zero else result ^ accumulator.sign_bit)
    # 0 is log 0: the number one.
    sign, log, is_zero = reals.fields(operand, a)
    alone = reals.words_of(accumulator, sign, log * config.multiple, is_zero)
    for nothing in (accumulator.zero, accumulator.zero | accumulator.sign_bit):
        assert multiply_add(config, a, 0, nothing) == alone
    sign, log, is_zero = reals.fields(accumulator, c)
    assert multiply_add(config, operand.zero, b, c) == reals.words_of(accumulator, sign, log, is_zero)
    if (
        not reals.fields(accumulator, alone)[2]
        and abs(int(reals.fields(operand, a)[1])) * config.multiple < accumulator.code_max
    ):
        assert multiply_add(config, a, 0, int(alone) ^ accumulator.sign_bit) == accumulator.zero


def test_shapes_types_and_scalars():
    for config, dtype in ((MultiplyAddConfig(), np.uint8), (MultiplyAddConfig(operand=LNS10), np.uint16)):
        scalar = multiply_add(config, 8, 8, 0)
        assert scalar.shape == () and scalar.dtype == dtype
        block = multiply_add(config, np.arange(6).reshape(2, 1, 3), np.arange(4).reshape(4, 1), 5)
        assert block.shape == (2, 4, 3) and block.dtype == dtype
        assert block[1, 2, 0] == multiply_add(config, 3, 2, 5)
        assert multiply_add(config, np.zeros(0, np.uint8), 1, 1).shape == (0,)
        assert multiply_add(config, [1, 2], [3, 4], [5, 6]).tolist() == [
            multiply_add(config, 1, 3, 5), multiply_add(config, 2, 4, 6)]  # fmt: skip


@pytest.mark.parametrize("config", [MultiplyAddConfig(), MultiplyAddConfig(operand=LNS10)], ids=["lns8", "lns10"])
@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("bad", [-1, 1 << 10, [0, 5000]])
def test_words_out_of_range(config, position, bad):
    words = [1, 2, 3]
    words[position] = bad
    with pytest.raises(ValueError, match=r"must be in 0 … (255|1023), not"):
        multiply_add(config, *words)


@pytest.mark.parametrize("config", [MultiplyAddConfig(), MultiplyAddConfig(operand=LNS10)], ids=["lns8", "lns10"])
def test_words_are_integers(config):
    with pytest.raises(ValueError, match="must be integers, not float64"):
        multiply_add(config, 1.5, 2, 3)


def test_directed_operands_are_words_and_meet(reals):
    config = MultiplyAddConfig(operand=LNS6, accumulator=LNSFormat(10, 32))
    words = directed(config, np.random.default_rng(0), 5000)
    for name, fmt in config.inputs.items():
        assert words[name].dtype == fmt.dtype and words[name].max() < 1 << fmt.width
    log = 8 * (reals.fields(LNS6, words["a"])[1] + reals.fields(LNS6, words["b"])[1])
    distance = np.abs(log - reals.fields(config.accumulator, words["c"])[1])
    assert {0, 1, 2} <= set(distance.tolist())


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_words_of_any_integer_type(dtype):
    a, b, c = np.arange(192, dtype=dtype).reshape(3, 64)
    got = multiply_add(MultiplyAddConfig(), a, b, c)
    assert np.array_equal(got, multiply_add(MultiplyAddConfig(), *(x.astype(np.int32) for x in (a, b, c))))


def test_options_by_their_words():
    assert MultiplyAddConfig(approximator="table", memory="block") == MultiplyAddConfig(memory=Memory.BLOCK)
    with pytest.raises(ValueError, match="'ram' is not a valid Memory"):
        MultiplyAddConfig(memory="ram")
