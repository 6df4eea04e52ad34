"""The segmented multiply-add: emitted Verilog against the golden model, bit for bit."""

import dataclasses

import numpy as np
import pytest

from lnsmadam.golden.format import LNS8, LNS12, LNS16, LNSFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.hw.emit import emit
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.stimulus import corner_words, random_operands


def operands_over_z(config, generator):
    """Triples whose z = |log of a·b - log of c| takes every value there is, with every pair of signs.

    With a multiple above 1 some z cannot occur; the nearest that can stands in.
    """
    operand, accumulator, multiple = config.operand, config.accumulator, config.multiple
    # Words are made of logs that the formats promise, which may be fewer than their codes.
    x_low, x_high = 2 * multiple * operand.log_min, 2 * multiple * operand.log_max
    z_max = max(x_high - accumulator.log_min, accumulator.log_max - x_low)
    z = np.repeat(np.arange(z_max + 1), 4)
    d = np.where(generator.integers(0, 2, z.size) == 1, z, -z)
    low = np.maximum(accumulator.log_min, x_low - d)
    # Of the two orders one can be out of reach.
    d = np.where(low > np.minimum(accumulator.log_max, x_high - d), -d, d)
    low, high = np.maximum(accumulator.log_min, x_low - d), np.minimum(accumulator.log_max, x_high - d)
    y = generator.integers(low, np.maximum(low, high) + 1)
    total = np.clip((y + d) // multiple, x_low // multiple, x_high // multiple)
    y = np.clip(total * multiple - d, accumulator.log_min, accumulator.log_max)
    log_a = generator.integers(
        np.maximum(operand.log_min, total - operand.log_max), np.minimum(operand.log_max, total - operand.log_min) + 1
    )
    signs = np.arange(z.size)
    return {
        "a": operand.pack(signs & 1, log_a),
        "b": operand.pack(generator.integers(0, 2, z.size), total - log_a),
        "c": accumulator.pack(signs >> 1 & 1, y),
    }


def corners(config):
    """Corner words of every field, crossed: zeros, extremes, one, their neighbours."""
    grid = np.meshgrid(*(corner_words(fmt) for fmt in config.inputs.values()))
    return {name: words.ravel() for name, words in zip(config.inputs, grid, strict=True)}


def chunks(config, count, seed=1):
    generator = np.random.default_rng(seed)
    yield corners(config)
    yield operands_over_z(config, generator)
    for name, fmt in config.inputs.items():
        columns = random_operands(config, generator, 4096)
        columns[name] = np.where(generator.integers(0, 2, 4096) == 1, fmt.zero, fmt.zero | fmt.sign_bit)
        yield {key: words.astype(config.inputs[key].dtype) for key, words in columns.items()}
    yield random_operands(config, generator, count)


def golden(config):
    return lambda columns, first: {"result": multiply_add(config, columns["a"], columns["b"], columns["c"])}


def run(config, count, **options):
    return compare(emit(MultiplyAdd(config)), golden(config), chunks(config, count), **options)


@pytest.mark.parametrize("memory", list(Memory))
def test_lns16(memory):
    config = MultiplyAddConfig(operand=LNS16, memory=memory)
    outcome = run(config, 1 << 20)
    assert outcome.passed, outcome
    # Every z with four pairs of signs, and the million random triples.
    assert outcome.count > (1 << 20) + 4 * config.z_max


@pytest.mark.parametrize("memory", list(Memory))
def test_sums_are_faithful(memory):
    """The circuit's results against real arithmetic, without the golden model in between."""
    config = MultiplyAddConfig(operand=LNS16, memory=memory)
    operands = operands_over_z(config, np.random.default_rng(7))
    with BatchUnit(emit(MultiplyAdd(config))) as unit:
        words = unit.run(operands)["result"]
    (sign_a, a), (sign_b, b), (sign_c, c) = (LNS16.unpack(operands[name]) for name in "abc")
    x, y = (a + b).astype(np.longdouble), c.astype(np.longdouble)
    largest = np.maximum(x, y)
    relative = np.exp2((x - largest) / 2048) * (1 - 2 * (sign_a ^ sign_b)) + np.exp2((y - largest) / 2048) * (
        1 - 2 * sign_c
    )
    exact = largest + 2048 * np.log2(np.abs(relative), where=relative != 0, out=np.zeros_like(relative))
    sign, log = LNS16.unpack(words)
    inside = (relative != 0) & (exact > LNS16.log_min + 1) & (exact < LNS16.log_max - 1)
    assert inside.sum() > 50_000
    error = np.abs(log - exact)[inside]
    assert error.max() < 1 and error.max() <= config.guarantee()["max_error_ulp"] + 1e-5
    assert (sign[inside] == (relative < 0)[inside]).all()
    assert (words[relative == 0] == LNS16.zero).all() and (relative == 0).any()
    assert (log[exact > LNS16.log_max + 1] == LNS16.log_max).all()
    assert (words[(relative != 0) & (exact < LNS16.log_min - 1)] == LNS16.zero).all()


OTHERS = [
    MultiplyAddConfig(operand=LNS12, memory=Memory.LOGIC),
    MultiplyAddConfig(operand=LNS12, memory=Memory.BLOCK, pipeline=2),
    # Weights in LNS8, sums in LNS16: steps of the product are 256 steps of the result.
    MultiplyAddConfig(operand=LNS8, accumulator=LNS16, memory=Memory.LOGIC, pipeline=9),
    MultiplyAddConfig(operand=LNS16, memory=Memory.LOGIC, pipeline=0),
]


def described(config):
    return f"{config.operand.name}-{config.accumulator.name}-{config.memory.value}-{config.pipeline}"


@pytest.mark.parametrize("config", OTHERS, ids=described)
def test_other_formats_and_pipelines(config):
    outcome = run(config, 1 << 16)
    assert outcome.passed, outcome


def test_stalls():
    config = MultiplyAddConfig(operand=LNS16, memory=Memory.BLOCK)
    outcome = run(config, 1 << 14, stalls_seed=5)
    assert outcome.passed, outcome


MANY = [
    *(MultiplyAddConfig(operand=LNS12, memory=Memory.LOGIC, pipeline=pipeline) for pipeline in range(14)),
    *(MultiplyAddConfig(operand=LNS12, memory=Memory.BLOCK, pipeline=pipeline) for pipeline in range(2, 14)),
    *(
        MultiplyAddConfig(operand=LNSFormat(width, base_factor), memory=memory)
        for width, base_factor in [
            (11, 4),
            (12, 8),
            (13, 16),
            (11, 32),
            (11, 64),
            (11, 128),
            (13, 256),
            (14, 512),
            (16, 64),
            (16, 1024),
            (20, 2048),
        ]  # fmt: skip
        for memory in Memory
    ),
    MultiplyAddConfig(operand=LNSFormat(8, 8), accumulator=LNSFormat(12, 128), memory=Memory.BLOCK),
    MultiplyAddConfig(operand=LNSFormat(12, 2048), accumulator=LNSFormat(18, 2048), memory=Memory.LOGIC),
    MultiplyAddConfig(operand=LNSFormat.levels(26, 2.0**3.125), accumulator=LNSFormat(14, 256)),
    MultiplyAddConfig(operand=LNSFormat(12, 128, log_min=-700, log_max=900), memory=Memory.LOGIC),
]


@pytest.mark.slow
@pytest.mark.parametrize("config", MANY, ids=described)
def test_every_pipeline_and_more_formats(config):
    outcome = run(config, 1 << 18, stalls_seed=11)
    assert outcome.passed, outcome


class Altered(MultiplyAddConfig):
    """A configuration whose circuit has one wrong coefficient."""

    change: tuple[str, int, int] | None = None

    @property
    def segments(self):
        right = super().segments
        if self.change is None:
            return right
        name, position, difference = self.change
        values = list(getattr(right, name))
        values[position] += difference
        return dataclasses.replace(right, **{name: tuple(values)})


@pytest.mark.parametrize("change", [
    # Segments of the sum, near and far, and of the difference; the correction of the mantissa.
    ("slopes", 33, 8),
    pytest.param(("intercepts", 2, 8), marks=pytest.mark.slow),
    pytest.param(("intercepts", 127, 8), marks=pytest.mark.slow),
    pytest.param(("log_intercepts", 31, 16), marks=pytest.mark.slow),
    pytest.param(("log_slopes", 0, 4), marks=pytest.mark.slow),
], ids=str)  # fmt: skip
def test_a_wrong_coefficient_is_found(change):
    config = MultiplyAddConfig(operand=LNS16, memory=Memory.LOGIC, pipeline=1)
    altered = Altered(operand=LNS16, memory=Memory.LOGIC, pipeline=1)
    object.__setattr__(altered, "change", change)
    operands = operands_over_z(config, np.random.default_rng(1))
    outcome = compare(emit(MultiplyAdd(altered)), golden(config), [operands])
    assert outcome.mismatch is not None
