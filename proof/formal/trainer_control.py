"""What is proved of the trainer's control: it comes to rest, whatever the rest of the machine does, and how soon.

The control alone, with all that it waits for as free inputs. A measure of its way falls by one in every cycle in which
it does not wait for somebody::

    WAIT 0 ← DONE 1 ← SETTLE 2 ← LEARN 2 + rows ← LOSS 3 + rows ← FORWARD 3 + rows + rows

So a sample takes ``moves`` = 2 · rows + 3 cycles at most, those in which a short block waits for its sums to leave the
lanes (``lanes`` - 1 a block at most), and those in which it waits for somebody. It waits at most ``waits`` times. All
of this holds whatever the others do. So if nobody lets it wait for more than W cycles at a time, it is idle within
moves + drain + waits · W, which is arithmetic.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from amaranth.hdl import Array, Assert, C, Const, Module, Mux, Signal

from lnsmadam.golden.format import FixedFormat
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.control import Control
from lnsmadam.hw.trainer.schedule import Schedule, schedule
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode

Top = tuple[Module, list[Signal]]


@dataclass(frozen=True)
class Bound:
    """Cycles from a sample's first row to rest.

    Attributes
    ----------
    rows : int
        Rows of weights in a pass.
    drain : int
        Cycles in which blocks wait for the lanes' chain.
    waits : int
        How many times somebody else may let it wait.
    of_the_parts : int
        Cycles in which the machine's own parts let it wait, by the schedule.
    longest : int
        The longest of these at a time.
    """

    rows: int
    drain: int
    waits: int
    of_the_parts: int
    longest: int

    @property
    def moves(self) -> int:
        """Cycles in which it goes on."""
        return 2 * self.rows + 3

    def cycles(self, longest: int) -> int:
        """The bound if nobody lets it wait for more than ``longest`` cycles at a time."""
        return self.moves + self.drain + self.waits * longest


def bound(config: TrainerConfig) -> Bound:
    """From the schedule of a sample that is learned."""
    plan = schedule(config)
    layout, layers = config.layout, range(config.network.layers)
    rows = sum(len(layer) for layer in plan.forward_rows)
    drains = not all(layout.inputs(k) >= config.lanes for k in layers)
    blocks = sum(layout.blocks(k) for k in layers)
    # An input of a hidden layer's first block; the loss; the deltas of each block; the last weight; the result.
    waits = sum(layout.inputs(k) - 1 for k in layers[1:]) + 1 + blocks + 2
    gaps = _gaps(plan)
    return Bound(rows, blocks * (config.lanes - 1) if drains else 0, waits, sum(gaps), max(gaps))


def _gaps(plan: Schedule) -> list[int]:
    """Cycles without a row: between rows, until the loss is decided and until the last weight is written."""
    forward = [row for layer in plan.forward_rows for row in layer]
    learn = [row for layer in reversed(plan.learn_rows) for row in layer]
    steps = [*forward, plan.decided, *learn, plan.written]
    return [after - before - 1 for before, after in zip(steps, steps[1:], strict=False)]


def control_top(config: TrainerConfig, make: Callable[[TrainerConfig], Any] = Control) -> Top:
    """The control with free inputs, the measure, and the counts that bound its way."""
    m = Module()
    control = make(config)
    opened(m, "control", control)
    names = ("start", "learns", "source_made", "decided", "gated", "loaded", "written", "result_free")
    inputs = {name: Signal(name=name) for name in names}
    for name, value in inputs.items():
        m.d.comb += getattr(control, name).eq(value)

    layout, layers = config.layout, config.network.layers
    limit = bound(config)
    sources, blocks = ([f(k) for k in range(layers)] for f in (layout.inputs, layout.blocks))
    of_layer = [s * b for s, b in zip(sources, blocks, strict=True)]
    row, state = control.row, control.states.ongoing
    bits = (limit.moves + limit.drain).bit_length() + 1

    def by_layer(values: Sequence[int]) -> Any:
        return Array(C(value, bits) for value in values)[row.layer]

    # Rows of this layer that have gone, and of a pass those still to go.
    gone, to_go, measure = Signal(bits, name="rows_gone"), Signal(bits, name="to_go"), Signal(bits, name="measure")
    behind = [sum(of_layer[k + 1 :]) for k in range(layers)]
    before = [sum(of_layer[:k]) for k in range(layers)]
    m.d.comb += gone.eq(control.block * by_layer(sources) + row.source)
    rows = sum(of_layer)
    with m.If(state("FORWARD")):
        m.d.comb += [to_go.eq(by_layer(of_layer) - gone + by_layer(behind)), measure.eq(to_go + rows + 3)]
    with m.Elif(state("LOSS")):
        m.d.comb += measure.eq(rows + 3)
    with m.Elif(state("LEARN")):
        m.d.comb += [to_go.eq(by_layer(of_layer) - gone + by_layer(before)), measure.eq(to_go + 2)]
    with m.Elif(state("SETTLE")):
        m.d.comb += measure.eq(2)
    with m.Elif(state("DONE")):
        m.d.comb += measure.eq(1)

    # The only reasons not to go on. The first is the control's own.
    drains, waits = Signal(name="drains"), Signal(name="waits_for_somebody")
    is_last = row.source == by_layer(sources) - 1
    left = getattr(control, "left", Const(0))
    needs_input = state("FORWARD") & (row.layer != 0) & (control.block == 0) & ~is_last & (row.source == control.made)
    m.d.comb += [
        drains.eq(state("FORWARD") & is_last & (left != 0)),
        waits.eq(
            needs_input
            | (state("LOSS") & ~control.decided)
            | (state("LEARN") & (row.source == 0) & ~control.loaded)
            | (state("SETTLE") & ~control.written)
            | (state("DONE") & ~control.result_free)
        ),
    ]

    is_busy, was_busy = Signal(name="is_busy"), Signal(name="was_busy")
    old, stood, skipped = Signal(bits, name="measure_before"), Signal(name="stood"), Signal(name="skips")
    m.d.comb += is_busy.eq(~control.waiting)
    m.d.sync += [
        was_busy.eq(is_busy),
        old.eq(measure),
        stood.eq(drains | waits),
        # What is not learned ends behind the loss.
        skipped.eq(state("LOSS") & control.decided & ~control.begin_learning),
    ]
    # Since it was last idle: cycles of its own, those of them in which it drains, and how often it began to wait.
    own, drained, begun = (
        Signal(bits, name="own_cycles"),
        Signal(bits, name="drained"),
        Signal(bits, name="waits_begun"),
    )
    has_waited = Signal(name="has_waited")
    m.d.sync += has_waited.eq(waits)
    with m.If(control.waiting):
        m.d.sync += [own.eq(0), drained.eq(0), begun.eq(0)]
    with m.Else():
        m.d.sync += [own.eq(own + ~waits), drained.eq(drained + drains), begun.eq(begun + (waits & ~has_waited))]

    m.d.comb += [
        Assert(
            ~was_busy | stood | skipped | (measure == old - 1), "it goes on in every cycle without a reason to wait"
        ),
        Assert(~was_busy | ~stood | (measure == old), "it stands while it waits"),
        Assert(is_busy == (measure != 0), "it is idle if and only if nothing is left of its way"),
        Assert(measure <= limit.moves, f"its way has at most {limit.moves} cycles"),
        Assert(~(drains & waits), "it waits for one thing at a time"),
        Assert(
            ~is_busy | (own <= limit.moves - measure + drained),
            "every cycle is one of its way, or one in which it waits",
        ),
        Assert(~is_busy | (own + measure <= limit.moves + limit.drain), "its own cycles are bounded"),
        Assert(drained <= limit.drain, f"blocks wait for the chain at most {limit.drain} cycles"),
        # What induction needs.
        Assert(row.layer < layers, "the layer exists"),
        Assert(row.source < by_layer(sources), "the input exists"),
        Assert(control.block < by_layer(blocks), "the block exists"),
        Assert(
            state("FORWARD") | state("LEARN") | ((row.source == 0) & (control.block == 0)), "a pass begins in front"
        ),
        Assert(~state("LOSS") | (row.layer == layers - 1), "the loss follows the last layer"),
    ]

    # Blocks that have ended in this pass.
    ended = Signal(bits, name="ended")
    m.d.comb += ended.eq(control.block + by_layer([sum(blocks[:k]) for k in range(layers)]))
    chain = config.lanes - 1
    m.d.comb += [
        Assert(left <= chain, "the chain holds a block at most"),
        Assert(~state("FORWARD") | (drained + left <= (ended + 1) * chain), "a block waits for one other"),
    ]

    # Places at which somebody else may have let it wait, before this one.
    hidden = [0, *(n - 1 for n in sources[1:])]
    passed = Signal(bits, name="passed")
    with m.If(state("FORWARD")):
        of_hidden = Signal(bits)
        with m.If(row.layer != 0):
            m.d.comb += of_hidden.eq(Mux(control.block == 0, row.source, by_layer(hidden)))
        m.d.comb += passed.eq(by_layer([sum(hidden[:k]) for k in range(layers)]) + of_hidden)
    with m.Elif(state("LEARN")):
        taken = by_layer([sum(blocks[k + 1 :]) for k in range(layers)]) + control.block + (row.source != 0)
        m.d.comb += passed.eq(sum(hidden) + 1 + taken)
    with m.Else():
        at = Mux(state("LOSS"), 0, Mux(state("SETTLE"), 1, 2) + sum(blocks))
        m.d.comb += passed.eq(sum(hidden) + at)
    m.d.comb += [
        Assert(~waits | ~stood | (measure == old), "it waits in one place"),
        Assert(~is_busy | (begun <= passed + has_waited), "it waits once in a place"),
        Assert(begun <= limit.waits, f"it waits at most {limit.waits} times"),
        Assert(~state("WAIT") | ~has_waited, "it waits for nobody when it is idle"),
        Assert(~has_waited | stood, "waiting is counted"),
        # What induction needs besides: nothing waits where the last place has been passed.
        Assert(passed + waits <= limit.waits, "there are no more places to wait"),
    ]
    # What the generator's proof relies on: a block's draws are repeated only behind those of a first block.
    is_marked = Signal(name="is_marked")
    draws, at_front = row.learn & row.first, (control.block == 0) & (row.source == 0)
    with m.If(draws & row.first_block):
        m.d.sync += is_marked.eq(1)
    m.d.comb += [
        Assert(~draws | row.first_block | is_marked, "draws are repeated only where there are some"),
        Assert(~state("LEARN") | at_front | is_marked, "the first block of what is learned has drawn"),
    ]
    return m, list(inputs.values())


def configurations() -> Iterable[tuple[str, TrainerConfig, bool]]:
    """Networks and machines, and whether their proof is long."""
    for preset, sizes, lanes, is_long in (
        ("FX", (3, 2, 2), 1, False),
        ("FO", (3, 9, 4), 8, False),
        ("FX", (5, 3, 4, 2), 3, False),
        ("FV", (6, 5, 3), 2, False),
        ("FO", (64, 32, 10), 8, True),
    ):
        yield (
            f"{'-'.join(map(str, sizes))} {lanes} lanes {preset}",
            TrainerConfig(network=network_preset(preset, sizes), lanes=lanes),
            is_long,
        )


SHOWN = {"phase": 2, "layer": 2, "source": 8, "measure": 12, "waits_for_somebody": 1, "drains": 1}


def proofs() -> Iterable[Proof]:
    """All of them."""
    for name, config, is_long in configurations():
        limit = bound(config)
        yield Proof(
            "trainer",
            "control-idle",
            f"the control is idle again after at most {limit.moves} + {limit.drain} cycles of its own and "
            f"{limit.waits} waits: within {limit.cycles(limit.longest)} cycles if none is longer than {limit.longest}",
            name,
            partial(control_top, config),
            {name: FixedFormat(width) for name, width in SHOWN.items()},
            mode=Mode.INDUCTION,
            depth=2,
            is_long=is_long,
        )
