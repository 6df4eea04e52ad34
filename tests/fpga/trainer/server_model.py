"""The board as the text of frames.py has it: bytes in, bytes out; and the frames that ask it for something."""

import struct
import zlib

import stand_in

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.order import order

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


def write(space, address, words):
    size = size_of(space)
    return WRITE, struct.pack("<BI", space, address) + b"".join(w.to_bytes(size, "little") for w in words)


def read(space, address, count):
    return READ, struct.pack("<BIH", space, address, count)


def run(learn=1, lr_shift=0, gate_on=0, margin=0, shuffle=0, first=0, count=1, seed=0, epoch=0):
    return RUN, struct.pack("<BBBHBIIII", learn, lr_shift, gate_on, margin, shuffle, first, count, seed, epoch)
