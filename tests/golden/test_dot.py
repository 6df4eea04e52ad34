"""Dot products against exact integer sums of products made in high precision, one Python integer at a time."""

import dataclasses
import functools

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.dot import dot, model
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.dot_operands import directed
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.log_sum import Memory

ACCUMULATOR = FixedFormat(24, 8, True)


@functools.cache
def mantissa(config, remainder):
    def entry(j, entries):
        with mpmath.workdps(50):
            return int(mpmath.floor(mpmath.mpf(2) ** (mpmath.mpf(j) / entries + config.mantissa_bits) + 0.5))

    factor = int(config.operand.base_factor)
    if config.antilog is Antilog.TABLE:
        return entry(remainder, factor)
    entries = 1 << config.chord_bits
    j, t = divmod(remainder, factor // entries)
    start = entry(j, entries)
    return start + (entry(j + 1, entries) - start) * t * entries // factor


def product(config, a, b):
    fmt = config.operand
    half = 1 << (fmt.width - 2)
    logs = [((word & (2 * half - 1)) ^ half) - half for word in (a, b)]
    if -half in logs:
        return 0
    quotient, remainder = divmod(sum(logs), int(fmt.base_factor))
    exponent = quotient - config.mantissa_bits + config.accumulator.fraction_bits
    scaled = mantissa(config, remainder)
    magnitude = scaled << exponent if exponent >= 0 else scaled >> -exponent
    return -magnitude if (a ^ b) >> (fmt.width - 1) else magnitude


class Reference:
    """The unit, one transfer at a time."""

    def __init__(self, config):
        self.config, self.total, self.side = config, 0, 0

    def transfer(self, pairs, first):
        if first:
            self.total, self.side = 0, 0
        self.total += sum(product(self.config, a, b) for a, b in pairs)
        half = 1 << (self.config.accumulator.width - 1)
        if not self.side and not -half <= self.total < half:
            self.side = 1 if self.total > 0 else -1
        return self.result()

    def result(self):
        half = 1 << (self.config.result.width - 1)
        value = self.side * (1 << 80) or self.total
        clipped = max(-half, min(half - 1, value))
        return clipped & (2 * half - 1), int(clipped != value)


def reference_dot(config, a, b):
    unit = Reference(config)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    for start in range(0, len(pairs), config.lanes):
        unit.transfer(pairs[start : start + config.lanes], start == 0)
    return unit.result()


CONFIGS = [
    DotConfig(),
    DotConfig(accumulator=ACCUMULATOR),
    DotConfig(accumulator=ACCUMULATOR, lanes=16),
    DotConfig(accumulator=ACCUMULATOR, lanes=3, result=FixedFormat(16, 8, True)),
    DotConfig(accumulator=FixedFormat(12, 2, True), lanes=2),
    DotConfig(accumulator=FixedFormat(10, -8, True)),
    DotConfig(operand=LNS6),
    DotConfig(operand=LNS10, accumulator=FixedFormat(30, 11, True)),
    DotConfig(operand=LNS12, lanes=2),
    DotConfig(operand=LNS16, length=1000),
    DotConfig(operand=LNSFormat(4, 1)),
    DotConfig(operand=LNSFormat(6, 64)),
    DotConfig(operand=LNS8, antilog=Antilog.CHORD, mantissa_bits=12, accumulator=FixedFormat(40, 20, True)),
]


@pytest.mark.parametrize("config", [DotConfig(accumulator=ACCUMULATOR), DotConfig(), DotConfig(operand=LNS6)])
def test_every_product(config):
    words = np.arange(1 << config.operand.width)
    a, b = np.meshgrid(words, words)
    got, overflow = dot(config, a[..., None], b[..., None])
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    want = [reference_dot(config, np.array([x]), np.array([y])) for x, y in pairs]
    assert np.array_equal(np.stack([got.ravel(), overflow.ravel()], axis=1), want)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.operand.name}-{config.lanes}")
def test_vectors_of_any_length(config):
    rng = np.random.default_rng(1)
    fmt = config.operand
    for length in (0, 1, 2, 3, 15, 16, 17, 200):
        words = rng.integers(0, 1 << fmt.width, (2, 40, length))
        # Half of them small, so that they do not overflow.
        log = np.minimum(fmt.unpack(words)[1], rng.integers(fmt.code_min, fmt.code_max, (1, 40, 1)))
        a, b = (words & fmt.sign_bit) | (log & fmt.log_mask)
        result, overflow = dot(config, a, b)
        assert result.shape == overflow.shape == (40,)
        want = [reference_dot(config, x, y) for x, y in zip(a, b, strict=True)]
        assert list(zip(result.tolist(), overflow.tolist(), strict=True)) == want


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.operand.name}-{config.lanes}")
def test_stream_in_chunks(config):
    fields = directed(config, np.random.default_rng(2), 3000)
    names = [name for name in config.inputs if name not in ("first", "last")]
    run, unit, want, got = model(config), Reference(config), [], []
    for start, stop in ((0, 1), (1, 1), (1, 700), (700, 703), (703, 3000)):
        results = run({name: column[start:stop] for name, column in fields.items()}, start)
        got += zip(results["result"].tolist(), results["overflow"].tolist(), strict=True)
    for row in range(3000):
        words = [int(fields[name][row]) for name in names]
        result = unit.transfer(zip(words[::2], words[1::2], strict=True), fields["first"][row])
        if fields["last"][row]:
            want.append(result)
    assert got == want and len(want) > 100
    assert len({flag for _, flag in want}) == 2 or config.safe_length > 100


def test_leaving_the_range_and_coming_back():
    config = DotConfig(accumulator=ACCUMULATOR)
    top, one, minus_top, zero = 63, 0, 63 | 128, 64
    # 2**15.75 is above the accumulator's 2**15 in one product.
    assert product(config, top, top) > ACCUMULATOR.maximum
    for words, want in [
        ([top, minus_top], (ACCUMULATOR.maximum, 1)),
        ([minus_top, top, top], (1 << 23, 1)),
        ([one, zero], (256, 0)),
        ([zero, zero | 128], (0, 0)),
    ]:
        b = [top if word in (top, minus_top) else one for word in words]
        assert tuple(int(x) for x in dot(config, words, b)) == want
    # Side by side in one transfer they cancel exactly.
    both = DotConfig(accumulator=ACCUMULATOR, lanes=2)
    assert tuple(int(x) for x in dot(both, [top, minus_top], [top, top])) == (0, 0)


def test_ends_of_the_range_are_in_it():
    config = DotConfig(operand=LNSFormat(4, 1), accumulator=FixedFormat(8, 0, True))
    # 64 is the largest product; 1 makes 127 = 64 + 63 · 1.
    a, b = [3] * 1 + [0] * 63, [3] * 1 + [0] * 63
    assert dot(config, a, b) == (127, 0) and dot(config, [*a, 0], [*b, 0]) == (127, 1)
    a = [3 | 8] * 2
    assert dot(config, a, [3, 3]) == (128, 0) and dot(config, [*a, 8], [3, 3, 0]) == (128, 1)


def test_broadcasting_and_types():
    config = DotConfig()
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (5, 1, 9)), rng.integers(0, 256, (4, 9))
    result, overflow = dot(config, a, b)
    assert result.shape == overflow.shape == (5, 4)
    assert result[2, 3] == dot(config, a[2, 0].astype(np.uint8), b[3])[0]
    with pytest.raises(ValueError, match="a must be in 0 … 255"):
        dot(config, [256], [0])
    with pytest.raises(ValueError, match="axis to sum over"):
        dot(config, 1, 2)


def test_error_is_within_the_guarantee():
    config = DotConfig(operand=LNS10)
    promise = config.guarantee()
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 1024, (2, 500, 64))
    result, overflow = dot(config, a, b)
    exact = config.operand.decode(a) * config.operand.decode(b)
    bound = promise["max_antilog_error"] * np.abs(exact).sum(axis=1) + 64 * promise["least_bit"]
    assert not overflow.any()
    assert np.all(np.abs(config.result.decode(result) - exact.sum(axis=1)) <= bound * (1 + 1e-9))


@pytest.mark.parametrize("fmt", [LNS6, LNS8, LNS10, LNS12, LNS16])
def test_derived_accumulator_holds_the_length_and_no_bit_more(fmt):
    config = DotConfig(operand=fmt, length=100)
    largest = product(config, fmt.max_word, fmt.max_word)
    assert 100 * largest <= config.accumulator.maximum < 2 * 100 * largest
    assert config.safe_length >= 100
    worst = np.full(100, fmt.max_word)
    assert dot(config, worst, worst) == (100 * largest, 0)


@pytest.mark.parametrize("options, message", [
    ({"operand": LNSFormat(8, 6)}, "Base factor must be a power of two, not 6"),
    ({"lanes": 0}, "Lanes must be from 1 to 64, not 0"),
    ({"lanes": 65}, "Lanes must be from 1 to 64, not 65"),
    ({"length": 0}, "Length must be at least 1, not 0"),
    ({"mantissa_bits": 2}, "Mantissa bits must be from 3 to 32, not 2"),
    ({"chord_bits": 4, "antilog": Antilog.CHORD}, "Chord bits must be from 0 to 3, not 4"),
    ({"operand": LNS16, "antilog": Antilog.TABLE}, "Base factor of a table must be at most 1024, not 2048"),
    ({"operand": LNSFormat(24, 1 << 21)}, "Base factor of a chord must be at most 1048576, not 2097152"),
    ({"antilog": Antilog.CHORD, "memory": Memory.BLOCK}, "Block RAM holds a table of mantissas, not chords"),
    ({"operand": LNSFormat(12, 4)}, r"Accumulator of 256 products of this format would need \d+ bits, above 62"),
    ({"accumulator": FixedFormat(24, 8)}, "Accumulator must be signed, of 2 to 62 bits"),
    ({"accumulator": FixedFormat(24, 50, True)}, "Products of one transfer would need 67 bits, above 62"),
    ({"accumulator": FixedFormat(24, -20, True)}, r"Every product is below the accumulator's least bit, 2\*\*20"),
    ({"result": FixedFormat(16, 7, True)}, "Result must be signed, with the accumulator's 8 fraction bits and 2 to 33"),
    ({"result": FixedFormat(40, 8, True)}, "Result must be signed, with the accumulator's 8 fraction bits and 2 to 33"),
    ({"pipeline": 1}, "Pipeline of dot must be from 2 to 10 stages, not 1"),
    ({"pipeline": 2, "memory": Memory.BLOCK}, "Pipeline of dot must be from 3 to 8 stages, not 2"),
])  # fmt: skip
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DotConfig(**options)


@pytest.mark.parametrize("fmt", [LNS8, LNS16, LNSFormat(7, 2)], ids=lambda fmt: fmt.name)
def test_lns_result_is_the_fixed_one_rounded_to_lns(fmt):
    fixed = DotConfig(accumulator=FixedFormat(24, 8, True))
    config = dataclasses.replace(fixed, lns_result=fmt, pipeline=None)
    a, b = np.random.default_rng(5).integers(0, 256, (2, 5000, 7), dtype=np.uint8)
    a[:50, 1:] = LNS8.zero
    a[50:60] = LNS8.zero
    number, overflow = dot(fixed, a, b)
    result, flag = dot(config, a, b)
    assert (flag == overflow).all() and 0 < overflow.sum() < len(overflow)
    want = fmt.encode(fixed.accumulator.decode(number), saturate=True)
    if fmt.width <= 10:
        assert (result == want).all()
    else:
        # Faithful: one of the two neighbours, and the sign is exact.
        (sign, log), (want_sign, want_log) = fmt.unpack(result), fmt.unpack(want)
        assert (sign == want_sign).all() and np.abs(log - want_log).max() <= 1
    assert config.outputs["result"] == fmt and config.guarantee()["max_error_ulp"] < 1


def test_lns_result_must_split_into_octaves():
    with pytest.raises(ValueError, match="Base factor must be a power of two"):
        DotConfig(lns_result=SYNAPSE)
