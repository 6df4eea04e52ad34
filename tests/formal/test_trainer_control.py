import planted
import pytest
from listed import marked

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.lfsr import LFSR
from lnsmadam.hw.trainer.control import Control
from lnsmadam.hw.trainer.noise import Noise
from lnsmadam.hw.trainer.schedule import schedule
from lnsmadam.proof.formal import random_bits, trainer_control
from lnsmadam.proof.formal.sby import Mode, prove

#: So small that a fault shows within few cycles of power-on.
SMALL = TrainerConfig(network=network_preset("FX", (2, 2, 2)), lanes=1)


@pytest.mark.parametrize("proof", marked([*trainer_control.proofs(), *random_bits.proofs()]))
def test_holds_for_every_input(proof, proved):
    proved(proof)


@pytest.mark.parametrize("name, config, is_long", list(trainer_control.configurations()))
def test_the_machine_s_own_waits_make_up_the_schedule(name, config, is_long):
    """Moves, the waits for the machine's own parts and the cycle in which the next begins are a sample."""
    limit = trainer_control.bound(config)
    assert limit.moves + limit.of_the_parts + 1 == schedule(config).sample
    assert schedule(config).sample <= limit.cycles(limit.longest)


#: What is changed in the control, and what then does not hold.
FAULTS = {
    "no exit if it is gated": (
        'with m.Else():\n                        m.next = "DONE"',
        'with m.Else():\n                        m.next = "LOSS"',
    ),
    "count that skips its end": ("m.d.sync += source.eq(source + 1)", "m.d.sync += source.eq(source + 2)"),
    "a layer too many": ("with m.If(layer == 0):", "with m.If(layer == 1):"),
    "input that is not waited for": ("(source != made)", "(source == made)"),
    "draws repeated before there are some": ("first_block.eq(block == 0)", "first_block.eq(block == 1)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_control_is_found(name):
    top = trainer_control.control_top(SMALL, planted.with_fault(Control, *FAULTS[name]))
    verdict = prove(*top, mode=Mode.BOUNDED, depth=30)
    assert not verdict.proved and verdict.failed and verdict.trace


def test_a_seed_of_zero_is_found():
    class Zero(random_bits.LFSRConfig):
        def __post_init__(self):
            pass

    verdict = prove(*random_bits.lfsr_top(Zero(seed=0, bits=17)), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.is_inductive and verdict.failed == "the state is not zero"


@pytest.mark.parametrize(
    "fault, message",
    [
        (("marked.eq(state)", "marked.eq(state & 1)"), "the marked state is not zero"),
        (("state.eq(self.value)", "state.eq(self.value & 1)"), "the state is not zero"),
        (("range(config.width) if", "range(config.width - 1) if"), "the state is not zero"),
    ],
)
def test_noise_that_comes_to_rest_is_found(fault, message):
    config = random_bits.LFSRConfig(seed=1 << 16, bits=17)
    verdict = prove(*random_bits.noise_top(config, planted.with_fault(Noise, *fault)), mode=Mode.INDUCTION, depth=2)
    assert not verdict.proved and verdict.failed == message


def test_taps_that_lose_a_bit_are_found():
    """Without the highest tap the state with only its highest bit falls to zero."""
    wrong = planted.with_fault(LFSR, "range(config.width) if", "range(config.width - 1) if")
    verdict = prove(
        *random_bits.lfsr_top(random_bits.LFSRConfig(seed=1 << 16, bits=17), wrong), mode=Mode.INDUCTION, depth=2
    )
    assert not verdict.proved and verdict.is_inductive and verdict.trace
