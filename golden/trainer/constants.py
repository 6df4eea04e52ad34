"""What the compiled network reads: everything that a configuration fixes, as one record and one array of tables."""

from typing import Any

import numpy as np

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.log_of_mantissa import Thresholds
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer import tables
from lnsmadam.golden.trainer.config import NetworkConfig, SecondMoment, WarmUp
from lnsmadam.golden.trainer.network import Integers, draw

_NEVER = 1 << 62


def _format(name: str, fmt: LNSFormat) -> dict[str, int]:
    return {f"{name}_{key}": getattr(fmt, key) for key in ("log_width", "log_min", "log_max", "zero_log")}


def _log_rule(log: MagnitudeLog) -> Integers:
    """A ``MagnitudeLog`` with correctly rounded logs: five numbers, the counts, the limits."""
    core = log.core
    assert isinstance(core, Thresholds), "a base factor of at most 64 has correctly rounded logs"
    limits = core.limits or (_NEVER,) * len(core.counts)
    numbers = (log.width, log.fraction_bits, core.log2_base_factor, core.low_bits, len(core.counts))
    return np.array([*numbers, *core.counts, *limits], dtype=np.int64)


def _trackers(config: NetworkConfig) -> Integers:
    """The tracker tables of all k: for k = 0, 1, … start, length and first argument, then all values."""
    of_shift = tables.tracker_tables(config)
    index = np.zeros((config.beta_shift + 1, 3), np.int64)
    position = index.size
    for shift, table in of_shift.items():
        index[shift] = position, len(table.values), table.first
        position += len(table.values)
    return np.concatenate([index.ravel(), *(table.values for table in of_shift.values())])


def _jumps(config: LFSRConfig) -> Integers:
    """What each byte of a generator's register adds to its next state, flat, lowest byte first.

    The register is linear: what a state becomes is the XOR of what its bits become.
    """
    bits = [draw(config, 1 << bit, 1)[1] if bit < config.width else 0 for bit in range(24)]
    jumps = np.zeros((3, 256), np.int64)
    for bit, image in enumerate(bits):
        jumps[bit // 8] ^= np.where(np.arange(256) >> bit % 8 & 1, image, 0)
    return jumps.ravel()


def _starts(counts: list[int]) -> Integers:
    """Where each of several runs begins, and where the last ends."""
    return np.cumsum([0, *counts])


def constants(config: NetworkConfig) -> tuple[Any, Integers]:
    """The kernel's form of a configuration: a record of numbers, and the tables.

    A number that has a table's name is where it starts.
    """
    layers, factor, g = range(config.layers), config.base_factor, int(config.state.base_factor)
    activation, delta, last = config.activation, config.delta, config.layers - 1
    pairs = list(zip(config.sizes, config.sizes[1:], strict=False))
    product = tables.product_table(config)
    below_end = len(product) - 1
    product = np.concatenate([product, np.zeros(below_end, np.int64)])
    exp = tables.exp_table(config)
    biases = tables.bias_table(config)
    drop = config.sum_fraction_bits - config.source_top(last) - config.weight_tops[last] - config.logit_bits
    octaves = [config.source_top(k) + config.weight_tops[k] - config.activation_top for k in layers]
    gate = tables.gate_margin(config)

    arrays = {
        "sizes": np.array(config.sizes),
        "first_weight": _starts([(a + 1) * b for a, b in pairs]),
        "first_input": _starts([a + 1 for a, _ in pairs]),
        "first_neuron": _starts([b for _, b in pairs]),
        # By the sum of two codes, of which none, one or both say minus.
        "products": np.concatenate([product, -product, product]),
        "source_shift": factor * np.array([config.source_top(k) for k in layers]),
        "hidden_shift": activation.log_max + factor * np.array(octaves),
        "back_shift": delta.log_max + factor * np.array(config.weight_tops),
        "activation_log": _log_rule(tables.magnitude_log(config, activation)),
        "delta_log": _log_rule(tables.magnitude_log(config, delta)),
        "softmax_log": _log_rule(tables.softmax_log(config)),
        "exp": exp,
        "biases": biases,
        "trackers": _trackers(config),
        "input_jumps": _jumps(config.input_noise),
        "neuron_jumps": _jumps(config.neuron_noise),
    }
    numbers = {
        **dict(zip(arrays, _starts([array.size for array in arrays.values()]).tolist(), strict=False)),
        **_format("activation", activation), **_format("delta", delta), **_format("weight", config.weight),
        **_format("forward", config.forward_weight), **_format("state", config.state),
        "layers": config.layers,
        "below_end": below_end,
        "minus": len(product),
        "sum_max": (1 << (config.sum_width - 1)) - 1,
        "ratio_bits": int(config.weight.base_factor // factor).bit_length() - 1,
        "exp_end": len(exp) - 1,
        "logit_drop": min(drop, config.sum_width + 1),
        "delta_drop": config.logit_bits - (factor.bit_length() - 1),
        "delta_shift": delta.log_max - factor * config.delta_top,
        "gate": _NEVER if gate is None else gate,
        "is_factored": config.second_moment is SecondMoment.FACTORED,
        "is_per_weight": config.second_moment is SecondMoment.PER_WEIGHT,
        "is_growing": config.warm_up is WarmUp.GROWING,
        "beta_shift": config.beta_shift,
        "state_factor": g,
        "state_multiple": g // factor,
        "delta_octaves": factor * config.delta_top,
        "last_bias": len(biases) - 1,
        "state_fraction_bits": config.state_fraction_bits,
        "is_state_nearest": config.state_rounding is Rounding.NEAREST,
        "step_bits": config.step_bits,
        "is_step_nearest": config.weight_rounding is Rounding.NEAREST,
        "uses_noise": config.uses_noise,
        "input_mask": (1 << config.input_noise.bits) - 1,
        "neuron_mask": (1 << config.neuron_noise.bits) - 1,
        "step_offset": 0,
        "lowest_step": 0,
        "highest_step": 0,
    }  # fmt: skip
    # Its numbers are attributes in plain Python too, where the kernel is not compiled.
    record = np.rec.array([tuple(numbers.values())], dtype=[(name, np.int64) for name in numbers])[0]
    return record, np.concatenate([array.ravel() for array in arrays.values()])


def schedule(config: NetworkConfig, lr_shift: int) -> tuple[dict[str, int], Integers]:
    """What a shift of the learning rate adds: three of the record's numbers, and the sizes of steps by log, from the
    first that is not 0 to the bound."""
    g, offset = int(config.state.base_factor), tables.step_offset(config, lr_shift)
    highest = g * config.grad_bound + offset
    logs = np.arange(min(-(config.step_bits + 2) * g, highest), highest + 1)
    sizes = tables.step_sizes(config, logs)
    if config.weight_rounding is Rounding.NEAREST:
        sizes = tables.rounded_steps(config, sizes, 0)
    some = np.flatnonzero(sizes)
    first = int(some[0]) if len(some) else len(sizes)
    numbers = {"step_offset": offset, "lowest_step": int(logs[0]) + first, "highest_step": highest}
    return numbers, np.append(sizes[first:], 0)
