"""Records of evidence: what is written is read, a run replaces its own earlier one alone, damage is refused."""

import datetime
import json
import math
from dataclasses import replace

import pytest

from lnsmadam.proof import provenance, records
from lnsmadam.proof.records import FORM, Kind, Record, file_name, load, of_checks, other_form, save, save_by_command
from lnsmadam.sim.ports import Check

ONE = Record("sqrt", Kind.PROVED, "√(a²) = |a|", "proved", True, "lnsmadam prove sqrt", 1.5, {"words": [1, 2]})
OTHER = Record("add", Kind.GATES, "netlist", "equal", False, "lnsmadam gates add --family ecp5", 2.0)


def bare(found):
    """Records without what saving adds."""
    return [replace(record, source="", date="", tools={}) for record in found]


def test_round_trip_in_the_order_of_the_files(tmp_path):
    save(tmp_path, "b", [ONE])
    save(tmp_path, "a", [OTHER])
    assert bare(load(tmp_path)) == [OTHER, ONE]
    save(tmp_path, "b", [])
    assert bare(load(tmp_path)) == [OTHER]


def test_a_record_keeps_of_what_and_when_it_is(tmp_path):
    save(tmp_path, "b", [ONE])
    (found,) = load(tmp_path)
    assert found.source == provenance.source_digest(ONE.subject) and len(found.source) == 16
    assert (datetime.datetime.now(datetime.UTC).date() - datetime.date.fromisoformat(found.date)).days in (0, 1)
    assert set(found.tools) == {"amaranth", "Yosys", "Z3"} and all(
        version[0].isdigit() for version in found.tools.values()
    )


def test_a_variant_has_a_file_of_its_own_and_the_same_command_replaces_its_own(tmp_path):
    full, short = replace(ONE, result="full"), replace(ONE, result="short", command=f"{ONE.command} --count 1")
    save_by_command(tmp_path, [full])
    save_by_command(tmp_path, [short])
    assert [record.result for record in load(tmp_path)] == ["full", "short"]
    save_by_command(tmp_path, [replace(full, result="again"), replace(full, result="and more")])
    assert [record.result for record in load(tmp_path)] == ["again", "and more", "short"]


COMMANDS = [
    "lnsmadam simulate square",
    "lnsmadam simulate square --count 1",
    "lnsmadam simulate square --count 11",
    "lnsmadam simulate square --netlist ice40",
    "lnsmadam mutate square -n 5",
    "lnsmadam train --on rtl --gate 1",
    "lnsmadam train --on rtl --gate -1",
    "lnsmadam soak --folder /tmp/a_b",
    "lnsmadam soak --folder '/tmp/a b'",
    "lnsmadam soak --folder /tmp_a_b",
    *(f"lnsmadam soak --folder {'x' * length}" for length in (100, 200, 201)),
    "make fuzz",
]


def test_commands_have_names_that_a_file_may_have_each_its_own():
    names = [file_name(command) for command in COMMANDS]
    assert names[:2] == ["simulate-square.json", "simulate-square-count-1.json"]
    assert len(set(names)) == len(names) and max(map(len, names)) < 160
    assert not any(set(name) & set("/ \\:'") for name in names)


def test_files_of_another_form_are_left_out_and_told(tmp_path):
    save(tmp_path, "now", [ONE])
    row = {"subject": "sqrt", "kind": "proved", "claim": "old", "result": "", "passed": True, "command": "x"}
    (tmp_path / "old.json").write_text(json.dumps([row]))
    (tmp_path / "next.json").write_text(json.dumps({"form": FORM + 1, "lines": []}))
    assert bare(load(tmp_path)) == [ONE]
    assert [path.name for path in other_form(tmp_path)] == ["next.json", "old.json"]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "Expecting property name"),
        ("{}", "it names no form"),
        ("7", "it names no form"),
        ('{"form": "2", "records": []}', "it names no form"),
        ('{"form": 2}', "it has no list of records"),
        ('{"form": 2, "records": {}}', "it has no list of records"),
        ('{"form": 2, "records": [1]}', "record 1: 1 is not an object"),
        ('{"form": 2, "records": [{}]}', "record 1: subject is missing"),
        ("[" * 100_000, ""),
    ],
)
def test_a_damaged_file_is_named(text, reason, tmp_path):
    (tmp_path / "x.json").write_text(text)
    for read in (load, other_form):
        if read is load or "record 1" not in reason:
            with pytest.raises(ValueError, match=r"x\.json does not hold records of evidence: ") as caught:
                read(tmp_path)
            assert reason in str(caught.value) and len(str(caught.value).splitlines()) == 1


#: Field → what it must not be.
WRONG = {
    "subject": [3, None, "", ["add"]],
    "kind": ["no such", None, 0, ["proved"]],
    "claim": [3, "", {}],
    "result": [3, None],
    "passed": ["no", 0, 1, None, "true"],
    "command": [3, " ", []],
    "seconds": ["1", None, True, -1, math.nan, math.inf, [1]],
    "details": [[], "x", None],
    "source": [3],
    "date": [20261124],
    "tools": [["x"], {"Yosys": 70}],
    "details.notes": ["one note", [1], {"a": "b"}],
    "details.short": [3],
    "details.family": [3],
    "details.configuration": [3],
    "details.compared": ["7", 1.5, True, -1, {"batch": "7"}],
    "details.cycles": ["8", 8.5],
    "details.survivors": [[]],
    "details.unexplained": ["none"],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_field_of_a_wrong_type_is_named(name, value, tmp_path):
    path = save(tmp_path, "x", [OTHER, replace(ONE, details={"notes": ["a"], "short": "b", "compared": {"batch": 3}})])
    assert len(load(tmp_path)) == 2
    content = json.loads(path.read_text())
    row, _, inner = name.partition(".")
    if inner:
        content["records"][1][row][inner] = value
    else:
        content["records"][1][row] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"x\.json does not hold records of evidence: ") as caught:
        load(tmp_path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    # JSON itself has no NaN and no infinity.
    assert ("is not a number" if value in (math.inf,) or value != value else f"record 2: {inner or row} ") in message


@pytest.mark.parametrize("name", [field for field in WRONG if "." not in field])
def test_a_missing_or_unknown_field_is_named(name, tmp_path):
    path = save(tmp_path, "x", [ONE])
    content = json.loads(path.read_text())
    content["records"][0]["more"] = content["records"][0].pop(name)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"record 1: {name} is missing"):
        load(tmp_path)
    content["records"][0][name] = content["records"][0]["more"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="record 1: more is not a field"):
        load(tmp_path)


def test_every_field_is_checked():
    assert set(records.Record.__dataclass_fields__) == {name for name in WRONG if "." not in name}
    assert set(records.DETAILS) == {name.removeprefix("details.") for name in WRONG if "." in name}


def test_checks_become_records_and_skipped_ones_do_not():
    checks = [
        Check("latency", 16, True, "7 cycles", seconds=1.0),
        Check("reset", 300, False, "result 3 came after reset", seconds=2.0),
        Check("batch", 64, True, "all 2^6 arguments", is_exhaustive=True),
        Check("icarus", 0, True, "skipped", skipped=True),
    ]
    first, second = of_checks("sqrt", checks, "lnsmadam simulate sqrt")
    assert (first.kind, first.passed, first.details["compared"]) == (Kind.EXHAUSTIVE, True, 64)
    assert (second.kind, second.passed, second.seconds) == (Kind.SAMPLED, False, 3.0)
    assert second.claim == "protocol, in cocotb: latency, reset"
    assert second.result == "316 compared: result 3 came after reset"
