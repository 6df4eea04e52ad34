"""Volume runs in chunks: what they find, that they go on where they were ended, what they refuse."""

import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lnsmadam import console, evidence
from lnsmadam.cli import soak as soak_cli
from lnsmadam.cli.main import main
from lnsmadam.golden.format import LNS6, LNS8
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.records import Kind, load
from lnsmadam.proof.soak.chunk import CHUNK, Subject, run_chunk
from lnsmadam.proof.soak.run import SoakFailed, share, soak, soak_records
from lnsmadam.sim.batch import BatchUnit
from lnsmadam.units import UNITS

ROWS = 1 << 11


def subject(name="dot", weight=1, label=None, **options):
    unit = UNITS[name]
    config = unit.configure(options)
    model = functools.partial(unit.model, config)
    return Subject(label or name, unit.emit(config), config, model, unit.directed, weight)


@pytest.fixture(scope="module")
def several():
    """A unit that sums over transfers, one with a random generator, and one with few arguments."""
    return [subject(), subject("madam_update", 2), subject("sqrt", format=LNS6)]


def run(subjects, folder, count=30_000, **options):
    return soak(subjects, folder, count=count, chunk=ROWS, **options)


def digests(state):
    return {name: tally.digest for name, tally in state.tallies.items()}


def test_shares_and_chunks(several, tmp_path):
    assert share(several, 30_000) == {"dot": 10_000, "madam_update": 20_000}
    shown = []
    state = run(several, tmp_path, progress=lambda *arguments: shown.append(arguments))
    transfers = {name: tally.transfers for name, tally in state.tallies.items()}
    assert transfers == {"dot": 5 * ROWS, "madam_update": 10 * ROWS, "sqrt": 64}
    assert state.tallies["madam_update"].results == 10 * ROWS and 0 < state.tallies["dot"].results < 5 * ROWS
    assert sorted(shown[:3]) == [(0, 16, f"building {name}") for name in ("dot", "madam_update", "sqrt")]
    assert [(done, total) for done, total, _ in shown[3:]] == [(done, 16) for done in range(1, 17)]
    assert not list(state.missing())


def test_a_chunk_is_drawn_from_seed_name_and_number():
    unit = subject()
    columns = [
        unit.operands(*drawn, ROWS) for drawn in [(0, 0), (0, 1), (1, 0)]
    ] + [dataclasses.replace(unit, name="other").operands(0, 0, ROWS)]  # fmt: skip
    assert len({column["a"].tobytes() for column in columns}) == 4
    again = unit.operands(0, 1, ROWS)
    assert all((again[name] == columns[1][name]).all() for name in again)


def test_few_arguments_are_run_each_once():
    unit = subject("multiply", format=LNS6)
    chunks = [unit.operands(5, number, 1 << 9) for number in range(unit.chunks(0, 1 << 9))]
    words = np.concatenate([chunk["a"].astype(int) << 6 | chunk["b"] for chunk in chunks])
    assert sorted(words.tolist()) == list(range(1 << 12))


def test_every_sixteenth_chunk_pauses(monkeypatch):
    seeds = []

    def run(self, operands, stalls_seed=None):
        seeds.append(stalls_seed)
        return real(self, operands, stalls_seed)

    real = BatchUnit.run
    monkeypatch.setattr(BatchUnit, "run", run)
    unit = subject()
    with BatchUnit(unit.emitted) as compiled:
        for number in range(33):
            assert run_chunk(unit, compiled, 0, number, 64).failure is None
    assert [number for number, seed in enumerate(seeds) if seed is not None] == [15, 31]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 7, 15])
def test_an_interrupted_run_goes_on(several, after, tmp_path):
    whole = digests(run(several, tmp_path / "whole"))

    def interrupt(done, total, what):
        if done == after and not what.startswith("building"):
            raise Interrupted

    with pytest.raises(Interrupted):
        run(several, tmp_path / "parts", progress=interrupt)
    shown = []
    state = run(several, tmp_path / "parts", progress=lambda done, total, what: shown.append(done))
    assert sorted(set(shown)) == list(range(after, 17)) and shown == sorted(shown)
    assert digests(state) == whole
    # And once more: nothing is left to do.
    shown.clear()
    assert digests(run(several, tmp_path / "parts", progress=lambda done, total, what: shown.append(done))) == whole
    assert not shown


def test_another_seed_gives_another_digest(several, tmp_path):
    one, other = (digests(run(several[:2], tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    assert all(one[name] != other[name] for name in one)


def test_several_processes_do_the_same(several, tmp_path):
    one = digests(run(several, tmp_path / "one"))
    assert digests(run(several, tmp_path / "two", processes=2)) == one


# The lowest bit of a result is wrong in one cycle of 4096.
FAULTY = """
module madam_update(i__valid, o__ready, clk, rst, i__ready, o__payload, o__valid, i__payload);
  input i__valid, o__ready, clk, rst;
  input [66:0] i__payload;
  output i__ready, o__valid;
  output [27:0] o__payload;
  wire [27:0] right;
  reg [11:0] cycle = 0;
  always @(posedge clk) cycle <= rst ? 0 : cycle + 1;
  core core(.i__valid(i__valid), .o__ready(o__ready), .clk(clk), .rst(rst), .i__ready(i__ready),
    .o__payload(right), .o__valid(o__valid), .i__payload(i__payload));
  assign o__payload = right ^ (cycle == 1000);
endmodule
"""


def test_a_wrong_word_is_found_and_its_chunk_found_again(tmp_path):
    unit = subject("madam_update")
    text, count = re.subn(r"\bmodule madam_update\b", "module core", unit.emitted.verilog)
    assert count == 1
    text += FAULTY
    broken = dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, verilog=text))
    with pytest.raises(SoakFailed, match=r"^chunk 0 of madam_update: transfer \d+: .* got .* want ") as caught:
        run([broken], tmp_path)
    with BatchUnit(broken.emitted) as compiled:
        again = run_chunk(broken, compiled, 0, caught.value.number, ROWS)
    assert again.failure is not None and again.failure in str(caught.value)
    # What failed is not done: the same call fails again.
    with pytest.raises(SoakFailed):
        run([broken], tmp_path)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["subjects"]["madam_update"]["done"] == []


def test_a_hang_is_found(tmp_path):
    unit = subject("sqrt", format=LNS8)
    text, count = re.subn(r"assign i__ready = [^;]*;", "assign i__ready = 1'b0;", unit.emitted.verilog)
    assert count == 1
    broken = dataclasses.replace(unit, emitted=dataclasses.replace(unit.emitted, verilog=text))
    with pytest.raises(SoakFailed, match="^chunk 0 of sqrt: no transfer for "):
        run([broken], tmp_path)


@pytest.fixture
def small(monkeypatch):
    """The command with two small cases in place of its own, and small chunks."""
    monkeypatch.setattr(
        evidence, "SOAKED", {"dot": ("dot", {}, 1), "sqrt": ("sqrt", {"format": LNS6}, 0)}
    )  # fmt: skip
    monkeypatch.setattr(soak_cli, "run_soak", functools.partial(soak, chunk=ROWS))
    return soak_cli


def test_the_command(small, tmp_path, capsys):
    line = ["soak", "--count", "1e4", "--seed", "3", "--processes", "1", "--folder", str(tmp_path / "state")]
    assert main([*line, "--records", str(tmp_path / "records")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"dot +│ random +│ +10,240 │", out) and re.search(r"sqrt +│ every one +│ +64 │ +64 │", out)
    assert "10,240 random transfers, seed 3" in out
    records = {record.subject: record for record in load(tmp_path / "records")}
    assert records["dot"].kind is Kind.SAMPLED and records["sqrt"].kind is Kind.EXHAUSTIVE
    assert all(record.passed and record.details["compared"] > 0 for record in records.values())
    assert records["dot"].command == " ".join(["lnsmadam", *line])


def test_where_there_is_no_terminal_a_long_run_tells_its_progress_in_lines(small, tmp_path, monkeypatch, capsys):
    line = ["soak", "dot", "--count", "1e4", "--processes", "1", "--folder"]
    assert main([*line, str(tmp_path / "short")]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "LOG_SECONDS", 0.0)
    assert main([*line, str(tmp_path / "long")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"soak: building dot: 0 of 5, \d+ s", lines[0])
    assert [line.split(",")[0] for line in lines[1:]] == [f"soak: dot: {done} of 5" for done in range(1, 6)]


def test_a_mismatch_is_status_1_with_the_command_that_repeats_it(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(UNITS, "sqrt", dataclasses.replace(UNITS["sqrt"], golden=wrong_sqrt_model()))
    records = tmp_path / "records"
    line = ["soak", "--count", "1e4", "--processes", "1", "--folder", str(tmp_path), "--records", str(records)]
    assert main(line) == 1
    error = capsys.readouterr().err.splitlines()
    assert re.match(r"lnsmadam: chunk 0 of sqrt: transfer \d+: a = \+ log 9: got ", error[0])
    assert error[1] == "Again: lnsmadam soak sqrt --seed 0 --chunk 0" and len(error) == 2
    (record,) = load(records)
    assert not record.passed and record.result in error[0] and record.command in error[1]
    assert main(error[1].split()[2:]) == 1
    assert capsys.readouterr().err == error[0] + "\n"
    assert main(["soak", "dot", "--chunk", "5"]) == 0
    assert re.fullmatch(r"chunk 5 of dot: [\d,]+ results equal\n", capsys.readouterr().out)


def wrong_sqrt_model():
    golden = UNITS["sqrt"].golden

    def wrong(config, a):
        result, invalid = golden(config, a)
        return np.where(np.asarray(a) == 9, result ^ 1, result).astype(result.dtype), invalid

    return wrong


@pytest.mark.parametrize(
    "line, reason",
    [
        ("soak --count 0", "0 is not a whole number from 1 to 1,000,000,000,000"),
        ("soak --count 1.5", "1.5 is not a whole number from 1"),
        ("soak --count 1e13", "1e13 is not a whole number from 1"),
        ("soak --count many", "'many' is not a number such as 1e9"),
        ("soak --count inf", "'inf' is not a number such as 1e9"),
        ("soak --folder ", "'--folder': an empty text names no folder"),
        ("soak --records ", "'--records': an empty text names no folder"),
        ("soak --seed -1", "--seed"),
        ("soak nothing", "Soak must be of multiply_add_lns16, dot, "),
        ("soak --chunk 1", "--chunk is of one NAME"),
        ("soak log_to_linear --chunk 1", "--chunk of log_to_linear must be from 0 to 0, not 1"),
    ],
)
def test_bad_options(line, reason, capsys):
    # A blank at the end stands for an empty text.
    assert main(line.split(" ")) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1


def test_a_state_of_another_run_is_refused(several, tmp_path):
    run(several[2:], tmp_path)
    with pytest.raises(ValueError, match=r"state.json is of a run with another seed: remove .* to start anew"):
        run(several[2:], tmp_path, seed=1)
    with pytest.raises(ValueError, match="is of a run with another count: "):
        run(several[2:], tmp_path, count=30_001)
    with pytest.raises(ValueError, match="is of a run with another choice of units: "):
        run(several, tmp_path)
    other = subject("sqrt", format=LNS8)
    with pytest.raises(ValueError, match="is of a run with another Verilog: "):
        run([other], tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", "3", '{"identity": 1}', "\xff", "[" * 9999])
def test_a_damaged_state_is_refused(damage, several, tmp_path):
    run(several[2:], tmp_path)
    refuses(several[2:], tmp_path, damage)


@pytest.mark.parametrize(
    "of, value", [("done", [[0, 7]]), ("done", []), ("chunks", 2), ("results", 63), ("digest", 1), ("seconds", -1.0)]
)
def test_a_state_with_another_number_is_refused(of, value, several, tmp_path):
    run(several[2:], tmp_path)
    content = json.loads((tmp_path / "state.json").read_text())
    assert content["subjects"]["sqrt"][of] != value
    content["subjects"]["sqrt"][of] = value
    refuses(several[2:], tmp_path, json.dumps(content))


def refuses(subjects, folder, text):
    """The state stays as it is, for whoever wants to look."""
    path = folder / "state.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="state.json is no state of a soak, or is damaged: remove .* to start anew"):
        run(subjects, folder)
    assert path.read_bytes() == text.encode("latin-1")


def test_a_folder_that_cannot_be_made_is_told_first(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["soak", "sqrt", "--folder", str(tmp_path / "file" / "below")]) == 2
    capsys.readouterr()
    assert main(["soak", "dot", "--count", "1000", "--folder", str(tmp_path / "file" / "below")]) == 2
    error = capsys.readouterr().err
    assert "Not a directory" in error and error.count("\n") == 1


def test_wrong_calls(several, tmp_path):
    with pytest.raises(ValueError, match="^Count must be at least 1, not 0$"):
        run(several, tmp_path, count=0)
    with pytest.raises(ValueError, match="^Subjects must be at least one, with different names$"):
        run([], tmp_path)
    with pytest.raises(ValueError, match="^Subjects must be at least one"):
        run([several[0], several[0]], tmp_path)


def test_records_name_what_was_done(several, tmp_path):
    state = run(several, tmp_path)
    records = soak_records(several, state, 0, "again")
    assert [record.kind for record in records] == [Kind.SAMPLED, Kind.SAMPLED, Kind.EXHAUSTIVE]
    assert all(record.passed and record.command == "again" for record in records)
    assert records[1].details["transfers"] == 10 * ROWS and len(records[1].details["digest"]) == 32


def test_a_process_that_is_ended_from_outside_is_told(several, tmp_path):
    fatal = dataclasses.replace(several[2], make_model=functools.partial(os._exit, 9))
    with pytest.raises(ToolFailed, match="^A process of the soak was ended from outside"):
        run([fatal], tmp_path, processes=2)


def wait_for(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def done(path):
    rows = json.loads(path.read_text())["subjects"] if path.exists() else {}
    return sum(last - first + 1 for row in rows.values() for first, last in row["done"])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_command_leaves_a_state_to_go_on_from(how, tmp_path):
    """Ten million transfers, in two processes: the short form of `make soak`."""
    script = Path(sys.executable).with_name("lnsmadam")
    names = ["dot", "madam_update"] if how == signal.SIGKILL else ["float_to_lns_lns16", "log_to_linear"]
    line = [str(script), "soak", *names, "--count", "5e6", "--processes", "2", "--folder", str(tmp_path)]
    path = tmp_path / "state.json"
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: done(path) >= 2 or process.poll() is not None)
        process.send_signal(how)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), error
    if how == signal.SIGINT:
        # Behind the lines of a run that took long.
        assert error.splitlines()[-1] == "lnsmadam: interrupted"
    before = done(path)
    assert before >= 2
    finished = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    content = json.loads(path.read_text())
    for row in content["subjects"].values():
        assert row["done"] == [[0, row["chunks"] - 1]]
    assert sum(row["transfers"] for name, row in content["subjects"].items() if name != "log_to_linear") >= 5_000_000
    # The sum of what each chunk gives by itself, for one subject.
    name = names[0]
    unit = evidence.soaked(name)
    with BatchUnit(unit.emitted) as compiled:
        (numbers,) = content["subjects"][name]["done"]
        outcomes = [run_chunk(unit, compiled, 0, number, CHUNK) for number in range(numbers[0], numbers[1] + 1)]
    assert sum(outcome.digest for outcome in outcomes) % (1 << 128) == content["subjects"][name]["digest"]
