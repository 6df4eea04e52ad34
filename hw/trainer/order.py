"""The order of the samples in an epoch as a circuit, see :mod:`lnsmadam.golden.trainer.order`."""

import enum

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.order import ADD_SHIFT, KEY_BITS, KEY_TURN, ROUNDS, XOR_SHIFT, order_bits

#: The CRC-32 polynomial, for bits that leave at the low end.
POLYNOMIAL = 0xEDB88320


class State(enum.IntEnum):
    """What the circuit is doing."""

    IDLE = 0
    MASK = 1
    PLACE = 2
    ROUND = 3
    OFFER = 4


class Order(wiring.Component):
    """Gives the places of an epoch, one after the other.

    With ``shuffle`` those of :func:`lnsmadam.golden.trainer.order.order`, otherwise ascending. A place takes 10 cycles
    and as many for each that is left out (fewer than are given); ascending, 2.

    Parameters
    ----------
    capacity : int
        Largest count.

    Members
    -------
    key : ``In(stream.Signature(8))``
        Bytes of seed and epoch, low ones first; each takes 9 cycles.
    key_first : ``In(1)``
        The byte begins a new key.
    start : ``In(1)``
        A new epoch; ``count`` and ``shuffle`` are kept. May come as soon as the key's last byte has been taken.
    count : ``In``
        1 to ``capacity``.
    shuffle : ``In(1)``
    o : ``Out(stream.Signature(bits of capacity - 1))``
        Places; whoever takes them knows how many there are.
    """

    key: stream.Interface
    o: stream.Interface

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.bits = order_bits(capacity)
        super().__init__(
            {
                "key": In(stream.Signature(8)),
                "key_first": In(1),
                "start": In(1),
                "count": In(range(capacity + 1)),
                "shuffle": In(1),
                "o": Out(stream.Signature(self.bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The CRC before its last inversion. Absorbed bit by bit: a few gates instead of those of a whole byte.
        key = Signal(KEY_BITS)
        byte, left = Signal(8), Signal(range(9))
        m.d.comb += self.key.ready.eq(left == 0)
        with m.If(left != 0):
            low = key[0] ^ byte[0]
            m.d.sync += [
                key.eq(Cat((low & (POLYNOMIAL >> n & 1)) ^ (key[n + 1] if n + 1 < KEY_BITS else 0)
                           for n in range(KEY_BITS))),
                byte.eq(byte[1:]),
                left.eq(left - 1),
            ]  # fmt: skip
        with m.Elif(self.key.valid):
            m.d.sync += [byte.eq(self.key.payload), left.eq(8)]

        x, place = Signal(self.bits), Signal(self.bits)
        last, mask, shuffle = Signal(self.bits), Signal(self.bits), Signal()
        number = Signal(range(ROUNDS))
        added, mixed = Signal(self.bits), Signal(self.bits)
        m.d.comb += [
            added.eq((x + ~key[: self.bits]) & mask),
            mixed.eq(added ^ (added >> XOR_SHIFT)),
            self.o.payload.eq(x),
        ]
        state = Signal(State)
        with m.Switch(state):
            with m.Case(State.MASK):
                # The key's last byte may still be on its way in.
                m.d.sync += [place.eq(0), number.eq(0)]
                with m.If((last & ~mask) != 0):
                    m.d.sync += mask.eq(Cat(1, mask))
                with m.Elif(left == 0):
                    m.d.sync += state.eq(State.PLACE)
            with m.Case(State.PLACE):
                m.d.sync += [
                    x.eq(place),
                    place.eq((place + 1) & mask),
                    state.eq(Mux(shuffle, State.ROUND, State.OFFER)),
                ]
            with m.Case(State.ROUND):
                m.d.sync += [
                    x.eq((mixed + (mixed << ADD_SHIFT)) & mask),
                    key.eq(key.rotate_right(KEY_TURN)),
                    number.eq(number + 1),
                ]
                with m.If(number == ROUNDS - 1):
                    m.d.sync += state.eq(State.OFFER)
            with m.Case(State.OFFER):
                m.d.comb += self.o.valid.eq(x <= last)
                with m.If(~self.o.valid | self.o.ready):
                    m.d.sync += state.eq(State.PLACE)
        # In any state: whoever takes the places may have had fewer than all.
        with m.If(self.key.valid & self.key.ready & self.key_first):
            m.d.sync += [key.eq(-1), state.eq(State.IDLE)]
        with m.If(self.start):
            m.d.sync += [last.eq(self.count - 1), mask.eq((1 << 2) - 1), shuffle.eq(self.shuffle), state.eq(State.MASK)]
        return m
