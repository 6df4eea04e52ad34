"""The Madam update against the real rule in float64, its invariants, and what it does over many updates."""

import math

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNS8, LNS10, LNS12, LNS16, SYNAPSE, FixedFormat, LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig, draws
from lnsmadam.golden.madam_update import (
    MadamUpdateConfig,
    Rounding,
    Variant,
    bias_log_of,
    directed,
    integer_madam,
    lr_log_of,
    madam_update,
    model,
    weight_max_log_of,
)
from lnsmadam.proof.error.meaning_of_updates import madam_update_meaning
from lnsmadam.proof.error.worst_error import search

CONFIGS = {
    "default": MadamUpdateConfig(),
    "nearest": MadamUpdateConfig(rounding=Rounding.NEAREST),
    "exact table": MadamUpdateConfig(coarse_outliers=False, step_fraction_bits=8),
    "fast decay": MadamUpdateConfig(beta_shift=3),
    "fastest decay": MadamUpdateConfig(beta_shift=1),
    "odd shift": MadamUpdateConfig(beta_shift=7),
    "nearest state": MadamUpdateConfig(beta_shift=4, state_rounding=Rounding.NEAREST),
    "rounded": MadamUpdateConfig(variant=Variant.ROUNDED),
    "integer 12": integer_madam(12),
    "integer 8": integer_madam(8, rounding=Rounding.STOCHASTIC),
    "synapse": MadamUpdateConfig(weight_format=SYNAPSE),
    "narrow": MadamUpdateConfig(
        weight_format=LNSFormat(9, 32), grad_format=LNSFormat(6, 4), state_format=FixedFormat(8, 2, signed=True)
    ),
    "wide gradient": MadamUpdateConfig(
        weight_format=LNS12, grad_format=LNS10, state_format=FixedFormat(14, 6, signed=True)
    ),
}
# Not from the module under test: the LNS8 code of zero, an unseen 12-bit state.
ZERO, UNSEEN = 0x40, 0x800


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    return request.param


def call(config, *, random=0, **fields):
    """The update with defaults for the fields left out: integers in, ``(sign, log)`` and state out."""
    given = {"weight": 0, "grad_rms": 0, "grad": 0, "lr_log": 0, "bias_log": 0} | fields
    given.setdefault("weight_max_log", config.weight_format.log_max)
    for name, fmt in config.inputs.items():
        if isinstance(fmt, FixedFormat):
            given[name] = fmt.pack(given[name])
    weight, rms = madam_update(config, *(given[name] for name in config.inputs), random)
    return *config.weight_format.unpack(weight), config.state_format.unpack(rms)


def test_steps_and_states_are_within_the_guarantee_of_the_real_rule(config):
    """Every size of a step and every state before rounding, and a sample of all operands."""
    measures = madam_update_meaning(config, madam_update, directed)
    assert [measure.what.split(",")[0] for measure in measures] == ["step", "step", "grad_rms"]
    for measure in measures:
        assert (worst := search(measure)).passed, worst
    assert max(measure.promised for measure in measures if measure.what.startswith("grad_rms")) < 0.8


def test_clip_is_at_the_bound_itself():
    """At the largest rate, 10 is 2444.0 … steps, where the state's step below it would be 16 steps less."""
    config = MadamUpdateConfig(rounding=Rounding.NEAREST)
    for lr_log in range(-128, 128):
        _, log, _ = call(config, grad=0x3F, grad_rms=-100, bias_log=0, lr_log=lr_log)
        # grad = 2**(63/8), after this update the state lies 5 octaves below it: 32 times, clipped to 10.
        assert abs(-log - 10 * 2 ** (lr_log / 16)) <= 1, lr_log


def test_tables_are_correctly_rounded():
    """Against mpmath, every entry."""
    config = MadamUpdateConfig(coarse_outliers=False)
    with mpmath.workdps(30):
        beta = 1 - mpmath.mpf(2) ** -10
        for z, entry in enumerate(config.rms_table[0]):
            want = 2048 * mpmath.log(beta + mpmath.power(2, mpmath.mpf(-z) / 8), 2)
            if z == len(config.rms_table[0]) - 1:
                want = 2048 * mpmath.log(beta, 2)
            assert entry == int(mpmath.floor(want + 0.5)), z
        for row, factor in ((0, mpmath.mpf(1)), (1, 10 / mpmath.power(2, mpmath.mpf(53) / 16))):
            for remainder, entry in enumerate(config.antilog.mantissas[row]):
                want = 2**config.mantissa_bits * factor * mpmath.power(2, mpmath.mpf(remainder) / 16)
                assert entry == int(mpmath.floor(want + 0.5)), (row, remainder)


def test_invariants_hold_for_every_input(config):
    rng = np.random.default_rng(2)
    count = 100_000
    uniform = {name: rng.integers(0, 1 << fmt.width, count).astype(fmt.dtype) for name, fmt in config.inputs.items()}
    fmt, state = config.weight_format, config.state_format
    for name, fields in (("uniform", uniform), ("directed", directed(config, rng, count))):
        results = model(config)(fields, 12345)
        assert results["weight"].dtype == fmt.dtype and results["grad_rms"].dtype == state.dtype
        old_sign, old_log = fmt.unpack(fields["weight"])
        sign, log = fmt.unpack(results["weight"])
        top = config.weight_max_format.unpack(fields["weight_max_log"])
        assert (sign == old_sign).all()
        assert log.min() >= fmt.log_min
        assert (log <= np.maximum(np.minimum(top, fmt.log_max), fmt.log_min)).all()
        old_rms, rms = state.unpack(fields["grad_rms"]), state.unpack(results["grad_rms"])
        is_zero = config.grad_format.is_zero(fields["grad"])
        unseen = old_rms == state.minimum
        in_range = is_zero & (old_log >= fmt.log_min) & (old_log <= np.minimum(top, fmt.log_max))
        assert name == "uniform" or (in_range.any() and (is_zero & unseen).any() and (~is_zero & unseen).any())
        assert (log == old_log)[in_range].all()
        # Zero gradients never raise the state, and lower it by no more than the decay.
        assert (rms <= old_rms)[is_zero].all() and (rms[is_zero & unseen] == state.minimum).all()
        decay = config.base_factor / 2 * config.beta_shift + 1
        assert (old_rms - rms)[is_zero].max() <= decay
        # Others set an unseen state, and never leave one unseen.
        offset = config.base_factor * config.beta_shift // 2
        first = config.grad_multiple * config.grad_format.unpack(fields["grad"])[1] - offset
        assert (rms == first)[~is_zero & unseen].all()
        assert (rms > state.minimum)[~(is_zero & unseen)].all()
        # It lies between the old one and the gradient's, and cannot wrap.
        assert (rms >= np.minimum(old_rms, first) - 1)[~is_zero].all()
        assert (rms <= np.maximum(old_rms, first) + config.base_factor // 2 + 1)[~is_zero].all()


@pytest.mark.parametrize(
    ("fields", "log"),
    [
        # Rate 2**0, gradient = RMS: one step, down for equal signs.
        ({"grad": 0x00}, -1),
        ({"grad": 0x80}, 1),
        ({"weight": 0x8000}, 1),
        ({"weight": 0x8000, "grad": 0x80}, -1),
        # A zero gradient of either sign.
        ({"grad": ZERO}, 0),
        ({"grad": 0x80 | ZERO}, 0),
        # Zero weights enter as the smallest.
        ({"weight": 0x4000, "grad": 0x80}, -16382),
        ({"weight": 0xC000, "grad": ZERO}, -16383),
        ({"weight": 0x4000, "grad": 0x00}, -16383),
        # Above the largest, and moved from there.
        ({"weight": 500, "weight_max_log": 100, "grad": ZERO}, 100),
        ({"weight": 500, "weight_max_log": 100, "grad": 0x00}, 99),
        ({"weight": 500, "weight_max_log": 100, "grad": 0x80}, 100),
        ({"weight": 99, "weight_max_log": 100, "grad": 0x80, "lr_log": 48}, 100),
        # A largest weight below the smallest number.
        ({"weight_max_log": -16384, "grad": 0x80}, -16383),
        # Bias: half the size is rounded up on the signed log, 0.49 down.
        ({"bias_log": -16, "grad": 0x00}, 0),
        ({"bias_log": -16, "grad": 0x80}, 1),
        ({"bias_log": -17, "grad": 0x80}, 0),
    ],
)
def test_single_updates(fields, log):
    config = MadamUpdateConfig(rounding=Rounding.NEAREST)
    # The draw keeps the state where it is: r = 0 is 0 octaves, decay and growth round to 0.
    got = call(config, random=3, **fields)[1]
    assert got == log


def test_states_at_the_ends():
    config = MadamUpdateConfig()
    # Smallest draw: decays. At the smallest state nothing falls, and the next gradient sets it.
    assert call(config, grad=ZERO, grad_rms=-2046, random=0)[2] == -2047
    assert call(config, grad=ZERO, grad_rms=-2047, random=0)[2] == -2047
    assert call(config, grad=ZERO, grad_rms=-2048, random=0)[2] == -2048
    for state in (-2048, -2047):
        for random in (0, 255):
            # 2**(8/8) and 1 - beta = 2**-10: 16 - 80 steps.
            assert call(config, grad=8, grad_rms=state, random=random)[2] == 16 - 80
    assert call(config, grad=0x3F, grad_rms=2047, random=255)[2] == 2047
    assert call(config, grad=0x3F, grad_rms=2047, random=0)[2] == 2046


def test_integer_madam_moves_levels_by_the_rounded_gradient():
    for bits, level, lr_factor in ((12, 0.001, 16), (10, 0.005, 2), (8, 0.01, 1)):
        config = integer_madam(bits)
        fmt = config.weight_format
        assert fmt.log_max - fmt.log_min + 1 == 1 << bits
        assert math.log(2) / fmt.base_factor == pytest.approx(level)
        lr = lr_log_of(config, lr_factor)
        assert config.lr_format.unpack(lr) == 16 * math.log2(lr_factor)
        for grad_log in (-24, -8, 0, 8, 16, 24, 60):
            rms = 0
            word = config.grad_format.pack(1, grad_log)
            sign, log, new = call(config, grad=word, grad_rms=rms, lr_log=int(config.lr_format.unpack(lr)), random=3)
            want = min(2 ** (grad_log / 8 - new / 16), 10) * lr_factor
            assert abs(log - want) <= 1 and (sign, log) == (0, math.floor(want + 0.5)), (bits, grad_log)


def test_rounded_variant_moves_in_128ths_of_an_octave():
    config = MadamUpdateConfig(variant=Variant.ROUNDED)
    fields = directed(config, np.random.default_rng(3), 50_000)
    weight = model(config)(fields, 0)["weight"]
    old, new = (LNS16.unpack(words)[1] for words in (fields["weight"], weight))
    top = config.weight_max_format.unpack(fields["weight_max_log"])
    free = (new > -16383) & (new < top) & (old <= top) & (old > -16384)
    moved = (new - old)[free]
    assert (moved % 16 == 0).all() and len(np.unique(moved)) > 100
    assert call(config, lr_log=0, random=0, grad=0x80)[1] == 16


def test_stochastic_rounding_is_unbiased_over_a_run():
    """A step of 2**-2.5 units: as often as that, one unit."""
    config = MadamUpdateConfig(step_fraction_bits=8)
    random = draws(config.lfsr, 0, config.lfsr.period)
    for grad, direction in ((0x00, -1), (0x80, 1)):
        _, log, rms = call(config, grad=np.full(len(random), grad), grad_rms=0, lr_log=-40, random=random)
        assert set(np.unique(log)) == {0, direction}
        same = rms == 0
        assert log[same].mean() == pytest.approx(direction * 2**-2.5, abs=0.01)


def stream(config, states, gradients, updates, seed):
    """States after random gradients, one row of draws an update."""
    rng = np.random.default_rng(seed)
    for update in range(updates):
        random = draws(config.lfsr, update * len(states), len(states))
        grad = LNS8.encode(gradients(rng, len(states)), saturate=True)
        _, states = madam_update(config, 0, states, grad, 0, 0, 0, random)
    return states


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_state_converges_to_the_rms(scale):
    config = MadamUpdateConfig(beta_shift=6)
    states = np.full(2003, config.initial_state)
    states = stream(config, states, lambda rng, n: rng.normal(0, scale, n), 500, 4)
    rms = np.exp2(2 * config.state_format.decode(states)).mean() ** 0.5
    assert rms == pytest.approx(scale, rel=0.04)


def test_state_of_default_beta_follows_a_change():
    config = MadamUpdateConfig()
    states = np.full(499, config.state_format.pack(-16))
    states = stream(config, states, lambda rng, n: rng.normal(0, 0.25, n), 2000, 5)
    rms = np.exp2(2 * config.state_format.decode(states)).mean() ** 0.5
    left = (1 - 2**-10) ** 2000
    assert rms == pytest.approx(math.sqrt(0.25 * left + 0.0625 * (1 - left)), rel=0.04)


def test_state_decays_under_zero_gradients():
    config = MadamUpdateConfig()
    states = np.full(499, config.state_format.pack(100))
    states = stream(config, states, lambda rng, n: np.zeros(n), 2000, 6)
    # 8 log2(beta) = -2.89 / 256 steps an update; the table has -3 / 256.
    mean = config.state_format.unpack(states).mean()
    assert mean == pytest.approx(100 - 2000 * 3 / 256, abs=0.5)
    assert mean == pytest.approx(100 + 2000 * 8 * math.log2(1 - 2**-10), rel=0.02)


def test_scalars_and_shapes():
    config = MadamUpdateConfig()
    weight, rms = madam_update(config, 0, 0, 0, 0, 0, 0x3FFF, 3)
    assert np.shape(weight) == () and int(weight) == 0x7FFF and int(rms) == 0
    weight, rms = madam_update(config, np.zeros((3, 1), int), np.zeros(4, int), 0, 0, 0, 0x3FFF, 3)
    assert weight.shape == rms.shape == (3, 4) and (weight == 0x7FFF).all()
    empty, _ = madam_update(config, np.zeros(0, int), 0, 0, 0, 0, 0, 0)
    assert empty.shape == (0,)


def test_many_blocks_are_one_update():
    config = MadamUpdateConfig()
    fields = directed(config, np.random.default_rng(7), 40_000)
    whole = model(config)(fields, 99)
    first = model(config)({name: column[:17_001] for name, column in fields.items()}, 99)
    rest = model(config)({name: column[17_001:] for name, column in fields.items()}, 99 + 17_001)
    for name, column in whole.items():
        np.testing.assert_array_equal(column, np.concatenate([first[name], rest[name]]))


def test_learning_rates_and_biases():
    config = MadamUpdateConfig()
    for lr in (1e-5, 1e-3, 0.01, 0.05, 0.083):
        steps = lr * math.log2(math.e) * 2048
        assert 2.0 ** (config.lr_format.unpack(lr_log_of(config, lr)) / 16) == pytest.approx(steps, rel=0.022)
    # Rates too small to move a weight.
    assert config.lr_format.unpack(lr_log_of(config, 1e-12)) == -128
    assert config.bias_format.unpack(bias_log_of(config, 1)) == -80
    for count in (2, 10, 1000, 5000, 10**9):
        want = 8 * math.log2(1 - (1 - 2**-10) ** count)
        assert abs(config.bias_format.unpack(bias_log_of(config, count)) - want) <= 0.5
    assert config.weight_max_format.unpack(weight_max_log_of(config, 2.0)) == 2048
    assert config.weight_max_format.unpack(weight_max_log_of(config, 1e9)) == 16383


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pipeline": 0}, "Pipeline of madam_update must be from 1 to"),
        ({"pipeline": 99}, "Pipeline of madam_update must be from 1 to"),
        ({"state_format": FixedFormat(12, 4)}, "State format must be signed"),
        ({"grad_format": LNS10}, "Base factor of the state must be an integer multiple of the gradients' 32, not 16"),
        ({"grad_format": LNSFormat(8, 6)}, "integer multiple of the gradients' 6, not 16"),
        ({"beta_shift": 0}, "Beta shift must be from 1 to 20, not 0"),
        ({"state_fraction_bits": 0}, "State fraction bits must be from 1 to 16, not 0"),
        ({"step_fraction_bits": 17}, "Step fraction bits must be from 1 to 16, not 17"),
        ({"grad_bound": 0.5}, "Gradient bound must be from 1 to 1024, not 0.5"),
        ({"state_format": FixedFormat(8, 4, signed=True)}, "State format must reach from -12.875 to beyond 7.875"),
        ({"state_rounding": Rounding.NEAREST}, "State would never decay: nearest rounding of 3 / 256 steps"),
        ({"state_fraction_bits": 5, "coarse_outliers": False}, "State would never decay: stochastic"),
        ({"variant": Variant.ROUNDED, "weight_format": SYNAPSE}, "128 times a power of two for the variant rounded"),
        ({"lr_format": FixedFormat(8, 3, signed=True)}, "Format of lr_log must be signed with 4 fraction bits"),
        ({"mantissa_bits": 9}, "Mantissa bits must be from 10 to 24, not 9"),
        ({"lr_format": FixedFormat(10, 4, signed=True)}, "Steps must fit in 28 bits"),
        ({"lfsr": LFSRConfig(bits=11)}, "Bits per draw must be at least 12, not 11"),
        (
            {"beta_shift": 3, "grad_format": LNSFormat(6, 1), "state_format": FixedFormat(9, 0, signed=True)},
            "Beta shift must be even for a state of base factor 1, not 3",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MadamUpdateConfig(**options)


def test_bad_arguments_are_refused():
    config = MadamUpdateConfig()
    with pytest.raises(ValueError, match=r"Learning rate must be at most 0\.0829"):
        lr_log_of(config, 0.1)
    for lr in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="Learning rate must be positive and finite"):
            lr_log_of(config, lr)
    with pytest.raises(ValueError, match="Update count must be at least 1, not 0"):
        bias_log_of(config, 0)
    with pytest.raises(ValueError, match="Largest weight must be positive and finite"):
        weight_max_log_of(config, 0)
    with pytest.raises(ValueError, match="Bits of integer Madam must be 8, 10 or 12, not 9"):
        integer_madam(9)
    with pytest.raises(ValueError, match="grad_rms must be in"):
        madam_update(config, 0, 4096, 0, 0, 0, 0)
