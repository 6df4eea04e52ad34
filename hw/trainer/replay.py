"""Samples kept on the chip, and played to the trainer in the order of an epoch."""

import enum

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import ADDRESS_BITS, TrainerConfig
from lnsmadam.hw.trainer.access import result_layout
from lnsmadam.hw.trainer.order import Order

#: Samples that are in the trainer at once: one is worked on, the next is there when it ends.
IN_FLIGHT = 2


class SampleMemory(enum.Enum):
    """What holds the samples.

    ``BLOCK``: block RAM, which reads and writes at once. ``SINGLE_PORT``: the 16-bit memories of an iCE40UP5K
    (SPRAM), two words in each of its words if they have at most 8 bits; a read waits while something is written.
    """

    BLOCK = 0
    SINGLE_PORT = 1


#: Bits of a word of single-port memory, and of what it can write alone.
CELL_BITS, GRANULE = 16, 8

#: Words of one bit in a block of an ECP5.
RUN = 1 << 14

#: Words of all the single-port memory of an iCE40UP5K.
CELLS = 1 << 16


def words_per_cell(width: int) -> int:
    """Words of ``width`` bits in one of single-port memory."""
    return 2 if width <= GRANULE else 1


def index_bits(capacity: int) -> int:
    """Bits of a number of samples."""
    return capacity.bit_length()


def check_capacity(config: TrainerConfig, capacity: int, kind: SampleMemory) -> None:
    """Raises ``ValueError`` if a memory of that kind cannot hold ``capacity`` samples, or they are fewer than 2."""
    inputs, words = config.network.sizes[0], 1 << ADDRESS_BITS
    if kind is SampleMemory.SINGLE_PORT:
        words = min(words, CELLS * words_per_cell(config.sample_width))
    most = words // (inputs + 1)
    if not 2 <= capacity <= most:
        raise ValueError(f"Capacity must be from 2 to {most} samples of {inputs} inputs, not {capacity}")


class WordMemory(wiring.Component):
    """A memory of words with one writer and one reader.

    Parameters
    ----------
    width, depth : int
    kind : SampleMemory

    Members
    -------
    write : ``In(1)``
    write_address, write_data : ``In``
    read : ``In(1)``
        Taken when ``read_ready``.
    read_address : ``In``
    read_ready : ``Out(1)``
    move : ``In(1)``
        In the cycle after a read or later, but before the next: the word stands at ``read_data`` from the next cycle
        until a later move. A register of its own, as block RAM of an ECP5 answers late.
    read_data : ``Out``
    """

    def __init__(self, *, width: int, depth: int, kind: SampleMemory):
        self.width, self.depth, self.kind = width, depth, kind
        super().__init__(
            {
                "write": In(1),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read": In(1),
                "read_address": In(range(depth)),
                "read_ready": Out(1),
                "move": In(1),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.kind is SampleMemory.BLOCK:
            self._blocks(m)
        else:
            self._single_port(m)
        return m

    def _blocks(self, m):
        # A large memory in runs of the deepest blocks one bit wide, and the rest by itself: 37 blocks of an ECP5 for
        # 84 305 words of 7 bits, where one memory takes 42. Each has its register before they are chosen from.
        low = (RUN - 1).bit_length()
        found, moved = Signal(range(-(-self.depth // RUN))), Signal(range(-(-self.depth // RUN)))
        words = []
        m.d.comb += self.read_ready.eq(1)
        with m.If(self.read):
            m.d.sync += found.eq(self.read_address[low:])
        with m.If(self.move):
            m.d.sync += moved.eq(found)
        for number, first in enumerate(range(0, self.depth, RUN)):
            depth = min(RUN, self.depth - first)
            part = memory.Memory(shape=self.width, depth=depth, init=[], attrs={"ram_style": "block"})
            m.submodules[f"words_{number}"] = part
            write, read = part.write_port(), part.read_port()
            word = Signal(self.width, name=f"word_{number}")
            words.append(word)
            m.d.comb += [
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data),
                write.en.eq(self.write & (self.write_address[low:] == number)),
                read.addr.eq(self.read_address),
                read.en.eq(self.read),
            ]
            with m.If(self.move):
                m.d.sync += word.eq(read.data)
        m.d.comb += self.read_data.eq(Array(words)[moved])

    def _single_port(self, m):
        share = words_per_cell(self.width)
        low = share - 1
        m.submodules.sample_cells = cells = memory.Memory(
            shape=CELL_BITS, depth=-(-self.depth // share), init=[], attrs={"ram_style": "huge"}
        )
        write, read = cells.write_port(granularity=GRANULE), cells.read_port()
        address = Mux(self.write, self.write_address, self.read_address)
        m.d.comb += [
            self.read_ready.eq(~self.write),
            # One address for both: that they exclude each other lets one port do.
            write.addr.eq(address >> low),
            read.addr.eq(address >> low),
            read.en.eq(self.read & ~self.write),
        ]
        word = Signal(self.width)
        if share == 1:
            m.d.comb += [
                write.data.eq(self.write_data),
                write.en.eq(self.write.replicate(len(write.en))),
                word.eq(read.data),
            ]
        else:
            upper, written = Signal(), Signal(GRANULE)
            with m.If(read.en):
                m.d.sync += upper.eq(address[0])
            m.d.comb += [
                written.eq(self.write_data),
                write.data.eq(written.replicate(2)),
                write.en.eq(Cat(self.write & ~address[0], self.write & address[0])),
                word.eq(read.data.word_select(upper, GRANULE)),
            ]
        # SPRAM does not promise its output beyond the next write: a word that waits for its move waits in a register.
        is_fresh, kept = Signal(), Signal(self.width)
        m.d.sync += is_fresh.eq(read.en)
        with m.If(is_fresh):
            m.d.sync += kept.eq(word)
        with m.If(self.move):
            m.d.sync += self.read_data.eq(Mux(is_fresh, word, kept))


class Replay(wiring.Component):
    """Plays samples to the trainer, and keeps and counts what it says of them.

    A sample is its inputs and its label. Words follow each other without a gap; a sample takes ``inputs + 1`` cycles
    and some 30 before it, while the trainer works on the one before.

    Parameters
    ----------
    config : TrainerConfig
    capacity : int
        Samples.
    kind : SampleMemory

    Members
    -------
    access : ``In(stream.Signature(...))``
        ``address``, ``results``, ``write``, ``data``: writes a word of a sample at any time, reads one or a result
        only while not ``busy``. A result is predicted | correct << 14 | gated << 15.
    answer : ``Out(stream.Signature(16))``
        One for each access.
    key, key_first, start, first, count, shuffle
        As those of :class:`~lnsmadam.hw.trainer.order.Order`; ``first`` is the sample at place 0.
    stop : ``In(1)``
        No sample begins after this; a run ends when those that have begun are done.
    busy : ``Out(1)``
        From the cycle after ``start`` until the last result.
    done, correct, gated : ``Out``
        Of the present run or the last one.
    samples : ``Out(stream.Signature(config.sample_width))``
    results : ``In(stream.Signature(...))``
    """

    def __init__(self, config: TrainerConfig, capacity: int, kind: SampleMemory):
        check_capacity(config, capacity, kind)
        self.config, self.capacity, self.kind = config, capacity, kind
        self.sample_words = config.network.sizes[0] + 1
        depth = capacity * self.sample_words
        index = index_bits(capacity)
        self.access_layout = data.StructLayout(
            {"address": range(depth), "results": 1, "write": 1, "data": config.sample_width}
        )
        self.result_layout = result_layout(config)
        super().__init__(
            {
                "access": In(stream.Signature(self.access_layout)),
                "answer": Out(stream.Signature(16)),
                "key": In(stream.Signature(8)),
                "key_first": In(1),
                "start": In(1),
                "stop": In(1),
                "first": In(index),
                "count": In(index),
                "shuffle": In(1),
                "busy": Out(1),
                "done": Out(index),
                "correct": Out(index),
                "gated": Out(index),
                "samples": Out(stream.Signature(config.sample_width)),
                "results": In(stream.Signature(self.result_layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self.capacity * self.sample_words
        m.submodules.order = order = Order(self.capacity)
        m.submodules.memory = words = WordMemory(width=self.config.sample_width, depth=depth, kind=self.kind)
        m.submodules.kept = kept = memory.Memory(
            shape=self.result_layout, depth=self.capacity, init=[], attrs={"ram_style": "block"}
        )
        keep, recall = kept.write_port(), kept.read_port()
        m.d.comb += [
            order.key.payload.eq(self.key.payload),
            order.key.valid.eq(self.key.valid),
            self.key.ready.eq(order.key.ready),
            order.key_first.eq(self.key_first),
            order.start.eq(self.start),
            order.count.eq(self.count),
            order.shuffle.eq(self.shuffle),
        ]

        # The run: places still to begin, and the samples in the trainer, of which the older is `sample[0]`.
        first, to_begin = Signal.like(self.first), Signal.like(self.count)
        in_flight = Signal(range(IN_FLIGHT + 1))
        sample = [Signal(range(self.capacity), name=f"sample_{n}") for n in range(IN_FLIGHT)]
        begun, ended = Signal(), Signal()
        m.d.comb += [self.busy.eq((to_begin != 0) | (in_flight != 0)), ended.eq(self.results.valid)]
        m.d.sync += in_flight.eq(in_flight + begun - ended)
        with m.If(self.start):
            m.d.sync += [first.eq(self.first), to_begin.eq(self.count)]
            m.d.sync += [count.eq(0) for count in (self.done, self.correct, self.gated)]

        # A sample's first address is its number times its words, added up bit by bit.
        chosen, factor = Signal(range(self.capacity)), Signal(range(self.capacity))
        address, multiple, addend = Signal(range(depth + 1)), Signal(range(depth + 1)), Signal(range(depth + 1))
        to_read = Signal(range(self.sample_words + 1))
        read, is_found, step = Signal(), Signal(), Signal()
        m.d.comb += [
            self.samples.payload.eq(words.read_data),
            words.move.eq(~self.samples.valid | self.samples.ready),
            step.eq(~is_found | words.move),
            read.eq((to_read != 0) & step & words.read_ready),
        ]
        with m.If(step):
            m.d.sync += is_found.eq(read)
        with m.If(words.move):
            m.d.sync += self.samples.valid.eq(is_found)
        # One adder multiplies, and counts.
        m.d.comb += addend.eq(Mux(read, 1, multiple))
        with m.If(read | factor[0]):
            m.d.sync += address.eq(address + addend)
        with m.If(read):
            m.d.sync += to_read.eq(to_read - 1)
        with m.FSM():
            with m.State("PLACE"):
                m.d.comb += order.o.ready.eq((to_begin != 0) & (in_flight != IN_FLIGHT) & ~self.stop & ~self.start)
                m.d.sync += [multiple.eq(self.sample_words), address.eq(0)]
                with m.If(order.o.valid & order.o.ready):
                    m.d.comb += begun.eq(1)
                    m.d.sync += [factor.eq(chosen), to_begin.eq(to_begin - 1)]
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [factor.eq(factor >> 1), multiple.eq(multiple << 1)]
                with m.If(factor == 0):
                    m.d.sync += to_read.eq(self.sample_words)
                    m.next = "READ"
            with m.State("READ"):
                with m.If(to_read == 0):
                    m.next = "PLACE"
        with m.If(self.stop):
            m.d.sync += to_begin.eq(0)

        # Results come in the order of samples.
        m.d.comb += [
            chosen.eq(order.o.payload + first),
            self.results.ready.eq(1),
            keep.addr.eq(sample[0]),
            keep.data.eq(self.results.payload),
            keep.en.eq(self.results.valid),
        ]
        with m.If(ended):
            m.d.sync += [
                self.done.eq(self.done + 1),
                self.correct.eq(self.correct + self.results.payload.correct),
                self.gated.eq(self.gated + self.results.payload.gated),
                sample[0].eq(sample[1]),
            ]
        with m.If(begun):
            m.d.sync += sample[1].eq(chosen)
            with m.If((in_flight - ended) == 0):
                m.d.sync += sample[0].eq(chosen)

        # Accesses: three cycles each.
        access = self.access.payload
        from_results, asked = Signal(), Signal()
        m.d.comb += [
            words.write.eq(self.access.valid & self.access.ready & access.write),
            words.write_address.eq(access.address),
            words.write_data.eq(access.data),
            words.read.eq(read),
            words.read_address.eq(address),
            recall.addr.eq(access.address),
            recall.en.eq(self.access.valid & self.access.ready),
            self.access.ready.eq(~asked & ~self.answer.valid),
            self.answer.payload.eq(words.read_data),
        ]
        with m.If(~self.busy):
            m.d.comb += [
                words.read.eq(self.access.valid & self.access.ready & ~access.write),
                words.read_address.eq(access.address),
            ]
        found = recall.data
        with m.If(from_results):
            m.d.comb += self.answer.payload.eq(found.predicted | found.correct << 14 | found.gated << 15)
        with m.If(self.answer.valid & self.answer.ready):
            m.d.sync += self.answer.valid.eq(0)
        m.d.sync += asked.eq(self.access.valid & self.access.ready)
        with m.If(self.access.valid & self.access.ready):
            m.d.sync += from_results.eq(access.results)
        with m.If(asked):
            m.d.sync += self.answer.valid.eq(1)
        return m
