"""Units whose results follow only some transfers: counted, told and checked as strictly as the others."""

import dataclasses
import re

import numpy as np
import pytest

from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.ports import Ports
from lnsmadam.sim.protocol import CHECKS, run_protocol
from lnsmadam.sim.simulate import simulate
from lnsmadam.sim.stimulus import protocol_operands, stimulus


def _protocol(unit, operands=None):
    checks = run_protocol(unit.emitted, unit.model, operands or protocol_operands(unit.config, 5, 600), seed=3)
    assert [check.name for check in checks] == list(CHECKS)
    return {check.name: check for check in checks}


def _failed(checks):
    return {name for name, check in checks.items() if not check.passed}


@pytest.mark.parametrize("stalls_seed", [None, 7])
def test_a_right_unit_passes_from_chunk_to_chunk(summing, stalls_seed):
    unit, done = summing(), []
    results = int(sum(chunk["last"].sum() for chunk in stimulus(unit.config, 2, 15000, chunk=4000)))
    chunks = stimulus(unit.config, 2, 15000, chunk=4000)
    compared = compare(unit.emitted, unit.model, chunks, stalls_seed=stalls_seed, progress=done.append)
    assert compared.passed, compared
    assert compared.count == results and 6000 < results < 9000
    assert done == sorted(done) and done[-1] == 15000


def test_full_speed_takes_one_cycle_a_transfer(summing):
    unit = summing()
    operands = protocol_operands(unit.config, 1, 1000)
    operands["last"][-1] = 1
    with BatchUnit(unit.emitted) as batch:
        got = batch.run(operands)
        assert batch.cycles == 1002 and len(got["sum"]) == operands["last"].sum()


def test_every_check_passes(summing):
    unit = summing()
    checks = simulate(unit.emitted, unit.model, unit.config, count=20000, seed=4)
    assert all(check.passed for check in checks), checks
    assert all(check.compared > 0 for check in checks if not check.skipped)


def test_a_mismatch_names_the_transfer_that_brought_the_result(summing):
    unit = summing()
    first = {"a": np.array([1, 2, 3]), "first": np.array([1, 0, 0]), "last": np.array([0, 1, 0])}
    second = {"a": np.array([4, 5, 6]), "first": np.array([0, 1, 0]), "last": np.array([1, 0, 1])}

    def model(fields, index):
        return {"sum": unit.model(fields, index)["sum"] + (index > 0)}

    result = compare(unit.emitted, model, [first, second])
    assert str(result.mismatch) == "transfer 3: a = 4, first = 0, last = 1: got sum = 10, want sum = 11"
    assert result.count == 2
    # A chunk without results is still one: the transfers in it count.
    first["last"] = np.zeros(3, int)
    result = compare(unit.emitted, model, [first, second])
    assert result.mismatch.index == 3 and result.count == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("loses", "no transfer for .* cycles: .* accepted, .* results; transfer .* got sum"),
        ("extra", "a result without operands|got sum"),
        ("always", "a result without operands: 1 accepted, 0 results and one more|got sum"),
    ],
)
@pytest.mark.parametrize("stalls_seed", [None, 1])
def test_batch_finds_planted_faults(summing, fault, message, stalls_seed):
    unit = summing(fault)
    result = compare(unit.emitted, unit.model, stimulus(unit.config, 1, 10000), stalls_seed=stalls_seed)
    assert not result.passed and re.search(message, result.failure), result


def test_a_result_before_its_time_is_one_too_many(summing):
    unit = summing("always")
    operands = {"a": np.arange(8), "first": np.zeros(8, int), "last": np.arange(8) == 7}
    result = compare(unit.emitted, unit.model, [operands])
    assert result.fault.startswith("a result without operands: 3 accepted, 0 results and one more"), result
    # Nor does one that follows no transfer with `last` at all pass.
    operands["last"] = np.zeros(8, int)
    result = compare(unit.emitted, unit.model, [operands])
    assert result.fault.startswith("a result without operands") and not result.passed


@pytest.mark.parametrize("fault", ["loses", "extra", "always"])
def test_the_protocol_bench_finds_planted_faults(summing, fault):
    checks = _protocol(summing(fault))
    failed = _failed(checks)
    assert "throughput" in failed, checks
    if fault == "always":
        assert failed == set(CHECKS), checks
        assert "results due and 1 came: one too many" in checks["latency"].message, checks


def test_another_latency_than_the_manifests_fails(summing):
    unit = summing()
    emitted = dataclasses.replace(unit.emitted, manifest={**unit.emitted.manifest, "latency": 3})
    checks = _protocol(dataclasses.replace(unit, emitted=emitted))
    assert {"latency", "throughput"} <= _failed(checks), checks
    assert checks["latency"].message == "the latency is 2 cycles, the manifest says 3"


def test_no_result_at_all_is_a_failure(summing):
    unit = summing()
    operands = {"a": np.arange(8), "first": np.zeros(8, int), "last": np.zeros(8, int)}
    result = compare(unit.emitted, unit.model, [operands])
    assert not result.passed and result.count == 0
    assert result.failure == "nothing was compared: no result follows any of 8 transfers"
    checks = _protocol(unit, operands)
    assert _failed(checks) == set(CHECKS), checks
    assert all("nothing was compared" in check.message for check in checks.values())


def test_a_model_of_another_length_is_refused(summing):
    unit = summing()
    with pytest.raises(ValueError, match="The model gives 4 results for transfers that bring 1"):
        operands = {"a": np.arange(4), "first": np.zeros(4, int), "last": np.arange(4) == 3}
        compare(unit.emitted, lambda fields, index: {"sum": np.zeros(4, int)}, [operands])


@pytest.mark.parametrize("when", ["a", "missing"])
def test_results_must_follow_a_flag(summing, when):
    manifest = summing().emitted.manifest
    manifest = {**manifest, "outputs": [{**manifest["outputs"][0], "when": when}]}
    with pytest.raises(ValueError, match=f"Results follow '{when}', which is no field of 1 bit of i"):
        Ports.of(manifest)
