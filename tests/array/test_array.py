"""LNSArray: golden arithmetic under NumPy's syntax, checked against real numbers and NumPy's shapes."""

import copy
import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lnsmadam
import lnsmadam.array
from lnsmadam import LNSArray
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, LNSFormat

FORMATS = {fmt.name: fmt for fmt in (LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, LNSFormat(11, 100))}


@pytest.fixture(params=FORMATS.values(), ids=FORMATS.keys())
def fmt(request):
    return request.param


def reals(fmt, *shape, seed=1):
    """Values well inside the format's range, of both signs, with a zero among them."""
    rng = np.random.default_rng(seed)
    top = fmt.log_max / fmt.base_factor / 4
    values = np.exp2(rng.uniform(-top, top, shape)) * rng.choice([-1.0, 1.0], shape)
    values.flat[0] = 0.0
    return values


def assert_within(got, exact, fmt, ulps):
    """Within ``ulps`` steps of the log, or +0 below the smallest value."""
    tolerance = np.asarray((2 ** (ulps / fmt.base_factor) - 1) * np.abs(exact))
    smallest = 2 ** (fmt.log_min / fmt.base_factor)
    tolerance[(np.asarray(got) == 0) & (np.abs(exact) <= smallest)] = smallest
    np.testing.assert_array_less(np.abs(np.asarray(got) - exact), tolerance + 1e-12)


def test_values_are_the_nearest(fmt):
    values = reals(fmt, 40)
    x = LNSArray(values, fmt)
    assert_within(x, values, fmt, 0.51)
    assert x.words.dtype == fmt.dtype and x.shape == (40,) and x.ndim == 1 and x.size == len(x) == 40
    np.testing.assert_array_equal(np.asarray(LNSArray(np.asarray(x), fmt)), np.asarray(x))
    np.testing.assert_array_equal(LNSArray.from_words(x.words, fmt).words, x.words)


@pytest.mark.parametrize("operate", [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum])
def test_arithmetic_of_two(fmt, operate):
    x, y = LNSArray(reals(fmt, 5, 1), fmt), LNSArray(reals(fmt, 7, seed=2), fmt)
    y[y == 0] = 1.0
    result = operate(x, y)
    a, b = np.asarray(x), np.asarray(y)
    exact = operate(a, b)
    assert isinstance(result, LNSArray) and result.format == fmt and result.shape == (5, 7)
    # A sum is off by at most a step of itself; products and quotients in this range are exact.
    assert_within(result, exact, fmt, 1.01 if operate in (np.add, np.subtract) else 1e-9)


def test_operators_are_the_ufuncs():
    x, y = LNSArray([1, 2, -3]), LNSArray([4, 0.5, 3])
    for got, want in [
        (x + y, np.add(x, y)), (x - y, np.subtract(x, y)), (x * y, np.multiply(x, y)), (x / y, np.divide(x, y)),
        (x @ y, np.matmul(x, y)), (-x, np.negative(x)), (+x, np.positive(x)), (abs(x), np.abs(x)),
    ]:  # fmt: skip
        np.testing.assert_array_equal(got.words, want.words)


def test_arithmetic_of_one(fmt):
    x = LNSArray(reals(fmt, 30), fmt)
    a = np.asarray(x)
    np.testing.assert_array_equal(np.asarray(-x), -a)
    np.testing.assert_array_equal(np.asarray(abs(x)), abs(a))
    np.testing.assert_array_equal(np.asarray(+x), a)
    assert_within(np.square(x), a**2, fmt, 1e-9)
    assert_within(np.sqrt(abs(x)), np.sqrt(abs(a)), fmt, 0.51)


def test_multiply_add_rounds_once(fmt):
    a, b, c = (LNSArray(reals(fmt, 50, seed=seed), fmt) for seed in (1, 2, 3))
    exact = np.asarray(c) + np.asarray(a) * np.asarray(b)
    assert_within(a.multiply_add(b, c), exact, fmt, 1.01)
    np.testing.assert_array_equal(a.multiply_add(1.0, c).words, (a + c).words)


SHAPES = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
          ((5, 1, 2, 3), (6, 3, 4)), ((2, 0), (0, 3))]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_matmul(shapes):
    # Positive values: no cancellation, so that the error is a step per addition.
    x, y = (LNSArray(np.exp2(np.random.default_rng(seed).uniform(-3, 3, s)), LNS16) for seed, s in enumerate(shapes))
    got, exact = x @ y, np.asarray(x) @ np.asarray(y)
    assert got.shape == exact.shape
    assert_within(got, exact, LNS16, 3.1)


def test_matmul_in_every_format(fmt):
    values = np.abs(reals(fmt, 3, 8)) / 2 + 2 ** (fmt.log_min / fmt.base_factor)
    x, y = LNSArray(values, fmt), LNSArray(values.T, fmt)
    exact = np.asarray(x) @ np.asarray(y)
    assert (exact < 2 ** (fmt.log_max / fmt.base_factor)).all()
    # One conversion, faithful, of antilogs that err by far less; or one rounding for each product.
    is_power = fmt.base_factor in (4, 8, 32, 128, 2048)
    assert_within(x @ y, exact, fmt, 1.2 if is_power else 10)
    assert_within(x.sum(axis=0), np.asarray(x).sum(axis=0), fmt, 1.2 if is_power else 2)


def test_matmul_loses_no_small_product():
    x = LNSArray(np.full(200, 2.0**-7))
    assert_within(x @ x, np.asarray(200 * 2.0**-14), LNS8, 0.51)


def test_matmul_in_parts(monkeypatch):
    x, y = (LNSArray(np.random.default_rng(seed).normal(size=(7, 7))) for seed in range(2))
    whole = x @ y
    monkeypatch.setattr(lnsmadam.array, "_PRODUCTS", 100)
    np.testing.assert_array_equal((x @ y).words, whole.words)


def test_matmul_of_integers_in_the_log():
    # Powers of two whose sums are powers of two: exact at every step.
    x = LNSArray([[1, 1, 2], [4, -2, -2]])
    assert np.asarray(x @ [1, 1, 1]).tolist() == [4, 0]
    assert np.asarray([[1, 1]] @ x[:, :1]).tolist() == [[np.asarray(x[0, :1] + x[1, :1]).item()]]
    assert (x @ x.T).shape == (2, 2)


def test_sum():
    x = LNSArray([[1, 1, 2], [4, 4, 8]])
    assert np.asarray(x.sum(axis=1)).tolist() == [4, 16]
    assert np.asarray(np.sum(x[1], axis=0)).item() == 16
    assert x.sum().shape == () and x.sum(axis=0).shape == (3,)
    with pytest.raises(TypeError, match="no place for out"):
        x.sum(out=x)


def test_reals_on_either_side():
    x = LNSArray([1, 2, 4])
    for other in (2, 2.0, np.float32(2), np.float64(2), [2, 2, 2], np.full(3, 2), np.array(2.0)):
        for got, want in [(x * other, [2, 4, 8]), (other * x, [2, 4, 8]), (other / x, [2, 1, 0.5])]:
            assert isinstance(got, LNSArray) and np.asarray(got).tolist() == want
    got = np.array([[1.0, 2.0, 4.0]]) @ x
    assert isinstance(got, LNSArray) and got.shape == (1,)


def test_comparison_is_by_value():
    values = [-2.0, -0.5, 0.0, 0.5, 2.0]
    x = LNSArray(values)
    for compare in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal):
        got = compare(x.reshape(5, 1), x)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, compare(np.reshape(values, (5, 1)), values))
    assert LNSArray(1.3) == 1.3 and x[3] < 1 and 3 > x[4]
    minus_zero = LNSArray.from_words([LNS8.zero | LNS8.sign_bit])
    assert minus_zero == 0.0 and not minus_zero < 0.0 and not minus_zero
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    with pytest.raises(TypeError):
        x == "a"  # noqa: B015


def test_slices_are_views_and_assignment_encodes():
    x = LNSArray(np.ones((3, 4)))
    x[1] = [1, 2, 4, 8]
    x[:, 0] += 3
    x[2, 1:] = x[1, 1:]
    row = x[2]
    row *= 2
    assert np.asarray(x).tolist() == [[4, 1, 1, 1], [4, 2, 4, 8], [8, 4, 8, 16]]
    assert np.asarray(x[x > 4]).tolist() == [8, 8, 8, 16]
    assert [float(row[0]) for row in x] == [4, 4, 8]
    assert x.T.shape == (4, 3) and x.reshape(2, 6).shape == x.reshape((2, 6)).shape == (2, 6)
    other = x.copy()
    other[0] = 0.5
    assert x[0, 0].item() == float(x[0, 0]) == 4
    with pytest.raises(TypeError):
        len(x[0, 0])


def test_saturation_and_underflow():
    largest = LNSArray(1e9, saturate=True)
    assert (largest * 2).words == LNS8.max_word and (largest * largest.multiply_add(1, 0)).words == LNS8.max_word
    assert (1 / largest / 16).words == LNS8.zero
    with pytest.raises(ValueError, match="largest value is"):
        LNSArray(1e9)
    with pytest.raises(ValueError, match="largest value is"):
        LNSArray(1.0) * 1e9
    with pytest.raises(ValueError, match="NaN"):
        LNSArray([1.0, np.nan])


def test_what_has_no_result_warns_as_numpy():
    x = LNSArray([1, -1, 0])
    with pytest.warns(RuntimeWarning, match="divide by zero") as caught:
        quotient = x / 0
    assert caught[0].filename == __file__
    assert quotient.words.tolist() == [LNS8.max_word, LNS8.max_word | LNS8.sign_bit, LNS8.zero]
    with pytest.warns(RuntimeWarning, match="invalid value encountered in sqrt"):
        assert np.asarray(np.sqrt(x)).tolist() == [1, 0, 0]
    with np.errstate(all="ignore"):
        np.sqrt(x), x / 0
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        x / 0


def test_formats_do_not_mix():
    x, y = LNSArray([1, 2]), LNSArray([1, 2], LNS16)
    for operate in (
        lambda: x + y,
        lambda: x @ y,
        lambda: x == y,
        lambda: x.multiply_add(1, y),
        lambda: np.add(x, x, out=y),
    ):
        with pytest.raises(ValueError, match="Formats must be the same, not lns"):
            operate()
    with pytest.raises(ValueError, match="Formats must be the same"):
        x[0] = y[0]
    assert (LNSArray(x, LNS16) + y).format == LNS16


def test_what_is_refused():
    x = LNSArray([1.0, 2.0])
    for operate, message in [
        (lambda: np.exp(x), "np.exp has no LNS unit"),
        (lambda: x**2, "np.power has no LNS unit"),
        (lambda: np.add.reduce(x), "np.add of an LNSArray has no reduce"),
        (lambda: np.add(x, x, where=[True, False]), "has no where"),
        (lambda: np.add(x, x, out=np.zeros(2)), "has no out"),
        (lambda: np.equal(x, x, out=x.copy()), "gives booleans"),
    ]:
        with pytest.raises(TypeError, match=message):
            operate()
    for operate, message in [
        (lambda: x @ 2, "must have an axis"),
        (lambda: x @ [1, 2, 3], r"summed axis, not \(2,\) and \(3,\)"),
        (lambda: LNSArray.from_words([256]), "words must be in 0 … 255"),
        (lambda: np.array(x, copy=False), "no array to share"),
    ]:
        with pytest.raises(ValueError, match=message):
            operate()


def test_printing():
    assert repr(LNSArray([1, -2])) == "LNSArray([1.0, -2.0], lns8)"
    assert str(LNSArray(1.3, LNS16)) == "LNSArray(1.2999, lns16)"
    assert repr(LNSArray([[1, 2], [0, 0.25]], LNSFormat(9, 10))) == (
        "LNSArray([[1.0, 2.0],\n          [0.0, 0.25]], lns9_10)"
    )
    words = LNSArray.from_words(np.arange(1, 128), LNS8)
    assert len({repr(word) for word in words}) == 127
    assert "inf" in repr(LNSArray.from_words(LNSFormat(16, 0.5).max_word, LNSFormat(16, 0.5)))


def test_copies():
    x = LNSArray([[1, 2], [3, 4]], LNS16)
    for same in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert same.format == x.format and np.all(same == x) and not np.shares_memory(same.words, x.words)


def test_docstring():
    results = doctest.testmod(lnsmadam.array)
    assert results.attempted >= 5 and results.failed == 0


def test_import_stays_light():
    code = "import sys, lnsmadam; assert not {'numpy', 'amaranth'} & set(sys.modules); lnsmadam.LNSArray; " \
           "assert 'amaranth' not in sys.modules"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing"):
        lnsmadam.nothing  # noqa: B018


def test_a_format_is_no_name():
    with pytest.raises(TypeError, match="Format must be an LNSFormat such as lnsmadam.golden.LNS16, not 'lns16'"):
        LNSArray([1], "lns16")
