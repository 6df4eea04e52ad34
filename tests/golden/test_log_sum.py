"""Gaussian logs: every z of every format against mpmath, the guarantee, and what a configuration refuses."""

import dataclasses

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.format import LNS6, LNS8, LNS10, LNS12, LNS16, LNSFormat
from lnsmadam.golden.log_sum import Approximator, Memory, near
from lnsmadam.golden.multiply_add import MultiplyAddConfig


def config_of(formats):
    return MultiplyAddConfig(operand=formats[0], accumulator=formats[1])


@pytest.mark.parametrize("fmt", [LNSFormat(12, 100), LNSFormat(11, 700.3)], ids=lambda fmt: fmt.name)
def test_every_z_of_a_wide_table(fmt, reals):
    test_every_z_is_correctly_rounded((fmt, fmt), reals)


def test_every_z_is_correctly_rounded(sum_formats, reals):
    config = config_of(sum_formats)
    compared = 0
    with mpmath.workdps(60):
        for table, subtract in zip(config.gauss_logs, (False, True), strict=True):
            for z in range(int(subtract), config.z_max + 1):
                exact = reals.exact_sum_log(config.accumulator.base_factor, 0, -z, subtract)
                got = int(table[min(z, len(table) - 1)])
                # Far beyond the range of any sum, any value will do that is beyond it too.
                if abs(exact) < 2 * config.z_max:
                    assert got == reals.floor_half(exact), f"z {z}, subtract {subtract}: {got} for {exact}"
                else:
                    assert abs(got) >= 2 * config.z_max and (got < 0) == (exact < 0)
                compared += 1
    assert compared == 2 * config.z_max + 1


def test_guarantee_is_the_largest_error(sum_formats, reals):
    """Results that saturate or underflow whatever the larger operand is are left out."""
    config = config_of(sum_formats)
    fmt = config.accumulator
    worst = mpmath.mpf(0)
    with mpmath.workdps(40):
        for subtract in (False, True):
            for z in range(int(subtract), config.z_max + 1):
                exact = reals.exact_sum_log(fmt.base_factor, 0, -z, subtract)
                if abs(exact) < 2 * config.z_max + 1:
                    worst = max(worst, abs(reals.floor_half(exact) - exact))
    guarantee = config.guarantee()
    assert guarantee["rounding"] == "nearest"
    assert guarantee["max_error_ulp"] == pytest.approx(float(worst), abs=1e-6)
    assert guarantee["checked"] == f"all z, addition 0…{config.z_max}, subtraction 1…{config.z_max}"


def test_z_max_is_reached_by_words(reals):
    operand, accumulator = LNSFormat(5, 2), LNSFormat(6, 6)
    config = config_of((operand, accumulator))
    _, log, zero = reals.fields(operand, np.arange(32))
    logs = log[~zero]
    _, log_c, zero_c = reals.fields(accumulator, np.arange(64))
    products = 3 * (logs[:, None] + logs[None, :]).ravel()
    assert config.z_max == np.abs(products[:, None] - log_c[~zero_c]).max()


def test_lns8_numbers_of_the_design():
    # 36 non-zero entries of addition; 37 of subtraction, exact cancellation being one of them.
    config = AddConfig(accumulator=LNS8)
    assert [int((table != 0).sum()) for table in config.gauss_logs] == [36, 37 - 1]


def test_faithful_beyond_ten_bits():
    guarantee = MultiplyAddConfig(operand=LNS12).guarantee()
    assert guarantee["rounding"] == "faithful" and guarantee["max_error_ulp"] < 1


@pytest.mark.parametrize("base_factor", [5e-324, 1e-300, 1e-9])
def test_tiny_base_factors(base_factor):
    # Every step is so many octaves that the smaller operand never counts.
    config = AddConfig(accumulator=LNSFormat(8, base_factor))
    assert [table.tolist() for table in config.gauss_logs] == [[0, 0], [0, 0]]
    assert add(config, [3, 5, 5], [5, 3, 5], [0, 1, 1]).tolist() == [5, 5, 64]
    # The manifest's figure is rounded up to six decimals.
    assert config.guarantee()["max_error_ulp"] <= 1e-6


def test_huge_base_factors_make_small_tables():
    # Only the z that can occur have an entry.
    for base_factor in (1e5, 1e12, 1.7e308):
        config = AddConfig(accumulator=LNSFormat(8, base_factor))
        assert len(config.gauss_logs[0]) == config.z_max + 2
        assert add(config, 3, 5) == config.accumulator.max_word
        assert add(config, 3, 5, 1) == config.accumulator.zero


@pytest.mark.parametrize("options, message", [
    ({"approximator": Approximator.SEGMENTS, "operand": LNSFormat(12, 100)}, "a power of two from 4 to 2048, not 100"),
    ({"approximator": Approximator.SEGMENTS}, "Approximator segments takes results of more than 10 bits, not 8"),
    ({"pipeline": 8}, "Pipeline of multiply_add must be from 0 to 7 stages, not 8"),
    ({"pipeline": -1}, "Pipeline of multiply_add must be from 0 to 7 stages, not -1"),
    ({"pipeline": 0, "memory": Memory.BLOCK}, "Pipeline of multiply_add must be from 1 to 6 stages, not 0"),
    ({"pipeline": 7, "memory": Memory.BLOCK}, "Pipeline of multiply_add must be from 1 to 6 stages, not 7"),
    ({"accumulator": LNS6}, "Base factor of the accumulator must be an integer multiple of the operands' 8, not 4"),
    ({"accumulator": LNSFormat(8, 12)}, "must be an integer multiple of the operands' 8, not 12"),
])  # fmt: skip
def test_options_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        MultiplyAddConfig(**options)


def test_add_refuses_the_same():
    with pytest.raises(ValueError, match="Pipeline of add must be from 1 to 6 stages, not 7"):
        AddConfig(pipeline=7, memory=Memory.BLOCK)
    with pytest.raises(ValueError, match="Approximator segments takes results of more than 10 bits, not 8"):
        AddConfig(approximator=Approximator.SEGMENTS)


def test_wide_tables_are_the_models_alone():
    for config in (
        AddConfig(accumulator=LNSFormat(16, 1000)),
        MultiplyAddConfig(operand=LNS16, approximator=Approximator.TABLE),
    ):
        assert config.approximator is Approximator.TABLE and config.guarantee()["rounding"] == "nearest"
        with pytest.raises(ValueError, match="Hardware takes tables of up to 4096 entries, not [12][0-9]{4}; "):
            config.require_hardware()
    for config in (AddConfig(), MultiplyAddConfig(operand=LNS16), MultiplyAddConfig(operand=LNSFormat(16, 100))):
        config.require_hardware()


def test_configurations_are_frozen_and_hashable():
    config = MultiplyAddConfig()
    assert config == MultiplyAddConfig(accumulator=LNS8, pipeline=7) and hash(config) == hash(MultiplyAddConfig())
    assert config != MultiplyAddConfig(memory=Memory.BLOCK)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.pipeline = 3


@pytest.mark.parametrize("fmt", [LNS8, LNS10, LNS16])
def test_near_words_are_words_and_near(fmt, reals):
    generator = np.random.default_rng(5)
    target = generator.integers(fmt.code_min, fmt.code_max + 1, 20000)
    words = near(fmt, target, generator)
    assert words.min() >= 0 and words.max() < 1 << fmt.width
    sign, log, zero = reals.fields(fmt, words)
    distance = np.abs(log - target)[~zero]
    assert {0, 1, 2} <= set(distance.tolist()) and (distance < 16).mean() > 0.2
    assert 0.4 < sign.mean() < 0.6
