"""Netlists of vendor cells against the golden model, and faults planted in them."""

import dataclasses
import re

import pytest

from lnsmadam.cli.main import main
from lnsmadam.fpga import tools
from lnsmadam.fpga.synth import measure
from lnsmadam.golden.format import LNS6, LNS8
from lnsmadam.golden.log_sum import Memory
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.gate_level import FAMILIES, cell_models, gate_record, netlist
from lnsmadam.proof.records import Kind, load
from lnsmadam.sim.batch import compare
from lnsmadam.sim.icarus import run_icarus
from lnsmadam.sim.simulate import run_batch
from lnsmadam.sim.stimulus import protocol_operands, stimulus
from lnsmadam.units import UNITS

# A small configuration of every unit whose netlist Verilator compiles in seconds; the others are for `make gates`.
SMALL = ("multiply", "multiply_add", "add", "divide", "square", "sqrt", "dot", "linear_to_log", "log_to_linear",
         "float_to_lns", "lns_to_float")  # fmt: skip


def of(name, **options):
    """Unit, configuration and emitted Verilog."""
    unit = UNITS[name]
    config = unit.configure(options)
    return unit, config, unit.emit(config)


def checked(unit, config, emitted, count=1 << 16):
    return compare(emitted, unit.model(config), stimulus(config, 0, count, unit.directed))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SMALL)
def test_netlists_give_the_models_results(name, family):
    unit, config, emitted = of(name)
    checks = run_batch(netlist(emitted, family), unit.model(config), config, count=1 << 16, directed=unit.directed)
    assert all(check.passed and check.compared > 0 for check in checks), [check.message for check in checks]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", sorted(UNITS.keys() - set(SMALL)))
def test_large_netlists_give_the_models_results(name, family):
    unit, config, emitted = of(name)
    outcome = checked(unit, config, netlist(emitted, family))
    assert outcome.passed, outcome.failure


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["multiply_add", "dot"])
def test_block_ram_is_simulated_as_block_ram(name, family):
    unit, config, emitted = of(name, memory=Memory.BLOCK)
    cells = netlist(emitted, family)
    assert {"ice40": "SB_RAM40_4K", "ecp5": "DP16KD"}[family] in re.findall(r"^module (\w+)", cells.verilog, re.M)
    outcome = checked(unit, config, cells)
    assert outcome.passed, outcome.failure


def cells_of(verilog):
    """How many of each cell the first module has."""
    body = verilog[: verilog.index("endmodule")]
    found = re.findall(r"^  ([A-Z]\w+) (?:#\(|\S+ +\()", body, re.M)
    return {name: found.count(name) for name in set(found)}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_netlist_is_what_synth_counts(family):
    _, _, emitted = of("multiply_add", operand=LNS6)
    measured = measure(emitted, FAMILIES[family], seeds=(1,))
    assert cells_of(netlist(emitted, family).verilog) == measured["cells"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_simulator_reads_the_netlist_alike(family):
    unit, config, emitted = of("multiply_add", operand=LNS6)
    operands = protocol_operands(config, 1, 1000, unit.directed)
    check = run_icarus(netlist(emitted, family), unit.model(config), operands)
    assert check.skipped or (check.passed and check.compared > 0), check.message


def first(pattern, text, change):
    """The text with the first match of a pattern changed."""
    changed, count = re.subn(pattern, change, text, count=1)
    assert count == 1 and changed != text
    return changed


def flip(digits):
    """Hexadecimal digits with the lowest bit of the table inverted, and all others."""
    return f"{int(digits, 16) ^ 0xFFFF:04x}"


FAULTS = {
    "ice40 LUT": ("ice40", r"(\.LUT_INIT\(16'h)(\w{4})", lambda m: m[1] + flip(m[2])),
    "ice40 carry": ("ice40", r"(SB_CARRY [^;]*?\.CI\()([^()]+)(\),)", r"\g<1>1'h1\3"),
    "ice40 flip-flop": ("ice40", r"(SB_DFFE [^;]*?\.D\()([^()]+)(\),)", r"\g<1>~\2\3"),
    "ecp5 LUT": ("ecp5", r"(  LUT4 #\(\s*\.INIT\(16'h)(\w{4})", lambda m: m[1] + flip(m[2])),
    "ecp5 carry": ("ecp5", r"(CCU2C #\([^;]*?\.INIT0\(16'h)(\w{4})", lambda m: m[1] + flip(m[2])),
    "ecp5 flip-flop": ("ecp5", r"(TRELLIS_FF #\([^;]*?\.DI\()([^()]+)(\),)", r"\g<1>~\2\3"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_cell_is_caught(fault):
    family, pattern, change = FAULTS[fault]
    unit, config, emitted = of("multiply", format=LNS8)
    cells = netlist(emitted, family)
    broken = dataclasses.replace(cells, verilog=first(pattern, cells.verilog, change))
    # A wrong gate of `ready` shows only where a side pauses.
    checks = run_batch(broken, unit.model(config), config, directed=unit.directed)
    assert not all(check.passed for check in checks)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_word_of_a_block_ram_is_caught(family):
    unit, config, emitted = of("multiply_add", memory=Memory.BLOCK)
    cells = netlist(emitted, family)
    # The lowest bits of the first row.
    pattern = r"(\.INIT_0\(256'[bh]\w*)(\w)(\))" if family == "ice40" else r"(\.INITVAL_00\(320'h\w*)(\w)(\))"
    change = lambda m: m[1] + ("0" if m[2] == "1" else "1") + m[3]  # noqa: E731
    outcome = checked(unit, config, dataclasses.replace(cells, verilog=first(pattern, cells.verilog, change)))
    assert outcome.mismatch is not None


def test_a_block_ram_in_another_mode_does_not_compile():
    unit, config, emitted = of("multiply_add", memory=Memory.BLOCK)
    cells = netlist(emitted, "ecp5")
    other = first(r"\.DATA_WIDTH_A\(32'd\d+\)", cells.verilog, ".DATA_WIDTH_A(32'd2)")
    with pytest.raises(ToolFailed, match="DP16KD_in_a_mode_without_model"):
        checked(unit, config, dataclasses.replace(cells, verilog=other), 16)


def test_another_family_is_refused():
    _, _, emitted = of("sqrt")
    with pytest.raises(ValueError, match="^Netlist must be of ice40 or ecp5, not 'gowin'$"):
        netlist(emitted, "gowin")


def test_missing_models_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "find", lambda name: str(tmp_path / "bin" / "yosys"))
    with pytest.raises(ToolFailed, match="^Yosys' models of the cells were not found: there is no "):
        cell_models("", "ice40")


def test_a_record_of_a_failure_says_which_check():
    unit, config, emitted = of("sqrt", format=LNS6)
    cells = netlist(emitted, "ice40")
    broken = dataclasses.replace(
        cells, verilog=first(*FAULTS["ice40 LUT"][1:][:1], cells.verilog, FAULTS["ice40 LUT"][2])
    )
    record = gate_record("sqrt", "ice40", run_batch(broken, unit.model(config), config), "again", "--format lns6")
    assert not record.passed and record.result.startswith("batch: ") and record.claim.endswith(": --format lns6")


def test_commands(tmp_path, capsys):
    assert main(["gates", "sqrt", "--family", "ecp5", "--records", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"sqrt +│ ecp5 +│ +256 │ +256 │ equal", out)
    # A line a netlist where no terminal shows a progress bar.
    assert re.fullmatch(r"1 of 1: sqrt for ecp5: equal, \d+\.\d s\n", err)
    (record,) = load(tmp_path)
    assert (record.kind, record.subject, record.passed) == (Kind.GATES, "sqrt", True)
    assert record.command == "lnsmadam gates sqrt --family ecp5"
    assert record.details["compared"] == {"batch": 256, "batch-stalls": 256}
    # The record's command leaves the same record; all checks on that netlist are another command's.
    assert main([*record.command.split()[1:], "--records", str(tmp_path)]) == 0
    assert len(load(tmp_path)) == 1
    assert main("simulate sqrt --netlist ecp5 --records".split() + [str(tmp_path)]) == 0
    assert "netlist for ecp5" in capsys.readouterr().out
    (more,) = (record for record in load(tmp_path) if record.command == "lnsmadam simulate sqrt --netlist ecp5")
    assert more.kind is Kind.GATES and more.passed and len(more.details["compared"]) > 5


@pytest.mark.parametrize(
    "line, reason",
    [
        ("gates nothing", "Unit must be one of"),
        ("gates sqrt --family gowin", "'gowin' is not one of 'ice40', 'ecp5'"),
        ("gates sqrt --count 0", "--count"),
        ("simulate sqrt --netlist gowin", "--netlist"),
    ],
)
def test_bad_options(line, reason, capsys):
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_a_mismatch_is_status_1(monkeypatch, capsys):
    from lnsmadam.cli import gates as gates_cli

    def wrong(emitted, family):
        cells = netlist(emitted, family)
        return dataclasses.replace(cells, verilog=first(FAULTS["ice40 LUT"][1], cells.verilog, FAULTS["ice40 LUT"][2]))

    monkeypatch.setattr(gates_cli, "netlist", wrong)
    assert main(["gates", "sqrt", "--family", "ice40"]) == 1
    out, err = capsys.readouterr()
    assert "FAILED" in out and err.startswith("1 of 1: sqrt for ice40: FAILED: ") and err.count("\n") == 1
