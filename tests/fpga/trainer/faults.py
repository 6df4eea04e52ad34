"""Seeded faults on the line of a simulated board, and what they may have done: nothing, or what a whole frame said."""

import zlib

import numpy as np

from lnsmadam.fpga.trainer.frames import Frame, Run, read_payload, write_payload

HELLO, WRITE, READ, RUN, STATUS, STOP = range(6)

KINDS = (
    "random bytes", "truncated", "truncated, then whole", "oversized", "flipped bits", "burst", "twice", "reordered",
    "old number", "byte lost", "byte added", "break", "glitches", "wrong baud rate", "wrong CRC", "unknown command",
    "bad argument", "host gone in a frame", "host gone in a run", "several",
)  # fmt: skip


class Case:
    """What one fault puts on the line: ``pieces`` of bytes, waits (cycles, as integers), and functions of the line.

    ``frames`` are the whole and valid ones among them, in order: the only ones that may be executed.
    """

    def __init__(self, kind, rng, network, regions, sequence, wait):
        self.rng, self.regions, self.sequence, self.wait = rng, regions, sequence, wait
        self.row, self.classes = network.sizes[0] + 1, network.sizes[-1]
        #: Samples in the board's memory.
        self.count = regions[5].size // self.row
        self.pieces, self.frames = [], []
        getattr(self, f"do_{kind.replace(', ', '_').replace(' ', '_')}")()

    # Frames that would change something

    def valid(self, ahead=1):
        """A frame that would be executed, ``ahead`` of the last one."""
        rng = self.rng
        sequence = (self.sequence + ahead) % 256
        kind = int(rng.integers(6))
        if kind < 3:
            # Weights by whole rows, trackers, registers, samples: other words than there are.
            spaces = [space for space in (0, 0, 0, 1, 2, 5) if self.regions[space].size]
            space = int(rng.choice(spaces))
            region = self.regions[space]
            size = region.size if space == 0 else int(rng.integers(1, region.size + 1))
            address = 0 if space == 0 else int(rng.integers(region.size - size + 1))
            words = rng.integers(0, 1 << region.width, size)
            if space == 5:
                words[(address + np.arange(size)) % self.row == self.row - 1] %= self.classes
            return Frame(sequence, WRITE, write_payload(space, address, words, region.bytes))
        if kind < 5:
            first = int(rng.integers(self.count))
            count = int(rng.integers(1, self.count - first + 1))
            return Frame(sequence, RUN, Run(first=first, count=count, shuffle=bool(kind & 1), seed=7).encode())
        return Frame(sequence, READ, read_payload(0, 0, self.regions[0].size))

    def noise(self, low, high):
        return self.rng.integers(0, 256, int(self.rng.integers(low, high)), np.uint8).tobytes()

    def send(self, frame, data=None):
        self.frames.append(frame)
        self.pieces.append(frame.encode() if data is None else data)

    # Faults

    def do_random_bytes(self):
        data = bytearray(self.noise(1, 700))
        for n in self.rng.integers(0, len(data), 3):
            data[n] = 0xA5
        self.pieces.append(bytes(data))

    def do_truncated(self):
        data = self.valid().encode()
        self.pieces += [data[: int(self.rng.integers(1, len(data)))], self.wait]

    def do_truncated_then_whole(self):
        self.do_truncated()
        if self.rng.random() < 0.5:
            self.pieces.pop()
        self.send(self.valid())

    def do_oversized(self):
        head = bytes([0xA5]) + self.valid().encode()[1:3]
        length = int(self.rng.choice([513, 514, 1024, 65535, int(self.rng.integers(513, 65536))]))
        self.pieces += [head + length.to_bytes(2, "little") + self.noise(0, 700)]

    def do_flipped_bits(self):
        data = bytearray(self.valid().encode())
        for n in set(self.rng.integers(0, 8 * len(data), int(self.rng.integers(1, 9))).tolist()):
            data[n // 8] ^= 1 << n % 8
        self.pieces.append(bytes(data))

    def do_burst(self):
        data = bytearray(self.valid().encode())
        start = int(self.rng.integers(len(data)))
        noise = self.noise(1, 33)
        data[start : start + len(noise)] = noise
        self.pieces.append(bytes(data))

    def do_twice(self):
        frame = self.valid()
        gap = [[], [self.wait], [int(self.rng.integers(1, 4000))]][int(self.rng.integers(3))]
        self.send(frame)
        self.pieces += gap
        self.pieces += [frame.encode()] * int(self.rng.integers(1, 4))

    def do_reordered(self):
        first, second = self.valid(1), self.valid(2)
        self.pieces += [second.encode(), self.wait] if self.rng.random() < 0.7 else [second.encode()]
        self.send(first)
        if self.rng.random() < 0.5:
            self.pieces.append(self.wait)
            self.send(second)

    def do_old_number(self):
        for _ in range(int(self.rng.integers(1, 4))):
            # Not 0: that would be a repeat of the last frame, if the command is the same.
            self.pieces += [self.valid(-int(self.rng.integers(1, 250))).encode(), self.wait]

    def do_byte_lost(self):
        data = bytearray(self.valid().encode())
        del data[int(self.rng.integers(len(data)))]
        self.pieces.append(bytes(data))

    def do_byte_added(self):
        data = bytearray(self.valid().encode())
        data.insert(int(self.rng.integers(1, len(data))), int(self.rng.integers(256)))
        self.pieces.append(bytes(data))

    def do_break(self):
        frame = self.valid()
        data = frame.encode()
        at, cycles = int(self.rng.integers(len(data) + 1)), int(self.rng.integers(20, 1500))
        self.frames.append(frame)
        self.pieces += [data[:at], lambda line: (line.put_levels(0, 1, cycles), line.put_levels(1, 1, 8)), data[at:]]

    def do_glitches(self):
        frame = self.valid()
        data = frame.encode()
        self.frames.append(frame)
        for start in range(0, len(data), 16):
            levels = int(self.rng.integers(1 << 16)) | 1 << 16
            self.pieces += [data[start : start + 16], lambda line, levels=levels: line.put_levels(levels, 17, 1)]

    def do_wrong_baud_rate(self):
        data, factor = self.valid().encode(), float(self.rng.choice([0.5, 0.75, 1.5, 2, 4]))
        self.pieces.append(lambda line: line.put(data, max(int(line.divisor * factor), 1)))

    def do_wrong_CRC(self):
        data = self.valid().encode()
        other = zlib.crc32(data[1:-4]) ^ (1 << int(self.rng.integers(32)))
        # As another CRC, another order of bytes, or the CRC of too much would come out.
        wrong = [other.to_bytes(4, "little"), data[-4:][::-1], zlib.crc32(data[:-4]).to_bytes(4, "little"), bytes(4)]
        self.pieces.append(data[:-4] + wrong[int(self.rng.integers(4))])

    def do_unknown_command(self):
        frame = Frame((self.sequence + 1) % 256, int(self.rng.integers(6, 256)), self.noise(0, 513))
        self.pieces.append(frame.encode())

    def do_bad_argument(self):
        sequence, rng = (self.sequence + 1) % 256, self.rng
        region = self.regions[0]
        words = [0] * region.size
        frames = (
            (WRITE, write_payload(0, 1, words, region.bytes)),
            (WRITE, write_payload(0, 1 << int(rng.integers(10, 32)), words, region.bytes)),
            (WRITE, write_payload(int(rng.integers(7, 256)), 0, words, region.bytes)),
            (WRITE, write_payload(int(rng.choice([4, 6])), 0, [0], 4)),
            (WRITE, write_payload(0, 0, words, region.bytes)[:-1]),
            (WRITE, write_payload(0, 0, words, region.bytes)[: int(rng.integers(6))]),
            (RUN, Run(first=self.count, count=1).encode()),
            (RUN, Run(count=self.count + 1).encode()),
            (RUN, Run(count=0).encode()),
            (RUN, Run(first=1, count=2**32 - 1).encode()),
            (RUN, b"\x02" + Run(count=1).encode()[1:]),
            (RUN, b"\x01\x08" + Run(count=1).encode()[2:]),
            (RUN, Run(count=1).encode() + b"\x00"),
            (READ, read_payload(0, region.size, 1)),
            (STOP, b"\x00"),
        )
        command, payload = frames[int(rng.integers(len(frames)))]
        self.pieces.append(Frame(sequence, command, payload).encode())

    def do_host_gone_in_a_frame(self):
        # The next one comes at once, or while the board still waits.
        self.do_truncated()
        self.pieces[-1] = int(self.rng.integers(1, self.wait))

    def do_host_gone_in_a_run(self):
        run = Run(first=0, count=self.count, shuffle=True, epoch=int(self.rng.integers(100)))
        self.send(Frame((self.sequence + 1) % 256, RUN, run.encode()))
        data = self.valid(2).encode()
        self.pieces.append(data[: int(self.rng.integers(1, len(data)))])

    def do_several(self):
        for _ in range(int(self.rng.integers(2, 5))):
            kind = KINDS[int(self.rng.choice([0, 1, 3, 4, 5, 9, 10, 13, 14]))]
            getattr(self, f"do_{kind.replace(', ', '_').replace(' ', '_')}")()
            if self.rng.random() < 0.5:
                self.pieces.append(int(self.rng.integers(1, 2 * self.wait)))
