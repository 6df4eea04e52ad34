"""What a manifest says of streams, and words in a reader's terms."""

import dataclasses

import numpy as np
import pytest

from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.golden.format import LNS8, FixedFormat
from lnsmadam.sim.ports import Field, Port, Ports, first_mismatch, format_of


def test_formats_come_back_from_a_manifest():
    for fmt in (LNS8, FixedFormat(12, 4, signed=True), BFLOAT16):
        assert format_of(fmt.describe()) == fmt
    assert format_of({"kind": "bits"}) is None


def test_words_in_a_readers_terms():
    # 1.5, the largest negative number, a field of an unknown kind.
    assert Field("a", 0, 16, BFLOAT16).describe(0x3FC0) == "1.5 (0x3fc0)"
    assert Field("a", 0, 8, LNS8).describe(LNS8.sign_bit | LNS8.log_max) == f"- log {LNS8.log_max}"
    assert Field("a", 0, 8, LNS8).describe(LNS8.zero_log & LNS8.log_mask) == "+ zero"
    assert Field("a", 0, 12, FixedFormat(12, 4, signed=True)).describe(0xFFE) == "-2"
    assert Field("a", 0, 10, None).describe(0x2A) == "0x02a"


def test_fields_beyond_an_integer_are_refused():
    field = {"name": "wide", "lsb": 0, "width": 65, "format": {"kind": "bits"}}
    entry = {"name": "i", "valid": "v", "ready": "r", "payload": "p", "width": 65, "fields": [field]}
    with pytest.raises(ValueError, match="Field wide must have at most 64 bits"):
        Port.of(entry)
    assert Port.of({**entry, "fields": [{**field, "width": 64}]}).fields[0].width == 64


def test_a_bench_needs_one_stream_each_way(multiplier_of):
    manifest = multiplier_of(2).emitted.manifest
    with pytest.raises(ValueError, match="multiply must have one stream of operands and one of results"):
        Ports.of({**manifest, "inputs": manifest["inputs"] * 2})
    with pytest.raises(ValueError, match="multiply must have one stream of operands and one of results"):
        Ports.of({**manifest, "outputs": []})


def test_results_follow_a_flag_of_the_operands(multiplier_of):
    manifest = multiplier_of(2).emitted.manifest
    with pytest.raises(ValueError, match="Results follow 'a', which is no field of 1 bit of"):
        Ports.of({**manifest, "outputs": [{**manifest["outputs"][0], "when": "a"}]})


def test_a_model_must_bring_as_many_results(multiplier_of):
    unit = multiplier_of(2)
    ports = Ports.of(unit.emitted.manifest)
    operands = {"a": np.arange(3, dtype=np.uint8), "b": np.zeros(3, np.uint8)}
    with pytest.raises(ValueError, match="The model gives 2 results for transfers that bring 3"):
        ports.expected(lambda fields, index: {"result": np.zeros(2, np.uint8)}, operands, 0)


def test_payloads_are_packed_and_unpacked(wide):
    ports = Ports.of(wide.emitted.manifest)
    rng = np.random.default_rng(3)
    words = {item.name: rng.integers(0, 1 << min(item.width, 62), 20) for item in ports.input.fields}
    packed = ports.input.pack(ports.input.columns(words))
    assert max(packed).bit_length() > 64
    for row, payload in enumerate(packed):
        assert ports.input.unpack(payload) == {name: int(column[row]) for name, column in words.items()}


def test_the_mismatch_is_that_of_the_transfer_that_brought_the_result(multiplier_of):
    ports = Ports.of(multiplier_of(2).emitted.manifest)
    ports = dataclasses.replace(ports, output=dataclasses.replace(ports.output, when="b"))
    operands = {"a": np.array([1, 2, 3, 4], np.uint8), "b": np.array([0, 1, 0, 1], np.uint8)}
    want = {"result": np.array([5, 6], np.uint8)}
    assert first_mismatch(ports, operands, want, want, 100) is None
    found = first_mismatch(ports, operands, {"result": np.array([5, 7], np.uint8)}, want, 100)
    assert found is not None and (found.index, found.row) == (103, 1) and "a = + log 4" in found.operands
    # What came out may end early.
    assert first_mismatch(ports, operands, {"result": np.array([5], np.uint8)}, want, 100) is None
