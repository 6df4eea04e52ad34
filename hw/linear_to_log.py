"""Fixed point to LNS."""

from amaranth.hdl import Const, Module

from lnsmadam.golden.linear_to_log import LinearToLogConfig
from lnsmadam.hw.log_of_mantissa import log_of_magnitude
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range


class LinearToLog(UnitComponent):
    """Converts fixed point to LNS words.

    Computes ``result = a``: the magnitude's leading one moves to the top, its place is the octave, and the bits below
    it give the rest by comparison with one threshold (correctly rounded) or by a straight segment (faithful: less
    than one step, by the configuration's ``guarantee()``). A log above ``log_max`` saturates; one below ``log_min``,
    and 0, is +0. One number per cycle; a result appears at ``o`` :attr:`latency` cycles after its operand is accepted
    at ``i``, later if ``o`` stalls.
    """

    config: LinearToLogConfig

    def elaborate(self, platform):
        m = Module()
        spec, a = self.config.magnitude_log, self.i.payload.a
        pipeline = Pipeline(m, self)
        sign = a[-1] if self.config.linear_format.signed else Const(0)
        magnitude = ((a ^ sign.replicate(spec.width)) + sign)[: spec.width]
        pipeline.boundary()
        magnitude = pipeline.register(magnitude, name="absolute")
        live = {"sign": pipeline.register(sign, name="sign")}
        log, is_zero, live = log_of_magnitude(m, pipeline, spec, magnitude, live)
        finish_in_range(pipeline, self.config.format, live["sign"], log, is_zero)
        return m
