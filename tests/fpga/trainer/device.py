"""A board's side of the protocol in plain Python, with the golden network for a core: written from the text of
``frames.py``, not from the gateware or the host. And lines to it that lose, change and invent bytes."""

import dataclasses
import struct
import zlib

import numpy as np

from lnsmadam.golden.trainer.config import SecondMoment
from lnsmadam.golden.trainer.kernel import CompiledNetwork
from lnsmadam.golden.trainer.layout import Layout
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import encode_inputs, initial

HELLO, WRITE, READ, RUN, STATUS, STOP = range(6)
OK, UNKNOWN_COMMAND, BAD_ARGUMENT, BUSY, SEQUENCE = range(5)
WEIGHTS, INPUT_TRACKERS, NEURON_TRACKERS, REGISTERS, LOGITS, SAMPLES, RESULTS = range(7)


class Device:
    """Takes bytes and returns the bytes of its answers.

    ``pace`` is how many samples of a run are done between two frames; ``deaf`` is whether what follows a frame in the
    same piece is not heard, as on a board that is executing it.
    """

    def __init__(self, network, lanes, capacity, *, pace=7, deaf=True):
        self.network, self.layout, self.capacity = network, Layout(network, lanes), capacity
        self.pace, self.deaf = pace, deaf
        self.state, self.networks = initial(network, 99), {}
        inputs = network.sizes[0]
        self.samples = np.zeros((capacity, inputs + 1), np.int64)
        self.results = np.zeros(capacity, np.int64)
        self.logits = np.zeros(network.sizes[-1], np.int64)
        self.frame, self.last, self.stored, self.dropped = bytearray(), (0, HELLO), None, 0
        self.run, self.queue, self.done, self.correct, self.gated = None, [], 0, 0, 0
        self.pending = {}
        #: Every command that was executed, in order.
        self.executed = []

    # Bytes

    def silence(self):
        if self.frame:
            self.dropped += 1
            self.frame.clear()

    def feed(self, data):
        answers = b""
        for byte in data:
            if not self.frame and byte != 0xA5:
                continue
            self.frame.append(byte)
            length = int.from_bytes(self.frame[3:5], "little")
            if len(self.frame) == 5 and length > 512:
                self.silence()
            elif len(self.frame) >= 9 and len(self.frame) == 9 + length:
                body, crc = bytes(self.frame[1:-4]), int.from_bytes(self.frame[-4:], "little")
                if zlib.crc32(body) != crc:
                    self.silence()
                    continue
                self.frame.clear()
                answers += self.answer(body[0], body[1], body[4:])
                if self.deaf:
                    break
        return answers

    def answer(self, sequence, command, payload):
        status, content = self.take(sequence, command, payload)
        body = struct.pack("<BBH", sequence, status, len(content)) + content
        return b"\xa5" + body + zlib.crc32(body).to_bytes(4, "little")

    def take(self, sequence, command, payload):
        self.work(self.pace)
        last, last_command = self.last
        if command != HELLO:
            if sequence == last and command == last_command:
                return self.execute(command, payload) if command in (READ, STATUS) else (self.stored, b"")
            if sequence != (last + 1) % 256:
                return SEQUENCE, bytes([(last + 1) % 256])
        self.last = (sequence, command)
        status, content = self.execute(command, payload)
        self.stored = status
        return status, content

    def execute(self, command, payload):
        sizes = {HELLO: 0, READ: 7, RUN: 22, STATUS: 0, STOP: 0}
        if command > STOP:
            return UNKNOWN_COMMAND, b""
        if len(payload) < 6 if command == WRITE else len(payload) != sizes[command]:
            return BAD_ARGUMENT, b""
        busy = bool(self.queue)
        if busy and command in (READ, RUN) or busy and command == WRITE and payload[0] != SAMPLES:
            return BUSY, b""
        try:
            content = (self.hello, self.write, self.read, self.start, self.status, self.stop)[command](payload)
        except AssertionError:
            return BAD_ARGUMENT, b""
        self.executed.append(command)
        return OK, content

    # Commands

    def hello(self, _):
        digest = bytes.fromhex(dataclasses.replace(self.network, gate=None).digest())
        return struct.pack("<B8sIBI", 1, digest, self.capacity, self.layout.lanes, 12_000_000)

    def status(self, _):
        return struct.pack("<BIIII", bool(self.queue), self.done, self.correct, self.gated, min(self.dropped, 65535))

    def stop(self, _):
        self.queue = []
        return b""

    def space(self, number):
        """Words of a space and bytes of each."""
        network, layout = self.network, self.layout
        label = max((network.sizes[-1] - 1).bit_length(), 1)
        factored = network.second_moment is SecondMoment.FACTORED
        inputs, neurons = sum(n + 1 for n in network.sizes[:-1]), sum(network.sizes[1:])
        size, bits = {
            WEIGHTS: (layout.rows * layout.lanes, layout.word_bits),
            INPUT_TRACKERS: (factored * inputs, network.state.log_width),
            NEURON_TRACKERS: (factored * neurons, network.state.log_width),
            REGISTERS: (3, 32),
            LOGITS: (network.sizes[-1], 32),
            SAMPLES: (self.samples.size, max(network.activation.width, label)),
            RESULTS: (self.capacity, 16),
        }.get(number, (0, 8))
        return size, 1 if bits <= 8 else 2 if bits <= 16 else 4

    def write(self, payload):
        space, address = struct.unpack_from("<BI", payload)
        size, width = self.space(space)
        words = payload[5:]
        assert space not in (LOGITS, RESULTS) and len(words) % width == 0
        assert 0 < len(words) // width <= size - address
        for n in range(len(words) // width):
            self.put(space, address + n, int.from_bytes(words[n * width : (n + 1) * width], "little"))
        return b""

    def read(self, payload):
        space, address, count = struct.unpack("<BIH", payload)
        size, width = self.space(space)
        assert 0 < count <= size - address and count * width <= 512
        mask = (1 << 8 * width) - 1
        words = [self.get(space, address + n) & mask for n in range(count)]
        return b"".join(word.to_bytes(width, "little") for word in words)

    def place(self, address):
        """Layer, neuron and input of a word of the weight memory; a neuron beyond the last has none."""
        row, lane = divmod(address, self.layout.lanes)
        layer = 0
        while layer + 1 < self.network.layers and row >= self.layout.first_row(layer + 1):
            layer += 1
        block, source = divmod(row - self.layout.first_row(layer), self.network.sizes[layer] + 1)
        return layer, block * self.layout.lanes + lane, source

    def tracker(self, space, address):
        inputs = space == INPUT_TRACKERS
        for array in self.state.input_trackers if inputs else self.state.neuron_trackers:
            if address < len(array):
                return array, address
            address -= len(array)
        raise AssertionError

    def signed(self, log):
        bits = self.network.state.log_width
        return ((log + (1 << bits - 1)) & ((1 << bits) - 1)) - (1 << bits - 1)

    def put(self, space, address, word):
        if space == WEIGHTS:
            self.pending[address] = word
            if address % self.layout.lanes == self.layout.lanes - 1:
                for key, value in self.pending.items():
                    self.put_weight(*self.place(key), value)
                self.pending.clear()
        elif space in (INPUT_TRACKERS, NEURON_TRACKERS):
            array, index = self.tracker(space, address)
            array[index] = self.signed(word)
        elif space == REGISTERS:
            setattr(self.state, ("update_count", "input_noise", "neuron_noise")[address], word)
        else:
            self.samples.flat[address] = word

    def put_weight(self, layer, neuron, source, word):
        if neuron < self.network.sizes[layer + 1]:
            width = self.network.weight.width
            self.state.weights[layer][neuron, source] = word & ((1 << width) - 1)
            if self.state.trackers:
                self.state.trackers[layer][neuron, source] = self.signed(word >> width)

    def get(self, space, address):
        if space == WEIGHTS:
            layer, neuron, source = self.place(address)
            if neuron >= self.network.sizes[layer + 1]:
                return 0
            width, log_width = self.network.weight.width, self.network.state.log_width
            word = int(self.state.weights[layer][neuron, source])
            if self.state.trackers:
                word |= (int(self.state.trackers[layer][neuron, source]) & ((1 << log_width) - 1)) << width
            return word
        if space in (INPUT_TRACKERS, NEURON_TRACKERS):
            array, index = self.tracker(space, address)
            return int(array[index])
        if space == REGISTERS:
            return getattr(self.state, ("update_count", "input_noise", "neuron_noise")[address])
        return int({LOGITS: self.logits, SAMPLES: self.samples.ravel(), RESULTS: self.results}[space][address])

    def start(self, payload):
        learn, shift, gate_on, margin, shuffle, first, count, seed, epoch = self.run = struct.unpack(
            "<BBBHBIIII", payload
        )
        assert max(learn, gate_on, shuffle) < 2 and shift < 8 and 0 < count <= self.capacity - first
        places = order(count, seed, epoch) if shuffle else np.arange(count)
        self.queue = [first + int(place) for place in places]
        self.done = self.correct = self.gated = 0
        return b""

    def work(self, count):
        """Runs up to ``count`` samples."""
        places, self.queue = self.queue[:count], self.queue[count:]
        if not places:
            return
        learn, shift, gate_on, margin, *_ = self.run
        gate = margin / 2**self.network.logit_bits if gate_on else None
        if gate not in self.networks:
            self.networks[gate] = CompiledNetwork(dataclasses.replace(self.network, gate=gate), self.state)
        network = self.networks[gate]
        network.state = self.state
        samples, labels = self.samples[places, :-1], self.samples[places, -1]
        self.logits = network.logits(samples[-1:])[0]
        if learn:
            outcome = network.train(samples, labels, shift)
            predicted, gated = outcome.predicted, outcome.gated
        else:
            predicted, gated = network.predict(samples), np.zeros(len(places), bool)
        self.state = network.state
        correct = predicted == labels
        self.results[places] = predicted | correct << 14 | gated << 15
        self.done += len(places)
        self.correct += int(correct.sum())
        self.gated += int(gated.sum())


class Line:
    """A port to a device; ``read`` that finds nothing is a silence."""

    def __init__(self, device):
        self.device, self.waiting, self.closed = device, bytearray(), False

    @property
    def in_waiting(self):
        return len(self.waiting)

    def write(self, data):
        self.waiting += self.device.feed(data)
        return len(data)

    def read(self, size=1):
        if len(self.waiting) < size:
            self.device.silence()
        data = bytes(self.waiting[:size])
        del self.waiting[:size]
        return data

    def reset_input_buffer(self):
        self.waiting.clear()

    def close(self):
        self.closed = True


class FaultyLine(Line):
    """A line on which about every ``1/rate``-th piece in either direction is damaged, as ``seed`` says."""

    def __init__(self, device, seed, rate=0.2):
        super().__init__(device)
        self.rng, self.rate, self.faults = np.random.default_rng(seed), rate, 0

    def damaged(self, data):
        data = bytearray(data)
        if not data or self.rng.random() >= self.rate:
            return bytes(data)
        self.faults += 1
        n, kind = int(self.rng.integers(len(data))), int(self.rng.integers(7))
        noise = self.rng.integers(0, 256, int(self.rng.integers(1, 40)), np.uint8).tobytes()
        if kind == 0:  # a flipped bit
            data[n] ^= 1 << int(self.rng.integers(8))
        elif kind == 1:  # a lost byte
            del data[n]
        elif kind == 2:  # broken off
            del data[n:]
        elif kind == 3:  # a burst
            data[n : n + len(noise)] = noise
        elif kind == 4:  # noise before
            data[:0] = noise
        elif kind == 5:  # twice
            data *= 2
        else:  # lost
            data.clear()
        return bytes(data)

    def write(self, data):
        self.waiting += self.damaged(self.device.feed(self.damaged(data)))
        return len(data)


def samples_of(network, count, seed):
    """Samples of random inputs, and labels."""
    rng = np.random.default_rng(seed)
    words = encode_inputs(network, rng.uniform(-1, 1, (count, network.sizes[0])))
    return words, rng.integers(0, network.sizes[-1], count)
