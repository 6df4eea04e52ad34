"""The Adam update's Verilog against its golden model, bit for bit, and against planted faults."""

import re
import types
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lnsmadam.golden.adam_update import AdamUpdateConfig
from lnsmadam.golden.adam_update_operands import directed
from lnsmadam.golden.floats import FLOAT32, FloatFormat
from lnsmadam.hw import adam_update as hardware
from lnsmadam.hw.emit import emit
from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.units import UNITS

UNIT = UNITS["adam_update"]
CONFIGS = {
    "one stage": AdamUpdateConfig(pipeline=1),
    "no stage": AdamUpdateConfig(pipeline=0),
    "every stage": AdamUpdateConfig(pipeline=47),
    "float32 moments": AdamUpdateConfig(m_format=FLOAT32, v_format=FLOAT32, ratio_bits=11, pipeline=30),
    "narrow": AdamUpdateConfig(
        m_format=FloatFormat(8, 7), v_format=FloatFormat(8, 12), beta1_shift=1, beta2_shift=6, ratio_bits=9, pipeline=7
    ),
    "wide": AdamUpdateConfig(beta1_shift=4, beta2_shift=5, ratio_bits=14, m_format=FloatFormat(8, 19), pipeline=15),
}


@cache
def emitted(config):
    return UNIT.emit(config)


def run(config, count, *, verilog=None, seed=1, stalls_seed=None):
    operands = stimulus(config, seed, count, directed)
    return compare(verilog or emitted(config), UNIT.model(config), operands, stalls_seed=stalls_seed)


def test_a_million_updates_equal_the_model():
    result = run(AdamUpdateConfig(), 1 << 20)
    assert result.passed, result
    assert result.count == 1 << 20


def test_updates_equal_the_model_under_stalls():
    result = run(AdamUpdateConfig(), 100_000, stalls_seed=5)
    assert result.passed, result


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=pytest.mark.slow if name in ("one stage", "wide") else ())
        for name, config in CONFIGS.items()
    ],
)
def test_formats_and_depths_equal_the_model(config):
    result = run(config, 100_000, seed=2)
    assert result.passed, result
    assert result.count == 100_000


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", range(1, 48))
def test_every_pipeline_equals_the_model(pipeline):
    result = run(AdamUpdateConfig(pipeline=pipeline), 100_000, seed=3, stalls_seed=pipeline)
    assert result.passed, result


@pytest.mark.slow
def test_a_hundred_million_updates_equal_the_model():
    result = run(AdamUpdateConfig(), 100_000_000, seed=4)
    assert result.passed, result
    assert result.count == 100_000_000


def test_latency_and_interval():
    config = AdamUpdateConfig()
    fields = directed(config, np.random.default_rng(3), 5000)
    manifest = emitted(config).manifest
    assert manifest["latency"] == config.pipeline and manifest["interval"] == 1
    with BatchUnit(emitted(config)) as unit:
        unit.run(fields)
        assert unit.cycles == 5000 + config.pipeline


# Wrong lines of the hardware: what stands there, what stands there instead.
FAULTS = {
    "square's cross term": ("Mux(high[2], low, 0) << 2", "Mux(high[2], low, 0) << 1"),
    "a subnormal moment": ("is_zero = ~old[name].exponent.any()", "is_zero = Const(0)"),
    "a distance beyond the shifter": (
        "Mux(magnitude[bits:].any(), Const((1 << bits) - 1, bits), magnitude[:bits])",
        "magnitude[:bits]",
    ),
    "v's saturation": ("(v_exponent >= 255) & ~is_invalid", "(v_exponent >= 511) & ~is_invalid"),
    "m flushed": ("(m_exponent <= 0) | ~m_total[-1]", "(m_exponent < 0) | ~m_total[-1]"),
    "m's rounding": ("(Cat(total[GUARD_BITS:-1], exponent) + 1)", "(Cat(total[GUARD_BITS:-1], exponent) + 0)"),
    "the root's odd octave": ("Mux(exponent[0], radicand[1:], radicand)", "radicand"),
    "the root's exponent": ("(exponent >> 1) + exponent[0] + 63", "(exponent >> 1) + 63"),
    "the root's correction": ("Cat(Const(3, 2), digits", "Cat(Const(2, 2), digits"),
    "no epsilon": ("force=[(~has_epsilon, 0)]", "force=[]"),
    "no divisor": ('live.pop("divisor")[-1].replicate(bits + 1)', '(live.pop("divisor")[-1] | 1).replicate(bits + 1)'),
    "no rate": ('Mux(live["rate"][7:15].any() & ~live["is_invalid"]', 'Mux(~live["is_invalid"]'),
    "no step": ("distance[-1] & has_step", "distance[-1]"),
    "a step of its highest bit alone": ('live["has_step"] = has_step', 'live["has_step"] = step[-3:-1].any()'),
    "sticky": ("is_cut | (away[place] & fallen.any())", "is_cut | (away[place] & fallen[0])"),
    "ties": ("cut[:-1].any() | kept[0]", "cut[:-1].any() | 1"),
    "subnormal results": ("Mux(left > base, base, left)", "left"),
    "a subnormal weight's hidden bit": ("weight[:7], is_normal, Const(0, 1)", "weight[:7], Const(1, 1), Const(0, 1)"),
    "a subnormal weight's exponent": ("exponent | ~is_normal", "exponent"),
    "a subnormal weight's distance": ("exponent | ~exponent.any()", "exponent"),
    "the weight's infinity": ("(bits[7:] >= 255) & ~live", "(bits[7:] > 255) & ~live"),
    "a NaN weight": ('(bits[7:] >= 255) & ~live["is_invalid"]', "(bits[7:] >= 255)"),
    "the exponent of a zero": ("force=[(~total[-1], 0)]", "force=[]"),
    "+0 of a cancellation": ("(total.any() | ~has_step)", "1"),
}


# Each costs a build; the rest is slow evidence.
QUICK = ("the root's correction", "sticky")


@pytest.mark.parametrize(
    "old, new",
    [pytest.param(*lines, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, lines in FAULTS.items()],
)
def test_a_wrong_line_is_found(old, new):
    source = Path(hardware.__file__).read_text()
    # The formatter may have broken the line.
    source, found = re.subn(r"\s*".join(map(re.escape, re.findall(r"\S", old))), lambda _: new, source)
    assert found == 1, old
    wrong = types.ModuleType("wrong_adam_update")
    exec(source, wrong.__dict__)
    config = AdamUpdateConfig(pipeline=2)
    result = run(config, 1 << 18, verilog=emit(wrong.AdamUpdate(config)))
    assert not result.passed
    assert result.mismatch is not None
