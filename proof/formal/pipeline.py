"""Pipeline = core: that the register stages of a unit change when its results come, and nothing else.

The *core* is the unit with its fewest registers, and those as wires: a function of one transfer, and of the state that
the transfer meets (madam_update's random generator). The *theorem*: whatever ``i.valid``, ``o.ready`` and reset do in
every cycle, the n-th result since reset is the core's of the n-th transfer accepted since reset.

It is proved by induction over cycles. Let ``w`` be the unit with all its registers as wires, ``w_k`` what it has in the
place of the registers of stage k, and let x_k be the transfer that moved to stage k: a shadow, which moves in every
cycle with ``i.ready`` and not reset. The invariant is

    wherever the valid bit of stage k is 1, the registers of stage k hold w_k(x_k).

Each premise is an assertion about any state and any inputs, not only reachable ones:

1. ``i.ready`` is ``~o.valid | o.ready | reset``, and without it every register keeps its value;
2. in reset every valid bit becomes 0; else with ``i.ready`` each takes the one before it, the first ``i.valid``;
   ``o.valid`` is the last, so it never depends on ``o.ready``;
3. with ``i.ready`` and without reset, where the registers of stage k - 1 hold w_{k-1}(x) (for the first stage: where x
   is at ``i`` and valid, and the state is the one that x meets), those of stage k take w_k(x), whatever all others
   hold, the state by then included;
4. where the registers of the last stage hold w_N(x), ``o.payload`` is w's;
5. w's payload is the core's, for every x;
6. state takes its first value in reset, what the core's takes with x where x is accepted, and else keeps its value.

Reset makes the invariant empty (2); without ``i.ready`` nothing moves (1); with it the valid bits and the shadow move
together (2) and (3) brings the invariant from stage to stage; (4) and (5) read it at the output; by (6) the state that
transfer n meets is the core's after n - 1 transfers. No step has a bound, so neither has the theorem.

A result of ``dot`` depends on many transfers, and its accumulators stand beside several stages: of it, (1) to (4) are
proved for transfers and for the bubbles between them, with any sums in the accumulators, and that the results of whole
vectors are those of the shallowest ``dot`` only for a number of cycles from power-on (:class:`SideBySide`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Assert, Const, Cover, Elaboratable, Module, Mux, ResetSignal, Signal, Value

from lnsmadam.golden.adam_update import AdamUpdateConfig
from lnsmadam.golden.add import AddConfig
from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.divide import DivideConfig
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.float_to_lns import FloatToLNSConfig
from lnsmadam.golden.format import LNS16, FixedFormat, LNSFormat
from lnsmadam.golden.linear_to_log import LinearToLogConfig
from lnsmadam.golden.lns_to_float import LNSToFloatConfig
from lnsmadam.golden.log_sum import Memory
from lnsmadam.golden.log_to_linear import LogToLinearConfig
from lnsmadam.golden.madam_update import MadamUpdateConfig
from lnsmadam.golden.multiply import MultiplyConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.golden.sgd_update import SgdUpdateConfig
from lnsmadam.golden.sqrt import SqrtConfig
from lnsmadam.golden.square import SquareConfig
from lnsmadam.hw.adam_update import AdamUpdate
from lnsmadam.hw.add import Add
from lnsmadam.hw.bf16_multiply_add import Bf16MultiplyAdd
from lnsmadam.hw.divide import Divide
from lnsmadam.hw.dot import Dot
from lnsmadam.hw.float_to_lns import FloatToLNS
from lnsmadam.hw.interface import Interface
from lnsmadam.hw.linear_to_log import LinearToLog
from lnsmadam.hw.lns_to_float import LNSToFloat
from lnsmadam.hw.log_to_linear import LogToLinear
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.hw.multiply import Multiply
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.hw.sgd_update import SgdUpdate
from lnsmadam.hw.sqrt import Sqrt
from lnsmadam.hw.square import Square
from lnsmadam.proof.formal.claim import Route
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.registers import Cut, Register, cut
from lnsmadam.proof.formal.stream import stream_proof

Make = Callable[[Any], UnitComponent]


class OneStep(Elaboratable):  # type: ignore[misc]
    """The induction step of the theorem, as a circuit without registers.

    Parameters
    ----------
    unit : UnitComponent
        Of any depth.
    core : UnitComponent, optional
        The same function with the fewest registers; without it, premises 5 and 6 are not claimed.

    Attributes
    ----------
    inputs : list of Signal
        Free: the transfer, everything at the ports, the value of every register.
    circuits : str
        RTLIL of both units, cut at their registers.
    claims : dict
        What is asserted, by message; known once elaborated.
    """

    def __init__(self, unit: UnitComponent, core: UnitComponent | None):
        self.unit, self.core = cut(unit, "unit"), core and cut(core, "core")
        self.circuits = self.unit.text + (self.core.text if self.core else "")
        self._operand_bits, self._result_bits = (len(Value.cast(port.payload)) for port in (unit.i, unit.o))
        self.transfer = Signal(self._operand_bits, name="transfer")
        self.payload = Signal(self._operand_bits, name="payload")
        self.valid, self.ready, self.reset = Signal(name="valid"), Signal(name="ready"), Signal(name="reset")
        self._stages = max((register.stage for register in self.unit.registers), default=0)
        # The value of each register in front of the step.
        self.now = {register.name: Signal(register.width, name=register.name) for register in self.unit.registers}
        self.inputs = [self.transfer, self.payload, self.valid, self.ready, self.reset, *self.now.values()]
        # The state that the transfer met when it came in: at any later stage it has moved on. A unit that adds up
        # several transfers reads its sums where they stand, at whatever stage.
        self.met = {register.name: self.now[register.name] for register in self.state}
        if self.core:
            self.met = {name: Signal(len(held), name=f"met_{name}") for name, held in self.met.items()}
            self.inputs += self.met.values()
        # Where a result follows some transfers only, what moves from stage to stage may be a bubble too.
        self.occupied: Any = Const(1, 1)
        self.arrives: Value = self.valid
        if unit.config.result_when is not None:
            self.occupied = Signal(name="occupied")
            self.inputs.append(self.occupied)
            self.arrives = self.valid & unit.i.payload.shape()(self.payload)[unit.config.result_when]
        self.claims: dict[str, Signal] = {}

    @property
    def state(self) -> list[Register]:
        """Registers that hold state, of no stage."""
        return [register for register in self.unit.registers if not register.stage]

    def elaborate(self, platform: Any) -> Module:
        m = self._m = Module()
        whole, whole_result = self._as_wires(self.unit, "whole")
        ports = {
            "i_i__payload": self.payload, "i_i__valid": self.valid, "i_o__ready": self.ready, "i_rst": self.reset,
        }  # fmt: skip
        taken, out = self._copy(self.unit, "any", self.now, **ports)
        self._control(taken, out)
        for stage in range(1, self._stages + 2):
            self._stage(stage, whole, whole_result, ports)
        if self.core:
            core, core_result = self._as_wires(self.core, "in_core")
            self._claim("a unit with its registers as wires is the core", whole_result == core_result)
            self._state(self.core, taken, out, core)
        m.d.comb += [Assert(holds, message) for message, holds in self.claims.items()]
        return m

    def _claim(self, message: str, condition: Any) -> None:
        holds = Signal(name=f"holds_{len(self.claims) + 1}", attrs={"keep": 1})
        self._m.d.comb += holds.eq(condition)
        self.claims[message] = holds

    def _copy(self, circuit: Cut, name: str, state: Any, **ports: Any) -> tuple[dict[str, Signal], dict[str, Signal]]:
        out = {
            "payload": Signal(self._result_bits, name=f"{name}_o_payload"),
            "valid": Signal(name=f"{name}_o_valid"),
            "ready": Signal(name=f"{name}_i_ready"),
        }
        outputs = {"o_o__payload": out["payload"], "o_o__valid": out["valid"], "o_i__ready": out["ready"]}
        return circuit.instance(self._m, name, state, **ports, **outputs), out

    def _as_wires(self, circuit: Cut, name: str) -> tuple[dict[str, Signal], Signal]:
        """What is in the place of each register, or the state's next value; and the payload of ``o``."""
        wires = {
            register.name: self.met[register.name]
            if not register.stage
            else Signal(register.width, name=f"{name}_{register.name}")
            for register in circuit.registers
        }
        taken, out = self._copy(
            circuit, name, wires, i_i__payload=self.transfer, i_i__valid=self.occupied, i_o__ready=1, i_rst=0
        )
        for register in circuit.registers:
            if register.stage:
                self._m.d.comb += wires[register.name].eq(taken[register.name])
        return taken, out["payload"]

    def _control(self, taken: dict[str, Signal], out: dict[str, Signal]) -> None:
        now, reset = self.now, self.reset if self.unit.registers else 0
        ready = out["ready"]
        self._claim("i.ready is ~o.valid | o.ready | reset", ready == (~out["valid"] | self.ready | reset))
        for register in self.unit.registers:
            name = register.name
            self._claim(f"{name} keeps its value in a stall", ready | (taken[name] == now[name]))
        before: Any = self.arrives
        for register in self.unit.valids:
            name = register.name
            self._claim(f"{name} is 0 after reset", ~self.reset | ~taken[name])
            self._claim(f"{name} follows the valid bit before it", ~ready | self.reset | (taken[name] == before))
            before = now[name]
        self._claim("o.valid is the last valid bit", out["valid"] == before)
        numbers = [register.stage for register in self.unit.valids]
        self._claim("every stage has its valid bit", Const(numbers == list(range(1, self._stages + 1)), 1))

    def _state(self, circuit: Cut, taken: dict[str, Signal], out: dict[str, Signal], core: dict[str, Signal]) -> None:
        if not self.state:
            return
        first, _ = self._copy(
            circuit,
            "core_in_reset",
            {register.name: 0 for register in circuit.registers},
            i_i__payload=0, i_i__valid=0, i_o__ready=0, i_rst=1,
        )  # fmt: skip
        accept = self.valid & out["ready"]
        # What the core's state takes with payload and state at hand; it does not look at the transfer of the stages.
        is_at_hand = self.payload == self.transfer
        for name, met in self.met.items():
            is_at_hand &= self.now[name] == met
        for register in self.state:
            name = register.name
            moved = Mux(accept, core[name], self.now[name])
            self._claim(
                f"{name} moves with each transfer, and only then",
                (taken[name] == Mux(self.reset, first[name], moved)) | ~is_at_hand,
            )

    def _stage(self, stage: int, whole: dict[str, Signal], result: Signal, ports: dict[str, Any]) -> None:
        """The copy in which the registers in front of a stage hold what they should, and all others anything."""
        valids = {register.name for register in self.unit.valids}
        state: dict[str, Any] = dict(self.now)
        for register in self.unit.registers:
            if register.stage and register.stage == stage - 1:
                state[register.name] = whole[register.name]
        if stage == 1:
            state |= self.met
            ports = ports | {"i_i__payload": self.transfer, "i_i__valid": self.occupied}
        if stage > self._stages:
            # Everything in front of the output is as it should be; without registers that is the operands.
            _, out = self._copy(self.unit, "at_output", state, **ports)
            self._claim("o.payload is that of the last stage", out["payload"] == result)
            return
        taken, out = self._copy(self.unit, f"stage_{stage}", state, **ports)
        for register in self.unit.registers:
            if register.stage == stage and register.name not in valids:
                self._claim(
                    f"{register.name} takes its value of the transfer",
                    ~out["ready"] | self.reset | (taken[register.name] == whole[register.name]),
                )


class SideBySide(Elaboratable):  # type: ignore[misc]
    """A unit and its core in the same cycles, for what depends on more than one transfer: the core takes every transfer
    that the unit takes and never waits; its results queue for the unit's.

    Attributes
    ----------
    inputs : list of Signal
    """

    def __init__(self, unit: UnitComponent, core: UnitComponent):
        assert core.config.pipeline < unit.config.pipeline, "A result of the unit must find the core's in the queue"
        self.unit, self.core = unit, core
        self.payload = Signal(len(Value.cast(unit.i.payload)), name="payload")
        self.valid, self.ready = Signal(name="valid"), Signal(name="ready")
        self.inputs = [self.payload, self.valid, self.ready]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit, m.submodules.core = unit, core = self.unit, self.core
        m.d.comb += [
            Value.cast(unit.i.payload).eq(self.payload),
            unit.i.valid.eq(self.valid),
            unit.o.ready.eq(self.ready),
            Value.cast(core.i.payload).eq(self.payload),
            core.i.valid.eq(self.valid & unit.i.ready),
            core.o.ready.eq(1),
        ]
        got, want = Value.cast(unit.o.payload), Value.cast(core.o.payload)
        # Each result in flight in the unit may wait here, and those that leave in this cycle.
        places = unit.config.pipeline + 1
        queue = [Signal(len(want), name=f"queue_{place}") for place in range(places)]
        count = Signal(range(places + 1))
        leaves = unit.o.valid & unit.o.ready
        rest, left = [Signal.like(word, name=f"rest_{n}") for n, word in enumerate(queue)], Signal.like(count)
        m.d.comb += left.eq(count - leaves)
        for place, word in enumerate(queue):
            following = queue[place + 1] if place + 1 < places else Const(0, len(want))
            m.d.comb += rest[place].eq(Mux(leaves, following, word))
            m.d.sync += word.eq(Mux(core.o.valid & (left == place), want, rest[place]))
        m.d.sync += count.eq(left + core.o.valid)
        m.d.comb += [
            Assert(~unit.o.valid | (count > 0), "a result of the unit is one of the core"),
            Assert(~unit.o.valid | (got == queue[0]), "the unit's result is the core's"),
            Cover(leaves, "a result leaves"),
        ]
        self._cover(m, leaves)
        return m

    def _cover(self, m: Module, leaves: Value) -> None:
        """That within the cycles there is room for a sum of two transfers, and for one after a reset."""
        fields, taken = self.unit.i.payload, self.valid & self.unit.i.ready & ~ResetSignal()
        is_open, is_sum, has_last = Signal(), Signal(), Signal()
        was_taken, was_reset = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(taken):
            m.d.sync += is_open.eq(~fields.last)
            with m.If(fields.last):
                # The first vector alone: behind it is another's result.
                m.d.sync += [is_sum.eq(is_open & ~fields.first & ~has_last), has_last.eq(1)]
        m.d.sync += [was_taken.eq(was_taken | taken), was_reset.eq(was_reset | (was_taken & ResetSignal()))]
        m.d.comb += [
            Cover(leaves & is_sum, "a sum of two transfers leaves"),
            Cover(leaves & was_reset, "a result leaves after a reset in mid-flow"),
        ]


def shallowest(config: UnitConfig) -> UnitConfig:
    """The same function with the fewest registers."""
    return replace(config, pipeline=config.min_pipeline)


def pipeline_proof(config: UnitConfig, make: Make, label: str, **options: Any) -> Proof:
    """That a configuration is its core, for any stalls and resets.

    Of a unit that adds up several transfers: that its lanes are, and its control; :func:`vectors_proof` has the rest.
    """
    is_whole = config.result_when is None

    def top() -> tuple[Elaboratable, Sequence[Signal]]:
        step = OneStep(make(config), make(shallowest(config)) if is_whole else None)
        return step, step.inputs

    stages = "1 stage" if config.pipeline == 1 else f"{config.pipeline} stages"
    if is_whole:
        statement = f"{stages} = core, any stalls and resets"
    else:
        statement = f"{stages}: each gives the next what it takes, any stalls; valid bits, any stalls and resets"
    return Proof(config.unit, "pipeline", statement, label, top, script=Route.MERGE.value, **options)


def vectors_proof(config: UnitConfig, make: Make, label: str, cycles: int, **options: Any) -> Proof:
    """That the results of a unit that adds up several transfers are its core's, in the first cycles after power-on."""

    def top() -> tuple[Elaboratable, Sequence[Signal]]:
        run = SideBySide(make(config), make(shallowest(config)))
        return run, run.inputs

    return Proof(
        config.unit,
        "vectors",
        f"{config.pipeline} stages = {config.min_pipeline} stages, any stalls and resets, in the first {cycles} cycles",
        label,
        top,
        depth=cycles,
        **options,
    )


_DEFAULT = "default"
#: A dot product whose sum leaves the accumulator soon.
VECTORS = DotConfig(operand=LNSFormat(4, 2), accumulator=FixedFormat(5, 1, signed=True), pipeline=5)
#: Units whose proof takes more than half a minute.
_LONG = frozenset({"adam_update"})
_MADE: dict[str, tuple[Any, Make]] = {
    "multiply": (MultiplyConfig, Multiply),
    "multiply_add": (MultiplyAddConfig, MultiplyAdd),
    "add": (AddConfig, Add),
    "divide": (DivideConfig, Divide),
    "square": (SquareConfig, Square),
    "sqrt": (SqrtConfig, Sqrt),
    "dot": (DotConfig, Dot),
    "linear_to_log": (LinearToLogConfig, LinearToLog),
    "log_to_linear": (LogToLinearConfig, LogToLinear),
    "float_to_lns": (FloatToLNSConfig, FloatToLNS),
    "lns_to_float": (LNSToFloatConfig, LNSToFloat),
    "madam_update": (MadamUpdateConfig, MadamUpdate),
    "adam_update": (AdamUpdateConfig, AdamUpdate),
    "bf16_multiply_add": (Bf16MultiplyAddConfig, Bf16MultiplyAdd),
    "sgd_update": (SgdUpdateConfig, SgdUpdate),
}


def multiply_add_configurations() -> Iterable[tuple[str, MultiplyAddConfig]]:
    """Every depth of multiply_add, with its constants in logic and in block RAM, and LNS16."""
    for memory in Memory:
        shallow = MultiplyAddConfig(memory=memory)
        for stages in range(shallow.min_pipeline, shallow.max_pipeline + 1):
            yield f"lns8-{memory.value}-{stages}", MultiplyAddConfig(memory=memory, pipeline=stages)
        yield f"lns16-{memory.value}", MultiplyAddConfig(operand=LNS16, memory=memory)


def proofs() -> Iterable[Proof]:
    """The pipeline and the streams of every unit; of multiply_add at every depth."""
    for unit, (config, make) in _MADE.items():
        yield pipeline_proof(config(), make, _DEFAULT, is_long=unit in _LONG, timeout=3600)
        yield stream_proof(config(), make, _DEFAULT, timeout=3600)
    # Of three transfers and, which takes minutes, of five.
    yield vectors_proof(VECTORS, Dot, "4-bit-5-stages", cycles=8)
    yield vectors_proof(VECTORS, Dot, "4-bit-5-stages-10-cycles", cycles=10, is_long=True)
    for label, config in multiply_add_configurations():
        yield pipeline_proof(config, MultiplyAdd, label, is_long=True, timeout=3600)
        yield stream_proof(config, MultiplyAdd, label, is_long=True, timeout=3600)
    for interface in (Interface.AXIS, Interface.FLAT):
        for unit in ("multiply", "dot"):
            config, make = _MADE[unit]
            yield stream_proof(config(), make, _DEFAULT, interface, is_long=unit == "dot", timeout=3600)
