"""The C++ loop around a trainer: what it says of a machine that breaks the rules of its streams."""

import faulty_trainer
import numpy as np
import pytest

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.network import Network
from lnsmadam.golden.trainer.state import initial
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.sim.batch import HardwareFault
from lnsmadam.sim.trainer import CompiledTrainer, requests
from lnsmadam.sim.training import Epoch, train_on_rtl

MACHINE = TrainerConfig(network=network_preset("FX", (4, 3)), lanes=2)
COUNT = 24

#: Faults, whether they need a receiver that waits, and what is said of them.
FAULTS = {
    "none": None,
    "hangs": (False, r"nothing moved for \d+ cycles: \d+ words of samples accepted, 7 results"),
    "invents_one": (False, r"one result too many: [01] words of samples accepted, 0 results"),
    "drops_valid": (True, r"valid was dropped before result \d+ of samples was taken"),
    "changes": (True, r"result \d+ of samples changed while it waited to be taken"),
    "repeats_last": (False, rf"one result too many: {5 * COUNT} words of samples accepted, {COUNT} results"),
}

# Verilog around the machine, renamed `core`. A gate whose margin has the uppermost bit set chooses a fault.
WRAPPER = """
  wire [3:0] fault = gate_on & gate_margin[15] ? gate_margin[3:0] : 0;
  reg [7:0] waited = 0;
  reg [15:0] given = 0, quiet = 0;
  always @(posedge clk) begin
    waited <= results__valid & ~results__ready ? waited + 1 : 0;
    given <= access__valid ? 0 : given + (results__valid & results__ready);
    quiet <= samples__valid | ~idle ? 0 : quiet + 1;
  end
  wire held = fault == {hangs} & given == 7;
  wire more = fault == {invents_one} & given == 0 & phase == 0
    | fault == {repeats_last} & given == {count} & quiet == 3;
  core core(.clk(clk), .rst(rst), .samples__payload(samples__payload), .samples__valid(samples__valid),
    .samples__ready(samples__ready), .learn(learn), .lr_shift(lr_shift), .gate_on(gate_on & ~gate_margin[15]),
    .gate_margin(gate_margin), .results__payload(payload), .results__valid(valid),
    .results__ready(results__ready & ~held), .access__payload(access__payload), .access__valid(access__valid),
    .access__ready(access__ready), .answer__payload(answer__payload), .answer__valid(answer__valid),
    .answer__ready(answer__ready), .idle(idle), .phase(phase));
  assign results__valid = (valid | more) & ~held & ~(fault == {drops_valid} & waited == 2);
  assign results__payload = payload ^ (fault == {changes} & waited == 2);
endmodule
"""


@pytest.fixture(scope="module")
def samples():
    fmt, rng = MACHINE.network.activation, np.random.default_rng(1)
    log = rng.integers(fmt.log_max - 9, fmt.log_max + 1, (COUNT, 4))
    return fmt.pack(np.zeros_like(log), log).astype(np.int64), rng.integers(0, 3, COUNT)


@pytest.fixture(scope="module")
def wrapped():
    """The machine within a wrapper that has all faults."""
    emitted = emit_trainer(Trainer(MACHINE))
    numbers = {name: number for number, name in enumerate(FAULTS)}
    return faulty_trainer.around(MACHINE, emitted, WRAPPER.format(count=COUNT, **numbers))


def gate_of(fault):
    return (0x8000 + list(FAULTS).index(fault)) / 2**MACHINE.network.logit_bits


@pytest.mark.parametrize("stalls_seed", [None, 3])
def test_the_wrapper_is_not_what_fails(wrapped, samples, stalls_seed):
    golden = Network(MACHINE.network, initial(MACHINE.network, 1))
    with CompiledTrainer(MACHINE, wrapped) as trainer:
        trainer.load(golden.state, stalls_seed)
        got = trainer.train(*samples, gate=gate_of("none"), stalls_seed=stalls_seed)
        want = golden.train(*samples)
        assert np.array_equal(got.predicted, want.predicted) and trainer.state(stalls_seed).equal(golden.state)
        assert trainer.cycles == got.cycles.sum() and trainer.seconds > 0


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "none"])
def test_a_broken_rule_is_seen(wrapped, samples, fault):
    needs_stalls, message = FAULTS[fault]
    with CompiledTrainer(MACHINE, wrapped) as trainer:
        trainer.load(initial(MACHINE.network, 1))
        with pytest.raises(HardwareFault, match=f"^{message}$"):
            trainer.train(*samples, gate=gate_of(fault), stalls_seed=2 if needs_stalls else None)
        # Reset makes it a working machine again.
        trainer.reset()
        trainer.load(initial(MACHINE.network, 1))
        assert trainer.state().equal(initial(MACHINE.network, 1))


def test_requests():
    words = requests(2, np.array([5, 7]), np.array([-1, 3]))
    assert [int(word) for word in words] == [5 | 2 << 20 | 1 << 23 | 0xFFFF_FFFF << 24, 7 | 2 << 20 | 1 << 23 | 3 << 24]
    assert requests(4, np.array([9])).tolist() == [9 | 4 << 20]


def test_bad_calls(wrapped, samples):
    with CompiledTrainer(MACHINE, wrapped) as trainer, pytest.raises(ValueError, match="must be from 0 to 7, not 8"):
        trainer.train(*samples, 8)
    empty = Epoch(samples[0][:0], samples[1][:0])
    with pytest.raises(ValueError, match="nothing to compare: no samples were given"):
        list(train_on_rtl(MACHINE, initial(MACHINE.network, 1), [empty], emitted=wrapped))
