"""The machine's four streams under cocotb, and that the bench sees what is wrong with them."""

import re

import faulty_trainer
import numpy as np
import pytest

from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import WarmUp, network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.state import initial
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.sim.trainer_protocol import CHECKS, run_trainer_protocol

COUNT = 12

FACTORED = TrainerConfig(network=network_preset("FO", (6, 5, 4), lr=-2), lanes=2)
MACHINES = {
    "factored": FACTORED,
    "none": TrainerConfig(
        network=network_preset("FX", (5, 4, 3, 3), lr=0, weight_rounding=Rounding.STOCHASTIC), lanes=4
    ),
    "per-weight": TrainerConfig(network=network_preset("FV", (4, 6, 2), lr=-2, warm_up=WarmUp.EXACT), lanes=3),
}


def samples_of(machine):
    """Inputs near the top, so that everything learns, and labels."""
    rng, network = np.random.default_rng(4), machine.network
    fmt = network.activation
    log = rng.integers(fmt.log_max - 12, fmt.log_max + 1, (COUNT, network.sizes[0]))
    return fmt.pack(np.zeros_like(log), log).astype(np.int64), rng.integers(0, network.sizes[-1], COUNT)


def run(machine, **options):
    checks = run_trainer_protocol(machine, initial(machine.network, 1), *samples_of(machine), **options)
    return {check.name: check for check in checks}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MACHINES if name != "factored"])
def test_a_right_machine_passes(name):
    checks = run(MACHINES[name], seed=1)
    assert list(checks) == list(CHECKS)
    failed = {name: check.message for name, check in checks.items() if not check.passed}
    assert not failed, failed
    assert all(check.compared > COUNT for check in checks.values())
    assert "24 resets" in checks["reset"].message


#: Faults of the wrapper: the check that is for it, and what it must say.
FAULTS = {
    "none": None,
    "wrong_result": ("stalls", "result of sample 3: got"),
    "wrong_input": ("stalls", "got 0x.*, want"),
    "not_learned": ("stalls", "(result of sample|after 12 samples).*: got 0x"),
    "late_settings": ("samples", "(result of sample|after .* samples).*: got 0x"),
    "waits_for_ready": ("hold", "valid waits for ready"),
    "changes_while_waiting": ("hold", "results: word 0 changed as it waited"),
    "drops_valid": ("hold", "results: valid was dropped"),
    "wrong_answer": ("stalls", "space 0, address .*: got 0x"),
    "idle_too_early": ("samples", "idle although"),
    "hangs": ("throughput", "result 6"),
    "slow": ("throughput", "cycles a sample without stalls, not"),
    "incomplete_reset": ("reset", "(after it|after a reset|not idle|result)"),
}

# Verilog around the machine, renamed `core`: `waited` counts cycles that a result has been refused, `given` results and
# `asked` accesses since reset.
WRAPPER = """
  wire rests;
  wire [31:0] answered;
  reg [7:0] waited = 0;
  reg [15:0] given = 0, asked = 0;
  reg [2:0] old_shift = 0;
  reg [2:0] late = 0;
  integer fault, at;
  initial if (!$value$plusargs("fault=%d", fault)) fault = 0;
  initial if (!$value$plusargs("at=%d", at)) at = 120;
  always @(posedge clk) begin
    late <= ~valid ? 0 : late == 7 ? late : late + 1;
    old_shift <= phase == 0 ? old_shift : lr_shift;
    waited <= results__valid & ~results__ready ? waited + 1 : 0;
    given <= rst ? 0 : given + (results__valid & results__ready);
    asked <= rst ? 0 : asked + (access__valid & access__ready);
  end
  wire held = fault == {hangs} & given == 6 | fault == {slow} & given == 4 & late != 7;
  wire refused = fault == {waits_for_ready} & ~results__ready | fault == {drops_valid} & waited == 9;
  core core(.clk(clk), .rst(rst & ~(fault == {incomplete_reset} & phase == 3)),
    .samples__payload(samples__payload ^ (fault == {wrong_input} & given == 5)),
    .samples__valid(samples__valid), .samples__ready(samples__ready),
    .learn(learn & ~(fault == {not_learned} & given == 4)),
    .lr_shift(fault == {late_settings} ? old_shift : lr_shift),
    .gate_on(gate_on), .gate_margin(gate_margin), .results__payload(payload), .results__valid(valid),
    .results__ready(results__ready & ~held), .access__payload(access__payload),
    .access__valid(access__valid), .access__ready(access__ready), .answer__payload(answered),
    .answer__valid(answer__valid), .answer__ready(answer__ready), .idle(rests), .phase(phase));
  assign idle = rests | fault == {idle_too_early} & phase == 3;
  assign results__valid = valid & ~refused & ~held;
  assign results__payload = payload ^ (fault == {wrong_result} & given == 3)
    ^ (fault == {changes_while_waiting} & waited == 9);
  assign answer__payload = answered ^ (fault == {wrong_answer} & asked == at);
endmodule
"""


@pytest.fixture(scope="module")
def wrapped():
    """The machine within a wrapper that has all faults, one of them chosen as it is run."""
    emitted = emit_trainer(Trainer(FACTORED))
    numbers = {name: number for number, name in enumerate(FAULTS)}
    return faulty_trainer.around(FACTORED, emitted, WRAPPER.format(**numbers))


def run_with(wrapped, fault, at=120, **options):
    arguments = [f"+fault={list(FAULTS).index(fault)}", f"+at={at}"]
    return run(FACTORED, emitted=wrapped, arguments=arguments, **options)


def test_the_wrapper_is_not_what_fails(wrapped):
    checks = run_with(wrapped, "none")
    assert all(check.passed for check in checks.values()), checks


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "none"])
def test_a_planted_fault_is_seen(wrapped, fault):
    check, message = FAULTS[fault]
    outcome = run_with(wrapped, fault, checks=[check])[check]
    assert not outcome.passed
    assert re.search(message, outcome.message), outcome.message


# While samples are learned accesses go out in threes, after those that load the state: the count of updates, a word,
# the count again. The numbers are those of a word, and of a count.
@pytest.mark.parametrize(
    ("check", "at", "message"),
    [
        ("access", 111, "after [0-9]+ samples: space 0, address [0-9]+: got 0x"),
        ("access", 112, "a sample was learned between two accesses that waited together"),
        ("reset", 5, "after a reset in sample 0: space 0, address 4: got 0x.*, want one of 0x"),
    ],
)
def test_a_wrong_answer_between_samples_or_after_a_reset_is_seen(wrapped, check, at, message):
    outcome = run_with(wrapped, "wrong_answer", at, checks=[check])[check]
    assert not outcome.passed and re.match(message, outcome.message), outcome.message
