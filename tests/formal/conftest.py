"""What tests of proofs share: that a proof holds, and that with a fault it fails, with operands that show the fault.

Makes the other modules of this folder importable by its tests.
"""

import random
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.sim import Simulator

from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.proof.formal.claim import Claim, Route, result_name
from lnsmadam.proof.formal.proof import check

sys.path.insert(0, str(Path(__file__).parent))


class Needle(UnitComponent):
    """A unit that is wrong at one set of operands.

    Parameters
    ----------
    unit : UnitComponent
    operands : dict
        Words; those that are not named are any.
    results : dict
        The words given there instead.
    """

    def __init__(self, unit, operands, results):
        super().__init__(unit.config)
        self.unit, self.operands, self.results = unit, operands, results
        self.draw = getattr(unit, "draw", None)

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        m.d.comb += [
            unit.i.valid.eq(self.i.valid),
            Value.cast(unit.i.payload).eq(Value.cast(self.i.payload)),
            unit.o.ready.eq(self.o.ready),
            self.i.ready.eq(unit.i.ready),
            self.o.valid.eq(unit.o.valid),
        ]
        payload = self.i.payload
        is_there = Cat(_bits(payload[name]) == word for name, word in self.operands.items()).all()
        for name in self.config.outputs:
            word = _bits(unit.o.payload[name])
            m.d.comb += _bits(self.o.payload[name]).eq(Mux(is_there, self.results.get(name, word), word))
        return m


def _bits(field):
    value = Value.cast(field)
    return value.as_unsigned()[: len(value)]


def _replay(claim, cycle):
    """The claims that fail when the circuit is simulated with the operands of a counterexample."""
    failed = []

    async def bench(ctx):
        for signal in claim.inputs:
            ctx.set(signal, cycle[signal.name])
        await ctx.delay(1e-6)
        failed.extend(message for message, holds in claim.claims.items() if not ctx.get(holds))

    simulator = Simulator(claim.module)
    simulator.add_testbench(bench)
    simulator.run()
    return failed


@pytest.fixture
def failures(monkeypatch):
    """Simulates the circuit of a proof from reset, and returns the messages of the assertions that fail in some cycle:
    what induction cannot prove may be true, what fails here is false.

    ``module`` makes the assertions, ``make`` the circuit and its inputs; ``drive`` takes the inputs by name and a
    random generator, and yields the values of some of them for every cycle. The others are random bits.
    """

    def run(module, make, drive=None, cycles=3000):
        claims = []

        def claim(condition, message):
            claims.append((holds := Signal(name="holds"), message))
            return holds.eq(Value.cast(condition).bool())

        with monkeypatch.context() as patch:
            patch.setattr(module, "Assert", claim)
            top, ports = make()
        assert claims
        inputs, generator, failed = {port.name: port for port in ports}, random.Random(1), set()
        driven = drive(inputs, generator) if drive else None

        async def bench(ctx):
            for _ in range(cycles):
                values = {name: generator.getrandbits(len(port)) for name, port in inputs.items()}
                for name, value in (values | (next(driven) if driven else {})).items():
                    ctx.set(inputs[name], value)
                failed.update(message for holds, message in claims if not ctx.get(holds))
                await ctx.tick()

        simulator = Simulator(top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        return failed

    return run


@pytest.fixture
def proved():
    """Runs a proof, which must hold."""

    def run(proof):
        verdict = check(proof)
        assert verdict.proved, proof.explain(verdict)
        assert verdict.seconds > 0

    return run


@pytest.fixture
def refuted():
    """Proves a statement that does not hold, and simulates the circuit with the operands of the counterexample, which
    must show it; returns the words of the counterexample."""

    def run(statement, config, make, route=Route.SOLVER):
        proof = statement.proof(config, make, "refuted", route)
        verdict = check(proof)
        assert not verdict.proved and verdict.is_inductive, f"{proof}: not refuted"
        claim = Claim(config, make)
        statement.write(claim)
        assert verdict.failed in _replay(claim, verdict.counterexample), proof.explain(verdict)
        assert proof.explain(verdict).startswith(f"{verdict.failed}: ")
        return verdict.counterexample

    return run


@pytest.fixture
def finds(refuted):
    """Proves a statement of a unit that is wrong at one set of operands; they must be what the counterexample names."""

    def run(statement, config, make, operands, results, route=Route.SOLVER):
        cycle = refuted(statement, config, lambda config: Needle(make(config), operands, results), route)
        words = operands | {result_name(config, name): word for name, word in results.items()}
        instances = {name.rpartition("_")[2] for name in cycle}
        assert any(all(cycle.get(f"{name}_{n}") == word for name, word in words.items()) for n in instances), cycle

    return run
