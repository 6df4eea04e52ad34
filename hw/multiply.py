"""Multiplication of LNS words."""

from amaranth.hdl import Const, Module, signed

from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, saturated, word


class Multiply(UnitComponent):
    """Multiplies LNS words by adding their logs.

    Computes ``result = a * b``: the signs are XORed, the logs added; a log above ``log_max`` saturates, one
    below ``log_min`` and a zero operand give +0. Exact but for these. One product per cycle; a product appears
    at ``o`` :attr:`latency` cycles after its operands are accepted at ``i``, later if ``o`` stalls.
    """

    config: MultiplyConfig

    def elaborate(self, platform):
        m = Module()
        fmt = self.config.format
        pipeline = Pipeline(m, self)
        a, b = self.i.payload.a, self.i.payload.b

        pipeline.boundary()
        # The sum of two logs needs one bit more; of two zero codes it is the most negative sum.
        log = pipeline.register(a.log + b.log, name="log")
        is_zero = pipeline.register(is_zero_log(a.log) | is_zero_log(b.log), name="is_zero")
        sign = pipeline.register(a.sign ^ b.sign, name="sign")

        pipeline.boundary()
        above, below = saturated(log, fmt)
        flush = below | is_zero
        zero_log = Const(fmt.zero_log, signed(fmt.log_width))
        max_log = Const(fmt.log_max, signed(fmt.log_width))
        log = pipeline.register(
            log[: fmt.log_width].as_signed(), name="result", force=[(flush, zero_log), (above, max_log)]
        )
        sign = pipeline.register(sign, name="result_sign", force=[(flush, 0)])
        pipeline.finish(result=word(sign, log, fmt))
        return m
