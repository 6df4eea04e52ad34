"""The training: it learns, it repeats, and its pieces are the documented ones."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from lnsmadam.digits import (
    Arithmetic,
    Operands,
    TrainingConfig,
    load_digits,
    narrow,
    relu,
    train,
    train_adam,
)
from lnsmadam.golden.format import LNS8, LNS10, LNS16
from lnsmadam.golden.multiply_add import MultiplyAddConfig

SMALL = TrainingConfig(epochs=2, hidden=12)


@pytest.fixture(scope="module")
def split():
    whole = load_digits()
    return replace(whole, x_train=whole.x_train[:640], y_train=whole.y_train[:640])


def test_training_leaves_chance_behind_and_repeats(split):
    first, second = train(SMALL, split, keep_epochs=(2,)), train(SMALL, split)
    assert first.accuracy[0] < 0.3
    assert first.accuracy[-1] > 0.6
    assert first.accuracy == second.accuracy
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    other = train(replace(SMALL, seed=1), split)
    assert not np.array_equal(first.weights[0], other.weights[0])


def test_records_every_operation(split):
    result = train(SMALL, split, keep_epochs=(2,))
    weights = 65 * 12 + 13 * 10
    batches = 640 // SMALL.batch
    # Forward and weight gradients touch every weight once per image, the backward pass those of layer 2 but its bias.
    per_epoch = batches * SMALL.batch * (2 * weights + 12 * 10)
    assert set(result.triples) == {2}
    assert len(result.triples[2]) == per_epoch
    assert result.multiply_adds == 2 * per_epoch
    assert len(result.updates) == 2 * batches * weights
    signs = [chunk["weight"] >> 15 for chunk in result.updates.chunks]
    assert all(np.array_equal(signs[0], sign) for sign in signs[1:]), "a weight changed its sign"


def test_weights_stay_within_their_layers_maximum(split):
    result = train(replace(SMALL, p_scale=1.0), split)
    top = LNS16.unpack(result.updates.chunks[0]["weight_max_log"] & LNS16.log_mask)[1]
    final = np.concatenate([layer.ravel() for layer in result.weights])
    assert (LNS16.unpack(final)[1] <= top).all()


def test_matmul_is_the_real_one_within_its_roundings():
    rng = np.random.default_rng(1)
    # All positive: every addition is off by at most half a step, so n of them by n / 2 steps.
    a, b = rng.uniform(0.5, 2, (5, 7)), rng.uniform(0.5, 2, (7, 3))
    words_a, words_b = LNS8.encode(a), LNS8.encode(b)
    arithmetic = Arithmetic(MultiplyAddConfig())
    arithmetic.record = Operands()
    got = LNS8.decode(arithmetic.matmul(words_a, words_b))
    want = LNS8.decode(words_a) @ LNS8.decode(words_b)
    assert np.abs(np.log2(got / want)).max() <= 7 * 0.5 / 8
    assert arithmetic.count == len(arithmetic.record) == 5 * 7 * 3


def test_wide_accumulator_comes_back_to_operands():
    config = MultiplyAddConfig(accumulator=LNS10)
    one = np.zeros((1, 4), np.uint8)
    # 1 + 1 + 1 + 1 = 4: two octaves, exact in every format.
    assert Arithmetic(config).matmul(one, one.T).tolist() == [[16]]


@pytest.mark.parametrize(
    ("log", "want"),
    [(0, 0), (127, 0), (128, 1), (-128, 0), (-129, -1), (16383, 63), (-16383, None), (-16256, -63), (-16257, None)],
)
def test_narrow_is_the_documented_rule(log, want):
    got = narrow(LNS16, LNS8, LNS16.pack(1, log))
    assert got == (LNS8.zero if want is None else LNS8.pack(1, want))


def test_narrow_refuses_other_ratios():
    with pytest.raises(ValueError, match="power of two"):
        narrow(LNS8, LNS16, 0)


def test_relu_keeps_positive_words():
    words = LNS8.encode([1.0, -1.0, 0.0, 3.0, -0.01])
    assert LNS8.decode(relu(LNS8, words)).tolist() == [*LNS8.decode(words[:1]), 0, 0, LNS8.decode(words[3]), 0]


def test_adam_learns(split):
    accuracy = train_adam(replace(SMALL, hidden=32, epochs=6), split)
    assert len(accuracy) == 7 and accuracy[0] < 0.3 < 0.75 < accuracy[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "Epochs must be at least 1, not 0"),
        ({"batch": -1}, "Batch must be at least 1, not -1"),
        ({"multiply_add": MultiplyAddConfig(operand=LNS10)}, "format of the operands"),
    ],
)
def test_bad_configuration(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**options)


def test_batch_larger_than_the_data(split):
    with pytest.raises(ValueError, match="Batch must be at most 640"):
        train(replace(SMALL, batch=641), split)


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"lnsmadam\[demo\]"):
        load_digits()
