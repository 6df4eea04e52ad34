"""Option types of the command line: formats, enums, and the options that every unit has."""

import enum
import functools
from collections.abc import Callable
from typing import Any

import click

from lnsmadam.golden.floats import FLOATS, FloatFormat
from lnsmadam.golden.format import PRESETS, FixedFormat, LNSFormat
from lnsmadam.units import Option, Unit


class LNSFormatType(click.ParamType[LNSFormat]):
    """``lns8``, ``WIDTH:BASE_FACTOR``, or ``levels:COUNT:RATIO``."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> LNSFormat:
        if isinstance(value, LNSFormat):
            return value
        if value.lower() in PRESETS:
            return PRESETS[value.lower()]
        kind, *numbers = value.split(":")
        try:
            if kind == "levels" and len(numbers) == 2:
                return LNSFormat.levels(int(numbers[0]), float(numbers[1]))
            if len(numbers) == 1:
                return LNSFormat(int(kind), float(numbers[0]))
        except ValueError as error:
            if "invalid literal" not in str(error) and "could not convert" not in str(error):
                self.fail(str(error), param, ctx)
        self.fail(f"{value!r} is none of {', '.join(PRESETS)}, WIDTH:BASE_FACTOR, levels:COUNT:RATIO", param, ctx)


class FixedFormatType(click.ParamType[FixedFormat]):
    """Signed fixed point as ``WIDTH:FRACTION_BITS``."""

    name = "width:fraction_bits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FixedFormat:
        if isinstance(value, FixedFormat):
            return value
        try:
            width, fraction = (int(part) for part in value.split(":"))
        except ValueError:
            self.fail(f"{value!r} is not WIDTH:FRACTION_BITS", param, ctx)
        try:
            return FixedFormat(width, fraction, signed=True)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class FloatFormatType(click.ParamType[FloatFormat]):
    """``bfloat16``, ``float16``, ``float32``, or ``EXPONENT_BITS:MANTISSA_BITS``."""

    name = "float format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FloatFormat:
        if isinstance(value, FloatFormat):
            return value
        if value.lower() in FLOATS:
            return FLOATS[value.lower()]
        try:
            exponent_bits, mantissa_bits = (int(part) for part in value.split(":"))
        except ValueError:
            self.fail(f"{value!r} is none of {', '.join(FLOATS)}, EXPONENT_BITS:MANTISSA_BITS", param, ctx)
        try:
            return FloatFormat(exponent_bits, mantissa_bits)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_TYPES: dict[type, click.ParamType[Any]] = {
    LNSFormat: LNSFormatType(),
    FixedFormat: FixedFormatType(),
    FloatFormat: FloatFormatType(),
    int: click.INT,
    float: click.FLOAT,
}


def _decorator(option: Option) -> Callable[[Any], Any]:
    flag = option.name.replace("_", "-")
    if option.kind is bool:
        return click.option(f"--{flag}/--no-{flag}", option.name, default=None, help=option.help)
    if issubclass(option.kind, enum.Enum):
        choice = click.Choice([member.value for member in option.kind], case_sensitive=False)
        return click.option(f"--{flag}", option.name, type=choice, default=None, help=option.help)
    return click.option(f"--{flag}", option.name, type=_TYPES[option.kind], default=None, help=option.help)


def unit_options(unit: Unit) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a command with a unit's options; the command receives ``config`` in their place."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(
            pipeline: int | None,
            format: LNSFormat | None = None,
            width: int | None = None,
            base_factor: float | None = None,
            **options: Any,
        ) -> Any:
            own = {option.name: options.pop(option.name) for option in unit.options}
            for option in unit.options:
                if own[option.name] is not None and issubclass(option.kind, enum.Enum):
                    own[option.name] = option.kind(own[option.name])
            if unit.main_format is not None:
                own[unit.main_format] = _main_format(format, width, base_factor)
            config = unit.configure({"pipeline": pipeline, **own})
            return command(config=config, **options)

        formats = [
            click.option("--format", type=LNSFormatType(), help=f"{', '.join(PRESETS)}, W:B or levels:COUNT:RATIO."),
            click.option("--width", type=click.INT, help="Bits of a word, 4 to 24; with --base-factor."),
            click.option("--base-factor", type=click.FLOAT, help="Steps per octave; with --width."),
        ]
        depth = click.option("--pipeline", type=click.INT, help="Register stages, which is the latency in cycles.")
        common = [*formats, depth] if unit.main_format else [depth]
        for decorator in reversed(common + [_decorator(option) for option in unit.options]):
            wrapped = decorator(wrapped)
        return wrapped

    return decorate


def _main_format(fmt: LNSFormat | None, width: int | None, base_factor: float | None) -> LNSFormat | None:
    if width is None and base_factor is None:
        return fmt
    if fmt is not None:
        raise click.UsageError("Format is given twice: --format, and --width with --base-factor")
    if width is None or base_factor is None:
        missing = "--width" if width is None else "--base-factor"
        raise click.UsageError(f"--width and --base-factor go together; {missing} is missing")
    return LNSFormat(width, base_factor)
