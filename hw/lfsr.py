"""Random bits for stochastic rounding."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.lfsr import LFSRConfig


class LFSR(wiring.Component):
    """Fibonacci linear-feedback shift register, ``config.shift`` steps at a time.

    Gives the draws of :func:`lnsmadam.golden.lfsr.draws`: draw 0 after reset, the next after each cycle with
    ``advance``. One LUT per step where a step has at most four taps.

    Parameters
    ----------
    config : :class:`~lnsmadam.golden.lfsr.LFSRConfig`

    Members
    -------
    advance : ``In(1)``
        Moves on to the next draw.
    draw : ``Out(config.bits)``
    """

    def __init__(self, config: LFSRConfig):
        self.config = config
        super().__init__({"advance": In(1), "draw": Out(config.bits)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        state = Signal(config.width, init=config.seed)
        moved = state
        for _ in range(config.shift):
            taps = [moved[bit] for bit in range(config.width) if config.taps >> bit & 1]
            moved = Cat(Cat(taps).xor(), moved[: config.width - 1])
        with m.If(self.advance):
            m.d.sync += state.eq(moved)
        m.d.comb += self.draw.eq(state)
        return m
