"""The registry: every unit with its configuration, golden function, hardware, stimulus and promise.

``list``, ``generate``, ``simulate``, ``synth``, ``build``, the tests and the table in the README read it. A new
unit is one entry here and its files in ``golden``, ``hw`` and ``tests``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.adam_update import AdamUpdateConfig, adam_update
from lnsmadam.golden.adam_update_operands import directed as directed_adam_update
from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.add import directed as directed_add
from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig, bf16_multiply_add
from lnsmadam.golden.bf16_multiply_add import directed as directed_bf16_multiply_add
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.dot import dot
from lnsmadam.golden.dot import model as dot_model
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.dot_operands import directed as directed_dot
from lnsmadam.golden.float_to_lns import FloatToLNSConfig, float_to_lns
from lnsmadam.golden.float_to_lns import directed as directed_float_to_lns
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import FixedFormat, LNSFormat
from lnsmadam.golden.linear_to_log import LinearToLogConfig, linear_to_log
from lnsmadam.golden.linear_to_log import directed as directed_linear_to_log
from lnsmadam.golden.lns_to_float import LNSToFloatConfig, lns_to_float
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.golden.log_to_linear import LogToLinearConfig, log_to_linear
from lnsmadam.golden.madam_update import MadamUpdateConfig, Rounding, Variant, madam_update
from lnsmadam.golden.madam_update import directed as directed_madam_update
from lnsmadam.golden.madam_update import model as madam_update_model
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.golden.multiply_add import directed as directed_multiply_add
from lnsmadam.golden.sgd_update import SgdUpdateConfig, sgd_update
from lnsmadam.golden.sgd_update import directed as directed_sgd_update
from lnsmadam.golden.sqrt import SqrtConfig, sqrt
from lnsmadam.golden.square import SquareConfig, square
from lnsmadam.hw.adam_update import AdamUpdate
from lnsmadam.hw.add import Add
from lnsmadam.hw.bf16_multiply_add import Bf16MultiplyAdd
from lnsmadam.hw.divide import Divide
from lnsmadam.hw.dot import Dot
from lnsmadam.hw.emit import Emitted, emit
from lnsmadam.hw.float_to_lns import FloatToLNS
from lnsmadam.hw.linear_to_log import LinearToLog
from lnsmadam.hw.lns_to_float import LNSToFloat
from lnsmadam.hw.log_to_linear import LogToLinear
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.hw.sgd_update import SgdUpdate
from lnsmadam.hw.sqrt import Sqrt
from lnsmadam.hw.square import Square

Columns = dict[str, npt.NDArray[Any]]
#: Words by field, and the number of transfers since reset before them → result words by field.
Model = Callable[[Columns, int], Columns]
Directed = Callable[[Any, np.random.Generator, int], Columns]


@dataclass(frozen=True)
class Option:
    """One option of a unit, besides its main format and ``pipeline``.

    Attributes
    ----------
    name : str
        Field of the configuration; on the command line with dashes.
    kind : type
        ``int``, ``float``, ``bool``, ``LNSFormat``, ``FixedFormat``, ``FloatFormat``, or an enum class.
    help : str
        One line.
    """

    name: str
    kind: type
    help: str


@dataclass(frozen=True)
class Unit:
    """One entry of the registry.

    Attributes
    ----------
    name, computes, promise : str
        What ``list`` prints.
    config : subclass of UnitConfig
    main_format : str or None
        Field of the configuration that ``--format``, or ``--width`` and ``--base-factor``, sets; None for units
        without LNS words.
    golden : callable
        ``golden(config, *words) -> words`` or a tuple of them, for units without state.
    component : subclass of UnitComponent
    options : tuple of Option
    state_model : callable, optional
        ``state_model(config) -> Model``, for units with state; without it the model is made of ``golden``.
    directed : callable, optional
        Operands that uniform random ones would miss.
    """

    name: str
    computes: str
    promise: str
    config: type[UnitConfig]
    main_format: str | None
    golden: Callable[..., Any]
    component: Callable[[Any], UnitComponent]
    options: tuple[Option, ...] = ()
    state_model: Callable[[Any], Model] | None = None
    directed: Directed | None = None

    def configure(self, options: Mapping[str, Any]) -> UnitConfig:
        """The configuration with those options that are not None; raises ``ValueError`` if they cannot work."""
        return self.config(**{name: value for name, value in options.items() if value is not None})

    def build(self, config: UnitConfig) -> UnitComponent:
        """The hardware of a configuration."""
        return self.component(config)

    def emit(self, config: UnitConfig) -> Emitted:
        """Verilog and manifest of a configuration."""
        return emit(self.build(config))

    def model(self, config: UnitConfig) -> Model:
        """What the hardware must give, transfer by transfer since reset."""
        if self.state_model is not None:
            return self.state_model(config)

        def run(fields: Columns, start: int) -> Columns:
            results = self.golden(config, *(fields[name] for name in config.inputs))
            results = results if isinstance(results, tuple) else (results,)
            return dict(zip(config.outputs, results, strict=True))

        return run


_FUSED_OPTIONS = (
    Option("float_format", FloatFormat, "Format of the operands and of the result: bfloat16 or another."),
    Option("hard_multiplier", bool, "Leave the product to a DSP block."),
)

_SUM_OPTIONS = (
    Option(
        "approximator",
        Approximator,
        "Gaussian logs from a table (up to 4096 entries) or from segments; by default a table up to 10 bits.",
    ),
    Option("memory", Memory, "Where the approximator's constants are."),
)

UNITS = {
    unit.name: unit
    for unit in (
        Unit(
            "multiply",
            "a · b",
            "exact; saturates, underflows to +0",
            MultiplyConfig,
            "format",
            multiply,
            Multiply,
        ),
        Unit(
            "multiply_add",
            "c + a · b",
            "one rounding: nearest up to 10 bits, faithful (below 1 ulp of the log) beyond",
            MultiplyAddConfig,
            "operand",
            multiply_add,
            MultiplyAdd,
            (
                Option("accumulator", LNSFormat, "Format of c and of the result; by default the operands'."),
                *_SUM_OPTIONS,
            ),
            directed=directed_multiply_add,
        ),
        Unit(
            "add",
            "a + b, or a - b",
            "one rounding: nearest up to 10 bits, faithful (below 1 ulp of the log) beyond",
            AddConfig,
            "accumulator",
            add,
            Add,
            _SUM_OPTIONS,
            directed=directed_add,
        ),
        Unit(
            "divide",
            "a / b",
            "exact; x/0 is ± the largest, 0/0 is +0, both flagged",
            DivideConfig,
            "format",
            divide,
            Divide,
        ),
        Unit("square", "a²", "exact; saturates, underflows to +0", SquareConfig, "format", square, Square),
        Unit(
            "sqrt",
            "√a",
            "nearest; the root of a negative number is +0, flagged",
            SqrtConfig,
            "format",
            sqrt,
            Sqrt,
        ),
        Unit(
            "dot",
            "Σ aᵢ · bᵢ",
            "antilog error and one least bit per product; the sum exact, saturates, overflow flagged",
            DotConfig,
            "operand",
            dot,
            Dot,
            (
                Option("lanes", int, "Products per cycle, 1 to 64."),
                Option(
                    "accumulator",
                    FixedFormat,
                    "Accumulator, as WIDTH:FRACTION_BITS, of 2 to 62 bits; by default one fraction bit more than a "
                    "mantissa, and the fewest bits that hold LENGTH products.",
                ),
                Option("length", int, "Products that the accumulator holds the sum of, from 1, if it is derived."),
                Option(
                    "result",
                    FixedFormat,
                    "Result, as WIDTH:FRACTION_BITS, if of fewer bits than the accumulator; by default all of them.",
                ),
                Option("lns_result", LNSFormat, "LNS format of the result; by default it is fixed point."),
                Option(
                    "antilog",
                    Antilog,
                    "Mantissas from a table, or from chords; by default a table up to 32 steps per octave.",
                ),
                Option(
                    "mantissa_bits",
                    int,
                    "Bits of a mantissa below the point, up to 32; by default 4 more than the log's remainder has, at "
                    "least 7.",
                ),
                Option(
                    "chord_bits",
                    int,
                    "Bits of the remainder that address the table of chords, from 0 to all; by default the upper half.",
                ),
                Option("memory", Memory, "Where the table of mantissas is."),
            ),
            state_model=dot_model,
            directed=directed_dot,
        ),
        Unit(
            "linear_to_log",
            "a, from fixed point to LNS",
            "nearest up to 10 bits, faithful (below 1 ulp of the log) beyond; 0 is +0",
            LinearToLogConfig,
            "format",
            linear_to_log,
            LinearToLog,
            (Option("linear_format", FixedFormat, "Format of a, as WIDTH:FRACTION_BITS, of 2 to 62 bits."),),
            directed=directed_linear_to_log,
        ),
        Unit(
            "log_to_linear",
            "a, from LNS to fixed point",
            "nearest up to 10 bits, faithful beyond; saturates, flagged",
            LogToLinearConfig,
            "format",
            log_to_linear,
            LogToLinear,
            (Option("linear_format", FixedFormat, "Format of the result, as WIDTH:FRACTION_BITS, of 2 to 62 bits."),),
        ),
        Unit(
            "float_to_lns",
            "a, from floating point to LNS",
            "nearest up to 10 bits, and from bfloat16; else faithful; NaN is +0, infinities saturate, both flagged",
            FloatToLNSConfig,
            "format",
            float_to_lns,
            FloatToLNS,
            (Option("float_format", FloatFormat, "Format of a."),),
            directed=directed_float_to_lns,
        ),
        Unit(
            "lns_to_float",
            "a, from LNS to floating point",
            "nearest even up to 10 bits, faithful beyond; subnormal results; too large is the largest finite, flagged",
            LNSToFloatConfig,
            "format",
            lns_to_float,
            LNSToFloat,
            (Option("float_format", FloatFormat, "Format of the result."),),
        ),
        Unit(
            "madam_update",
            "Madam's update of a weight and of its gradient's RMS",
            "step within 1 unit before rounding; a weight never changes sign, never becomes zero",
            MadamUpdateConfig,
            "weight_format",
            madam_update,
            MadamUpdate,
            (
                Option("grad_format", LNSFormat, "Format of the gradient."),
                Option("state_format", FixedFormat, "Format of grad_rms, as WIDTH:FRACTION_BITS."),
                Option("variant", Variant, "Madam, integer Madam, or LNS-Madam's rounded steps."),
                Option("rounding", Rounding, "Rounding of the step."),
                Option("state_rounding", Rounding, "Rounding of grad_rms."),
                Option("beta_shift", int, "beta = 1 - 2**-BETA_SHIFT, 1 to 20."),
                Option("grad_bound", float, "Largest normalised gradient, 1 to 1024."),
                Option(
                    "step_fraction_bits",
                    int,
                    "Bits below the point of the step before its rounding, 1 to 16; by default 4 at 2048 steps per "
                    "octave, one more for each halving, at most 9.",
                ),
                Option("state_fraction_bits", int, "Bits below the point of grad_rms before its rounding, 1 to 16."),
                Option("coarse_outliers", bool, "Coarser move of grad_rms under a far larger gradient; smaller table."),
            ),
            state_model=madam_update_model,
            directed=directed_madam_update,
        ),
        Unit(
            "adam_update",
            "Adam's update of a bfloat16 weight and of both moments: a baseline",
            "step within 0.6 % before rounding; moments within 1.25 ulp of the larger term",
            AdamUpdateConfig,
            None,
            adam_update,
            AdamUpdate,
            (
                Option("m_format", FloatFormat, "Format of the mean gradient."),
                Option("v_format", FloatFormat, "Format of the mean squared gradient."),
                Option("beta1_shift", int, "beta1 = 1 - 2**-BETA1_SHIFT, 1 to 12."),
                Option("beta2_shift", int, "beta2 = 1 - 2**-BETA2_SHIFT, 1 to 12."),
                Option("ratio_bits", int, "Bits of the root and of the quotient, 9 to 14."),
            ),
            directed=directed_adam_update,
        ),
        Unit(
            "bf16_multiply_add",
            "c + a · b of bfloat16, a baseline",
            "IEEE 754: one rounding, nearest even, subnormals; one NaN",
            Bf16MultiplyAddConfig,
            None,
            bf16_multiply_add,
            Bf16MultiplyAdd,
            _FUSED_OPTIONS,
            directed=directed_bf16_multiply_add,
        ),
        Unit(
            "sgd_update",
            "weight - lr · grad of bfloat16, a baseline",
            "IEEE 754: one rounding, nearest even, subnormals; one NaN",
            SgdUpdateConfig,
            None,
            sgd_update,
            SgdUpdate,
            _FUSED_OPTIONS,
            directed=directed_sgd_update,
        ),
    )
}


def unit_named(name: str) -> Unit:
    """The unit of that name; raises ``ValueError`` with the list of them."""
    try:
        return UNITS[name]
    except KeyError:
        raise ValueError(f"Unit must be one of {', '.join(UNITS)}, not {name!r}") from None
