"""How the running RMS begins: the decay, or the correction, of the next update."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.config import WarmUp as Kind
from lnsmadam.golden.trainer.tables import bias_table
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.tables import logic_table

COUNT_BITS = 32


class WarmUp(wiring.Component):
    """What the number t of the next update, ``update_count + 1``, says about the second moment::

        growing   k = floor(log2 t), from 1 to beta_shift
        exact     bias = round(g/2 * log2(1 - (1 - 2**-beta_shift)**t))

    The outputs are those of a count that has not changed for :attr:`latency` cycles.

    Parameters
    ----------
    network : NetworkConfig

    Attributes
    ----------
    latency : int

    Members
    -------
    update_count : ``In(32)``
    k : ``Out``
        Where the warm-up is growing.
    bias : ``Out(signed(...))``
        Where it is exact; in steps of ``network.state``, at most 0.
    """

    def __init__(self, network: NetworkConfig):
        self.network = network
        if network.warm_up is Kind.GROWING:
            outputs = {"k": Out(network.beta_shift.bit_length())}
        else:
            # Of each bias from the lowest up, the first t that has it or a higher one.
            biases = bias_table(network)[1:]
            self._lowest = int(biases[0])
            self._first = [int(t) + 1 for t in np.searchsorted(biases, np.arange(self._lowest, 1))]
            outputs = {"bias": Out(signed(signed_bits(self._lowest)))}
        super().__init__({"update_count": In(COUNT_BITS), **outputs})

    @property
    def latency(self) -> int:
        return 2 if self.network.warm_up is Kind.GROWING else 2 * self._index_bits + 4

    @property
    def _index_bits(self) -> int:
        return max((len(self._first) - 1).bit_length(), 1)

    def elaborate(self, platform):
        m = Module()
        if self.network.warm_up is Kind.GROWING:
            self._grow(m, self._number(m, self.network.beta_shift + 1))
        else:
            self._search(m, self._number(m, self._first[-1].bit_length()))
        return m

    def _number(self, m: Module, bits: int) -> Signal:
        """t, or the largest number of so many bits."""
        low, high = self.update_count[:bits], self.update_count[bits:]
        number = Signal(bits, reset_less=True)
        total = low + Const(1, 1)
        m.d.sync += number.eq(Mux(high.any() | total[bits], (1 << bits) - 1, total[:bits]))
        return number

    def _grow(self, m: Module, number) -> None:
        k = Signal.like(self.k, init=1)
        for place in range(2, self.network.beta_shift + 1):
            with m.If(number[place:].any()):
                m.d.comb += k.eq(place)
        m.d.sync += self.k.eq(k)

    def _search(self, m: Module, number) -> None:
        """Finds the bias bit by bit, over and over: where it lies between the first numbers of all biases."""
        bits = self._index_bits
        beyond = [1 << len(number)] * ((1 << bits) - len(self._first))
        # One bit is under trial, from the most significant down; after the last the result is taken.
        trial, index = Signal(bits + 1, init=1), Signal(bits, reset_less=True)
        tried = index | trial[1:]
        first = logic_table(m, self._first + beyond, tried, len(number) + 1, "first")
        m.d.sync += trial.eq(Cat(trial[1:], trial[0]))
        with m.If(trial[0]):
            m.d.sync += [self.bias.eq(index + self._lowest), index.eq(0)]
        with m.Elif(number >= first):
            m.d.sync += index.eq(tried)
