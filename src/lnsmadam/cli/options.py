"""Option types of the command line: formats, enums, and the options that every unit has."""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any

import click

from lnsmadam.golden.config import UnitConfig
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


class _PipelineOption(click.Option):
    """``--pipeline``; its range is looked up only when somebody asks for it."""

    def __init__(self, *names: Any, unit: Unit, **attributes: Any):
        super().__init__(*names, **attributes)
        self._unit = unit

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        config = self._unit.configure({})
        names, text = super().get_help_record(ctx) or ("", "")
        depths = f"{config.min_pipeline} to {config.max_pipeline}"
        if len(self._unit.options) > 1:
            depths += " while the other options are the defaults"
        return names, f"{text}: {depths}  [default: {config.pipeline}]"


def _shown(option: Option, default: Any) -> str:
    """A default as it would be written on the command line; nothing where it follows from other options."""
    if default is None:
        return ""
    if isinstance(default, bool):
        default = ("" if default else "no-") + option.name.replace("_", "-")
    elif isinstance(default, enum.Enum):
        default = default.value
    elif isinstance(default, FixedFormat):
        default = f"{default.width}:{default.fraction_bits}"
    elif isinstance(default, FloatFormat) and default.name not in FLOATS:
        default = f"{default.exponent_bits}:{default.mantissa_bits}"
    elif isinstance(default, LNSFormat | FloatFormat):
        default = default.name
    return f"  [default: {default}]"


def _default(unit: Unit, name: str) -> Any:
    return next(field.default for field in dataclasses.fields(unit.config) if field.name == name)


def _decorator(unit: Unit, option: Option) -> Callable[[Any], Any]:
    flag = option.name.replace("_", "-")
    text = option.help + _shown(option, _default(unit, option.name))
    if option.kind is bool:
        return click.option(f"--{flag}/--no-{flag}", option.name, default=None, help=text)
    if issubclass(option.kind, enum.Enum):
        choice = click.Choice([member.value for member in option.kind], case_sensitive=False)
        return click.option(f"--{flag}", option.name, type=choice, default=None, help=text)
    return click.option(f"--{flag}", option.name, type=_TYPES[option.kind], default=None, help=text)


def _configure(unit: Unit, values: dict[str, Any], flags: dict[str, str]) -> UnitConfig:
    """The configuration of ``values``; an error names the option that is to blame.

    That is one without which there would be no error, or else, where several are wrong, one without which there would
    be another error.

    Parameters
    ----------
    flags : dict
        What the command line calls those values whose option has another name.
    """

    def failure(without: str | None = None) -> str | None:
        try:
            unit.configure({name: value for name, value in values.items() if name != without})
        except ValueError as error:
            return str(error)
        return None

    reason = failure()
    if reason is None:
        return unit.configure(values)
    failures = {name: failure(name) for name, value in values.items() if value is not None}
    blamed = [name for name, other in failures.items() if other is None]
    blamed = blamed or [name for name, other in failures.items() if other != reason]
    if not blamed:
        raise ValueError(reason)
    names = [flags.get(name, f"--{name.replace('_', '-')}") for name in blamed]
    raise click.BadParameter(reason, param_hint=" or ".join(f"'{name}'" for name in names))


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
            flags: dict[str, str] = {}
            for option in unit.options:
                if own[option.name] is not None and issubclass(option.kind, enum.Enum):
                    own[option.name] = option.kind(own[option.name])
            if unit.main_format is not None:
                own[unit.main_format] = _main_format(format, width, base_factor)
                flags[unit.main_format] = "--format" if width is None else "--base-factor"
            config = _configure(unit, {"pipeline": pipeline, **own}, flags)
            return command(config=config, **options)

        text = f"{', '.join(PRESETS)}, W:B or levels:COUNT:RATIO."
        if unit.main_format:
            text += f"  [default: {_default(unit, unit.main_format).name}]"
        formats = [
            click.option("--format", type=LNSFormatType(), help=text),
            click.option("--width", type=click.INT, help="Bits of a word, 4 to 24; with --base-factor."),
            click.option("--base-factor", type=click.FLOAT, help="Steps per octave; with --width."),
        ]
        text = "Register stages, which is the latency in cycles"
        depth = click.option("--pipeline", type=click.INT, cls=_PipelineOption, unit=unit, help=text)
        common = [*formats, depth] if unit.main_format else [depth]
        for decorator in reversed(common + [_decorator(unit, option) for option in unit.options]):
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
    try:
        return LNSFormat(width, base_factor)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--width' or '--base-factor'") from None
