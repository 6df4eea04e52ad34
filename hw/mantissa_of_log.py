"""Mantissas of logs, as a part of a pipeline."""

from amaranth.hdl import Module, Mux

from lnsmadam.golden.mantissa_of_log import MantissaPower, PowerTable
from lnsmadam.hw.log_of_mantissa import Live, pass_on
from lnsmadam.hw.pipeline import Pipeline
from lnsmadam.hw.tables import logic_table


def mantissa_of_log(m: Module, pipeline: Pipeline, core: MantissaPower, remainder, live: Live):
    """``core.evaluate(remainder)``, behind ``core.boundaries`` more boundaries.

    Parameters
    ----------
    remainder : value of ``core.log2_base_factor`` bits
    live : dict
        Values to take along.

    Returns
    -------
    (mantissa, live)
    """
    if isinstance(core, PowerTable):
        width = core.maximum.bit_length()
        mantissa = logic_table(m, core.entries, remainder, width, "power_table")
        pipeline.boundary()
        return pipeline.register(mantissa, name="power"), pass_on(pipeline, live)

    low, top = remainder[: core.low_bits], remainder[core.low_bits :]
    upper = logic_table(m, core.uppers, top, max(core.uppers).bit_length(), "upper_table")
    lower = logic_table(m, core.lowers, low, max(core.lowers).bit_length(), "lower_table")
    pipeline.boundary()
    live = pass_on(pipeline, {"upper": upper, "lower": lower, **live})

    # Half of the smaller factor each, so that no stage holds a whole multiplication.
    upper, lower = live["upper"], live.pop("lower")
    half = len(lower) // 2
    first, second = upper * lower[:half], upper * lower[half:]
    pipeline.boundary()
    live = pass_on(pipeline, {"first": first, "second": second, **live})

    product = (live.pop("second") << half) + live.pop("first")
    fine = live.pop("upper") + (product >> (core.mantissa_bits + core.GUARD_BITS))
    mantissa = fine[core.GUARD_BITS :][: core.maximum.bit_length()]
    pipeline.boundary()
    return pipeline.register(mantissa, name="power"), pass_on(pipeline, live)


def shifted_down(pipeline: Pipeline, value, live: Live, shift: str, clear: str):
    """``value`` shifted right by what ``live`` names ``shift``, 0 where ``clear`` is 1; behind two more boundaries."""
    live = dict(live)
    clear_value = live.pop(clear)
    amount = live.pop(shift)
    places = len(amount)
    upper = range(places // 2, places)
    for place in reversed(upper):
        value = Mux(amount[place], value >> (1 << place), value)
    pipeline.boundary()
    value = pipeline.register(value, name="shifted", force=[(clear_value, 0)])
    amount = pipeline.register(amount, name=shift)
    live = pass_on(pipeline, live)
    for place in reversed(range(places // 2)):
        value = Mux(amount[place], value >> (1 << place), value)
    pipeline.boundary()
    return pipeline.register(value, name="shifted"), pass_on(pipeline, live)
