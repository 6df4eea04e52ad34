"""Addition and subtraction of LNS words."""

from amaranth.hdl import Module

from lnsmadam.golden.add import AddConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.log_sum import Operand
from lnsmadam.hw.sum_unit import SumUnit


class Add(SumUnit):
    """Adds two LNS words, or subtracts the second from the first.

    Computes ``result = a + b``, or ``a - b`` where ``subtract`` is 1, rounded once. Exactness, corner cases and timing
    as :class:`~lnsmadam.hw.multiply_add.MultiplyAdd`.
    """

    config: AddConfig

    def elaborate(self, platform):
        m = Module()
        a, b = self.i.payload.a, self.i.payload.b
        self.add_logs(
            m,
            Operand(a.sign, a.log, is_zero_log(a.log)),
            Operand(b.sign ^ self.i.payload.subtract, b.log, is_zero_log(b.log)),
        )
        return m
