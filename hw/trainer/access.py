"""The access port: reads and writes the trainer's words between samples."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.config import SecondMoment
from lnsmadam.golden.trainer.machine import ADDRESS_BITS, DATA_BITS, TrainerConfig


class Space(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What an address counts."""

    WEIGHTS = 0
    INPUT_TRACKERS = 1
    NEURON_TRACKERS = 2
    REGISTERS = 3
    LOGITS = 4


ACCESS = data.StructLayout({"address": ADDRESS_BITS, "space": Space, "write": 1, "data": DATA_BITS})


def result_layout(config: TrainerConfig) -> data.StructLayout:
    """What the trainer says of a sample."""
    return data.StructLayout({"predicted": config.label_bits, "correct": 1, "gated": 1})


class Access(wiring.Component):
    """Carries out one access after the other while no sample is in progress.

    A word of a row of weights is reached through the chain of words, which runs through all lanes: a row is read as a
    whole, and moved on until the wanted word stands at its end; words that are written enter at the other end, and
    the last lane's writes the row. So the words of a row are written in order, with no other access to weights
    between them.

    Parameters
    ----------
    config : TrainerConfig
    row_cycles : int
        Cycles until a row that is asked for stands in the chain, and one that is written is in the memory.

    Members
    -------
    access : ``In(stream.Signature(ACCESS))``
    answer : ``Out(stream.Signature(32))``
        One for each access; that of a write is what was written.
    may_begin : ``In(1)``
        No sample is in progress.
    is_busy : ``Out(1)``
        None may start.
    row, read_row, write_row : ``Out``
        A row of weights to bring into the chain, or to write from it.
    shift_word : ``Out(1)``
        Moves the chain.
    word : ``In(word_bits)``
        The chain's end, lane 0.
    found : ``In``
        What stands at the address of another space, two cycles later.
    write : ``Out(1)``
        The word of another space is written.
    """

    def __init__(self, config: TrainerConfig, row_cycles: int):
        self.config, self.row_cycles = config, row_cycles
        self.has_trackers = config.network.second_moment is SecondMoment.FACTORED
        super().__init__(
            {
                "access": In(stream.Signature(ACCESS)),
                "answer": Out(stream.Signature(DATA_BITS)),
                "may_begin": In(1),
                "is_busy": Out(1),
                "row": Out(max((config.layout.rows - 1).bit_length(), 1)),
                "read_row": Out(1),
                "write_row": Out(1),
                "shift_word": Out(1),
                "word": In(config.layout.word_bits),
                "found": In(DATA_BITS),
                "write": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.lanes
        access, answer = self.access.payload, self.answer
        row, lane = Signal(ADDRESS_BITS), Signal(range(max(lanes, 2)))
        wait = Signal(range(max(self.row_cycles, ADDRESS_BITS, lanes) + 2))
        m.d.comb += [self.row.eq(row), self.is_busy.eq(1)]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(answer.ready):
            m.d.sync += answer.valid.eq(0)

        def reply(value):
            m.d.sync += [answer.payload.eq(value), answer.valid.eq(1)]
            m.d.comb += self.access.ready.eq(1)
            m.next = "WAIT"

        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.is_busy.eq(self.access.valid)
                with m.If(self.access.valid & self.may_begin & ~answer.valid):
                    with m.If(access.space == Space.WEIGHTS):
                        self._start_dividing(m, row, lane, wait)
                    with m.Else():
                        m.d.comb += self.write.eq(access.write)
                        m.next = "FIND"
            with m.State("FIND"):
                m.next = "WORD"
            with m.State("WORD"):
                reply(self.found)
            if lanes & (lanes - 1):
                with m.State("DIVIDE"):
                    self._divide(m, row, lane, wait)
            with m.State("ROW"):
                m.d.sync += wait.eq(self.row_cycles)
                with m.If(access.write):
                    m.d.comb += self.shift_word.eq(1)
                    m.next = "WRITE"
                with m.Else():
                    m.d.comb += self.read_row.eq(1)
                    m.next = "READ"
            with m.State("WRITE"):
                with m.If((lane == lanes - 1) & (wait == self.row_cycles)):
                    m.d.comb += self.write_row.eq(1)
                with m.Elif((lane != lanes - 1) | (wait == 0)):
                    reply(access.data)
            with m.State("READ"):
                with m.If(wait == 0):
                    m.d.sync += wait.eq(lane)
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                with m.If(lane != 0):
                    m.d.comb += self.shift_word.eq(1)
                    m.d.sync += lane.eq(lane - 1)
                with m.Else():
                    reply(self.word)
        return m

    def _start_dividing(self, m: Module, row, lane, wait) -> None:
        """From an address to row and lane."""
        lanes, address = self.config.lanes, self.access.payload.address
        if lanes & (lanes - 1):
            m.d.sync += [row.eq(address), lane.eq(0), wait.eq(ADDRESS_BITS - 1)]
            m.next = "DIVIDE"
        else:
            bits = lanes.bit_length() - 1
            m.d.sync += [row.eq(address >> bits), lane.eq(address[:bits])]
            m.next = "ROW"

    def _divide(self, m: Module, row, lane, wait) -> None:
        """A bit of the quotient a cycle; the dividend leaves ``row`` as the quotient enters."""
        lanes = self.config.lanes
        rest = Cat(row[-1], lane)
        fits = rest >= lanes
        m.d.sync += [row.eq(Cat(fits, row[:-1])), lane.eq(Mux(fits, rest - lanes, rest))]
        with m.If(wait == 0):
            m.next = "ROW"
