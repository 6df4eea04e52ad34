"""Fused multiply-add of bfloat16 words."""

from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig
from lnsmadam.hw.fused import FusedMultiplyAdd


class Bf16MultiplyAdd(FusedMultiplyAdd):
    """Computes ``result = c + a * b`` of bfloat16 words with one rounding; see :class:`FusedMultiplyAdd`."""

    config: Bf16MultiplyAddConfig

    def operands(self):
        return self.i.payload.a, self.i.payload.b, self.i.payload.c
