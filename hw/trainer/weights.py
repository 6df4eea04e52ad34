"""The memory of weights: rows are read in the order of the program, and written back as they were read."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.control import row_layout
from lnsmadam.hw.trainer.delay import History, delayed
from lnsmadam.hw.trainer.memories import block_memory, by_layer


class Weights(wiring.Component):
    """Brings rows of weights to the lanes, and the lanes' new words back.

    The forward pass reads all rows in order; the learn pass those of one layer after the other, the last layer first,
    each in order. So a counter of rows makes the addresses, where the memory is read; a row's address follows its
    words to where they are written.

    Parameters
    ----------
    config : TrainerConfig
    forward_at, weight_at, word_at : int
        Cycles from a row of the forward pass to its weights, from one of the learn pass to its weights, and to the
        new words.

    Attributes
    ----------
    read_cycles : int
        Cycles from an address to the weights.
    access_cycles : int
        Cycles until a row that is asked for stands in the lanes, or one that is written is in the memory.

    Members
    -------
    row : ``In(row_layout(config))``
    begin : ``In(1)``
        A sample starts.
    waiting, access_row, read_row, write_row : ``In``
        No sample is in progress, and accesses are to this row; it is brought to the lanes' chain of words; it is
        written from there.
    weights : ``Out(lanes * word_bits)``
    take_words : ``Out(1)``
        The lanes' new words are kept, to be written in the next cycle, or to be seen.
    words : ``In(lanes * word_bits)``
        These words.
    """

    def __init__(self, config: TrainerConfig, forward_at: int, weight_at: int, word_at: int):
        self.config = config
        self.forward_at, self.weight_at, self.word_at = forward_at, weight_at, word_at
        self.read_cycles = 1 + config.memory_registers
        # The counter follows the access port's row by a cycle.
        self.access_cycles = 1 + self.read_cycles + word_at - weight_at
        bits = config.lanes * config.layout.word_bits
        super().__init__(
            {
                "row": In(row_layout(config)),
                "begin": In(1),
                "waiting": In(1),
                "access_row": In(max((config.layout.rows - 1).bit_length(), 1)),
                "read_row": In(1),
                "write_row": In(1),
                "weights": Out(bits),
                "take_words": Out(1),
                "words": In(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, layout = self.config, self.config.layout
        learns = History(m, self.row.learn, "learns", cleared=True)
        forward = delayed(m, self.row.forward, self.forward_at - self.read_cycles, "forward", cleared=True)
        # A layer of the learn pass starts in the next cycle.
        at = self.weight_at - self.read_cycles - 1
        assert at >= 0
        starts = learns[at] & delayed(m, self.row.first & self.row.first_block, at, "starts")
        first_rows = [layout.first_row(k) for k in range(config.network.layers)]
        first_row = by_layer(m, delayed(m, self.row.layer, at, "layer"), first_rows, "first_row")

        read, write = block_memory(m, "weights", width=len(self.weights), depth=layout.rows)
        row = Signal.like(read.addr)
        with m.If(forward | learns[at + 1]):
            m.d.sync += row.eq(row + 1)
        with m.If(starts):
            m.d.sync += row.eq(first_row)
        with m.If(self.waiting):
            m.d.sync += row.eq(self.access_row)
        with m.If(self.begin):
            m.d.sync += row.eq(0)
        way = self.word_at - at - 1
        asked = delayed(m, self.read_row, way, "asked", cleared=True)
        stored = delayed(m, self.write_row, way, "stored", cleared=True)
        m.d.comb += [
            read.addr.eq(row),
            self.weights.eq(delayed(m, read.data, self.read_cycles - 1, "weights")),
            self.take_words.eq(learns[self.word_at - 1] | asked),
            write.addr.eq(delayed(m, row, way, "row")),
            write.data.eq(self.words),
            write.en.eq(learns[self.word_at] | stored),
        ]
        return m
