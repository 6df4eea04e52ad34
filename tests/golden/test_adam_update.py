"""Adam's golden model against the rule in float64: single steps from every kind of state, and whole runs."""

import numpy as np
import pytest

from lnsmadam.golden.adam_update import AdamUpdateConfig, adam_update, epsilon_of, lr_of
from lnsmadam.golden.adam_update_operands import directed
from lnsmadam.golden.floats import BFLOAT16, FLOAT32, FloatFormat

CONFIGS = {
    "default": AdamUpdateConfig(),
    "float32 moments": AdamUpdateConfig(m_format=FLOAT32, v_format=FLOAT32, ratio_bits=11),
    "narrow": AdamUpdateConfig(
        m_format=FloatFormat(8, 7), v_format=FloatFormat(8, 12), beta1_shift=1, beta2_shift=6, ratio_bits=9
    ),
    "wide": AdamUpdateConfig(beta1_shift=4, beta2_shift=5, ratio_bits=14, m_format=FloatFormat(8, 19)),
}
NORMAL = 2.0**-126


def real(config, fields):
    """The operands as float64, subnormal moments, gradients and scalars as zeros."""
    values = {name: fmt.decode(fields[name]) for name, fmt in config.inputs.items()}
    for name in ("m", "v", "grad", "lr", "epsilon"):
        values[name] = np.where(np.abs(values[name]) < NORMAL, 0.0, values[name])
    return values | {"v": np.abs(values["v"]), "epsilon": np.abs(values["epsilon"])}


def valid_operands(config, count, seed=1):
    fields = directed(config, np.random.default_rng(seed), count)
    valid = np.all([np.isfinite(fmt.decode(fields[name])) for name, fmt in config.inputs.items()], axis=0)
    assert valid.sum() > count // 2
    return {name: column[valid] for name, column in fields.items()}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_moments_are_within_their_bound(config):
    fields = valid_operands(config, 1 << 18)
    x = real(config, fields)
    _, m, v, invalid = adam_update(config, *fields.values())
    assert not invalid.any()
    beta1, beta2 = 1 - 2.0**-config.beta1_shift, 1 - 2.0**-config.beta2_shift
    for name, got, fmt, old, new in (
        ("m", m, config.m_format, beta1 * x["m"], (1 - beta1) * x["grad"]),
        ("v", v, config.v_format, beta2 * x["v"], (1 - beta2) * x["grad"] ** 2),
    ):
        got = fmt.decode(got)
        larger = np.maximum(np.abs(x[name]), np.abs(new))
        largest = fmt.decode(fmt.max_word)
        want = np.minimum(old + new, largest)
        # Half an ulp of a sum in the octave above, two cuts of an eighth, and what is below the normal numbers.
        bound = 1.25 * 2.0**-fmt.mantissa_bits * np.minimum(larger, largest) + NORMAL
        assert np.all(np.abs(got - want) <= bound)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_weight_is_within_the_stated_error_of_the_step(config):
    """The rounded weight lies between those that the bounds of the step would give: rounding is monotonic."""
    fields = valid_operands(config, 1 << 18)
    x = real(config, fields)
    weight, m, v, _ = adam_update(config, *fields.values())
    m, v = config.m_format.decode(m), config.v_format.decode(v)
    denominator = np.sqrt(v) + x["epsilon"]
    step = np.where(denominator == 0, 0.0, x["lr"] * m / np.where(denominator == 0, 1.0, denominator))
    ends = [BFLOAT16.decode(BFLOAT16.encode(x["weight"] - step * (1 + sign * config.step_error))) for sign in (-1, 1)]
    weight = BFLOAT16.decode(weight)
    assert np.all((np.minimum(*ends) <= weight) & (weight <= np.maximum(*ends)))
    # The corners of the weight are among them.
    assert np.any((np.abs(weight) < NORMAL) & (weight != 0) & (step != 0))
    assert np.isinf(weight).any()


def test_the_step_itself():
    """A zero weight takes the step alone, rounded to bfloat16: worst within bound and half an ulp, typically less."""
    config = AdamUpdateConfig()
    rng = np.random.default_rng(4)
    count = 1 << 18
    grad = rng.normal(size=count) * 2.0 ** rng.integers(-20, 5, count)
    columns = {
        "m": grad * rng.normal(size=count),
        "v": grad**2 * 2.0 ** rng.uniform(-4, 4, count),
        "grad": grad,
        "lr": np.exp(rng.uniform(-9, -1, count)),
        "epsilon": np.full(count, 1e-8),
    }
    words = {name: config.inputs[name].encode(column) for name, column in columns.items()}
    x = real(config, {"weight": np.zeros(count, dtype=np.uint16), **words})
    weight, *_ = adam_update(config, 0, *words.values())
    m = 0.875 * x["m"] + 0.125 * x["grad"]
    v = x["v"] + (x["grad"] ** 2 - x["v"]) / 1024
    step = x["lr"] * m / (np.sqrt(v) + x["epsilon"])
    # Where the terms of m do not cancel, its own rounding is small against the step's.
    plain = np.abs(m) > 0.25 * np.abs(x["m"])
    error = np.abs(-BFLOAT16.decode(weight)[plain] / step[plain] - 1)
    assert error.max() <= config.step_error + 2.0**-8 + 2.0**-9
    assert np.median(error) < 0.0025


def run(config, count, seed, lr):
    """Losses of a regression of 16 weights: at the start, and after Adam in float64, in float64 with weights rounded
    to bfloat16, and by the unit, each with the gradients of its own weights."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(256, 16)) * 2.0 ** rng.integers(-2, 2, 16)
    target = features @ rng.normal(size=16) + 0.1 * rng.normal(size=256)
    beta1, beta2 = 1 - 2.0**-config.beta1_shift, 1 - 2.0**-config.beta2_shift
    start = BFLOAT16.encode(0.1 * rng.normal(size=16))

    def loss_and_grad(weight, rows):
        residual = features[rows] @ weight - target[rows]
        return np.mean(residual**2), 2 * features[rows].T @ residual / len(rows)

    weights = [BFLOAT16.decode(start)] * 2
    moments = [(np.zeros(16), np.zeros(16))] * 2
    words = [start, np.zeros(16, dtype=np.uint32), np.zeros(16, dtype=np.uint32)]
    for step in range(1, count + 1):
        rows = rng.integers(0, 256, 32)
        for which in range(2):
            _, grad = loss_and_grad(weights[which], rows)
            m, v = moments[which]
            m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
            moments[which] = m, v
            change = lr * m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + 1e-8)
            weights[which] = weights[which] - change
        weights[1] = BFLOAT16.decode(BFLOAT16.encode(weights[1]))
        _, grad = loss_and_grad(BFLOAT16.decode(words[0]), rows)
        scalars = lr_of(config, lr, step), epsilon_of(config, 1e-8, step)
        *words, invalid = adam_update(config, *words, BFLOAT16.encode(grad), *scalars)
        assert not invalid.any()
    ends = BFLOAT16.decode(start), *weights, BFLOAT16.decode(words[0])
    return [loss_and_grad(weight, np.arange(256))[0] for weight in ends]


def test_a_run_of_3000_steps_follows_float64():
    """Weights of 8 bits cost some loss in any implementation; the unit's own arithmetic costs hardly more."""
    results = np.array([run(AdamUpdateConfig(), 3000, seed, lr=2.0**-6) for seed in range(3)])
    start, exact, rounded, ours = results.mean(axis=0)
    assert exact < 0.01 * start
    assert ours < 1.25 * rounded


@pytest.mark.parametrize("v_bits", [15, 23])
def test_moments_follow_float64_for_4000_steps(v_bits):
    """The same gradients for both: v decays by 2**-10 a step, where bfloat16 would not move at all."""
    config = AdamUpdateConfig(v_format=FloatFormat(8, v_bits))
    rng = np.random.default_rng(8)
    m_word = v_word = np.zeros(64, dtype=np.uint32)
    m = v = np.zeros(64)
    for step in range(4000):
        # The gradients fall to a tenth half way: v must come down again.
        grad = BFLOAT16.encode(rng.normal(size=64) * (1 if step < 2000 else 0.1))
        _, m_word, v_word, _ = adam_update(config, 0, m_word, v_word, grad, 0, 0)
        real_grad = BFLOAT16.decode(grad)
        m, v = 0.875 * m + 0.125 * real_grad, v + (real_grad**2 - v) / 1024
    assert np.abs(np.sqrt(config.v_format.decode(v_word) / v) - 1).max() < (0.004 if v_bits == 15 else 2e-4)
    assert np.abs(config.m_format.decode(m_word) - m).max() < 2e-3 * np.sqrt(v).max()


@pytest.mark.parametrize("field", ["weight", "m", "v", "grad", "lr", "epsilon"])
@pytest.mark.parametrize("special", ["infinity", "nan"])
def test_a_special_value_moves_nothing(field, special):
    config = AdamUpdateConfig()
    words = {
        name: int(fmt.encode(value))
        for (name, fmt), value in zip(config.inputs.items(), (1.5, 0.3, 0.2, -0.7, 0.01, 1e-8), strict=True)
    }
    fine = adam_update(config, *words.values())
    assert not fine[3] and fine[0] != words["weight"] and fine[1] != words["m"] and fine[2] != words["v"]
    words[field] = getattr(config.inputs[field], special)
    weight, m, v, invalid = adam_update(config, *words.values())
    assert invalid == 1
    assert (weight, m, v) == (words["weight"], words["m"], words["v"])


def test_zeros_and_ends():
    config = AdamUpdateConfig()
    one, tiny = int(BFLOAT16.encode(1.0)), 1
    # Nothing moves without mean, rate, or divisor; a negative zero stays one.
    for weight in (0, 0x8000, tiny, one):
        assert adam_update(config, weight, 0, 0, 0, one, one)[0] == weight
        assert adam_update(config, weight, 0, 0, one, 0, one)[0] == weight
    assert tuple(adam_update(config, one, 0, 0, 0, one, 0)) == (one, 0, 0, 0)
    # An exact cancellation is +0, and v saturates.
    m, weight = int(config.m_format.encode(-1.0)), int(BFLOAT16.encode(-0.875))
    assert adam_update(config, weight, m, 0, 0, one, one)[0] == 0
    assert adam_update(config, one, 0, 0, BFLOAT16.max_word, 0, one)[2] == config.v_format.max_word
    # Shapes broadcast.
    assert adam_update(config, np.full((3, 1), one), 0, 0, np.full(4, one), one, one)[0].shape == (3, 4)


def test_bias_correction_is_folded_into_the_scalars():
    config = AdamUpdateConfig()
    for count in (1, 10, 100_000):
        root = np.sqrt(1 - (1 - 2.0**-10) ** count)
        assert BFLOAT16.decode(lr_of(config, 1e-3, count)) == pytest.approx(
            1e-3 * root / (1 - 0.875**count), rel=2.0**-8
        )
        assert BFLOAT16.decode(epsilon_of(config, 1e-8, count)) == pytest.approx(1e-8 * root, rel=2.0**-8)
    assert epsilon_of(config, 0, 1) == 0


@pytest.mark.parametrize("options, message", [
    ({"beta1_shift": 0}, "Beta1 shift must be from 1 to 12, not 0"),
    ({"beta2_shift": 13}, "Beta2 shift must be from 1 to 12, not 13"),
    ({"ratio_bits": 8}, "Ratio bits must be from 9 to 14, not 8"),
    ({"m_format": FloatFormat(5, 10)}, "Exponent bits of m must be 8, not 5"),
    ({"v_format": FloatFormat(7, 15)}, "Exponent bits of v must be 8, not 7"),
    ({"m_format": FloatFormat(8, 6)}, "Mantissa bits of m must be at least 7, not 6"),
    ({"v_format": BFLOAT16}, "Mantissa bits of v must be at least 12, not 7"),
    ({"v_format": FloatFormat(8, 12), "beta2_shift": 11}, "Mantissa bits of v must be at least 13, not 12"),
    ({"pipeline": 48}, "Pipeline of adam_update must be from 0 to 47 stages, not 48"),
])  # fmt: skip
def test_parameters_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        AdamUpdateConfig(**options)


def test_scalars_that_cannot_work():
    config = AdamUpdateConfig()
    for lr in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="Learning rate must be positive and finite"):
            lr_of(config, lr, 1)
    for epsilon in (-1e-8, float("nan")):
        with pytest.raises(ValueError, match="Epsilon must be finite and at least 0"):
            epsilon_of(config, epsilon, 1)
    for scalar in (lr_of, epsilon_of):
        with pytest.raises(ValueError, match="Update count must be at least 1, not 0"):
            scalar(config, 1e-3, 0)
    with pytest.raises(ValueError):
        adam_update(config, 1 << 16, 0, 0, 0, 0, 0)
