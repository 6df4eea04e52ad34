"""Register stages between two streams.

A unit writes its datapath once, with a boundary wherever a register could stand; its configuration's
``pipeline`` says how many of them hold one, and the latency is that number. All registers share one enable::

    advance = ~o.valid | o.ready        # nothing waits at the output, or it leaves now
    i.ready = advance

so a stall stops the whole pipeline in one cycle and costs one LUT whatever the depth. While reset is held,
``advance`` is true as well and only "not valid" enters the stages: set and enable then need no LUT of their own.
"""

from contextlib import nullcontext

from amaranth.hdl import Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import LNSFormat
from lnsmadam.hw.lns import layout_of


class UnitComponent(wiring.Component):
    """Base of all units: a stream of operands ``i``, a stream of results ``o``.

    Parameters
    ----------
    config : :class:`~lnsmadam.golden.config.UnitConfig`
        Fixes formats, fields, every bit of the function, and the number of register stages.

    Attributes
    ----------
    latency : int
        Cycles from a transfer at ``i`` to ``o.valid``, without stalls.
    interval : int
        Cycles from one transfer at ``i`` to the next, without stalls.
    valids : list of Signal
        The valid bit of each stage, the first one's first; known once elaborated.

    Members
    -------
    i : ``In(stream.Signature(layout_of(config.inputs)))``
        Operands.
    o : ``Out(stream.Signature(layout_of(config.outputs)))``
        Results, in the order of their operands.
    """

    i: stream.Interface
    o: stream.Interface
    interval = 1

    def __init__(self, config: UnitConfig):
        self.config = config
        self.valids: list[Signal] = []
        super().__init__(
            {
                "i": In(stream.Signature(layout_of(config.inputs))),
                "o": Out(stream.Signature(layout_of(config.outputs))),
            }
        )

    @property
    def latency(self) -> int:
        return self.config.pipeline


def spread(boundaries: int, pipeline: int, always: frozenset[int] = frozenset()) -> frozenset[int]:
    """Which of ``boundaries`` (numbered from 1) hold a register: ``pipeline`` of them, evenly spread, the last
    one and those in ``always`` among them."""
    chosen = set(always)
    for wanted in sorted((-(-k * boundaries // max(pipeline, 1)) for k in range(1, pipeline + 1)), reverse=True):
        if len(chosen) < pipeline:
            chosen.add(wanted)
    for boundary in range(boundaries, 0, -1):
        if len(chosen) < pipeline:
            chosen.add(boundary)
    assert len(chosen) == pipeline, (boundaries, pipeline, always)
    return frozenset(chosen)


def place_register(m: Module, value, *, name: str, force, is_registered: bool, enable=None) -> Signal:
    """``value`` behind a register, or as logic, see :meth:`Pipeline.register`; without ``enable`` it always moves."""
    signal = Signal.like(value, name=name, init=0, reset_less=True)
    forced = list(reversed(list(force)))
    if is_registered:
        with nullcontext() if enable is None else m.If(enable):
            m.d.sync += signal.eq(value)
            for condition, constant in forced:
                with m.If(condition):
                    m.d.sync += signal.eq(constant)
    else:
        for condition, constant in forced:
            value = Mux(condition, constant, value)
        m.d.comb += signal.eq(value)
    return signal


class Pipeline:
    """Places the registers of one unit.

    Parameters
    ----------
    m : Module
    component : UnitComponent
        Whose ``i`` and ``o`` to connect.
    registered : set of int, optional
        Numbers (from 1) of the boundaries that hold a register; by default the configuration's ``pipeline``,
        evenly spread.

    Attributes
    ----------
    advance : Signal
        Enable of every register of the datapath, memories included.
    accept : Signal
        A transfer happens at ``i``: state such as a random generator moves on. (In reset it may be high too; state
        that follows it is then held by its own reset.)
    """

    def __init__(self, m: Module, component: UnitComponent, registered: frozenset[int] | None = None):
        config = component.config
        self._m, self._component = m, component
        self._boundaries = config.max_pipeline
        self._registered = spread(self._boundaries, config.pipeline) if registered is None else registered
        assert len(self._registered) == config.pipeline
        self._index = 0
        component.valids = []
        self._valid: Value = component.i.valid
        # Without registers there is nothing to reset, and no reset port should appear.
        self._reset: Value = ResetSignal(allow_reset_less=True) if config.pipeline else Const(0)
        self.advance = Signal()
        self.accept = Signal()
        m.d.comb += [
            self.advance.eq(~component.o.valid | component.o.ready | self._reset),
            component.i.ready.eq(self.advance),
            self.accept.eq(component.i.valid & self.advance),
        ]

    def boundary(self, *, memory: bool = False) -> bool:
        """Begins the next boundary; returns whether it holds a register.

        With ``memory`` the boundary is a synchronous read port's and must hold one.
        """
        self._index += 1
        is_registered = self._index in self._registered
        assert is_registered or not memory
        if is_registered:
            valid = Signal(name=f"valid_{self._index}", reset_less=True)
            with self._m.If(self.advance):
                self._m.d.sync += valid.eq(self._valid)
                with self._m.If(self._reset):
                    self._m.d.sync += valid.eq(0)
            self._valid = valid
            self._component.valids.append(valid)
        return is_registered

    @property
    def valid(self) -> Value:
        """Whether a transfer is at the present boundary."""
        return self._valid

    @property
    def reset(self) -> Value:
        """Reset, for the registers of state and what is in flight to it."""
        return self._reset

    def drop_unless(self, condition) -> None:
        """Lets no result follow a transfer without ``condition``; what it leaves behind in state is the unit's."""
        self._valid = self._valid & condition

    def register(self, value, *, name: str, force=()) -> Signal:
        """``value`` behind the present boundary, as a signal of the same shape.

        Parameters
        ----------
        force : pairs of (condition, constant)
            Where a condition holds, the register takes the constant instead; the first that holds wins. In a
            flip-flop with a synchronous set or reset one condition costs no LUT.
        """
        return place_register(
            self._m,
            value,
            name=f"{name}_{self._index}",
            force=force,
            is_registered=self._index in self._registered,
            enable=self.advance,
        )

    def finish(self, **fields) -> None:
        """Connects the values behind the last boundary to the fields of ``o``."""
        assert self._index == self._boundaries, "max_pipeline of the configuration disagrees with the datapath"
        out = self._component.o
        self._m.d.comb += out.valid.eq(self._valid)
        for name, value in fields.items():
            self._m.d.comb += Value.cast(getattr(out.payload, name)).eq(Value.cast(value))


def out_of_range(log, fmt: LNSFormat):
    """``(above, below)``: whether a signed log lies above ``fmt.log_max`` or below ``fmt.log_min``.

    Where the range is all that the width offers, the upper bits tell, without a comparison's carry chain.
    """
    if not fmt.is_full_range:
        return log > fmt.log_max, log < fmt.log_min
    upper, lower = log[fmt.log_width - 1 : -1], log[: fmt.log_width - 1]
    return ~log[-1] & upper.any(), log[-1] & ~(upper.all() & lower.any())


def word(sign, log, fmt: LNSFormat) -> Value:
    """The bits of a word from its fields, the log cut to the format's width."""
    return Cat(Value.cast(log)[: fmt.log_width], sign)


def finish_in_range(pipeline: Pipeline, fmt: LNSFormat, sign, log, is_zero, *, overflows=None, **flags) -> None:
    """The last boundary of a unit whose result is one log: the range rule, and ``o``.

    Parameters
    ----------
    sign, log, is_zero : values
        The result, its log signed and of any width.
    overflows : value, optional
        The result is beyond the largest whatever its log.
    flags : values by name
        Fields beside the result, such as ``invalid``.
    """
    log = Value.cast(log)
    pipeline.boundary()
    above, below = out_of_range(log, fmt)
    flush = is_zero | (below if overflows is None else below & ~overflows)
    above = above if overflows is None else above | overflows
    result = pipeline.register(
        log[: fmt.log_width],
        name="result",
        force=[(flush, fmt.zero), (above, fmt.max_word)],
    )
    sign = pipeline.register(sign, name="result_sign", force=[(flush, 0)])
    flags = {name: pipeline.register(value, name=name) for name, value in flags.items()}
    pipeline.finish(result=word(sign, result, fmt), **flags)
