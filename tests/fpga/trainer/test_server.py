"""The gateware from byte to byte, with a stand-in for the core, against a model written from the text of frames.py."""

import importlib
import struct

import numpy as np
import pytest
from server_bench import Board, build, follow, steps_of
from server_faults import Faults
from server_model import (
    BAD_ARGUMENT,
    BUSY,
    CAPACITY,
    CLOCK_HZ,
    DIGEST,
    GAP,
    HELLO,
    HOLD,
    LOGITS,
    OK,
    READ,
    REGISTERS,
    RELEASE,
    RESULTS,
    RUN,
    SAMPLE,
    SAMPLES,
    SEQUENCE,
    SETTLE,
    SILENCE,
    SPACES,
    STATUS,
    STOP,
    UNKNOWN_COMMAND,
    WEIGHTS,
    WRITE,
    Model,
    frame,
    read,
    run,
    size_of,
    write,
)

from lnsmadam.hw.trainer.replay import SampleMemory


@pytest.fixture(scope="module")
def library():
    return build()


@pytest.fixture(params=SampleMemory, ids=lambda kind: kind.name.lower())
def any_library(request):
    return build(request.param)


def dialogue(library, frames, model=None, board=None):
    """The answers of a board to polite frames, compared with the model's; frames as (command, payload)."""
    model, board = model or Model(), board or Board(library)
    answers = []
    for n, (command, payload) in enumerate(frames):
        steps = np.array([*frame(n, command, payload), SETTLE], np.uint16)
        got, forgotten = board.run(steps)
        assert got == follow(model, steps, forgotten), (n, command, payload)
        assert not forgotten.any()
        answers.append((got[2], got[5:-4]))
    return answers


def test_every_space_is_written_and_read(any_library):
    rng = np.random.default_rng(1)
    frames, values = [(HELLO, b"")], {}
    for space, (size, width) in SPACES.items():
        values[space] = [int(v) for v in rng.integers(0, 1 << width, size)]
        step = 8
        for at in range(0, size, step):
            frames.append(write(space, at, values[space][at : at + step]))
    for space, (size, _) in SPACES.items():
        frames.append(read(space, 0, size))
    answers = dialogue(any_library, frames)
    for (status, payload), space in zip(answers[-len(SPACES) :], SPACES, strict=True):
        size = size_of(space)
        got = [int.from_bytes(payload[n : n + size], "little") for n in range(0, len(payload), size)]
        assert status == OK
        if space not in (LOGITS, RESULTS):
            assert got == values[space]
    assert answers[0] == (OK, struct.pack("<B8sIBI", 1, DIGEST, 21, 2, 12_345_678))


def test_bad_arguments_do_nothing(library):
    bad = [
        write(WEIGHTS, 43, [1, 2]), write(WEIGHTS, 44, [1]), (WRITE, struct.pack("<BI", WEIGHTS, 0)),
        (WRITE, struct.pack("<BI", WEIGHTS, 0) + b"abc"), (WRITE, struct.pack("<BI", REGISTERS, 0) + b"abcdef"),
        (WRITE, b""), write(WEIGHTS, 2**20, [1]), write(WEIGHTS, 2**32 - 1, [1, 2]), (WRITE, b"\x07\0\0\0\0ab"),
        (WRITE, b"\x08\0\0\0\0ab"), (WRITE, b"\xff\0\0\0\0ab"), write(LOGITS, 0, [1]), write(RESULTS, 0, [1]),
        read(WEIGHTS, 0, 0), read(WEIGHTS, 0, 45), read(WEIGHTS, 2**20, 1), read(SAMPLES, 0, 513), (READ, b""),
        (READ, b"12345678"), (HELLO, b"x"), (STATUS, b"x"), (STOP, b"x"), (RUN, b""), run(count=0), run(count=22),
        run(first=21), run(first=1, count=21), run(learn=2), run(shuffle=2), run(gate_on=255), run(lr_shift=8),
        run(count=2**20 + 1), run(first=2**31), (6, b""), (255, b"1234"),
    ]  # fmt: skip
    model = Model()
    first = [(HELLO, b""), write(WEIGHTS, 0, range(1, 45)), write(REGISTERS, 0, [7, 8, 9])]
    answers = dialogue(library, [*first, *bad, read(WEIGHTS, 0, 44), read(REGISTERS, 0, 3), (STATUS, b"")], model)
    assert {status for status, _ in answers[3:-5]} == {BAD_ARGUMENT}
    assert [status for status, _ in answers[-5:]] == [UNKNOWN_COMMAND] * 2 + [OK] * 3
    assert answers[-3][1] == struct.pack("<44H", *range(1, 45)) and answers[-2][1] == struct.pack("<3I", 7, 8, 9)


@pytest.mark.parametrize("shuffle", [0, 1])
def test_a_run_counts_and_keeps_results(any_library, shuffle):
    rng = np.random.default_rng(2)
    samples = [int(w) for w in rng.integers(0, 128, CAPACITY * SAMPLE)]
    for n in range(CAPACITY):
        label = n * SAMPLE + SAMPLE - 1
        samples[label] = (sum(samples[n * SAMPLE : label]) + n % 2) % 4
    load = [write(SAMPLES, at, samples[at : at + 60]) for at in range(0, len(samples), 60)]
    runs = []
    for n in range(20):
        first = int(rng.integers(0, CAPACITY))
        count = int(rng.integers(1, CAPACITY - first + 1))
        settings = dict(learn=n % 2, lr_shift=n % 8, gate_on=n // 2 % 2, margin=n * 999)
        runs += [run(shuffle=shuffle, first=first, count=count, seed=5 + n // 7, epoch=n, **settings)]
        runs += [(STATUS, b""), read(RESULTS, 0, CAPACITY), read(REGISTERS, 0, 3)]
    answers = dialogue(any_library, [(HELLO, b""), *load, *runs])
    busy, done, correct, gated, _ = struct.unpack("<BIIII", answers[-3][1])
    assert (busy, done) == (0, count) and abs(correct - count / 2) <= 0.5 and gated == correct


def check(board, model, *parts):
    steps = steps_of(*parts)
    got, forgotten = board.run(steps)
    assert got == follow(model, steps, forgotten)
    return got


def test_a_run_under_way(any_library):
    board, model = Board(any_library), Model()
    check(board, model, frame(1, *write(SAMPLES, 0, [1, 2, 3, 4, 5, 3] * 20)), SETTLE)
    check(board, model, HOLD, frame(2, *run(count=20)), SETTLE)
    # What touches the core or the results waits; the memory of samples takes more.
    for n, command in enumerate((read(WEIGHTS, 0, 1), write(REGISTERS, 0, [1]), run(), read(SAMPLES, 0, 1))):
        assert check(board, model, frame(3 + n, *command), SETTLE)[2] == BUSY
    assert check(board, model, frame(7, *write(SAMPLES, 90, [9] * 36)), SETTLE)[2] == OK
    assert check(board, model, frame(8, STATUS), SETTLE)[5:10] == b"\1\0\0\0\0"
    assert check(board, model, RELEASE, SETTLE, frame(9, STATUS), SETTLE)[5:10] == b"\0\x14\0\0\0"
    # A stop ends the run behind the sample that has begun.
    check(board, model, HOLD, frame(10, *run(count=20)), SETTLE)
    check(board, model, frame(11, STOP), SETTLE)
    assert check(board, model, RELEASE, SETTLE, frame(12, STATUS), SETTLE)[5:10] == b"\0\1\0\0\0"
    check(board, model, frame(13, *read(RESULTS, 0, 20)), frame(14, *run(count=20)), SETTLE)
    assert check(board, model, frame(15, STATUS), SETTLE)[5:10] == b"\0\x14\0\0\0"


def test_sequence_numbers(library):
    board, model = Board(library), Model()
    assert check(board, model, frame(7, STATUS), SETTLE)[1:6] == b"\7\4\1\0\1"
    assert check(board, model, frame(0, STATUS), SETTLE)[2] == SEQUENCE
    check(board, model, frame(254, HELLO), frame(255, *write(REGISTERS, 0, [5])), SETTLE)
    # A repeat is answered, not executed; the model shows it.
    check(board, model, frame(255, *write(REGISTERS, 0, [6])), SETTLE)
    check(board, model, frame(255, *read(REGISTERS, 0, 1)), SETTLE)
    assert check(board, model, frame(0, *read(REGISTERS, 0, 1)), SETTLE)[5:9] == b"\5\0\0\0"
    assert check(board, model, frame(0, *read(REGISTERS, 1, 1)), SETTLE)[5:9] == b"\0\0\0\0"
    check(board, model, frame(1, *run(count=0)), frame(1, *run(count=1)), SETTLE)
    check(board, model, frame(2, 77), frame(2, 77), frame(3, 78), frame(3, 79), SETTLE)
    check(board, model, frame(3, HELLO), frame(9, HELLO), frame(9, HELLO), frame(10, STATUS), frame(10, STATUS), SETTLE)


def test_silence_ends_a_frame_and_a_gap_does_not(library):
    board, model = Board(library), Model()
    whole = frame(1, *write(REGISTERS, 0, [1, 2, 3]))
    for cut in range(1, len(whole)):
        assert check(board, model, whole[:cut], SILENCE, frame(cut, HELLO), SETTLE)[2] == OK
        assert model.dropped == cut
    for cut in range(1, len(whole)):
        model.last = cut % 256
        check(board, model, frame(0, HELLO), whole[:cut], GAP, whole[cut:], SETTLE)
    assert check(board, model, frame(2, STATUS), SETTLE)[-8:-4] == struct.pack("<I", len(whole) - 1)


#: All words of every space; short enough for one answer each.
EVERYTHING = [read(space, 0, size) for space, (size, _) in SPACES.items()]


def inject(library, seed, cases):
    """Plays cases to a fresh board; returns the model, and how many answers were compared."""
    board, model, faults, hellos = Board(library), Model(), Faults(seed), 0
    hello = struct.pack("<B8sIBI", 1, DIGEST, CAPACITY, 2, CLOCK_HZ)
    for start in range(0, cases, 500):
        parts = [part for _ in range(min(500, cases - start)) for part in faults.case()]
        ends = [frame(n, *command) for n, command in enumerate([(HELLO, b""), *EVERYTHING, (STATUS, b"")])]
        steps = steps_of(*parts, *(part for data in ends for part in (data, SETTLE)))
        got, forgotten = board.run(steps)
        assert got == follow(model, steps, forgotten), f"seed {seed}, cases from {start}"
        # One before and one after each case, and the last.
        count = got.count(hello)
        assert count >= 2 * min(500, cases - start) + 1
        hellos += count
    return model, hellos


def test_faults(library):
    model, hellos = inject(library, 1, 4000)
    # The cases reach what they are for.
    assert model.dropped > 1000 and model.taken > 8000 and hellos > 8000
    assert model.words[REGISTERS][0] > 0 and any(model.words[WEIGHTS])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_faults(library, seed):
    inject(library, seed, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, name, value",
    [
        ("receiver", "MAX_PAYLOAD", 511),
        ("receiver", "MAX_DROPPED", 300),
        ("server", "WRITE_HEAD", struct.Struct("<BIB")),
        ("server", "KEY_PLACE", 13),
        ("sender", "START", 0xA4),
        ("top", "Space", type("Space", (), {"SAMPLES": 4, "RESULTS": 6})),
    ],
    ids=["shorter payloads", "early end of a count", "longer writes", "wrong key", "wrong start", "wrong space"],
)
def test_planted_faults_are_found(module, name, value, monkeypatch):
    monkeypatch.setattr(importlib.import_module(f"lnsmadam.fpga.trainer.{module}"), name, value)
    with pytest.raises(AssertionError):
        inject(build.__wrapped__(), 1, 1000)


def test_a_crc_that_always_matches_is_found():
    change = (r"assign match_detected = \{[^;]*;", "assign match_detected = 1'h1;")
    with pytest.raises(AssertionError):
        inject(build.__wrapped__(change=change), 1, 1000)
