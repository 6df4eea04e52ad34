"""The sum over the lanes, and over the blocks of a layer's neurons."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.adders import add
from lnsmadam.hw.trainer.delay import History
from lnsmadam.hw.trainer.memories import block_memory


class Tree(wiring.Component):
    """Adds the lanes' products of one input, and what earlier blocks gave for the same input.

    Each product is an addend and a carry: an adder of two takes the carry of the first and hands that of the second
    on, so the last carry enters with the partial sum. A register behind every adder. Partial sums wait in a memory,
    written in every block, read in all but the first.

    Parameters
    ----------
    config : TrainerConfig

    Attributes
    ----------
    latency : int
        Cycles from the products to their total.
    spacing : int
        Fewest cycles from a product to that of the same input in the next block.

    Members
    -------
    addends, carries : ``In``
        Of all lanes, one after the other.
    valid : ``In(1)``
        Products of a row that learns.
    first, first_block : ``In(1)``
        The row is its block's first; the block its layer's.
    total : ``Out(signed(sum_bits))``
        Exact.
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        self.addend_bits = config.network.sum_fraction_bits + 1
        self.levels = (config.lanes - 1).bit_length()
        layers = range(1, config.network.layers)
        #: Deepest block whose sums wait; 0 where no layer has two blocks to add.
        self.depth = max((config.layout.inputs(k) for k in layers if config.layout.blocks(k) > 1), default=0)
        super().__init__(
            {
                "addends": In(self.addend_bits * config.lanes),
                "carries": In(config.lanes),
                "valid": In(1),
                "first": In(1),
                "first_block": In(1),
                "total": Out(signed(config.sum_bits)),
            }
        )

    spacing = 4

    @property
    def latency(self) -> int:
        # The levels, and the sum with the earlier blocks' total; which is read two cycles before it is added.
        return max(self.levels, 2 if self.depth else 0) + 1

    def elaborate(self, platform):
        m = Module()
        sums = [
            (Cat(self.addends.word_select(lane, self.addend_bits), self.carries[lane]).as_signed(), self.carries[lane])
            for lane in range(self.config.lanes)
        ]
        for level in range(self.latency - 1):
            pairs = list(zip(sums[::2], sums[1::2], strict=False))
            odd = [sums[-1]] if len(sums) % 2 else []
            sums = [(add(m, x, y, x_carry), y_carry) for (x, x_carry), (y, y_carry) in pairs] + odd
            registers = []
            for place, (value, carry) in enumerate(sums):
                register = Signal.like(value, name=f"sum_{level}_{place}", reset_less=True)
                carry_register = Signal(name=f"carry_{level}_{place}", reset_less=True)
                m.d.sync += [register.eq(value), carry_register.eq(carry)]
                registers.append((register, carry_register))
            sums = registers
        ((value, carry),) = sums
        earlier = self._earlier(m) if self.depth else 0
        m.d.sync += self.total.eq(add(m, value, earlier, carry) if self.depth else value + carry)
        return m

    def _earlier(self, m: Module):
        """The total of the blocks before, in the cycle in which it is added."""
        read, write = block_memory(m, "partial_sums", width=self.config.sum_bits, depth=self.depth)
        valid = History(m, self.valid, "valid", cleared=True)
        first, first_block = History(m, self.first, "first"), History(m, self.first_block, "first_block")
        at = self.latency - 3
        index = Signal.like(read.addr)
        m.d.comb += read.addr.eq(Mux(first[at], 0, index))
        with m.If(valid[at]):
            m.d.sync += index.eq(read.addr + 1)
        earlier = Signal(signed(self.config.sum_bits), reset_less=True)
        m.d.sync += earlier.eq(read.data)
        with m.If(first_block[at + 1]):
            m.d.sync += earlier.eq(0)

        at = self.latency
        place = Signal.like(write.addr)
        m.d.comb += [
            write.addr.eq(Mux(first[at], 0, place)),
            write.data.eq(self.total),
            write.en.eq(valid[at]),
        ]
        with m.If(valid[at]):
            m.d.sync += place.eq(write.addr + 1)
        return earlier
