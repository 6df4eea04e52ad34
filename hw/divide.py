"""Division of LNS words."""

from amaranth.hdl import Module

from lnsmadam.golden.divide import DivideConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range


class Divide(UnitComponent):
    """Divides LNS words by subtracting their logs.

    Computes ``result = a / b``; a log above ``log_max`` saturates, one below ``log_min`` gives +0, exact
    otherwise. ``x / 0`` is the largest value with the sign of x, ``0 / 0`` is +0, and both set ``invalid``. One
    quotient per cycle, at ``o`` :attr:`latency` cycles after its operands, later if ``o`` stalls.
    """

    config: DivideConfig

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m, self)
        a, b = self.i.payload.a, self.i.payload.b
        by_zero = is_zero_log(b.log)

        pipeline.boundary()
        log = pipeline.register(a.log - b.log, name="log")
        is_zero = pipeline.register(is_zero_log(a.log), name="is_zero")
        by_zero = pipeline.register(by_zero, name="by_zero")
        sign = pipeline.register(a.sign ^ (b.sign & ~is_zero_log(b.log)), name="sign")

        finish_in_range(pipeline, self.config.format, sign, log, is_zero, overflows=by_zero, invalid=by_zero)
        return m
