"""The program: forward, loss, backward and learn."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.memories import by_layer


class Phase(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What the machine does for the present sample."""

    IDLE = 0
    FORWARD = 1
    LOSS = 2
    LEARN = 3


def row_layout(config: TrainerConfig) -> data.StructLayout:
    """A row of weights on its way: whose it is, and where in the pass over its layer."""
    return data.StructLayout(
        {
            "forward": 1,
            "learn": 1,
            "layer": max((config.network.layers - 1).bit_length(), 1),
            "source": max(config.layout.inputs(k) - 1 for k in range(config.network.layers)).bit_length(),
            "first": 1,
            "last": 1,
            "first_block": 1,
            "last_block": 1,
        }
    )


class Control(wiring.Component):
    """Walks over the rows of weights, one a cycle: a layer's blocks of neurons, in each its inputs.

    ::

        wait for a sample
        forward:  layers 0, 1, ...    a hidden layer's first block follows its inputs as they are made
        loss:     until it is decided; what is not learned ends here
        learn:    layers ..., 1, 0    a block begins when the deltas of its neurons are there
        wait until the last weight is written, and until the last result is taken

    What follows a row (sums, activations, deltas, new weights) keeps a fixed distance from it, so nothing else has to
    be controlled.

    Parameters
    ----------
    config : TrainerConfig

    Members
    -------
    start : ``In(1)``
        A sample is there, and may begin.
    learns : ``In(1)``
        Of the present sample.
    source_made : ``In(1)``
        A hidden layer's activation is written.
    decided, gated : ``In(1)``
        The loss has a prediction; it brings no deltas.
    loaded : ``In(1)``
        The next block's deltas are there.
    written : ``In(1)``
        The last weight of the sample is written.
    result_free : ``In(1)``
        A result can be left.
    waiting : ``Out(1)``
        No sample is in progress.
    begin : ``Out(1)``
        A sample starts.
    begin_learning : ``Out(1)``
        Its deltas come next.
    learned : ``Out(1)``
        All its weights are written.
    finish : ``Out(1)``
        It is done.
    row : ``Out(row_layout(config))``
        The row of this cycle; a row is there if ``forward`` or ``learn`` is 1.
    phase : ``Out(Phase)``
    """

    def __init__(self, config: TrainerConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "learns": In(1),
                "source_made": In(1),
                "decided": In(1),
                "gated": In(1),
                "loaded": In(1),
                "written": In(1),
                "result_free": In(1),
                "waiting": Out(1),
                "begin": Out(1),
                "begin_learning": Out(1),
                "learned": Out(1),
                "finish": Out(1),
                "row": Out(row_layout(config)),
                "phase": Out(Phase),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout, layers = self.config.layout, self.config.network.layers
        blocks = [layout.blocks(k) for k in range(layers)]
        sources = [layout.inputs(k) for k in range(layers)]

        row = self.row
        layer, source = Signal.like(row.layer), Signal.like(row.source)
        block = Signal(range(max(max(blocks), 2)))
        is_last = Signal()
        is_last_block = Signal()
        m.d.comb += [
            is_last.eq(source == by_layer(m, layer, [n - 1 for n in sources], "last_source")),
            is_last_block.eq(block == by_layer(m, layer, [n - 1 for n in blocks], "last_block")),
            row.layer.eq(layer),
            row.source.eq(source),
            row.first.eq(source == 0),
            row.last.eq(is_last),
            row.first_block.eq(block == 0),
            row.last_block.eq(is_last_block),
        ]

        # A hidden layer's inputs made so far. They are all made before its first block ends.
        made = Signal.like(source)
        with m.If(self.source_made):
            m.d.sync += made.eq(made + 1)
        with m.If(self.begin | (row.forward & is_last & row.first_block)):
            m.d.sync += made.eq(0)
        is_made = Signal()
        m.d.comb += is_made.eq((layer == 0) | (block != 0) | is_last | (source != made))
        is_drained = self._wait_for_drain(m)

        def walk():
            """To the next row; returns whether the layer ends here."""
            m.d.sync += source.eq(source + 1)
            with m.If(is_last):
                m.d.sync += [source.eq(0), block.eq(block + 1)]
                with m.If(is_last_block):
                    m.d.sync += block.eq(0)
            return is_last & is_last_block

        # For proofs: where it is.
        self.block, self.made = block, made
        with m.FSM() as self.states:
            with m.State("WAIT"):
                m.d.comb += [self.phase.eq(Phase.IDLE), self.waiting.eq(1)]
                m.d.sync += layer.eq(0)
                with m.If(self.start):
                    m.d.comb += self.begin.eq(1)
                    m.next = "FORWARD"
            with m.State("FORWARD"):
                m.d.comb += self.phase.eq(Phase.FORWARD)
                with m.If(is_made & (~is_last | is_drained)):
                    m.d.comb += row.forward.eq(1)
                    with m.If(walk()):
                        with m.If(layer == layers - 1):
                            m.next = "LOSS"
                        with m.Else():
                            m.d.sync += layer.eq(layer + 1)
            with m.State("LOSS"):
                m.d.comb += self.phase.eq(Phase.LOSS)
                with m.If(self.decided):
                    with m.If(self.learns & ~self.gated):
                        m.d.comb += self.begin_learning.eq(1)
                        m.next = "LEARN"
                    with m.Else():
                        m.next = "DONE"
            with m.State("LEARN"):
                m.d.comb += self.phase.eq(Phase.LEARN)
                with m.If(~row.first | self.loaded):
                    m.d.comb += row.learn.eq(1)
                    with m.If(walk()):
                        with m.If(layer == 0):
                            m.next = "SETTLE"
                        with m.Else():
                            m.d.sync += layer.eq(layer - 1)
            with m.State("SETTLE"):
                m.d.comb += self.phase.eq(Phase.LEARN)
                with m.If(self.written):
                    m.d.comb += self.learned.eq(1)
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.phase.eq(Phase.IDLE)
                with m.If(self.result_free):
                    m.d.comb += self.finish.eq(1)
                    m.next = "WAIT"
        return m

    def _wait_for_drain(self, m: Module):
        """Whether a block may end: its sums leave the lanes one a cycle, which a short block can outrun."""
        lanes, layout = self.config.lanes, self.config.layout
        if all(layout.inputs(k) >= lanes for k in range(self.config.network.layers)):
            return 1
        left = self.left = Signal(range(lanes))
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(self.row.forward & self.row.last):
            m.d.sync += left.eq(lanes - 1)
        return left == 0
