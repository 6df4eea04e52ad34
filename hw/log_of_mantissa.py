"""Logs of mantissas and of magnitudes, as parts of a pipeline."""

from amaranth.hdl import Cat, Const, Module, Mux, Value

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.linear_to_log import MagnitudeLog
from lnsmadam.golden.log_of_mantissa import MantissaLog, MantissaSegments, Thresholds
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.pipeline import Pipeline
from lnsmadam.hw.tables import logic_table

#: Values on their way to a later stage, by name; every boundary takes them along.
Live = dict[str, Value]


def pass_on(pipeline: Pipeline, live: Live) -> Live:
    """The values behind the present boundary."""
    return {name: pipeline.register(value, name=name) for name, value in live.items()}


def at_least_as_wide(log, fmt: LNSFormat):
    """A signed log, extended where a format has more bits than it."""
    missing = fmt.log_width + 1 - len(log)
    return Cat(log, log[-1].replicate(missing)).as_signed() if missing > 0 else log


def log_of_mantissa(m: Module, pipeline: Pipeline, core: MantissaLog, octave, mantissa, live: Live):
    """``octave * base_factor + core.evaluate(mantissa)``, behind ``core.boundaries`` more boundaries.

    Parameters
    ----------
    octave : signed value
    mantissa : value of ``core.mantissa_bits`` bits
    live : dict
        Values to take along.

    Returns
    -------
    (log, live)
        The log, signed.
    """
    if isinstance(core, MantissaSegments):
        return _segments(m, pipeline, core, octave, mantissa, live)
    if core.limits:
        return _thresholds(m, pipeline, core, octave, mantissa, live)
    return _table(m, pipeline, core, octave, mantissa, live)


def _table(m: Module, pipeline: Pipeline, core: Thresholds, octave, mantissa, live: Live):
    """What the mantissa itself does not give comes from a table: less than a tenth of an octave, so fewer bits."""
    place = core.log2_base_factor - core.mantissa_bits
    has_line = place >= 0
    entries = [count - (index << place if has_line else 0) for index, count in enumerate(core.counts)]
    assert min(entries) >= 0
    entry = logic_table(m, entries, mantissa, max(entries).bit_length(), "log_table")
    live = {"log_octave": octave, **live}
    if has_line:
        live["log_mantissa"] = mantissa
    pipeline.boundary()
    entry, live = pipeline.register(entry, name="log_entry"), pass_on(pipeline, live)
    octave = live.pop("log_octave")
    line = Cat(Const(0, place), live.pop("log_mantissa")) if has_line else Const(0, core.log2_base_factor)
    if max(core.counts) < 1 << core.log2_base_factor:
        log = Cat((line + entry)[: core.log2_base_factor], octave).as_signed()
    else:
        log = Cat(line, octave).as_signed() + entry
    pipeline.boundary()
    return pipeline.register(log, name="log"), pass_on(pipeline, live)


def _thresholds(m: Module, pipeline: Pipeline, core: Thresholds, octave, mantissa, live: Live):
    low, top = mantissa[: core.low_bits], mantissa[core.low_bits :]
    limit = logic_table(m, core.limits, top, core.low_bits, "log_limit_table")
    count = logic_table(m, core.counts, top, core.log2_base_factor, "log_count_table")
    pipeline.boundary()
    live = pass_on(pipeline, {"log_octave": octave, "log_low": low, "log_limit": limit, "log_count": count, **live})
    reached = live.pop("log_low") >= live.pop("log_limit")
    pipeline.boundary()
    live = pass_on(pipeline, {"log_reached": reached, **live})
    log = Cat(live.pop("log_count"), live.pop("log_octave")).as_signed() + live.pop("log_reached")
    pipeline.boundary()
    return pipeline.register(log, name="log"), pass_on(pipeline, live)


def _segments(m: Module, pipeline: Pipeline, core: MantissaSegments, octave, mantissa, live: Live):
    missing = core.field_bits - core.mantissa_bits
    field = Cat(Const(0, missing), mantissa) if missing >= 0 else mantissa[-missing:]
    low, top = field[: core.low_bits], field[core.low_bits :]
    slope_bits, intercept_bits = signed_bits(*core.slopes), signed_bits(*core.intercepts)
    slope = logic_table(m, core.slopes, top, slope_bits, "log_slope_table").as_signed()
    intercept = logic_table(m, core.intercepts, top, intercept_bits, "log_intercept_table").as_signed()
    pipeline.boundary()
    live = pass_on(pipeline, {"log_field": Cat(field, octave), "log_slope": slope, "log_intercept": intercept, **live})

    # Half of the low bits each, so that no stage holds a whole multiplication.
    half = core.low_bits // 2
    low, slope = live["log_field"][: core.low_bits], live.pop("log_slope")
    first, second = low[:half] * slope, low[half:] * slope
    pipeline.boundary()
    live = pass_on(pipeline, {"log_first": first, "log_second": second, **live})

    product = (live.pop("log_second") << half) + live.pop("log_first")
    line = live.pop("log_intercept") + (product >> core.slope_shift)
    # Larger than every line: an eleventh of an octave, in units of the fraction, and a step's rounding.
    line = line[: core.field_bits].as_signed()
    pipeline.boundary()
    line, live = pipeline.register(line, name="log_line"), pass_on(pipeline, live)

    log = (live.pop("log_field").as_signed() + line)[core.FRACTION_BITS :].as_signed()
    pipeline.boundary()
    return pipeline.register(log, name="log"), pass_on(pipeline, live)


def log_of_magnitude(m: Module, pipeline: Pipeline, spec: MagnitudeLog, magnitude, live: Live):
    """The log of an unsigned magnitude, not yet fitted to the range, behind ``spec.boundaries`` more boundaries.

    Parameters
    ----------
    magnitude : value of ``spec.width`` bits
    live : dict
        Values to take along.

    Returns
    -------
    (log, is_zero, live)
        The log, signed; any number where the magnitude is 0.
    """
    magnitude = Value.cast(magnitude)
    assert len(magnitude) == spec.width
    steps = [1 << place for place in reversed(range((spec.width - 1).bit_length()))]
    half = len(steps) // 2
    live = dict(live)
    # The leading one moves to the top; how far it does is collected from the most significant bit down.
    zeros: list[Value] = []
    for group in (steps[:half], steps[half:]):
        for step in group:
            is_low = ~magnitude[-step:].any()
            magnitude = Mux(is_low, magnitude << step, magnitude)[: spec.width]
            zeros.insert(0, is_low)
        pipeline.boundary()
        magnitude = pipeline.register(magnitude, name="magnitude")
        zeros = [pipeline.register(zero, name=f"zero_{index}") for index, zero in enumerate(zeros)]
        live = pass_on(pipeline, live)
    octave = spec.width - 1 - spec.fraction_bits - Cat(zeros)
    live["log_is_zero"] = ~magnitude[-1]
    log, live = log_of_mantissa(m, pipeline, spec.core, octave, magnitude[:-1], live)
    return at_least_as_wide(log, spec.format), live.pop("log_is_zero"), live
