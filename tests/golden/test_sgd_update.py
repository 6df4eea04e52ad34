"""SGD's update against exact fractions and against the fused multiply-add of a negated rate."""

from fractions import Fraction

import ml_dtypes
import numpy as np

from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig, bf16_multiply_add
from lnsmadam.golden.sgd_update import SgdUpdateConfig, directed, sgd_update

CONFIG = SgdUpdateConfig()


def real(words):
    return [Fraction(float(x)) for x in words.view(ml_dtypes.bfloat16)]


def test_the_result_is_the_nearest_word():
    """No neighbour of a finite result is nearer to the exact value; of two as near, the even one is taken."""
    rng = np.random.default_rng(3)
    words = directed(CONFIG, rng, 20_000)
    result = sgd_update(CONFIG, **words)
    ordinary = (result & 0x7FFF) - 1 < 0x7F7E
    for column in words.values():
        ordinary &= (column & 0x7F80) != 0x7F80
    assert ordinary.sum() > 10_000
    result = result[ordinary]
    weight, grad, lr = (real(words[name][ordinary]) for name in ("weight", "grad", "lr"))
    exact = [w - r * g for w, r, g in zip(weight, lr, grad, strict=True)]
    here, above, below = real(result), real(result + np.uint16(1)), real(result - np.uint16(1))
    for word, value, mine, *others in zip(result, exact, here, above, below, strict=True):
        nearest = min(abs(value - other) for other in others)
        assert abs(value - mine) < nearest or (abs(value - mine) == nearest and word % 2 == 0), hex(word)


def test_same_as_a_fused_multiply_add_of_the_negated_rate():
    rng = np.random.default_rng(4)
    weight, grad, lr = rng.integers(0, 1 << 16, (3, 1 << 20), dtype=np.uint16)
    want = bf16_multiply_add(Bf16MultiplyAddConfig(), lr ^ np.uint16(0x8000), grad, weight)
    assert np.array_equal(sgd_update(CONFIG, weight, grad, lr), want)


def test_known_updates():
    # 1 - 0.5·1, 1 - 0.5·2 (exactly +0), 1 - a step too small to count
    assert sgd_update(CONFIG, 0x3F80, [0x3F80, 0x4000, 0x3A00], 0x3F00).tolist() == [0x3F00, 0x0000, 0x3F80]
    assert list(CONFIG.inputs) == ["weight", "grad", "lr"] and CONFIG.unit == "sgd_update"
