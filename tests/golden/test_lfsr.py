"""The random bits, against a register stepped bit by bit."""

import numpy as np
import pytest

from lnsmadam.golden.lfsr import LFSRConfig, draws


def stepped(config: LFSRConfig, count: int) -> list[int]:
    """The first draws from the definition: bits of the recurrence one at a time."""
    state = [config.seed >> k & 1 for k in range(config.width)]
    exponents = [e for e in range(1, config.width + 1) if config.polynomial >> e & 1]
    drawn = []
    for _ in range(count):
        drawn.append(sum(state[k] << k for k in range(config.bits)))
        for _ in range(config.shift):
            state = [sum(state[e - 1] for e in exponents) % 2, *state[:-1]]
    return drawn


CONFIGS = [
    LFSRConfig(),
    LFSRConfig(seed=0x1ABCD, shift=8),
    LFSRConfig(3, 0b1011, seed=5, bits=3),
    LFSRConfig(16, 0x1A011, seed=0xACE1, bits=12, shift=4),
    LFSRConfig(20, 0x120001, bits=20),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.width}-{config.shift}")
def test_draws_are_those_of_the_register(config):
    want = stepped(config, 3000)
    np.testing.assert_array_equal(draws(config, 0, 3000), want)
    np.testing.assert_array_equal(draws(config, 1000, 50), want[1000:1050])
    assert draws(config, 7, 0).shape == (0,)


@pytest.mark.parametrize("config", CONFIGS[:4], ids=lambda config: f"{config.width}-{config.shift}")
def test_every_state_but_zero_comes_once(config):
    whole = LFSRConfig(config.width, config.polynomial, config.seed, config.width, config.shift)
    period = draws(whole, 0, whole.period)
    np.testing.assert_array_equal(np.sort(period), np.arange(1, whole.period + 1))


def test_draws_go_on_over_the_end_of_the_period():
    config = LFSRConfig()
    across = draws(config, config.period - 3, 10)
    np.testing.assert_array_equal(across[3:], draws(config, 0, 7))
    np.testing.assert_array_equal(draws(config, 5 * config.period + 11, 4), draws(config, 11, 4))
    long = draws(config, 4, 3 * config.period)
    np.testing.assert_array_equal(long[config.period : 2 * config.period], long[: config.period])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 2}, "Width of the LFSR must be from 3 to 24, not 2"),
        ({"width": 16}, "Polynomial must be primitive and of degree 16, not 0x24001"),
        ({"polynomial": 0x20001}, "Polynomial must be primitive and of degree 17, not 0x20001"),
        # Irreducible but of order 5: x^4 + x^3 + x^2 + x + 1.
        ({"width": 4, "polynomial": 0b11111, "bits": 4}, "Polynomial must be primitive and of degree 4"),
        ({"seed": 0}, "Seed must be from 1 to 131071, not 0"),
        ({"bits": 18}, "Bits per draw must be from 1 to 17, not 18"),
        ({"shift": 131071}, "Shift must be positive and coprime to 131071, not 131071"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message.replace("^", r"\^").replace("+", r"\+")):
        LFSRConfig(**options)


def test_bad_ranges_are_refused():
    with pytest.raises(ValueError, match="must not be negative, not -1 and 3"):
        draws(LFSRConfig(), -1, 3)
