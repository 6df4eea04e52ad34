"""The learning network compiled: the bits of :mod:`lnsmadam.golden.trainer.network`, fast enough to experiment.

What depends on the configuration alone is tabulated once, in :mod:`lnsmadam.golden.trainer.constants`: ``c`` has its
numbers, ``t`` its tables. A product of words is one look into a table at the sum of two codes, which hold distance
from the top and sign. Weights lie by input, then neuron, so that inputs that are zero cost nothing, in any pass.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.constants import constants, schedule
from lnsmadam.golden.trainer.network import Integers, Network, Outcome
from lnsmadam.golden.trainer.state import LAST_COUNT, LISTS, NUMBERS, NetworkState


def _compiled(function: Callable[..., Any]) -> Any:
    """``function`` compiled by Numba, kept on disk between runs where there is a place that can be written."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:
        # Numba found neither a writable folder beside this file nor one of the user's.
        return numba.njit(function)


# Rows of the array ``work``, which holds the sample at hand. Of the inputs of all layers, one layer after the other
# and each with its constant: sign (0: zero), steps below the top, code, and the places of those that are not zero.
_A_SIGN, _A_BELOW, _A_CODE, _A_SOME = range(4)
# Of each layer: how many inputs are not zero.
_A_COUNT = 4
# Of one layer: sums or logits, deltas, places and codes of those that are not zero, deltas of the layer before, terms
# of inputs and of neurons in the size of a step, noise.
_SUM, _D_SIGN, _D_BELOW, _D_SOME, _D_CODE, _BEFORE_SIGN, _BEFORE_BELOW, _ROW, _COLUMN, _ROW_NOISE, _COLUMN_NOISE = (
    range(5, 16)
)
_WORK_ROWS = 16


@_compiled
def _log2(t: Integers, rule: int, magnitude: int) -> Any:
    """``MagnitudeLog.evaluate`` of one positive number."""
    width, fraction_bits, octave_bits, low_bits, cells = t[rule], t[rule + 1], t[rule + 2], t[rule + 3], t[rule + 4]
    position = 0
    while magnitude >> (position + 1):
        position += 1
    mantissa = (magnitude << (width - 1 - position)) & ((1 << (width - 1)) - 1)
    cell = rule + 5 + (mantissa >> low_bits)
    log = t[cell] + ((position - fraction_bits) << octave_bits)
    if mantissa & ((1 << low_bits) - 1) >= t[cell + cells]:
        log += 1
    return log


@_compiled
def _code_of_weight(c: Any, sign: int, log: int) -> Any:
    """The code of a kept weight, rounded to the format in which it is multiplied."""
    log = c.forward_log_max + ((log - c.weight_log_max + (1 << c.ratio_bits >> 1)) >> c.ratio_bits)
    below = c.forward_log_max - min(log, c.forward_log_max)
    if log < c.forward_log_min:
        below = c.below_end
    return min(below, c.below_end) + (c.minus if sign < 0 else 0)


@_compiled
def _place_input(c: Any, work: Integers, layer: int, place: int, i: int, sign: int, below: int) -> None:
    """Puts input i of a layer, next in order, in its place."""
    work[_A_SIGN, place] = sign
    work[_A_BELOW, place] = below
    if sign != 0:
        work[_A_CODE, place] = min(below, c.below_end) + (c.minus if sign < 0 else 0)
        work[_A_SOME, place - i + work[_A_COUNT, layer]] = i
        work[_A_COUNT, layer] += 1


@_compiled
def _forward(c: Any, t: Integers, work: Integers, sample: Integers, codes: Integers) -> None:
    """All layers of one sample; leaves inputs and logits in ``work``."""
    sign_bit = 1 << c.activation_log_width
    work[_A_COUNT, : c.layers] = 0
    for i in range(t[c.sizes]):
        log = sample[i] & (sign_bit - 1)
        log -= (log << 1) & sign_bit
        sign = 1 - 2 * (sample[i] >> c.activation_log_width)
        if log == c.activation_zero_log:
            sign = 0
        _place_input(c, work, 0, i, i, sign, c.activation_log_max - log)
    for layer in range(c.layers):
        inputs, neurons = t[c.sizes + layer] + 1, t[c.sizes + layer + 1]
        first, start = t[c.first_input + layer], t[c.first_weight + layer]
        _place_input(c, work, layer, first + inputs - 1, inputs - 1, 1, t[c.source_shift + layer])
        sums = work[_SUM, :neurons]
        sums[:] = 0
        for n in range(work[_A_COUNT, layer]):
            i = work[_A_SOME, first + n]
            row = codes[start + i * neurons : start + (i + 1) * neurons]
            products = t[c.products + work[_A_CODE, first + i] :]
            for j in range(neurons):
                sums[j] += products[row[j]]
        for j in range(neurons):
            total = min(max(sums[j], -c.sum_max - 1), c.sum_max)
            if layer == c.layers - 1:
                drop = c.logit_drop
                sums[j] = (total + (1 << drop >> 1)) >> drop if drop >= 0 else total << -drop
                continue
            sign, below = 0, 0
            if total > 0:
                log = _log2(t, c.activation_log, total) + t[c.hidden_shift + layer]
                sign = 1 if log >= c.activation_log_min else 0
                below = c.activation_log_max - min(log, c.activation_log_max)
            _place_input(c, work, layer + 1, first + inputs + j, j, sign, below)


@_compiled
def _loss(c: Any, t: Integers, work: Integers, label: int) -> bool:
    """The gate, and if it lets the sample pass the deltas of the logits; whether it did."""
    logits = work[_SUM, : t[c.sizes + c.layers]]
    most = logits[1 if label == 0 else 0]
    for j in range(len(logits)):
        if j != label:
            most = max(most, logits[j])
    if logits[label] - most >= c.gate:
        return False
    most = max(most, logits[label])
    total = 0
    for j in range(len(logits)):
        total += t[c.exp + min(most - logits[j], c.exp_end)]
    others = total - t[c.exp + min(most - logits[label], c.exp_end)]
    log_total = _log2(t, c.softmax_log, total)
    for j in range(len(logits)):
        log, sign = logits[j] - most - log_total, 1
        if j == label:
            log, sign = _log2(t, c.softmax_log, max(others, 1)) - log_total, -1
        log = ((log + (1 << c.delta_drop >> 1)) >> c.delta_drop) + c.delta_shift
        if log < c.delta_log_min or (j == label and others == 0):
            sign = 0
        work[_D_SIGN, j] = sign
        work[_D_BELOW, j] = c.delta_log_max - min(log, c.delta_log_max)
    return True


@_compiled
def _backward(c: Any, t: Integers, work: Integers, layer: int, codes: Integers) -> None:
    """Deltas of a layer's inputs, from those of its neurons."""
    neurons, first, start = t[c.sizes + layer + 1], t[c.first_input + layer], t[c.first_weight + layer]
    count = 0
    for j in range(neurons):
        sign = work[_D_SIGN, j]
        if sign != 0:
            work[_D_SOME, count] = j
            work[_D_CODE, count] = min(work[_D_BELOW, j], c.below_end) + (c.minus if sign < 0 else 0)
            count += 1
    inputs = t[c.sizes + layer]
    work[_BEFORE_SIGN, :inputs] = 0
    some, code, products = work[_D_SOME, :count], work[_D_CODE, :count], t[c.products :]
    # The last of those that are not zero is the constant.
    for n in range(work[_A_COUNT, layer] - 1):
        i = work[_A_SOME, first + n]
        row = codes[start + i * neurons : start + (i + 1) * neurons]
        total = 0
        for k in range(count):
            total += products[code[k] + row[some[k]]]
        total = min(max(total, -c.sum_max - 1), c.sum_max)
        if total != 0:
            log = _log2(t, c.delta_log, abs(total)) + t[c.back_shift + layer]
            if log >= c.delta_log_min:
                work[_BEFORE_SIGN, i] = 1 if total > 0 else -1
                work[_BEFORE_BELOW, i] = c.delta_log_max - min(log, c.delta_log_max)


@_compiled
def _draw(jumps: Integers, mask: int, state: int, noise: Integers) -> int:
    """Fills ``noise`` from a generator in this state; the state after."""
    for n in range(len(noise)):
        noise[n] = state & mask
        state = jumps[state & 255] ^ jumps[256 + ((state >> 8) & 255)] ^ jumps[512 + (state >> 16)]
    return state


@_compiled
def _track(c: Any, t: Integers, rms: int, log: int, sign: int, shift: int, random: int) -> Any:
    """A tracker after a number, or zero (sign 0), enters its mean."""
    if rms == c.state_zero_log:
        if sign == 0:
            return rms
        moved = log - (c.state_factor * shift >> 1)
    else:
        entry, bits = c.trackers + 3 * shift, c.state_fraction_bits
        last = t[entry + 1] - 1
        index = 0 if sign == 0 else max(log - rms - t[entry + 2], 0)
        change = t[c.trackers + t[entry] + min(index, last)] + (max(index - last, 0) << bits)
        fraction = (1 << bits) >> 1 if c.is_state_nearest else random & ((1 << bits) - 1)
        moved = rms + ((change + fraction) >> bits)
    return min(max(moved, c.state_log_min), c.state_log_max)


@_compiled
def _move(
    c: Any, sizes: Integers, w: int, log: int, sign: int, random: int, signs: Integers, logs: Integers, codes: Integers
) -> None:
    """Weight w after a gradient of this sign (not 0) and this log of its normalised size, offset included."""
    place = min(log, c.highest_step) - c.lowest_step
    steps = sizes[place] if place >= 0 else 0
    if not c.is_step_nearest:
        steps = (steps + (random & ((1 << c.step_bits) - 1))) >> c.step_bits
    moved = min(max(logs[w] - signs[w] * sign * steps, c.weight_log_min), c.weight_log_max)
    if moved != logs[w]:
        logs[w] = moved
        codes[w] = _code_of_weight(c, signs[w], moved)


@_compiled
def _learn(
    c: Any,
    t: Integers,
    work: Integers,
    layer: int,
    update: int,
    sizes: Integers,
    signs: Integers,
    logs: Integers,
    codes: Integers,
    rows: Integers,
    columns: Integers,
    trackers: Integers,
    is_stray: bool,
) -> None:
    """Moves a layer's trackers and weights; the deltas of its neurons are in ``work``."""
    inputs, neurons = t[c.sizes + layer] + 1, t[c.sizes + layer + 1]
    first, first_neuron, start = t[c.first_input + layer], t[c.first_neuron + layer], t[c.first_weight + layer]
    shift = c.beta_shift
    if c.is_growing:
        shift = 1
        while shift < c.beta_shift and update >> (shift + 1):
            shift += 1
    bias = t[c.biases + min(update, c.last_bias)]
    a_sign, d_sign, row, column = work[_A_SIGN, first:], work[_D_SIGN], work[_ROW], work[_COLUMN]
    row_noise, column_noise, some = work[_ROW_NOISE], work[_COLUMN_NOISE], work[_D_SOME]
    for i in range(inputs):
        row[i] = c.state_multiple * (t[c.source_shift + layer] - work[_A_BELOW, first + i])
        if c.is_factored:
            k = first + i
            rows[k] = _track(c, t, rows[k], row[i], a_sign[i], shift, row_noise[i])
            row[i] -= rows[k]
    count, most = 0, -(1 << 62)
    for j in range(neurons):
        column[j] = c.state_multiple * (c.delta_octaves - work[_D_BELOW, j])
        if c.is_factored:
            k = first_neuron + j
            columns[k] = _track(c, t, columns[k], column[j], d_sign[j], shift, column_noise[j])
            column[j] += 2 * bias - columns[k]
        if d_sign[j] != 0:
            some[count] = j
            count += 1
            most = max(most, column[j])
    if c.is_per_weight:
        for i in range(inputs):
            for j in range(neurons):
                w, sign, log = start + i * neurons + j, a_sign[i] * d_sign[j], row[i] + column[j]
                random = row_noise[i] ^ column_noise[j]
                trackers[w] = _track(c, t, trackers[w], log, sign, shift, random)
                if sign != 0:
                    log += bias + c.step_offset - trackers[w]
                    _move(c, sizes, w, log, sign, random, signs, logs, codes)
        return
    # Below the first size that is not 0 nothing moves, but for weights that a fault put out of range.
    lowest = -(1 << 62) if is_stray else c.lowest_step - c.step_offset
    for n in range(work[_A_COUNT, layer]):
        i = work[_A_SOME, first + n]
        if row[i] + most < lowest:
            continue
        for k in range(count):
            j = some[k]
            log = row[i] + column[j]
            if log >= lowest:
                w, sign, random = start + i * neurons + j, a_sign[i] * d_sign[j], row_noise[i] ^ column_noise[j]
                _move(c, sizes, w, log + c.step_offset, sign, random, signs, logs, codes)


@_compiled
def _fill_codes(c: Any, signs: Integers, logs: Integers, codes: Integers) -> bool:
    """Fills in the codes of all weights; whether one is out of range."""
    is_stray = False
    for w in range(len(logs)):
        codes[w] = _code_of_weight(c, signs[w], logs[w])
        if logs[w] < c.weight_log_min or logs[w] > c.weight_log_max:
            is_stray = True
    return is_stray


@_compiled
def _run(
    c: Any,
    t: Integers,
    work: Integers,
    words: Integers,
    labels: Integers,
    sizes: Integers,
    signs: Integers,
    logs: Integers,
    codes: Integers,
    rows: Integers,
    columns: Integers,
    trackers: Integers,
    numbers: Integers,
    logits: Integers,
    predicted: Integers,
    gated: Any,
) -> None:
    """All samples in order; only their logits where there are no labels.

    ``numbers``: update count and the registers of both generators.
    """
    is_stray = _fill_codes(c, signs, logs, codes)
    classes = t[c.sizes + c.layers]
    for n in range(len(words)):
        _forward(c, t, work, words[n], codes)
        if len(labels) == 0:
            logits[n] = work[_SUM, :classes]
            continue
        predicted[n] = np.argmax(work[_SUM, :classes])
        gated[n] = not _loss(c, t, work, labels[n])
        if gated[n]:
            continue
        for layer in range(c.layers - 1, -1, -1):
            inputs = t[c.sizes + layer]
            if c.uses_noise:
                noise, neurons = work[_ROW_NOISE, : inputs + 1], t[c.sizes + layer + 1]
                numbers[1] = _draw(t[c.input_jumps : c.input_jumps + 768], c.input_mask, numbers[1], noise)
                noise = work[_COLUMN_NOISE, :neurons]
                numbers[2] = _draw(t[c.neuron_jumps : c.neuron_jumps + 768], c.neuron_mask, numbers[2], noise)
            if layer > 0:
                _backward(c, t, work, layer, codes)
            update = numbers[0] + 1
            _learn(c, t, work, layer, update, sizes, signs, logs, codes, rows, columns, trackers, is_stray)
            work[_D_SIGN, :inputs] = work[_BEFORE_SIGN, :inputs]
            work[_D_BELOW, :inputs] = work[_BEFORE_BELOW, :inputs]
        numbers[0] = min(numbers[0] + 1, LAST_COUNT)


def _flat(arrays: list[Integers]) -> Integers:
    """Layers one after the other, matrices by input, then neuron; one number where there are none."""
    return np.concatenate([array.T.ravel() for array in arrays]) if arrays else np.zeros(1, np.int64)


def _layers(flat: Integers, like: list[Integers]) -> list[Integers]:
    """The inverse of :func:`_flat`, in the shapes of ``like``."""
    ends = np.cumsum([array.size for array in like])[:-1]
    parts = np.split(flat, ends) if like else []
    return [
        np.ascontiguousarray(part.reshape(old.shape[::-1]).T) for part, old in zip(parts, like, strict=True)
    ]  # fmt: skip


class CompiledNetwork(Network):
    """:class:`Network` at the speed of compiled code, bit for bit the same.

    The first one of a process compiles or reads the kernel, which takes seconds; it is kept for the next process.
    """

    def __init__(self, config: NetworkConfig, state: NetworkState):
        super().__init__(config, state)
        self._numbers, self._tables = constants(config)
        self._work = np.zeros((_WORK_ROWS, sum(config.sizes) + config.layers), np.int64)

    def _logits(self, words: Integers) -> Integers:
        logits = np.zeros((len(words), self.config.sizes[-1]), np.int64)
        self._call(words, np.zeros(0, np.int64), 0, logits)
        return logits

    def _train(self, words: Integers, labels: Integers, lr_shift: int) -> Outcome:
        predicted, gated = self._call(words, labels, lr_shift, np.zeros((0, 0), np.int64))
        return Outcome(predicted, predicted == labels, gated)

    def _call(self, words: Integers, labels: Integers, lr_shift: int, logits: Integers) -> tuple[Integers, Any]:
        """Runs the kernel on flat copies of the state, which come back to it if there are labels."""
        state, fmt = self.state, self.config.weight
        kept, rows, columns, trackers = (_flat(getattr(state, name)) for name in LISTS)
        signs, logs = (1 - 2 * (kept >> fmt.log_width)).astype(np.int32), kept & fmt.log_mask
        logs = (logs - ((logs << 1) & fmt.sign_bit)).astype(np.int32)
        numbers = np.array([getattr(state, name) for name in NUMBERS], dtype=np.int64)
        predicted, gated = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.bool_)
        of_schedule, sizes = schedule(self.config, lr_shift)
        for name, number in of_schedule.items():
            self._numbers[name] = number
        _run(
            self._numbers, self._tables, self._work, np.ascontiguousarray(words), np.ascontiguousarray(labels), sizes,
            signs, logs, np.zeros_like(logs), rows, columns, trackers, numbers, logits, predicted, gated,
        )  # fmt: skip
        if len(labels):
            kept = (np.int64(1) - signs) // 2 << fmt.log_width | logs & np.int64(fmt.log_mask)
            for name, flat in zip(LISTS, (kept, rows, columns, trackers), strict=True):
                setattr(state, name, _layers(flat, getattr(state, name)))
            for name, number in zip(NUMBERS, numbers, strict=True):
                setattr(state, name, int(number))
        return predicted, gated
