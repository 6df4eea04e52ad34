"""Random bits whose place in the sequence can be read, set, and returned to."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.lfsr import LFSRConfig


class Noise(wiring.Component):
    """Linear-feedback shift register, ``config.shift`` steps a draw, as :func:`lnsmadam.golden.lfsr.draws`.

    Parameters
    ----------
    config : :class:`~lnsmadam.golden.lfsr.LFSRConfig`
    repeats : bool
        Whether draws can be repeated.

    Members
    -------
    advance : ``In(1)``
        Takes a draw.
    mark, rewind : ``In(1)``
        With ``advance``: the draw of this cycle is the first of a sequence; it is the marked one again.
    load, value : ``In(1)``, ``In(config.width)``
        Sets the state.
    draw : ``Out(config.bits)``
        The draw of this cycle.
    state : ``Out(config.width)``
    """

    def __init__(self, config: LFSRConfig, *, repeats: bool):
        self.config, self.repeats = config, repeats
        super().__init__(
            {
                "advance": In(1),
                "mark": In(1),
                "rewind": In(1),
                "load": In(1),
                "value": In(config.width),
                "draw": Out(config.bits),
                "state": Out(config.width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        state = Signal(config.width, init=config.seed)
        now: Value = state
        if self.repeats:
            marked = self.marked = Signal(config.width, reset_less=True)
            now = Signal(config.width)
            m.d.comb += now.eq(Mux(self.rewind, marked, state))
            with m.If(self.advance & self.mark):
                m.d.sync += marked.eq(state)
        moved = Signal(config.width)
        # Bits from the least significant up; a new one enters there.
        bits = list(now)
        for step in range(config.shift):
            entering = Signal(name=f"entering_{step}")
            m.d.comb += entering.eq(Cat(bits[place] for place in range(config.width) if config.taps >> place & 1).xor())
            bits = [entering, *bits[:-1]]
        m.d.comb += moved.eq(Cat(bits))
        with m.If(self.advance):
            m.d.sync += state.eq(moved)
        with m.If(self.load):
            m.d.sync += state.eq(self.value)
        m.d.comb += [self.draw.eq(now), self.state.eq(state)]
        return m
