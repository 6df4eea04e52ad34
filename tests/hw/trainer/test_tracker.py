"""Trackers of every state, gradient and warm-up, and the warm-up itself, against the formulas."""

import mpmath
import numpy as np
import pytest

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import NetworkConfig, WarmUp
from lnsmadam.golden.trainer.tables import tracker_tables
from lnsmadam.hw.trainer import warm_up
from lnsmadam.hw.trainer.tracker import Tracker

CASES = {
    "preset": ({}, 9),
    "exact": ({"warm_up": WarmUp.EXACT, "state_rounding": Rounding.NEAREST}, 9),
    "coarse": ({"state": LNSFormat(8, 4), "beta_shift": 3, "state_fraction_bits": 5}, 7),
    "levels": ({"state": LNSFormat(10, 16, -100, 120), "warm_up": WarmUp.EXACT, "beta_shift": 4}, 10),
}  # fmt: skip


def changes(network, k, distances):
    """``2**b * g/2 * log2(beta + (1 - beta) * 4**(d / g))``, and that of a zero; the least and the largest entry of
    the golden table say where it ends."""
    g, unit = int(network.state.base_factor), 2.0 ** (network.state_fraction_bits - 1)
    table = tracker_tables(network)[k]
    last = table.first + len(table.values) - 1
    inside = np.clip(distances, table.first, last)
    x = 2.0**-k * np.expm1(2 * np.log(2) / g * inside)
    real = unit * g / np.log(2) * np.log1p(x)
    rounded = np.floor(real + 0.5).astype(int)
    for i in np.flatnonzero(np.abs(real - np.floor(real) - 0.5) < 1e-6):
        with mpmath.workdps(40):
            beta = 1 - mpmath.mpf(2) ** -k
            exact = mpmath.log(beta + (1 - beta) * mpmath.mpf(4) ** (mpmath.mpf(int(inside[i])) / g), 2)
            rounded[i] = mpmath.floor(exact * g * unit + mpmath.mpf(1) / 2)
    decay = unit * g * np.log2(1 - 2.0**-k)
    ends = table.values[0] if table.first == (g * k >> 1) - 8 * g else int(np.floor(decay + 0.5))
    assert abs(ends - decay) <= 1
    return rounded + ((distances - inside) * (distances > last) << network.state_fraction_bits), ends


@pytest.mark.parametrize("name", CASES)
def test_updates(run_cycles, name):
    options, x_bits = CASES[name]
    network = NetworkConfig(**options)
    fmt, b, rng = network.state, network.state_fraction_bits, np.random.default_rng(3)
    u_at = {"coarse": 2, "levels": 3}.get(name, 0)
    component = Tracker(network, x_bits, ram_style="logic" if name == "coarse" else "block", u_at=u_at)
    is_growing, is_random = network.warm_up is WarmUp.GROWING, network.state_rounding is Rounding.STOCHASTIC
    rs = np.arange(fmt.zero_log, fmt.code_max + 1)
    xs = np.arange(-(1 << x_bits - 1), 1 << x_bits - 1)
    r, x = (axis.ravel() for axis in np.meshgrid(rs, xs, indexing="ij"))
    count, latency = len(r), component.latency
    shifts = range(1, network.beta_shift + 1) if is_growing else [network.beta_shift]
    most = 40_000 if is_growing else count
    parts, runs = [], {port: [] for port in ("r", "x", "zero", "update", "k", "u")}
    for k in shifts:
        chosen = rng.permutation(count)[:most]
        # Every x meets a state that has not begun.
        chosen = np.append(chosen, np.flatnonzero(r == fmt.zero_log))
        part = {
            "r": r[chosen], "x": x[chosen], "zero": (rng.integers(0, 16, len(chosen)) == 0).astype(int),
            "update": (rng.integers(0, 16, len(chosen)) > 0).astype(int), "k": np.full(len(chosen), k),
            "u": rng.integers(0, 1 << b, len(chosen)),
        }  # fmt: skip
        parts.append(part)
        for port, column in part.items():
            late = u_at if port == "u" else 0
            runs[port] += [*[0] * late, *column, *[k if port == "k" else 0] * (latency - late)]
    ports = {port: np.array(column) for port, column in runs.items()}
    if not is_growing:
        del ports["k"]
    if not is_random:
        del ports["u"]
    out = run_cycles(component, ports)

    start, compared, clamped = 0, 0, 0
    for k, part in zip(shifts, parts, strict=True):
        behind = slice(start + latency, start + latency + len(part["r"]))
        start += len(part["r"]) + latency
        distance = part["x"] - part["r"]
        change, decay = changes(network, k, distance)
        u = part["u"] if is_random else 1 << b - 1
        moved = part["r"] + ((np.where(part["zero"], decay, change) + u) >> b)
        unseen = part["r"] == fmt.zero_log
        moved = np.where(unseen, part["x"] - (int(fmt.base_factor) * k >> 1), moved)
        want = np.clip(moved, fmt.log_min, fmt.log_max)
        stays = (part["update"] == 0) | unseen & (part["zero"] == 1)
        want = np.where(stays, part["r"], want)
        got = out["result"][behind]
        wrong = np.flatnonzero(got != want)
        assert not len(wrong), [(k, *(int(c[i]) for c in (*part.values(), got, want))) for i in wrong[:5]]
        assert (out["x_out"][behind] == part["x"]).all() and (out["zero_out"][behind] == part["zero"]).all()
        compared += len(want)
        clamped += np.count_nonzero((want != moved) & ~stays)
    assert compared > 10_000 and clamped > 0


def counts_of_updates():
    """From any to the next in no order: all small ones, those about powers of two, the largest."""
    rng = np.random.default_rng(4)
    powers = 1 << np.arange(33)
    some = np.concatenate([np.arange(6000), powers, powers - 1, powers - 2, rng.integers(0, 1 << 14, 2000)])
    return rng.permutation(some[(some >= 0) & (some < 1 << 32)])


@pytest.mark.parametrize("options", [
    {"beta_shift": 12}, {"beta_shift": 1},
    {"warm_up": WarmUp.EXACT}, {"warm_up": WarmUp.EXACT, "beta_shift": 5, "state": LNSFormat(12, 64)},
    {"warm_up": WarmUp.EXACT, "beta_shift": 1, "state": LNSFormat(8, 4)},
])  # fmt: skip
def test_warm_up(run_cycles, options):
    network = NetworkConfig(**options)
    component = warm_up.WarmUp(network)
    counts, shift = counts_of_updates(), network.beta_shift
    out = run_cycles(component, {"update_count": np.append(np.repeat(counts, component.latency), 0)})
    t = counts + 1
    if network.warm_up is WarmUp.GROWING:
        got, want = out["k"], np.clip(np.floor(np.log2(t)), 1, shift)
        assert component.latency <= 2
    else:
        half = network.state.base_factor / 2
        real = half * np.log2(-np.expm1(t * np.log1p(-(2.0**-shift))))
        want = np.floor(real + 0.5)
        for i in np.flatnonzero(np.abs(real - np.floor(real) - 0.5) < 1e-9):
            with mpmath.workdps(40):
                exact = mpmath.log(1 - (1 - mpmath.mpf(2) ** -shift) ** int(t[i]), 2)
                want[i] = mpmath.floor(exact * half + mpmath.mpf(1) / 2)
        got = out["bias"]
        assert len(np.unique(want)) > shift and component.latency <= 24
    got = got[component.latency :: component.latency]
    assert len(want) > 8000
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), [(int(counts[i]), int(got[i]), want[i]) for i in wrong[:5]]
