"""Multiply-add of LNS words."""

from amaranth.hdl import Module

from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.log_sum import Operand
from lnsmadam.hw.sum_unit import SumUnit


class MultiplyAdd(SumUnit):
    """Multiplies two LNS words and adds a third.

    Computes ``result = c + a * b`` with one rounding: the product's log is the sum of the logs, exact and one bit
    wider; the sum with c takes the Gaussian log of their distance, from a table (correctly rounded) or from straight
    segments (faithful: less than one step from the real sum, by the configuration's ``guarantee()``). A log above
    ``log_max`` saturates; one below ``log_min``, and exact cancellation, is +0. One result per cycle; a result
    appears at ``o`` :attr:`latency` cycles after its operands are accepted at ``i``, later if ``o`` stalls.
    """

    config: MultiplyAddConfig

    def elaborate(self, platform):
        m = Module()
        a, b, c = self.i.payload.a, self.i.payload.b, self.i.payload.c
        product = Operand(
            sign=a.sign ^ b.sign,
            log=(a.log + b.log) * self.config.multiple,
            is_zero=is_zero_log(a.log) | is_zero_log(b.log),
        )
        self.add_logs(m, product, Operand(c.sign, c.log, is_zero_log(c.log)))
        return m
