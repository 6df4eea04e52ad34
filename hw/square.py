"""Square of an LNS word."""

from amaranth.hdl import Const, Module

from lnsmadam.golden.square import SquareConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, finish_in_range


class Square(UnitComponent):
    """Squares an LNS word by doubling its log.

    Computes ``result = a * a``; a log above ``log_max`` saturates, one below ``log_min`` gives +0, exact
    otherwise. One square per cycle, at ``o`` :attr:`latency` cycles after its operand, later if ``o`` stalls.
    """

    config: SquareConfig

    def elaborate(self, platform):
        m = Module()
        pipeline = Pipeline(m, self)
        log = self.i.payload.a.log
        finish_in_range(pipeline, self.config.format, Const(0), log + log, is_zero_log(log))
        return m
