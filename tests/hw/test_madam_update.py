"""The Madam update's Verilog against its golden model, bit for bit, and against planted faults."""

import re
from functools import cache

import numpy as np
import pytest

from lnsmadam.golden.format import LNS10, LNS12, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_update import (
    MadamUpdateConfig,
    Rounding,
    Variant,
    directed,
    integer_madam,
    model,
)
from lnsmadam.hw import madam_update as hardware
from lnsmadam.hw.emit import emit
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.sim.batch import BatchUnit, compare

NARROW = {
    "weight_format": LNSFormat(9, 32),
    "grad_format": LNSFormat(6, 4),
    "state_format": FixedFormat(8, 2, signed=True),
}
# Every variant and rounding, formats of other widths, and between them the pipelines far from the default.
CONFIGS = {
    "integer 12": integer_madam(12, pipeline=14),
    "integer 8, stochastic": integer_madam(8, rounding=Rounding.STOCHASTIC, pipeline=9),
    "rounded": MadamUpdateConfig(variant=Variant.ROUNDED, pipeline=1),
    "nearest": MadamUpdateConfig(rounding=Rounding.NEAREST, beta_shift=4, state_rounding=Rounding.NEAREST, pipeline=0),
    "fast decay": MadamUpdateConfig(beta_shift=1, coarse_outliers=False, pipeline=3),
    "synapse": MadamUpdateConfig(weight_format=SYNAPSE, pipeline=6),
    "narrow": MadamUpdateConfig(**NARROW, beta_shift=7),
}
MORE_CONFIGS = {
    "integer 10": integer_madam(10),
    "integer 8": integer_madam(8),
    "rounded nearest": MadamUpdateConfig(variant=Variant.ROUNDED, rounding=Rounding.NEAREST),
    "exact table, fine steps": MadamUpdateConfig(coarse_outliers=False, step_fraction_bits=9),
    "one bit": MadamUpdateConfig(step_fraction_bits=1),
    "beta 7/8": MadamUpdateConfig(beta_shift=3),
    "odd beta": MadamUpdateConfig(beta_shift=7, lfsr=LFSRConfig(20, 0x120001, seed=77, bits=20, shift=8)),
    "bound at a step": MadamUpdateConfig(grad_bound=8),
    "wide gradient": MadamUpdateConfig(
        weight_format=LNS12, grad_format=LNS10, state_format=FixedFormat(14, 6, signed=True)
    ),
    "narrow rate": MadamUpdateConfig(weight_format=LNS10, lr_format=FixedFormat(7, 4, signed=True)),
    "wide rate": MadamUpdateConfig(lr_format=FixedFormat(9, 4, signed=True)),
}


@cache
def emitted(config):
    return emit(MadamUpdate(config))


def run(config, count, *, verilog=None, seed=1, chunk=1 << 18, stalls_seed=None):
    rng = np.random.default_rng(seed)
    chunks = (directed(config, rng, min(chunk, count - start)) for start in range(0, count, chunk))
    return compare(verilog or emitted(config), model(config), chunks, stalls_seed=stalls_seed)


def test_a_million_updates_equal_the_model():
    result = run(MadamUpdateConfig(), 1 << 20)
    assert result.passed, result
    assert result.count == 1 << 20


def test_updates_equal_the_model_under_stalls():
    """Draws belong to transfers, not to cycles."""
    result = run(MadamUpdateConfig(), 200_000, chunk=30_000, stalls_seed=5)
    assert result.passed, result


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_variants_equal_the_model(config):
    result = run(config, 100_000)
    assert result.passed, result
    assert result.count == 100_000


@pytest.mark.slow
@pytest.mark.parametrize("config", MORE_CONFIGS.values(), ids=MORE_CONFIGS.keys())
def test_more_variants_equal_the_model(config):
    result = run(config, 1 << 20)
    assert result.passed, result


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", range(1, 15))
def test_every_pipeline_equals_the_model(pipeline):
    config = MadamUpdateConfig(pipeline=pipeline)
    result = run(config, 100_000, stalls_seed=pipeline)
    assert result.passed, result


@pytest.mark.parametrize("config", [MadamUpdateConfig(), CONFIGS["rounded"]], ids=["default", "one stage"])
def test_latency_interval_and_reset(config):
    fields = directed(config, np.random.default_rng(3), 5000)
    manifest = emitted(config).manifest
    assert manifest["latency"] == config.pipeline and manifest["interval"] == 1
    with BatchUnit(emitted(config)) as unit:
        first = unit.run(fields)
        assert unit.cycles == 5000 + config.pipeline
        second = unit.run(fields)
        # Reset brings the first draw back.
        unit.reset()
        again = unit.run(fields)
    for name in first:
        np.testing.assert_array_equal(again[name], first[name])
        assert (second[name] != first[name]).any()


def test_no_table_can_become_block_ram():
    """A `case` on a table's address would be taken for a memory."""
    verilog = emitted(MadamUpdateConfig()).verilog
    assert not re.search(r"\bcase[xz]?\b|\breg\s*\[[^]]*\]\s*\w+\s*\[", verilog)


def broken(monkeypatch, config, name, replacement):
    """Verilog of the unit with one function of its module replaced."""
    with monkeypatch.context() as patch:
        patch.setattr(hardware, name, replacement)
        return emit(MadamUpdate(config))


def table_fault(table, entry):
    """The table of that name with one bit of one entry wrong."""
    original = hardware.logic_table

    def logic_table(m, entries, address, width, name):
        entries = [int(value) for value in entries]
        if name == table:
            entries[entry] ^= 1
        return original(m, entries, address, width, name)

    return logic_table


def test_planted_fault_in_hardware_is_found(monkeypatch):
    """One bit of one mantissa of a clipped step."""
    config = MadamUpdateConfig()
    verilog = broken(monkeypatch, config, "logic_table", table_fault("mantissa_table", 31))
    result = run(config, 50_000, verilog=verilog)
    assert not result.passed and result.mismatch is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "entry"),
    [("entry_table", 0), ("entry_table", -2), ("mantissa_table", 9)],
)
def test_more_planted_faults_are_found(monkeypatch, table, entry):
    config = MadamUpdateConfig()
    result = run(config, 50_000, verilog=broken(monkeypatch, config, "logic_table", table_fault(table, entry)))
    assert not result.passed and result.mismatch is not None


@pytest.mark.parametrize(
    "options",
    [
        {"lfsr": LFSRConfig(bits=17, seed=2)},
        {"lfsr": LFSRConfig(bits=17, shift=2)},
        {"grad_bound": 10.02},
        {"mantissa_bits": 11},
        {"coarse_outliers": False},
        {"rounding": Rounding.NEAREST},
        {"beta_shift": 9, "lfsr": LFSRConfig(bits=17)},
        {"weight_format": LNSFormat(16, 2048, log_min=-16382)},
        {"weight_format": LNSFormat(16, 2048, log_max=16382)},
    ],
    ids=str,
)
def test_hardware_of_another_configuration_is_found(options):
    """The default unit stands in for a faulty unit of a configuration that differs from it in one thing."""
    other = MadamUpdateConfig(**options)
    default = MadamUpdateConfig()
    fields = directed(default, np.random.default_rng(4), 50_000)
    result = compare(emitted(default), model(other), [fields])
    assert not result.passed and result.mismatch is not None
