"""Multiplication of LNS words."""

from amaranth.hdl import Module

from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range


class Multiply(UnitComponent):
    """Multiplies LNS words by adding their logs.

    Computes ``result = a * b``: the signs are XORed, the logs added; a log above ``log_max`` saturates, one
    below ``log_min`` and a zero operand give +0. Exact but for these. One product per cycle; a product appears
    at ``o`` :attr:`latency` cycles after its operands are accepted at ``i``, later if ``o`` stalls.
    """

    config: MultiplyConfig

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m, self)
        a, b = self.i.payload.a, self.i.payload.b

        pipeline.boundary()
        # The sum of two logs needs one bit more; of two zero codes it is the most negative sum.
        log = pipeline.register(a.log + b.log, name="log")
        is_zero = pipeline.register(is_zero_log(a.log) | is_zero_log(b.log), name="is_zero")
        sign = pipeline.register(a.sign ^ b.sign, name="sign")

        finish_in_range(pipeline, self.config.format, sign, log, is_zero)
        return m
