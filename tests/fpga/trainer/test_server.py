"""The gateware from byte to byte, with a stand-in for the core, against a model written from the text of frames.py."""

import ctypes
import functools
import importlib.util
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.fpga.trainer.top import TrainerDevice
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.order import order
from lnsmadam.hw.emit import to_verilog
from lnsmadam.hw.trainer.replay import SampleMemory
from lnsmadam.sim.build import build_simulation

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("trainer_stand_in", HERE / "stand_in.py")
stand_in = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stand_in)

HELLO, WRITE, READ, RUN, STATUS, STOP = range(6)
OK, UNKNOWN_COMMAND, BAD_ARGUMENT, BUSY, SEQUENCE = range(5)
WEIGHTS, INPUT_TRACKERS, NEURON_TRACKERS, REGISTERS, LOGITS, SAMPLES, RESULTS = range(7)
SILENCE, GAP, HOLD, RELEASE, SETTLE, FLOOD, POLITE = range(0x100, 0x107)
TIMEOUT, CLOCK_HZ = 40, 12_345_678

MACHINE = TrainerConfig(network=network_preset("FO", (5, 4, 3)), lanes=2)
DIGEST = bytes.fromhex(MACHINE.network.digest())
CAPACITY = 21
SAMPLE = 6
#: Words and bits of each space, by hand: 2 blocks of 6 rows and 2 of 5, of 2 lanes; 6 + 5 inputs; 4 + 3 neurons.
SPACES = {
    WEIGHTS: (44, 10), INPUT_TRACKERS: (11, 9), NEURON_TRACKERS: (7, 9), REGISTERS: (3, 32), LOGITS: (3, 32),
    SAMPLES: (CAPACITY * SAMPLE, 7), RESULTS: (CAPACITY, 16),
}  # fmt: skip


def size_of(space):
    width = SPACES[space][1]
    return 1 if width <= 8 else 2 if width <= 16 else 4


def frame(sequence, code, payload=b""):
    body = struct.pack("<BBH", sequence, code, len(payload)) + payload
    return b"\xa5" + body + struct.pack("<I", zlib.crc32(body))


class Model:
    """The board of the text: bytes in, bytes out, and what it keeps."""

    def __init__(self):
        self.words = {space: [0] * size for space, (size, _) in SPACES.items()}
        self.words[LOGITS] = [(-n - 1) % 2**32 for n in range(3)]
        self.last, self.last_command, self.last_status = 0, HELLO, OK
        self.held_back, self.pending = False, None
        self.done = self.correct = self.gated = self.dropped = 0
        self.taken, self.part = 0, b""

    def drop(self):
        self.dropped = min(self.dropped + 1, 0xFFFF)

    def silence(self):
        if self.part:
            self.drop()
        self.part = b""

    def receive(self, data):
        """Answers to bytes that come without a silence between them."""
        data, at, answers = self.part + data, 0, b""
        self.part = b""
        while (at := data.find(b"\xa5", at)) >= 0:
            rest = data[at:]
            if len(rest) < 5:
                self.part = rest
                break
            length = rest[3] | rest[4] << 8
            if length > 512:
                self.drop()
                at += 5
                continue
            if len(rest) < 9 + length:
                self.part = rest
                break
            body, crc = rest[1 : 5 + length], rest[5 + length : 9 + length]
            if zlib.crc32(body) == int.from_bytes(crc, "little"):
                answers += self.act(body[0], body[1], body[4:])
            else:
                self.drop()
            at += 9 + length
        return answers

    def act(self, sequence, command, payload):
        self.settle()
        self.taken += 1
        if command == HELLO or sequence == (self.last + 1) % 256:
            self.last, self.last_command = sequence, command
            self.last_status, answer = self.execute(command, payload)
            return frame(sequence, self.last_status, answer)
        if sequence == self.last and command == self.last_command:
            if command in (READ, STATUS):
                return frame(sequence, *self.execute(command, payload))
            return frame(sequence, self.last_status)
        return frame(sequence, SEQUENCE, bytes([(self.last + 1) % 256]))

    def execute(self, command, payload):
        busy = self.pending is not None
        lengths = {HELLO: 0, READ: 7, RUN: 22, STATUS: 0, STOP: 0}
        if command > STOP:
            return UNKNOWN_COMMAND, b""
        if len(payload) < 6 if command == WRITE else len(payload) != lengths[command]:
            return BAD_ARGUMENT, b""
        if busy and (command in (READ, RUN) or (command == WRITE and payload[0] != SAMPLES)):
            return BUSY, b""
        if command == HELLO:
            return OK, struct.pack("<B8sIBI", 1, DIGEST, CAPACITY, 2, CLOCK_HZ)
        if command == STATUS:
            return OK, struct.pack("<BIIII", busy, self.done, self.correct, self.gated, self.dropped)
        if command == STOP:
            if busy:
                # One sample has begun: held back, the core takes none of its words.
                self.pending = self.pending[:1]
            return OK, b""
        if command == RUN:
            return self.run(payload), b""
        space, address = struct.unpack_from("<BI", payload)
        if space not in SPACES:
            return BAD_ARGUMENT, b""
        size = size_of(space)
        if command == READ:
            (count,) = struct.unpack_from("<H", payload, 5)
            if not count or address + count > SPACES[space][0] or count * size > 512:
                return BAD_ARGUMENT, b""
            return OK, b"".join(w.to_bytes(size, "little") for w in self.words[space][address : address + count])
        count, rest = divmod(len(payload) - 5, size)
        if rest or address + count > SPACES[space][0] or space in (LOGITS, RESULTS):
            return BAD_ARGUMENT, b""
        mask = (1 << SPACES[space][1]) - 1
        for n in range(count):
            word = int.from_bytes(payload[5 + n * size : 5 + (n + 1) * size], "little")
            self.words[space][address + n] = word & mask
        return OK, b""

    def run(self, payload):
        learn, lr_shift, gate_on, _, shuffle, first, count, seed, epoch = struct.unpack("<BBBHBIIII", payload)
        if max(learn, gate_on, shuffle) > 1 or lr_shift > 7 or not count or first + count > CAPACITY:
            return BAD_ARGUMENT
        places = order(count, seed, epoch) if shuffle else range(count)
        self.pending = [(first + int(place), learn, gate_on) for place in places]
        # Its first two words have been read, and wait for the core, when a later frame can change them.
        start = self.pending[0][0] * SAMPLE
        self.first_words = self.words[SAMPLES][start : start + 2]
        self.done = self.correct = self.gated = 0
        return OK

    def settle(self):
        """A run that nothing holds back ends."""
        if self.pending is None or self.held_back:
            return
        for number, (place, learn, gate_on) in enumerate(self.pending):
            *inputs, label = self.words[SAMPLES][place * SAMPLE : (place + 1) * SAMPLE]
            if number == 0:
                inputs[:2] = self.first_words
            predicted, correct, gated = stand_in.outcome(inputs, label & 127, 2, gate_on)
            self.words[RESULTS][place] = predicted | correct << 14 | gated << 15
            self.done, self.correct, self.gated = self.done + 1, self.correct + correct, self.gated + gated
            if learn and not gated:
                registers = self.words[REGISTERS]
                registers[:2] = (registers[0] + 1) % 2**32, stand_in.turn(registers[1], predicted)
        self.pending = None


class Bench(wiring.Component):
    """The device with its inside's state at its ports."""

    def __init__(self, kind):
        self.core = stand_in.StandIn(MACHINE)
        self.device = TrainerDevice(
            MACHINE, capacity=CAPACITY, timeout=TIMEOUT, clock_hz=CLOCK_HZ, kind=kind, core=self.core
        )
        # Plain names: Verilator changes those with two underscores.
        ins, outs = (
            {"i_valid": 1, "i_payload": 8, "o_ready": 1, "hold": 1},
            {"i_ready": 1, "o_valid": 1, "o_payload": 8},
        )
        outs |= {"running": 1, "held": 1}
        super().__init__({n: In(w) for n, w in ins.items()} | {n: Out(w) for n, w in outs.items()})

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = self.device
        m.d.comb += [
            device.i.valid.eq(self.i_valid),
            device.i.payload.eq(self.i_payload),
            self.i_ready.eq(device.i.ready),
            self.o_valid.eq(device.o.valid),
            self.o_payload.eq(device.o.payload),
            device.o.ready.eq(self.o_ready),
            self.running.eq(device.replay.busy | ~self.core.idle),
            self.held.eq(device.server.held),
            self.core.hold.eq(self.hold),
        ]
        return m


class Board:
    """A compiled bench."""

    def __init__(self, library):
        self.library = library
        self.library.bench_new.restype = ctypes.c_void_p
        self.library.bench_run.restype = self.library.bench_cycles.restype = ctypes.c_long
        self.bench = ctypes.c_void_p(library.bench_new())

    def run(self, steps):
        steps = np.ascontiguousarray(steps, np.uint16)
        forgotten, out = np.zeros(len(steps), np.uint8), np.zeros(1 << 24, np.uint8)
        sent = self.library.bench_run(
            self.bench, *(steps.ctypes, ctypes.c_long(len(steps)), ctypes.c_long(TIMEOUT)),
            *(forgotten.ctypes, out.ctypes, ctypes.c_long(len(out))),
        )  # fmt: skip
        assert sent >= 0, f"step {-1 - sent} of {len(steps)} did not end"
        assert sent <= len(out)
        return out[:sent].tobytes(), forgotten.astype(bool)


@functools.cache
def build(kind=SampleMemory.BLOCK, change=None):
    verilog = to_verilog(Bench(kind), "bench")
    if change:
        verilog, count = re.subn(*change, verilog)
        assert count == 1, change[0]
    path = build_simulation(
        "trainer-server", {"bench.v": verilog}, "bench", main=HERE / "bench.cpp",
        compile_flags=("-O2",), link_flags=("-shared",), output="bench.so",
    )  # fmt: skip
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module")
def library():
    return build()


@pytest.fixture(params=SampleMemory, ids=lambda kind: kind.name.lower())
def any_library(request):
    return build(request.param)


def follow(model, steps, forgotten):
    """What the model answers to the steps of a bench."""
    answers, data = b"", bytearray()

    def flush():
        nonlocal answers
        answers += model.receive(bytes(data))
        data.clear()

    for step, lost in zip(steps.tolist(), forgotten.tolist(), strict=True):
        if step < 256:
            if not lost:
                data.append(step)
            continue
        flush()
        if step == SILENCE:
            model.silence()
        elif step in (HOLD, RELEASE):
            model.held_back = step == HOLD
            model.settle()
    flush()
    return answers


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


def write(space, address, words):
    size = size_of(space)
    return WRITE, struct.pack("<BI", space, address) + b"".join(w.to_bytes(size, "little") for w in words)


def read(space, address, count):
    return READ, struct.pack("<BIH", space, address, count)


def run(learn=1, lr_shift=0, gate_on=0, margin=0, shuffle=0, first=0, count=1, seed=0, epoch=0):
    return RUN, struct.pack("<BBBHBIIII", learn, lr_shift, gate_on, margin, shuffle, first, count, seed, epoch)


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


def steps_of(*parts):
    return np.array([s for part in parts for s in (part if isinstance(part, bytes) else [part])], np.uint16)


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


class Faults:
    """Seeded cases: what is on the line, and nothing of what it should do."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.kinds = [
            self.noise, self.truncated, self.oversized, self.twice, self.out_of_order, self.burst, self.gone,
            self.valid, self.fuzz, self.behind_noise, self.nested, self.shifted, self.stale, self.under_way,
            self.longest,
        ]  # fmt: skip

    def integer(self, low, high):
        return int(self.rng.integers(low, high))

    def bytes(self, low, high):
        return self.rng.bytes(self.integer(low, high))

    def request(self, sequence):
        """A frame that a host might send."""
        kind = self.integer(0, 8)
        if kind < 3:
            space = self.integer(0, 7)
            size = SPACES[space][0]
            at = self.integer(0, size)
            return frame(sequence, *write(space, at, [self.integer(0, 128) for _ in range(self.integer(1, 12))]))
        if kind < 5:
            space = self.integer(0, 7)
            return frame(sequence, *read(space, self.integer(0, SPACES[space][0]), self.integer(0, 9)))
        if kind == 5:
            first, count = self.integer(0, CAPACITY), self.integer(1, 6)
            flags = self.rng.integers(0, 2, 3).tolist()
            return frame(sequence, *run(flags[0], self.integer(0, 8), flags[1], 5, flags[2], first, count, 3, count))
        return frame(sequence, (STATUS, STOP)[kind == 7])

    def next(self):
        """The number that the board will most likely take."""
        self.sequence = (self.sequence + 1) % 256
        return self.sequence

    def noise(self):
        return [self.bytes(1, 60)]

    def truncated(self):
        data = self.request(self.next())
        return [data[: self.integer(1, len(data))]]

    def oversized(self):
        length = self.integer(513, 65536)
        return [b"\xa5" + struct.pack("<BBH", self.next(), self.integer(0, 6), length) + self.bytes(0, 40)]

    def longest(self):
        # Whole but for its length, which is at the limit or beyond it.
        data = frame(self.next(), self.integer(0, 6), self.bytes(510, 515))
        return [data, SETTLE, self.request(self.next())]

    def twice(self):
        data = self.request(self.next())
        return [data, SETTLE, data, SETTLE, data]

    def out_of_order(self):
        frames = [self.request(self.next()) for _ in range(3)]
        self.rng.shuffle(frames)
        return [part for data in frames for part in (data, SETTLE)]

    def burst(self):
        data = bytearray(self.request(self.next()))
        first = self.integer(0, 8 * len(data))
        for bit in range(first, min(first + self.integer(1, 40), 8 * len(data))):
            if self.rng.random() < 0.6 or bit == first:
                data[bit // 8] ^= 1 << bit % 8
        return [bytes(data)]

    def gone(self):
        # A long frame, and a host that comes back with another one, without and with a silence.
        data = frame(self.next(), *write(SAMPLES, 0, [self.integer(0, 128) for _ in range(self.integer(60, 120))]))
        return [data[: self.integer(6, len(data))], *([SILENCE] * self.integer(0, 2)), self.request(self.sequence)]

    def valid(self):
        return [self.request(self.next())]

    def fuzz(self):
        return [frame(self.next(), self.integer(0, 8), self.bytes(0, 30))]

    def behind_noise(self):
        return [bytes(b for b in self.bytes(1, 30) if b != 0xA5), self.request(self.next())]

    def nested(self):
        inner = self.request(self.next())
        return [b"\xa5" + struct.pack("<BBH", self.sequence, 1, len(inner) + self.integer(0, 3)) + inner]

    def shifted(self):
        data = bytearray(self.request(self.next()))
        at = self.integer(0, len(data))
        if self.rng.random() < 0.5:
            del data[at]
        else:
            data.insert(at, self.integer(0, 256))
        return [bytes(data)]

    def stale(self):
        return [self.request((self.sequence - self.integer(1, 255)) % 256)]

    def under_way(self):
        return [HOLD, frame(self.next(), *run(count=5)), SETTLE, self.request(self.next()), SETTLE, self.noise()[0]]

    def case(self):
        self.sequence = self.integer(0, 256)
        start = [frame(self.sequence, HELLO), SETTLE]
        parts = self.kinds[self.integer(0, len(self.kinds))]()
        if self.rng.random() < 0.2:
            parts = [FLOOD, *parts, POLITE]
        return [*start, *parts, SETTLE, SILENCE, RELEASE, SETTLE, frame(self.integer(0, 256), HELLO), SETTLE]


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
