"""Reasons of survivors: each is of one fault in one netlist, and goes stale with it."""

from dataclasses import replace

import pytest

from lnsmadam.cli.mutate import DEFAULT_COUNT
from lnsmadam.golden.format import LNS6, LNS16
from lnsmadam.proof.mutation import survivors
from lnsmadam.proof.mutation.mutants import mutate
from lnsmadam.proof.mutation.survivors import digest, entries, reason
from lnsmadam.units import UNITS

EXPLAINED = list(dict.fromkeys(entry["unit"] for entry in entries()))


def mutated(name, **options):
    unit = UNITS[name]
    config = unit.configure(options)
    return mutate(unit.build(config), unit.emit(config), DEFAULT_COUNT, 0)


def test_entries_are_whole():
    assert EXPLAINED
    for entry in entries():
        assert set(entry) == {"unit", "netlist", "cell", "mode", "port", "reason"} and entry["unit"] in UNITS
        assert entry["reason"].endswith(".") and len(entry["reason"]) > 40
    faults = [tuple(entry[key] for key in ("netlist", "cell", "mode", "port")) for entry in entries()]
    assert len(faults) == len(set(faults))


@pytest.mark.parametrize("name", EXPLAINED)
def test_no_entry_is_stale(name):
    """Each is of the unit as it is now, in the default configuration, and of a fault that `mutate` picks there."""
    now = mutated(name)
    picked = {(mutant.cell, mutant.mode, mutant.port) for mutant in now.mutants}
    for entry in entries():
        if entry["unit"] == name:
            # Look at the fault again, then give the entry the digest that the netlist has now.
            assert entry["netlist"] == digest(now.netlist), f"{name} has changed: {entry['cell']} is of an earlier one"
            assert (entry["cell"], entry["mode"], entry["port"]) in picked


def test_a_reason_is_of_one_fault():
    now = mutated("dot")
    entry = next(entry for entry in entries() if entry["unit"] == "dot")
    fault = (entry["cell"], entry["mode"], entry["port"])
    (mutant,) = [mutant for mutant in now.mutants if (mutant.cell, mutant.mode, mutant.port) == fault]
    assert reason(now.netlist, mutant) == entry["reason"]
    assert reason(now.netlist, replace(mutant, port="A[9]")) is None
    assert reason(now.netlist, replace(mutant, mode="inv")) is None


@pytest.mark.parametrize("options", [{"format": LNS16}, {"format": LNS6}])
def test_a_reason_is_not_of_another_configuration(options, monkeypatch):
    """Also where both have a cell of that name."""
    other = mutated("linear_to_log", **options)
    entry = next(entry for entry in entries() if entry["unit"] == "linear_to_log")
    mutant = replace(other.mutants[0], cell=entry["cell"], mode=entry["mode"], port=entry["port"])
    assert entry["cell"] in other.netlist and reason(other.netlist, mutant) is None
    # With its own entry it is explained.
    own = {**entry, "netlist": digest(other.netlist)}
    monkeypatch.setattr(survivors, "entries", lambda: (own,))
    assert reason(other.netlist, mutant) == entry["reason"]


def test_a_digest_is_of_the_circuit_and_not_of_the_place():
    text = mutated("dot").netlist
    assert digest(text.replace("/hw/pipeline.py:", "/elsewhere/hw/pipeline.py:9")) == digest(text)
    assert digest(text.replace("connect \\Y", "connect \\A", 1)) != digest(text)
