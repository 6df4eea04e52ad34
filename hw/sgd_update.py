"""Gradient descent's update of bfloat16 weights."""

from lnsmadam.golden.sgd_update import SgdUpdateConfig
from lnsmadam.hw.fused import FusedMultiplyAdd


class SgdUpdate(FusedMultiplyAdd):
    """Computes ``result = weight - lr * grad`` with one rounding; see :class:`FusedMultiplyAdd`."""

    config: SgdUpdateConfig
    subtract = True

    def operands(self):
        return self.i.payload.lr, self.i.payload.grad, self.i.payload.weight
