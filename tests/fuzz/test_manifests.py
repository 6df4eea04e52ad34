"""Manifests and reports, changed in any place: refused in one line, or read as ports that can be."""

import copy
import json

import pytest
from hypothesis import strategies as st
from json_values import JSON, places_of
from properties import property_of

from lnsmadam.fpga.link import LinkError, UnitPort, describe, read_report
from lnsmadam.sim.ports import Ports
from lnsmadam.units import UNITS

MANIFESTS = {name: unit.emit(unit.configure({})).manifest for name, unit in UNITS.items() if name != "adam_update"}


def changed(data, whole):
    """A copy with one to three values lost, replaced, or put in another's place."""
    whole = copy.deepcopy(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        paths = [path for path in places_of(whole) if path]
        if not paths:
            break
        path, other = (data.draw(st.sampled_from(paths)) for _ in range(2))
        kind = data.draw(st.integers(0, 3))
        inner = whole
        for step in path[:-1]:
            inner = inner[step]
        source = whole
        for step in other:
            source = source[step]
        if kind == 0:
            del inner[path[-1]]
        elif kind == 1 and type(inner[path[-1]]) is int:
            inner[path[-1]] += data.draw(st.sampled_from([-1, 1, 8]))
        else:
            inner[path[-1]] = copy.deepcopy(source) if kind == 2 else data.draw(JSON)
    return whole


def are_sound(port):
    """Fields with bits of their own, as wide as their format."""
    taken = 0
    for item in port.fields:
        bits = (1 << item.width) - 1 << item.lsb
        assert item.width > 0 and not bits & taken and bits < 1 << port.width
        assert item.format is None or item.format.width == item.width
        taken |= bits
    assert taken


def manifests(data):
    manifest = changed(data, MANIFESTS[data.draw(st.sampled_from(sorted(MANIFESTS)))])
    try:
        ports = Ports.of(manifest)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return
    are_sound(ports.input)
    are_sound(ports.output)
    # What goes into a payload comes out of it.
    words = {item.name: (1 << item.width) - 1 - n for n, item in enumerate(ports.input.fields) if item.width > 3}
    words |= {item.name: 1 for item in ports.input.fields if item.name not in words}
    (payload,) = ports.input.pack(ports.input.columns({name: [word] for name, word in words.items()}))
    assert ports.input.unpack(payload) == words


test_manifests, test_many_manifests = property_of("manifests", data=st.data())(manifests)

REPORT = {
    "board": "icebreaker",
    "units": [
        port.describe()
        for port in describe(
            [UNITS[name].build(UNITS[name].configure({})) for name in ("multiply_add", "madam_update")]
        )
    ],
    "baud": 1_000_000,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("reports") / "report.json"


def reports_of_boards(path, data):
    report = changed(data, json.loads(json.dumps(REPORT)))
    text = json.dumps(report)
    if data.draw(st.integers(0, 4)) == 0:
        text = text[: data.draw(st.integers(0, len(text)))]
    path.write_text(text, encoding="utf-8")
    try:
        units, baud = read_report(path)
    except LinkError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return
    assert baud >= 1
    for unit in units:
        assert isinstance(unit, UnitPort)
        words = {field["name"]: [(1 << field["width"]) - 1] for field in unit.input["fields"]}
        packet = unit.pack(words)
        assert len(packet) == unit.packet_bytes and packet[0] == unit.number
        got = unit.unpack(bytes([0xFF] * unit.answer_bytes))
        assert {name: int(word[0]) for name, word in got.items()} == {
            field["name"]: (1 << field["width"]) - 1 for field in unit.output["fields"]
        }


test_reports, test_many_reports = property_of("reports_of_boards", data=st.data())(reports_of_boards)
