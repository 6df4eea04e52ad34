"""Square root of an LNS word."""

from amaranth.hdl import Const, Module

from lnsmadam.golden.sqrt import SqrtConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range


class Sqrt(UnitComponent):
    """Takes the square root of an LNS word by halving its log.

    The half is rounded to nearest, ``floor(log / 2 + 1/2)``. The root of a negative number is +0 and sets
    ``invalid``; that of a zero of either sign is +0. One root per cycle, at ``o`` :attr:`latency` cycles after its
    operand, later if ``o`` stalls.
    """

    config: SqrtConfig

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m, self)
        a = self.i.payload.a
        is_zero = is_zero_log(a.log)
        invalid = a.sign & ~is_zero
        half = (a.log + 1) >> 1
        finish_in_range(pipeline, self.config.format, Const(0), half, is_zero | invalid, invalid=invalid)
        return m
