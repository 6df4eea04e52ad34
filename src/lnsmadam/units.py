"""The registry: every unit with its configuration, golden function, hardware, stimulus and promise.

``list``, ``generate``, ``simulate``, ``synth``, ``build``, the tests and the table in the README read it. A new
unit is one entry here and its files in ``golden``, ``hw`` and ``tests``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.add import directed as directed_add
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.format import FixedFormat, LNSFormat
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.golden.madam_update import MadamUpdateConfig, Rounding, Variant, madam_update
from lnsmadam.golden.madam_update import directed as directed_madam_update
from lnsmadam.golden.madam_update import model as madam_update_model
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.golden.multiply_add import directed as directed_multiply_add
from lnsmadam.golden.sqrt import SqrtConfig, sqrt
from lnsmadam.golden.square import SquareConfig, square
from lnsmadam.hw.add import Add
from lnsmadam.hw.divide import Divide
from lnsmadam.hw.emit import Emitted, emit
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.hw.pipeline import UnitComponent
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


_SUM_OPTIONS = (
    Option("approximator", Approximator, "Gaussian logs from a table (results up to 10 bits) or from segments."),
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
                Option("accumulator", LNSFormat, "Format of c and of the result, if other than the operands'."),
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
                Option("beta_shift", int, "beta = 1 - 2**-BETA_SHIFT."),
                Option("grad_bound", float, "Largest normalised gradient."),
                Option("step_fraction_bits", int, "Bits below the point of the step before its rounding."),
                Option("state_fraction_bits", int, "Bits below the point of grad_rms before its rounding."),
                Option("coarse_outliers", bool, "Coarser move of grad_rms under a far larger gradient; smaller table."),
            ),
            state_model=madam_update_model,
            directed=directed_madam_update,
        ),
    )
}


def unit_named(name: str) -> Unit:
    """The unit of that name; raises ``ValueError`` with the list of them."""
    try:
        return UNITS[name]
    except KeyError:
        raise ValueError(f"Unit must be one of {', '.join(UNITS)}, not {name!r}") from None
