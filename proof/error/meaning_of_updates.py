"""What the two update rules mean in real numbers; see :mod:`lnsmadam.proof.error.meaning`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.adam_update import AdamUpdateConfig
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.format import FixedFormat
from lnsmadam.golden.madam_config import MadamUpdateConfig, Rounding
from lnsmadam.proof.error.meaning import SEED, Golden, Reals, last_place, log_words, sample, value, without_infinities
from lnsmadam.proof.error.worst_error import CHUNK, Arguments, Case, Columns, Measure, Operands, in_chunks
from lnsmadam.sim.stimulus import Directed, stimulus

#: A moment of Adam, in last places of the larger of the old moment and the new term, as its guarantee says.
MOMENT_PROMISE = 1.25


class _Madam:
    """The Madam update with every random fraction: the mean over them is what was rounded, without error.

    With rounding to nearest there is one result, and half a unit more is promised of it.
    """

    def __init__(self, config: MadamUpdateConfig, golden: Golden):
        self.config, self.golden = config, golden
        state_is_drawn = config.state_rounding is Rounding.STOCHASTIC
        state_bits = config.state_fraction_bits if state_is_drawn else 0
        self.state_draws = np.arange(1 << state_bits)
        step_bits = config.step_fraction_bits if config.rounding is Rounding.STOCHASTIC else 0
        self.step_draws = np.arange(1 << step_bits) << state_bits
        self.state_slack = 0.0 if state_is_drawn else 0.5
        self.step_slack = 0.0 if step_bits else config.step_unit / 2

    def update(self, columns: Columns, draws: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Logs of the new weights and new states, a row a draw."""
        weight, rms = self.golden(self.config, *(np.asarray(column) for column in columns.values()), draws[:, None])
        return self.config.weight_format.unpack(weight)[1], self.config.state_format.unpack(rms)

    def columns(self, **integers: npt.ArrayLike) -> Columns:
        """Words of integers (of logs, for LNS; as they are for ``weight`` and ``grad``), others 0, the largest weight
        the format's."""
        rows = np.broadcast_shapes(*(np.shape(column) for column in integers.values()))
        columns = {}
        for name, fmt in self.config.inputs.items():
            default = self.config.weight_format.log_max if name == "weight_max_log" else 0
            given = np.broadcast_to(np.asarray(integers.get(name, default)), rows)
            words = fmt.pack(given) if isinstance(fmt, FixedFormat) else given
            columns[name] = np.asarray(words).astype(fmt.dtype)
        return columns

    # The state.

    def states(self) -> Arguments:
        """Every state with the smallest gradient, the largest, one between, and zero."""
        grad, state = self.config.grad_format, self.config.state_format
        grads = np.array([grad.zero, *(log & grad.log_mask for log in (grad.log_min, 0, grad.log_max))])
        old = np.arange(state.minimum, state.maximum + 1)
        columns = self.columns(grad=np.repeat(grads, len(old)), grad_rms=np.tile(old, len(grads)))
        total = len(grads) * len(old)
        description = f"all {len(old):,} states with 4 gradients, every random fraction"
        return Arguments(description, _Again(columns, max(CHUNK // len(self.state_draws), 1)), total)

    def _real_state(self, operands: Operands) -> Any:
        """log2 of the running RMS in steps of the state."""
        config = self.config
        old = int(config.state_format.unpack(operands["grad_rms"]))
        grad = abs(value(config.grad_format, operands["grad"]))
        beta = 1 - mpmath.ldexp(1, -config.beta_shift)
        if old <= config.log_min:
            # No gradient has been seen.
            return config.base_factor * mpmath.log((1 - beta) * grad**2, 2) / 2 if grad else old
        rms = mpmath.power(2, mpmath.mpf(old) / config.base_factor)
        new = config.base_factor * mpmath.log(beta * rms**2 + (1 - beta) * grad**2, 2) / 2
        return max(new, config.log_min)

    def state_errors(self, columns: Columns) -> Reals:
        config = self.config
        got = self.update(columns, self.state_draws)[1].mean(axis=0)
        old = config.state_format.unpack(columns["grad_rms"])
        log = config.grad_format.unpack(columns["grad"])[1]
        grad = np.where(log == config.grad_format.zero_log, -np.inf, log / config.grad_format.base_factor)
        rest = 2.0**-config.beta_shift
        larger = np.maximum(old / config.base_factor, grad)
        mean = (1 - rest) * np.exp2(2 * (old / config.base_factor - larger)) + rest * np.exp2(2 * (grad - larger))
        real = config.base_factor * (larger + np.log2(mean) / 2)
        alone = np.where(np.isneginf(grad), old, config.base_factor * (grad - config.beta_shift / 2))
        real = np.where(old <= config.log_min, alone, np.maximum(real, config.log_min))
        # Next to the smallest state the random fractions are cut off, and their mean says nothing.
        counts = (old <= config.log_min) | (real >= config.log_min + 1)
        return np.where(counts, np.abs(got - real), 0.0)

    def state_case(self, operands: Operands) -> Case:
        columns = {name: np.array([word]) for name, word in operands.items()}
        got = self.update(columns, self.state_draws)[1]
        return Case(mpmath.mpf(int(got.sum())) / len(got), self._real_state(operands))

    # The step.

    def steps(self) -> Arguments:
        """One way to each size of a step that occurs, clipped and not, up and down."""
        config, grad, state = self.config, self.config.grad_format, self.config.state_format
        old = np.arange(config.log_min + 1, state.maximum + 1)
        # Logs of gradients, states before, and corrections: the largest correction reaches the bound soonest.
        logs, old, bias = (
            part.ravel() for part in np.meshgrid([grad.log_min, 0, grad.log_max], old, [0, config.bias_format.maximum])
        )
        words = log_words(grad, 0, logs)
        new = self.update(self.columns(grad=words, grad_rms=old), np.array([0]))[1][0]
        norm, one = np.unique(logs * config.grad_multiple - new + bias, return_index=True)
        lr = np.arange(config.lr_format.minimum, config.lr_format.maximum + 1)
        pairs_norm, pairs_lr = (pair.ravel() for pair in np.meshgrid(norm, lr, indexing="ij"))
        bound = config.base_factor * np.log2(config.grad_bound)
        # A clipped one depends on the rate alone.
        clipped = pairs_norm > bound
        size = 2 * (np.where(clipped, 0, pairs_norm) + pairs_lr) + clipped
        way = np.full(np.ptp(size) + 1, -1)
        way[size - size.min()] = np.arange(len(size))
        chosen = way[way >= 0]
        at = one[np.searchsorted(norm, pairs_norm[chosen])]
        weights = np.array(
            [config.weight_format.max_word, config.weight_format.log_min & config.weight_format.log_mask]
        )
        columns = self.columns(
            # Down from the largest weight, and up from the smallest with the other sign.
            weight=np.repeat(weights | [0, config.weight_format.sign_bit], len(chosen)),
            grad_rms=np.tile(old[at], 2),
            grad=np.tile(words[at], 2),
            bias_log=np.tile(bias[at], 2),
            lr_log=np.tile(pairs_lr[chosen], 2),
        )
        description = f"all {len(chosen):,} sizes of a step that occur, up and down, every random fraction"
        chunks = _Again(columns, max(CHUNK // len(self.step_draws), 1))
        return Arguments(description, chunks, 2 * len(chosen))

    def some_steps(self, directed: Directed | None) -> Arguments:
        """A sample of the other operands, weights in the middle."""
        rows = max(2 * CHUNK // len(self.step_draws), 1 << 12)
        found = stimulus(self.config, SEED, rows, directed)
        fmt = self.config.weight_format
        middle = {"weight_max_log": np.full(rows, self.config.weight_max_format.pack(fmt.log_max))}
        columns = {**found.first(rows), **middle}
        columns["weight"] = columns["weight"] & fmt.dtype(fmt.sign_bit)
        description = f"{rows:,} steps: {found.description}; every random fraction"
        return Arguments(description, _Again(columns, max(CHUNK // len(self.step_draws), 1)), rows)

    def step_errors(self, columns: Columns) -> Reals:
        config, fmt = self.config, self.config.weight_format
        logs, states = self.update(columns, self.step_draws)
        old_sign, old = fmt.unpack(columns["weight"])
        log = config.grad_format.unpack(columns["grad"])[1]
        octaves = np.where(log == config.grad_format.zero_log, -np.inf, log / config.grad_format.base_factor)
        norm = octaves - states[0] / config.base_factor + config.bias_format.decode(columns["bias_log"])
        size = np.minimum(np.exp2(norm), config.grad_bound) * np.exp2(config.lr_format.decode(columns["lr_log"]))
        size = size * config.step_unit
        down = old_sign == config.grad_format.unpack(columns["grad"])[0]
        real = np.where(down, -size, size)
        # Of what the ends of the range cut off, nothing is promised here.
        reach = old + np.where(down, -1, 1) * (size + 2 * config.step_unit)
        counts = (fmt.log_min <= reach) & (reach <= fmt.log_max)
        return np.where(counts, np.abs(logs.mean(axis=0) - old - real), 0.0)

    def step_case(self, operands: Operands) -> Case:
        config, fmt = self.config, self.config.weight_format
        logs, states = self.update({name: np.array([word]) for name, word in operands.items()}, self.step_draws)
        sign, old = (int(part) for part in fmt.unpack(operands["weight"]))
        grad = value(config.grad_format, operands["grad"])
        octaves = value(config.bias_format, operands["bias_log"]) - mpmath.mpf(int(states[0, 0])) / config.base_factor
        norm = abs(grad) * mpmath.power(2, octaves)
        size = min(norm, config.grad_bound) * mpmath.power(2, value(config.lr_format, operands["lr_log"]))
        got = mpmath.mpf(int(logs.sum())) / len(logs) - old
        down = sign == int(config.grad_format.unpack(operands["grad"])[0])
        return Case(got, (-1 if down else 1) * size * config.step_unit)


class _Again:
    """Chunks of columns that can be gone through more than once."""

    def __init__(self, columns: Columns, rows: int):
        self.columns, self.rows = columns, rows

    def __iter__(self) -> Iterator[Columns]:
        return in_chunks(self.columns, self.rows)


def madam_update_meaning(config: MadamUpdateConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The step, given the new state as stored, and the running RMS: both before they are rounded.

    A step is never a whole unit of the variant wrong.
    """
    madam, promise = _Madam(config, golden), config.guarantee()
    rounded = {True: "rounded to nearest", False: "before rounding"}
    bound = min(promise["max_error_ulp"], config.step_unit) + madam.step_slack
    steps = [
        Measure(
            f"step, {rounded[madam.step_slack > 0]}",
            "ulp",
            bound,
            config.inputs,
            arguments,
            madam.step_errors,
            madam.step_case,
        )
        for arguments in (madam.steps(), madam.some_steps(directed))
    ]
    return [
        *steps,
        Measure(
            f"grad_rms, {rounded[madam.state_slack > 0]}",
            "ulp",
            promise["grad_rms_max_error_ulp"] + madam.state_slack,
            config.inputs,
            madam.states(),
            madam.state_errors,
            madam.state_case,
        ),
    ]


class _Adam:
    """The Adam update: subnormal operands but the weight are zeros, the signs of v and epsilon are ignored."""

    def __init__(self, config: AdamUpdateConfig, golden: Golden):
        self.config, self.golden = config, golden

    def values(self, columns: Columns) -> dict[str, Any]:
        """The operands in float64, those that are not finite as zeros, and under ``valid`` whether all were finite."""
        values = {name: fmt.decode(columns[name]) for name, fmt in self.config.inputs.items()}
        valid = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
        for name, column in values.items():
            flushed = name != "weight" and np.abs(column) < _NORMAL
            values[name] = np.where(flushed | ~valid, 0.0, np.abs(column) if name in ("v", "epsilon") else column)
        return values | {"valid": valid}

    def results(self, columns: Columns) -> dict[str, Any]:
        """The new weight and moments, real numbers in float64."""
        words = self.golden(self.config, *columns.values())
        formats = (BFLOAT16, self.config.m_format, self.config.v_format)
        return {name: fmt.decode(word) for name, fmt, word in zip(("weight", "m", "v"), formats, words, strict=False)}

    def moment(self, name: str, x: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Format, old moment and new term of ``m`` or ``v``, of float64 or mpmath numbers."""
        if name == "m":
            return self.config.m_format, x["m"], x["grad"] / (1 << self.config.beta1_shift)
        return self.config.v_format, x["v"], x["grad"] * x["grad"] / (1 << self.config.beta2_shift)

    def shift(self, name: str) -> int:
        """beta is 1 - 2**-shift."""
        return self.config.beta1_shift if name == "m" else self.config.beta2_shift

    def moment_errors(self, name: str, columns: Columns) -> Reals:
        x = self.values(columns)
        fmt, old, new = self.moment(name, x)
        largest = fmt.decode(fmt.max_word)
        want = np.clip(old - old / (1 << self.shift(name)) + new, -largest, largest)
        place = last_place(fmt, np.minimum(np.maximum(np.abs(old), np.abs(new)), largest))
        found = np.abs(np.ldexp(self.results(columns)[name] - want, -place))
        # Results next to the subnormal numbers may be zero.
        return np.where(x["valid"] & (np.abs(want) >= 2 * _NORMAL), found, 0.0)

    def moment_case(self, name: str, operands: Operands) -> Case:
        columns = {field: np.array([word]) for field, word in operands.items()}
        x = {field: mpmath.mpf(float(column[0])) for field, column in self.values(columns).items()}
        fmt, old, new = self.moment(name, x)
        largest = float(fmt.decode(fmt.max_word))
        want = min(old - old / (1 << self.shift(name)) + new, largest)
        place = int(last_place(fmt, float(min(max(abs(old), abs(new)), largest))))
        return Case(mpmath.mpf(float(self.results(columns)[name][0])), want, mpmath.ldexp(1, place))

    def operands(self, directed: Directed | None) -> Arguments:
        """A sample in which half of the weights are next to the step: what cancels shows the step's own error."""
        found = sample(self.config, directed)

        def chunks() -> Iterator[Columns]:
            for columns in found.chunks:
                step = self.step(self.values(columns), self.results(columns))
                half = np.arange(len(step)) % 2 == 0
                near = np.where(half & np.isfinite(step), BFLOAT16.encode(step), columns["weight"])
                yield {**columns, "weight": near.astype(BFLOAT16.dtype)}

        return Arguments(f"{found.description}, half of the weights next to the step", _Made(chunks), found.total)

    def step(self, x: dict[str, Any], results: dict[str, Any]) -> Reals:
        """``lr m / (sqrt(v) + epsilon)`` of the new moments, 0 where nothing moves."""
        below = np.sqrt(np.where(np.isfinite(results["v"]), results["v"], 0.0)) + x["epsilon"]
        m = np.where(np.isfinite(results["m"]), results["m"], 0.0)
        return np.asarray(np.where(below == 0, 0.0, x["lr"] * m / np.where(below == 0, 1.0, below)))

    def step_errors(self, columns: Columns) -> Reals:
        """Distances in steps; where there is no step, infinity unless the weight stays."""
        x, results = self.values(columns), self.results(columns)
        step = self.step(x, results)
        want = x["weight"] - step
        weight = without_infinities(BFLOAT16, results["weight"], want)
        slack = np.ldexp(0.5, last_place(BFLOAT16, np.nan_to_num(weight)))
        distance = np.maximum(np.abs(weight - want) - slack, 0.0)
        moves = step != 0
        found = np.where(moves, distance / np.abs(np.where(moves, step, 1.0)), np.where(weight == want, 0.0, np.inf))
        return np.where(x["valid"], found, 0.0)

    def step_case(self, operands: Operands) -> Case:
        columns = {field: np.array([word]) for field, word in operands.items()}
        x = {field: mpmath.mpf(float(column[0])) for field, column in self.values(columns).items()}
        results = {field: float(column[0]) for field, column in self.results(columns).items()}
        step = x["lr"] * results["m"] / (mpmath.sqrt(results["v"]) + x["epsilon"])
        slack = mpmath.ldexp(1, int(last_place(BFLOAT16, results["weight"])) - 1)
        return Case(mpmath.mpf(results["weight"]), x["weight"] - step, abs(step), slack)


_NORMAL = 2.0**-126


class _Made:
    """Chunks that a function makes each time."""

    def __init__(self, make: Callable[[], Iterator[Columns]]):
        self.make = make

    def __iter__(self) -> Iterator[Columns]:
        return self.make()


def adam_update_meaning(config: AdamUpdateConfig, golden: Golden, directed: Directed | None) -> list[Measure]:
    """The step, given the new moments as stored, and both moments.

    The step shows in the weight only, which is rounded: what the rounding may have added is taken off.
    """
    adam = _Adam(config, golden)
    moments = [
        Measure(
            name,
            "ulp of the larger term",
            MOMENT_PROMISE,
            config.inputs,
            sample(config, directed),
            functools.partial(adam.moment_errors, name),
            functools.partial(adam.moment_case, name),
        )
        for name in ("m", "v")
    ]
    promised = config.guarantee()["max_step_error"]
    arguments = adam.operands(directed)
    step = Measure("step", "relative", promised, config.inputs, arguments, adam.step_errors, adam.step_case)
    return [step, *moments]
