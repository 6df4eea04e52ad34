"""Seeded faults on the line to the gateware: what is on it, and nothing of what it should do."""

import struct

import numpy as np
from server_model import (
    CAPACITY,
    FLOOD,
    HELLO,
    HOLD,
    POLITE,
    RELEASE,
    SAMPLES,
    SETTLE,
    SILENCE,
    SPACES,
    STATUS,
    STOP,
    frame,
    read,
    run,
    write,
)


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
