"""The real-number answers, by a path of their own: values as ``2**x``, sums in extended precision, ``log2``,
``floor(x + 1/2)``, range rule. Nothing here calls the model's arithmetic or its tables."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNS6, LNS8, LNS10, SYNAPSE, LNSFormat

#: Extended precision is right to far better than this many steps; nearer to a tie, mpmath decides.
TIE = 1e-9
#: Nearer than this to a tie with 60 digits, it is one (base factors such as 3.5 have them).
EXACT_TIE = mpmath.mpf(10) ** -40

#: (operand, accumulator) pairs that the sums are tested with.
SUM_FORMATS = {
    "lns6": (LNS6, LNS6),
    "lns8": (LNS8, LNS8),
    "lns10": (LNS10, LNS10),
    "synapse": (SYNAPSE, SYNAPSE),
    "width 7 base 3.7": (LNSFormat(7, 3.7), LNSFormat(7, 3.7)),
    "width 6 base 3.5": (LNSFormat(6, 3.5), LNSFormat(6, 3.5)),
    "width 8 base 0.3": (LNSFormat(8, 0.3), LNSFormat(8, 0.3)),
    "width 10 base 100": (LNSFormat(10, 100), LNSFormat(10, 100)),
    "width 4 base 1": (LNSFormat(4, 1), LNSFormat(4, 1)),
    "lns6 into 10 bits": (LNS6, LNSFormat(10, 32)),
    "width 5 into lns8": (LNSFormat(5, 1), LNS8),
    "width 6 base 1e9": (LNSFormat(6, 1e9), LNSFormat(6, 1e9)),
    "cut range": (LNSFormat(7, 5, -20, 11), LNSFormat(8, 10, -9, 40)),
}


def fields(fmt, words):
    """Sign, log, and whether it is zero, from the bits as the format's definition has them."""
    words = np.asarray(words).astype(np.int64)
    sign = words >> (fmt.width - 1)
    low = words % (1 << (fmt.width - 1))
    half = 1 << (fmt.width - 2)
    log = np.where(low >= half, low - 2 * half, low)
    return sign, log, log == -half


def words_of(fmt, sign, log, zero=False):
    """Words under the range rule: saturated above log_max, +0 below log_min."""
    log = np.asarray(log)
    half = 1 << (fmt.width - 2)
    zero = np.asarray(zero) | (log < fmt.log_min)
    log = np.where(zero, -half, np.minimum(log, fmt.log_max))
    return np.where(zero, 0, np.asarray(sign)) * 2 * half + log % (2 * half)


def floor_half(exact):
    """``floor(x + 1/2)`` of an mpmath number."""
    shifted = exact + mpmath.mpf(1) / 2
    nearest = mpmath.nint(shifted)
    return int(nearest) if abs(shifted - nearest) < EXACT_TIE else int(mpmath.floor(shifted))


def exact_sum_log(base_factor, x, y, differs):
    """``base_factor * log2|2**(x/base_factor) ± 2**(y/base_factor)|`` as an mpmath number."""
    factor = mpmath.mpf(base_factor)
    # Around the larger one, so that no power is out of proportion.
    top, z = max(x, y), abs(x - y)
    small = mpmath.power(2, -mpmath.mpf(z) / factor)
    return top + factor * mpmath.log(1 - small if differs else 1 + small, 2)


def sum_words(fmt, sign_x, x, zero_x, sign_y, y, zero_y):
    """Words of the correctly rounded sum of two numbers of format ``fmt``'s base factor; 1-D arrays."""
    factor = np.longdouble(fmt.base_factor)
    # Scaled by the larger one: a factor common to both, which the result's log gets back as an integer.
    top = np.where(zero_x, y, np.where(zero_y, x, np.maximum(x, y)))
    value_x = np.where(zero_x, 0, np.where(sign_x, -1, 1) * np.exp2((x - top) / factor))
    value_y = np.where(zero_y, 0, np.where(sign_y, -1, 1) * np.exp2((y - top) / factor))
    total = value_x + value_y
    zero = total == 0
    steps = factor * np.log2(np.abs(np.where(zero, 1, total)))
    log = np.floor(steps + 0.5)
    near_tie = np.abs(steps + 0.5 - np.round(steps + 0.5)) < TIE * max(1.0, fmt.base_factor)
    log = log.astype(np.int64) + top
    with mpmath.workdps(60):
        decided = {}
        for index in np.flatnonzero(near_tie & ~zero_x & ~zero_y & ~zero):
            differs = bool(sign_x[index] != sign_y[index])
            key = int(x[index] - y[index]), differs
            if key not in decided:
                decided[key] = floor_half(exact_sum_log(fmt.base_factor, key[0], 0, differs))
            # An integer added to both logs is added to the result.
            log[index] = decided[key] + int(y[index])
    return words_of(fmt, total < 0, log, zero)


def sum_by_product(operand, accumulator):
    """``(row, want)``: for every a and b the row of their product, and by row and c the correctly rounded word.

    There are few distinct products: all 2**24 triples of 8 bits are 507 rows of 256 words.
    """
    multiple = int(round(accumulator.base_factor / operand.base_factor))
    words = np.arange(1 << operand.width)
    a, b = np.meshgrid(words, words, indexing="ij")
    (sign_a, log_a, zero_a), (sign_b, log_b, zero_b) = fields(operand, a), fields(operand, b)
    sign, log, zero = sign_a ^ sign_b, log_a + log_b, zero_a | zero_b
    low = 2 * (1 << (operand.width - 2))
    number = np.where(zero, 0, 2 + 2 * (log + low) + sign)
    rows = np.arange(2 + 2 * (2 * low + 1))
    c = np.arange(1 << accumulator.width)
    row, c = np.meshgrid(rows, c, indexing="ij")
    row_zero = row < 2
    row_log = np.where(row_zero, 0, (row - 2) // 2 - low) * multiple
    sign_c, log_c, zero_c = fields(accumulator, c)
    want = sum_words(
        accumulator,
        *(part.ravel() for part in (row & 1, row_log, row_zero, sign_c, log_c, zero_c)),
    )
    return number, want.reshape(row.shape)


def describe(fmt, word):
    """A word as sign and log."""
    sign, log, zero = fields(fmt, word)
    return f"{'+-'[int(sign)]}{'zero' if zero else int(log)}"


def assert_same(got, want, operands):
    """Equality of two arrays of words; the message gives the first difference as sign and log.

    ``operands`` is a dict name → (format, array), of which ``result`` names the format of both.
    """
    got, want = np.asarray(got), np.asarray(want)
    fmt = operands["result"]
    assert got.shape == want.shape and got.size > 0
    wrong = got != want
    if wrong.any():
        index = np.unravel_index(int(wrong.argmax()), got.shape)
        arguments = ", ".join(
            f"{name} = {describe(part[0], np.broadcast_to(part[1], got.shape)[index])}"
            for name, part in operands.items()
            if name != "result"
        )
        raise AssertionError(
            f"{int(wrong.sum())} of {got.size} differ; {arguments}: got {describe(fmt, got[index])}, "
            f"want {describe(fmt, want[index])}"
        )


@pytest.fixture(scope="session")
def reals():
    """The functions of this file."""
    return SimpleNamespace(
        fields=fields,
        words_of=words_of,
        floor_half=floor_half,
        exact_sum_log=exact_sum_log,
        sum_words=sum_words,
        sum_by_product=sum_by_product,
        describe=describe,
        assert_same=assert_same,
    )


@pytest.fixture(params=SUM_FORMATS, scope="session")
def sum_formats(request):
    """Operand and accumulator format."""
    return SUM_FORMATS[request.param]


@pytest.fixture(scope="session")
def outside():
    """xlns: arrays of its numbers from words, with unbounded logs, and their (sign, log, zero)."""
    xlns = pytest.importorskip("xlns")
    zero = -(1 << 63)

    def array(fmt, words):
        sign, log, is_zero = fields(fmt, words)
        numbers = xlns.xlnsnpb("", 2.0 ** (1 / fmt.base_factor))
        numbers.nd = np.where(is_zero, zero, 2 * log + sign)
        return numbers

    def parts(numbers):
        return numbers.nd & 1, numbers.nd >> 1, (numbers.nd | 1) == zero + 1

    return SimpleNamespace(array=array, parts=parts)
