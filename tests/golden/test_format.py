"""Formats: bits of a word, rounding of ``encode`` against mpmath, the range rule, every refusal."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnsmadam.golden.format import (
    FLAG,
    LNS6,
    LNS8,
    LNS12,
    LNS16,
    PRESETS,
    SYNAPSE,
    FixedFormat,
    LNSFormat,
    check_words,
)

FORMATS = {**PRESETS, "7:3.7": LNSFormat(7, 3.7), "10:100": LNSFormat(10, 100), "24": LNSFormat(24, 2**18)}


@pytest.mark.parametrize("name, width, base_factor, log_min, log_max", [
    ("lns6", 6, 4, -15, 15), ("lns8", 8, 8, -63, 63), ("lns10", 10, 32, -255, 255), ("lns12", 12, 128, -1023, 1023),
    ("lns16", 16, 2048, -16383, 16383), ("synapse", 6, 25 / math.log2(60), -13, 12),
])  # fmt: skip
def test_presets(name, width, base_factor, log_min, log_max):
    fmt = PRESETS[name]
    assert (fmt.width, fmt.base_factor, fmt.log_min, fmt.log_max) == (width, base_factor, log_min, log_max)
    assert fmt.name == name


@pytest.mark.parametrize("name", PRESETS)
def test_round_trip_of_every_word(name, reals):
    fmt = PRESETS[name]
    words = np.arange(1 << fmt.width).astype(fmt.dtype)
    sign, log, zero = reals.fields(fmt, words)
    values = fmt.decode(words)
    assert (values[zero] == 0).all() and not np.signbit(values[zero]).any()
    assert (np.signbit(values) == (sign == 1))[~zero].all()
    want = reals.words_of(fmt, sign, log, zero)
    inside = zero | (log <= fmt.log_max)
    back = fmt.encode(values[inside])
    assert back.dtype == fmt.dtype and (back == want[inside]).all()
    assert (fmt.encode(values, saturate=True) == want).all()
    ascending = np.argsort(log[(sign == 0) & ~zero])
    assert (np.diff(values[(sign == 0) & ~zero][ascending]) > 0).all()


@pytest.mark.parametrize("name", ["lns6", "lns8", "synapse", "7:3.7"])
def test_values_against_mpmath(name, reals):
    fmt = FORMATS[name]
    words = np.arange(1 << fmt.width)
    sign, log, zero = reals.fields(fmt, words)
    for word in words[~zero]:
        exact = (-1) ** int(sign[word]) * mpmath.power(2, mpmath.mpf(int(log[word])) / mpmath.mpf(fmt.base_factor))
        assert abs(fmt.decode(word) / exact - 1) < 1e-15 * max(1, abs(int(log[word])) / fmt.base_factor)


@pytest.mark.parametrize("name", FORMATS)
def test_nearest_on_both_sides_of_every_tie(name, reals):
    """The two floats around ``2**((log + 1/2) / base_factor)`` go to different words."""
    fmt = FORMATS[name]
    logs = range(fmt.log_min - 1, fmt.log_max)
    if len(logs) > 1000:
        logs = [int(log) for log in np.random.default_rng(0).choice(logs, 400)] + [fmt.log_min - 1, fmt.log_max - 1]
    values, want = [], []
    with mpmath.workdps(50):
        for log in logs:
            tie = mpmath.power(2, (log + mpmath.mpf(1) / 2) / mpmath.mpf(fmt.base_factor))
            middle = float(tie)
            for value in (math.nextafter(middle, 0), middle, math.nextafter(middle, math.inf)):
                values.append(value)
                want.append(log + (mpmath.mpf(value) >= tie))
    words = reals.words_of(fmt, 0, np.array(want))
    wrong = fmt.encode(values) != words
    assert not wrong.any(), (np.array(values)[wrong][0].hex(), int(np.array(want)[wrong][0]))
    negative = np.where(words == fmt.zero, fmt.zero, words | fmt.sign_bit)
    assert (fmt.encode(-np.array(values)) == negative).all()


def test_exact_ties_go_up():
    # With base factor 3.5 a power of two is half a step from two words.
    fmt = LNSFormat(8, 3.5)
    assert fmt.encode([2.0, 0.5, 8.0, 0.125]).tolist() == [4, -3 & 127, 11, -10 & 127]


@pytest.mark.parametrize("fmt", [LNS6, LNS8, SYNAPSE])
def test_out_of_range(fmt, reals):
    largest, smallest = 2.0 ** (fmt.log_max / fmt.base_factor), 2.0 ** (fmt.log_min / fmt.base_factor)
    for value in (math.inf, -math.inf, largest * 2, -largest * 2, 1e300):
        with pytest.raises(ValueError, match=r"Cannot encode .*the largest value is .*saturate=True clamps"):
            fmt.encode(value)
        with pytest.raises(ValueError, match="Cannot encode"):
            fmt.encode([1.0, value])
        word = fmt.encode(value, saturate=True)
        assert word == fmt.max_word | (fmt.sign_bit if value < 0 else 0)
    for saturate in (False, True):
        with pytest.raises(ValueError, match="Cannot encode NaN"):
            fmt.encode(math.nan, saturate)
        with pytest.raises(ValueError, match="Cannot encode NaN"):
            fmt.encode([[1.0, math.nan]], saturate)
    for value in (0.0, -0.0, smallest / 2, -smallest / 2, 5e-324, -5e-324):
        assert fmt.encode(value) == fmt.zero
    assert reals.describe(fmt, fmt.encode(-smallest)) == f"-{fmt.log_min}"


@pytest.mark.parametrize("base_factor", [5e-324, 1e-9, 1.0, 1e20, 1.7e308])
def test_any_positive_base_factor(base_factor):
    """Far from float64's range, and far inside one of its steps."""
    fmt = LNSFormat(16, base_factor)
    values = [1.0, 2.0, -0.5, 1e300, -1e-300, 5e-324, -math.inf]
    with mpmath.workdps(400):
        logs = [mpmath.mpf(base_factor) * mpmath.log(abs(mpmath.mpf(value)), 2) for value in values[:-1]]
        logs = [int(mpmath.floor(log + mpmath.mpf(1) / 2)) for log in logs] + [fmt.log_max]
    want = [fmt.zero if log < fmt.log_min else min(log, fmt.log_max) % fmt.sign_bit + fmt.sign_bit * (value < 0)
            for log, value in zip(logs, values, strict=True)]  # fmt: skip
    assert fmt.encode(values, saturate=True).tolist() == want
    largest = fmt.decode(fmt.max_word)
    assert largest == math.inf if fmt.log_max / base_factor > 1024 else 1 <= largest < math.inf


def test_zero_is_read_with_either_sign():
    for fmt in PRESETS.values():
        for word in (fmt.zero, fmt.zero | fmt.sign_bit):
            assert fmt.decode(word) == 0 and math.copysign(1, fmt.decode(word)) == 1
            assert fmt.is_zero(word) and fmt.encode(fmt.decode(word)) == fmt.zero
        assert not fmt.is_zero(0) and fmt.decode(0) == 1


def test_scalars_and_arrays():
    scalar = LNS8.encode(2)
    assert scalar.shape == () and scalar.dtype == np.uint8 and scalar == 8
    assert isinstance(float(LNS8.decode(8)), float) and LNS8.decode(8).shape == ()
    assert LNS16.encode(np.ones((2, 3))).shape == (2, 3) and LNS16.encode([1, 2]).dtype == np.uint16
    assert LNSFormat(20, 1000).encode([1]).dtype == np.uint32
    assert LNS8.encode([]).shape == (0,) and LNS8.decode(np.zeros(0, np.uint8)).shape == (0,)
    assert LNS8.decode(np.array([[0, 8], [128, 136]])).tolist() == [[1, 2], [-1, -2]]
    sign, log = LNS8.unpack([0x88, 0x7F, 0x40])
    assert sign.tolist() == [1, 0, 0] and log.tolist() == [8, -1, -64]


@pytest.mark.parametrize("words, message", [
    (256, r"word must be in 0 … 255, not 256 … 256"), (-1, r"must be in 0 … 255, not -1 … -1"),
    ([3, 1000], r"must be in 0 … 255, not 3 … 1000"), (1.0, r"must be integers, not float64"),
    ([True], r"must be integers, not bool"), (2**40, r"must be in 0 … 255"),
])  # fmt: skip
def test_words_are_checked(words, message):
    for function in (LNS8.decode, LNS8.unpack, LNS8.is_zero):
        with pytest.raises(ValueError, match=message):
            function(words)


def test_words_of_a_wider_type_are_checked_by_value():
    assert check_words(np.array([255], np.uint16), 8).tolist() == [255]
    with pytest.raises(ValueError, match=r"weight must be in 0 … 63"):
        check_words(np.array([64], np.uint8), 6, "weight")


def test_pack_and_fit():
    assert LNS6.pack(1, -15) == 0b110001 and LNS6.pack(1, -16) == LNS6.zero
    for log in (16, -17):
        with pytest.raises(ValueError, match=f"Log must be in -15 … 15, not {log} … {log}"):
            LNS6.pack(0, log)
    assert LNS6.fit([0, 1, 1, 0], [99, 99, -16, 3]).tolist() == [15, 47, 16, 3]
    assert SYNAPSE.fit([0, 0, 1], [13, -14, -13]).tolist() == [12, 16, 32 + 19]
    assert LNS6.fit(1, 5, True) == LNS6.zero


def test_levels():
    for count in range(2, 200):
        fmt = LNSFormat.levels(count, 60.0)
        assert fmt.log_max - fmt.log_min + 1 == count
        assert fmt.decode(fmt.max_word) / fmt.decode(fmt.pack(0, fmt.log_min)) == pytest.approx(60)
        # One bit less would not hold the levels and zero.
        assert fmt.width == 4 or fmt.log_min < -(1 << (fmt.width - 3)) + 1
    assert not SYNAPSE.is_full_range and LNS8.is_full_range


@pytest.mark.parametrize("make, message", [
    (lambda: LNSFormat(3, 8), "Width must be from 4 to 24, not 3"),
    (lambda: LNSFormat(25, 8), "Width must be from 4 to 24, not 25"),
    (lambda: LNSFormat(8.0, 8), "Width must be an integer, not 8.0"),
    (lambda: LNSFormat("8", 8), "Width must be an integer, not '8'"),
    (lambda: LNSFormat(True, 8), "Width must be an integer, not True"),
    (lambda: LNSFormat(8, 0), "Base factor must be positive and finite, not 0"),
    (lambda: LNSFormat(8, -8), "Base factor must be positive and finite, not -8"),
    (lambda: LNSFormat(8, math.nan), "Base factor must be positive and finite, not nan"),
    (lambda: LNSFormat(8, math.inf), "Base factor must be positive and finite, not inf"),
    (lambda: LNSFormat(8, "many"), "Base factor must be a number, not 'many'"),
    (lambda: LNSFormat(8, None), "Base factor must be a number, not None"),
    (lambda: LNSFormat(8, 8, -64), "Logs must satisfy -63 <= log_min <= log_max <= 63, not -64 … 63"),
    (lambda: LNSFormat(8, 8, 0, 64), "Logs must satisfy -63 <= log_min <= log_max <= 63, not 0 … 64"),
    (lambda: LNSFormat(8, 8, 5, 4), "Logs must satisfy -63 <= log_min <= log_max <= 63, not 5 … 4"),
    (lambda: LNSFormat.levels(1, 60), "Levels must be at least 2, not 1"),
    (lambda: LNSFormat.levels(1 << 24, 60), "Width must be from 4 to 24, not"),
    (lambda: LNSFormat.levels(26, 1), "Ratio must be above 1 and finite, not 1"),
    (lambda: LNSFormat.levels(26, math.inf), "Ratio must be above 1 and finite, not inf"),
    (lambda: LNSFormat.levels(26, math.nan), "Ratio must be above 1 and finite, not nan"),
    (lambda: FixedFormat(0), "Width must be from 1 to 64, not 0"),
    (lambda: FixedFormat(65), "Width must be from 1 to 64, not 65"),
])  # fmt: skip
def test_formats_that_cannot_work(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_equal_hashable_frozen():
    assert LNSFormat(8, 8) == LNSFormat(np.int64(8), 8.0) == LNS8 and hash(LNSFormat(8, 8.0)) == hash(LNS8)
    assert LNSFormat(8, 8, -62) != LNS8
    with pytest.raises(dataclasses.FrozenInstanceError):
        LNS8.width = 9


def test_descriptions():
    assert LNS8.describe() == {"kind": "lns", "width": 8, "base_factor": 8}
    assert isinstance(LNS8.describe()["base_factor"], int)
    assert SYNAPSE.describe() == {
        "kind": "lns", "width": 6, "base_factor": 25 / math.log2(60), "log_min": -13, "log_max": 12}  # fmt: skip
    assert LNSFormat(7, 3.7).name == "lns7_3.7" and LNS12.name == "lns12"
    assert FixedFormat(24, 12).describe() == {"kind": "fixed", "width": 24, "fraction_bits": 12, "signed": False}


def test_fixed_format():
    fixed = FixedFormat(8, 4, signed=True)
    assert fixed.decode([0, 1, 0x80, 0xFF]).tolist() == [0, 1 / 16, -8, -1 / 16]
    assert fixed.pack([-128, -1, 127]).tolist() == [128, 255, 127] and fixed.pack(3).dtype == np.uint8
    assert (fixed.unpack(fixed.pack(np.arange(-128, 128))) == np.arange(-128, 128)).all()
    for integer in (-129, 128):
        with pytest.raises(ValueError, match=f"Integer must be in -128 … 127, not {integer}"):
            fixed.pack(integer)
    with pytest.raises(ValueError, match="must be in 0 … 1"):
        FLAG.unpack(2)
    assert (FLAG.minimum, FLAG.maximum) == (0, 1)


@st.composite
def any_format(draw):
    width = draw(st.integers(4, 24))
    code_max = (1 << (width - 2)) - 1
    base_factor = draw(st.floats(code_max / 999, 1e6))
    low = draw(st.integers(-code_max, code_max))
    return LNSFormat(width, base_factor, *draw(st.sampled_from([(), (low, draw(st.integers(low, code_max)))])))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(fmt=any_format(), data=st.data())
def test_any_format(fmt, data, reals):
    words = np.array(data.draw(st.lists(st.integers(0, (1 << fmt.width) - 1), min_size=1, max_size=20)))
    sign, log, zero = reals.fields(fmt, words)
    values = fmt.decode(words)
    assert (np.sign(values) == np.where(zero, 0, 1 - 2 * sign)).all()
    ascending = np.argsort(np.where(zero, -(1 << 30), log))
    assert (np.diff(np.abs(values)[ascending]) >= 0).all()
    assert (fmt.encode(values, saturate=True) == reals.words_of(fmt, sign, log, zero)).all()
    canonical = zero & (sign == 0) | (log >= fmt.log_min) & (log <= fmt.log_max)
    assert (fmt.encode(values[canonical]) == words[canonical]).all()


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(fmt=any_format(), value=st.floats(allow_nan=False, allow_infinity=False))
def test_range_rule_and_nearest_for_any_value(fmt, value, reals):
    if value == 0:
        assert fmt.encode(value) == fmt.zero
        return
    with mpmath.workdps(60):
        log = reals.floor_half(mpmath.mpf(fmt.base_factor) * mpmath.log(abs(mpmath.mpf(value)), 2))
    if log > fmt.log_max:
        with pytest.raises(ValueError, match="Cannot encode"):
            fmt.encode(value)
    log = max(min(log, fmt.log_max + 1), fmt.log_min - 1)
    assert fmt.encode(value, saturate=True) == reals.words_of(fmt, int(value < 0), log)
