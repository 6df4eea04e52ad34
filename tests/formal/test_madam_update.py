import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator
from listed import marked

from lnsmadam.golden.format import LNS8, LNS16
from lnsmadam.golden.madam_update import directed, madam_update
from lnsmadam.proof.formal.madam import STATEMENTS, AnyDraw, Unclocked, proofs

CONFIG = Unclocked(pipeline=0)
WIDE, SIGN = LNS16.log_max, LNS16.sign_bit

#: A fault for every statement: the operands at which the unit is wrong, and what it gives there instead. Weight and
#: gradient are positive: the weight must not grow.
MOVED = dict(weight=5, grad=3, weight_max_log=WIDE)
FAULTS = {
    "sign": (MOVED, dict(weight=5 | SIGN)),
    "range": (MOVED, dict(weight=LNS16.zero)),
    "entry": (MOVED | dict(weight=LNS16.zero), dict(weight=LNS16.log_max)),
    "still": (MOVED | dict(grad=LNS8.zero), dict(weight=4)),
    "state": (dict(grad_rms=5, grad=3), dict(grad_rms=CONFIG.log_max)),
    "direction": (MOVED, dict(weight=6)),
    "bound": (MOVED | dict(lr_log=0), dict(weight=-16000 & LNS16.log_mask)),
    "symmetry": (MOVED, dict(grad_rms=0)),
}


@pytest.mark.parametrize("proof", marked(proofs()))
def test_holds_for_every_operand_state_and_random_bit(proof, proved):
    proved(proof)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda item: item.name)
def test_a_fault_at_one_set_of_operands_is_found(statement, finds):
    finds(statement, CONFIG, AnyDraw, *FAULTS[statement.name])


class WrongTable(Unclocked):
    """A running mean that rises where the gradient lies five steps below it."""

    below = 5

    @property
    def rms_table(self):
        table = super().rms_table.copy()
        table[:, self.first_offset + self.below] += 2 << self.state_fraction_bits
        return table


def test_a_wrong_entry_of_the_table_is_found(refuted):
    statement = next(item for item in STATEMENTS if item.name == "state")
    cycle = refuted(statement, WrongTable(pipeline=0), AnyDraw)
    grad_log = int(LNS8.unpack(cycle["grad"])[1]) * CONFIG.grad_multiple
    assert int(CONFIG.state_format.unpack(cycle["grad_rms"])) - grad_log == WrongTable.below


def test_the_proved_circuit_computes_the_update():
    """The circuit of the proofs, random bits from outside and no register, is the unit that golden describes."""
    count = 200
    words = directed(CONFIG, np.random.default_rng(3), count)
    draws = np.random.default_rng(4).integers(0, 1 << CONFIG.lfsr.bits, count)
    unit = AnyDraw(CONFIG)
    got = []

    async def bench(ctx):
        for row in range(count):
            for name in CONFIG.inputs:
                field = Value.cast(unit.i.payload[name]).as_unsigned()
                ctx.set(field[: len(field)], int(words[name][row]))
            ctx.set(unit.draw, int(draws[row]))
            await ctx.delay(1e-6)
            got.append([ctx.get(Value.cast(unit.o.payload[name]).as_unsigned()) for name in CONFIG.outputs])

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    want = madam_update(CONFIG, *(words[name] for name in CONFIG.inputs), draws)
    assert np.array_equal(np.array(got).T, np.array(want))
