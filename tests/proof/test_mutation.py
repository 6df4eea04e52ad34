"""Mutants: picked the same for the same seed, killed by the bench, and found to survive one that is blind."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lnsmadam import console
from lnsmadam.cli.main import main
from lnsmadam.cli.mutate import reasons, record_of
from lnsmadam.golden.format import LNS6
from lnsmadam.hw.emit import Emitted
from lnsmadam.proof.mutation.equivalence import equivalent
from lnsmadam.proof.mutation.mutants import PLAN, Bench, Mutant, Mutated, Outcome, attack, mutate
from lnsmadam.proof.records import load
from lnsmadam.proof.yosys import yosys
from lnsmadam.sim.batch import BatchUnit
from lnsmadam.units import UNITS

UNIT = UNITS["multiply"]
CONFIG = UNIT.configure({"format": LNS6})
#: A step without stalls and one with, after a reset.
SHORT = ((256, False, True), (1024, True, True))


def mutants(count, seed=0, unit=UNIT, config=CONFIG):
    return mutate(unit.build(config), unit.emit(config), count, seed)


def test_the_same_seed_picks_the_same():
    first, again, other = mutants(20), mutants(20), mutants(20, seed=1)
    assert first == again and first.emitted.verilog == again.emitted.verilog
    assert [str(mutant) for mutant in first.mutants] != [str(mutant) for mutant in other.mutants]
    assert len({mutant.options for mutant in first.mutants}) == 20


def test_mutants_name_the_line_they_come_from():
    found = mutants(40).mutants
    for mutant in found:
        assert all(re.fullmatch(r"(hw|amaranth/lib)/\w+\.py:\d+", source) for source in mutant.sources), mutant
        assert "select" not in mutant.options and mutant.mode in ("inv", "const0", "const1", "cnot0", "cnot1")
    # Yosys' own multiplexers have none.
    assert sum(bool(mutant.sources and mutant.line) for mutant in found) > 30


def test_number_0_is_the_unit_and_the_bench_kills_the_rest():
    outcome = attack(mutants(60), Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=SHORT), equivalent)
    assert outcome.share == 1.0 and len(outcome.killed) + len(outcome.equivalent) == 60
    assert len(outcome.killed) > 50


def test_faults_of_the_handshake_are_among_the_killed():
    outcome = attack(mutants(200), Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=SHORT), lambda *_: None)
    told = " ".join(outcome.killed.values())
    assert "after reset" in told and "no transfer for" in told and "cycles instead of" in told


class OnlyByOne(Bench):
    """A bench that multiplies by nothing but one."""

    def _operands(self, count, number):
        columns = super()._operands(count, number)
        return {**columns, "b": np.full_like(columns["b"], LNS6.encode(1.0))}

    def kills_with_every_argument(self, unit, mutant):
        return None


def test_a_blind_bench_leaves_survivors_that_no_proof_excuses():
    mutated = mutants(60)
    seeing = attack(mutated, Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=SHORT), equivalent)
    blind = attack(mutated, OnlyByOne(lambda: UNIT.model(CONFIG), CONFIG, plan=SHORT), equivalent)
    assert len(blind.survivors) >= 5 and set(blind.survivors) <= set(seeing.killed)
    assert blind.equivalent.keys() == seeing.equivalent.keys()
    record = record_of("multiply", blind, reasons(mutated, blind), "lnsmadam mutate multiply")
    assert not record.passed and len(record.details["notes"]) == len(blind.survivors)
    assert all("not explained" in note and "hw/" in note for note in record.details["notes"])
    assert record.details["unexplained"] == record.details["survivors"] == len(blind.survivors)


def test_a_wrong_model_is_no_kill():
    wrong = lambda columns, index: {"result": columns["a"]}  # noqa: E731
    with pytest.raises(ValueError, match="The unit without a fault fails the bench: result of transfer"):
        attack(mutants(5), Bench(lambda: wrong, CONFIG, plan=SHORT), equivalent)


def test_a_mutant_that_changes_nothing_is_proved_so():
    unit = UNITS["multiply_add"]
    config = unit.configure({})
    mutated = mutants(300, unit=unit, config=config)
    same = {mutant for mutant in mutated.mutants if mutant.mode == "inv" and mutant.wire.startswith("total")}
    # The lowest bit of a sum, from which nothing is read: its 1 is the carry of the others.
    (dead,) = [mutant for mutant in same if mutant.wire == "total[0]" and mutant.port.startswith("Y")]
    assert equivalent(mutated, dead)
    alive = next(mutant for mutant in same if mutant.wire == "total[3]")
    assert equivalent(mutated, alive) is None


@pytest.mark.parametrize("wire", ["total[0]", None])
def test_named_wires_within_need_not_be_the_same(wire):
    """Only outputs and what registers take next are compared: in `add` two of the names in between differ."""
    unit = UNITS["add"]
    mutated = mutants(300, unit=unit, config=unit.configure({}))
    line = "total = Signal" if wire else "low = d["
    unread = [
        m for m in mutated.mutants if m.line.startswith(line) and m.mode == "const1" and m.port[1:] in ("[0]", "[6]")
    ]
    assert unread and all(equivalent(mutated, mutant) for mutant in unread)


def of_wires(name, *wires):
    """Mutants of a unit at the bits of these names."""
    unit = UNITS[name]
    mutated = mutants(300, unit=unit, config=unit.configure({}))
    found = [mutant for mutant in mutated.mutants if mutant.wire in wires]
    assert {mutant.wire for mutant in found} == set(wires)
    return mutated, found


def test_a_register_that_no_output_depends_on_may_hold_anything():
    """The low bits of a shift have done their work; the others have not."""
    mutated, unread = of_wires("dot", "shift_0_2[0]", "shift_0_3[1]")
    assert all("an output depends on" in (equivalent(mutated, mutant) or "") for mutant in unread)
    mutated, read = of_wires("dot", "shift_0_2[2]", "shift_0_3[3]")
    assert all(equivalent(mutated, mutant) is None for mutant in read)


def test_a_register_that_nothing_is_written_to_is_what_it_begins_with():
    """A square has no sign, and yet a register for it."""
    unit = UNITS["square"]
    mutated = mutants(300, unit=unit, config=unit.configure({}))
    (cell,) = re.findall(r"cell \$dff (\S+)\n(?:    .*\n)*?    connect \\Q \\result_sign_1\n", mutated.netlist)
    found = [mutant for mutant in mutated.mutants if mutant.cell == cell and mutant.port in ("CLK[0]", "D[0]")]
    same = [mutant for mutant in found if mutant.mode == "const0" or mutant.port == "CLK[0]"]
    assert same and all("power-on" in (equivalent(mutated, mutant) or "") for mutant in same)
    options = f"-mode const1 -module {mutated.emitted.name} -cell {cell} -port D -portbit 0"
    assert equivalent(mutated, Mutant(1, options, "const1", cell, "D[0]", "", (), "")) is None


@pytest.mark.parametrize(("name", "wire"), [("madam_update", "draw"), ("dot", "sign_0_")])
def test_faults_before_a_register_that_feeds_back_are_not_proved_the_same(name, wire):
    """They would change what the two hold in common: random bits, sums."""
    unit = UNITS[name]
    mutated = mutants(300, unit=unit, config=unit.configure({}))
    found = [mutant for mutant in mutated.mutants if mutant.wire.startswith(wire)]
    assert found and all(equivalent(mutated, mutant) is None for mutant in found[:3])


def test_a_valid_bit_that_reset_does_not_clear_is_not_proved_the_same():
    """Any of them: whatever else reset may leave, a result that it should have dropped would come out."""
    mutated = mutants(20)
    cells = re.findall(r"  cell \$\S+ (\S+)\n(.*?)  end\n", mutated.netlist, re.DOTALL)
    reset = [(cell, port) for cell, body in cells for port in re.findall(r"connect \\(\w+) \\rst$", body, re.MULTILINE)]
    assert len(reset) >= CONFIG.pipeline
    for cell, port in reset:
        options = f"-mode const0 -module {mutated.emitted.name} -cell {cell} -port {port} -portbit 0"
        assert equivalent(mutated, Mutant(1, options, "const0", cell, f"{port}[0]", "", (), "")) is None, (cell, port)


def test_what_the_bench_notices_is_never_proved_the_same():
    """Above all of faults in the handshake, which data would not show."""
    mutated = mutants(120)
    outcome = attack(mutated, Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=SHORT), lambda *_: None)
    of_data = [mutant for mutant, reason in outcome.killed.items() if "of transfer" in reason]
    of_handshake = [mutant for mutant in outcome.killed if mutant not in of_data]
    assert len(of_handshake) >= 5
    for mutant in (*of_handshake[:8], *of_data[:2]):
        assert equivalent(mutated, mutant) is None, mutant


def test_what_no_operand_leads_to_is_proved_the_same():
    """A limit of a table that no mantissa comes to."""
    mutated, found = of_wires("linear_to_log", "log_limit_table_6[0]", "log_limit_table_12[0]")
    same = [mutant for mutant in found if mutant.mode == "const0" and mutant.port == "Y[0]"]
    assert same and all("pipeline has filled" in (equivalent(mutated, mutant) or "") for mutant in same)


STUCK = """
module stuck(input clk, input rst, input [1:0] i__payload, input i__valid, output i__ready,
             output o__valid, input o__ready, output reg o__payload);
  reg valid_1 = 0, valid_2 = 0, a_1 = 0, b_1 = 0, choice_1 = 0;
  initial o__payload = 0;
  assign i__ready = ~valid_2 | o__ready | rst;
  assign o__valid = valid_2;
  always @(posedge clk) begin
    if (i__ready) begin
      a_1 <= i__payload[0];
      choice_1 <= i__payload[1];
      o__payload <= choice_1 ? b_1 : a_1;
      valid_1 <= i__valid;
      valid_2 <= valid_1;
    end
    if (i__ready) b_1 <= i__payload[0];
    if (rst) begin valid_1 <= 0; valid_2 <= 0; end
  end
endmodule
"""


def test_a_register_that_is_never_written_again_is_not_whatever_hides_it(tmp_path):
    """Both registers have the same bit; one of them keeps what it begins with."""
    (tmp_path / "stuck.v").write_text(STUCK)
    yosys(tmp_path, "read_verilog stuck.v", "proc", "opt_clean", "write_rtlil stuck.il")
    netlist = (tmp_path / "stuck.il").read_text()
    (cell,) = re.findall(r"  cell \$mux (\S+)\n(?:(?!  end\n).*\n)*    connect \\Y \$0\\b_1\[0:0\]\n", netlist)
    emitted = Emitted("", {"top": "stuck", "reset": "rst", "latency": 2})
    options = f"-mode const0 -module stuck -cell {cell} -port S -portbit 0"
    assert equivalent(Mutated(netlist, emitted, 1, ()), Mutant(1, options, "const0", cell, "S[0]", "", (), "")) is None


def test_every_argument_is_tried_from_reset():
    """Where the mutants before have left something in the registers, too."""
    mutated = mutants(60)
    bench = Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=((300, True, True),))
    itself = replace(mutated.mutants[0], number=0)
    with BatchUnit(mutated.emitted, selector=mutated.width) as unit:
        bench.prepare(unit)
        for mutant in mutated.mutants:
            bench.kills(unit, mutant)
            assert bench.kills_with_every_argument(unit, itself) is None, mutant


def test_share_counts_only_what_changes_something():
    one = Mutant(1, "", "inv", "c", "A", "", (), "")
    assert Outcome({one: "x"}, {}, [one, one, one]).share == 0.25
    assert Outcome({one: "x"}, {one: "y"}, []).share == 1.0


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    assert main(["mutate", "sqrt", "--format", "lns6", "-n", "30", "--records", str(tmp_path)]) == 0
    # What a log has in place of a progress bar.
    lines = [line.rpartition(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert [f"mutants: {number} of 30" in lines for number in (1, 30)] == [True, True]
    (record,) = load(tmp_path)
    assert record.command == "lnsmadam mutate sqrt --format lns6 -n 30" and record.passed
    assert record.details["killed"] + record.details["equivalent"] + record.details["survivors"] == 30
    for wrong in (["-n", "0"], ["-n", "x"], ["--seed", "-1"]):
        capsys.readouterr()
        assert main(["mutate", "sqrt", *wrong, "--records", str(tmp_path / "none")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["multiply_add", "log_to_linear", "madam_update"])
def test_of_a_unit_nearly_all_are_killed(name):
    unit = UNITS[name]
    config = unit.configure({})
    bench = Bench(lambda: unit.model(config), config, unit.directed, plan=PLAN[:-1])
    outcome = attack(mutants(60, unit=unit, config=config), bench, equivalent)
    assert outcome.share >= 0.98, [str(mutant) for mutant in outcome.survivors]


def test_what_few_operands_miss_every_argument_finds():
    class Short(Bench):
        def kills_with_every_argument(self, unit, mutant):
            return None

    mutated, few = mutants(60), ((1, False, True),)
    short = attack(mutated, Short(lambda: UNIT.model(CONFIG), CONFIG, plan=few), lambda *_: None)
    whole = attack(mutated, Bench(lambda: UNIT.model(CONFIG), CONFIG, plan=few), lambda *_: None)
    assert short.killed.keys() < whole.killed.keys()
