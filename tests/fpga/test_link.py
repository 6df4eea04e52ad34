"""The host's end of the line: bytes against integers composed by hand, and a line that fails."""

import sys
import types

import numpy as np
import pytest

from lnsmadam.fpga.link import Link, LinkError, UnitPort, describe, pack_fields, read_report, unpack_fields
from lnsmadam.fpga.top import WINDOW
from lnsmadam.golden.format import LNS8
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.hw.multiply import Multiply

#: Widths that cross bytes, fill them, and pass 64 bits in all.
WIDTHS = {"weight": 16, "bit": 1, "rms": 12, "wide": 32, "odd": 7, "last": 24}


def fields_of(widths):
    fields, lsb = [], 0
    for name, width in widths.items():
        fields.append({"name": name, "lsb": lsb, "width": width})
        lsb += width
    return fields, lsb


class Board:
    """Stands in for a port with a board of one ``multiply`` behind it; answers ``answers`` packets, then is silent."""

    def __init__(self, config, answers=10**9):
        self.config, self.answers, self.waiting, self.closed, self.most = config, answers, bytearray(), False, 0

    def write(self, data):
        self.most = max(self.most, len(data))
        packets = np.frombuffer(data, np.uint8).reshape(-1, 3)
        assert (packets[:, 0] == 0).all()
        results = multiply(self.config, packets[:, 1], packets[:, 2])[: self.answers]
        self.answers -= len(results)
        self.waiting += results.tobytes()

    def read(self, size=1):
        size = min(size, 50)
        data, self.waiting = bytes(self.waiting[:size]), self.waiting[size:]
        return data

    def close(self):
        self.closed = True


@pytest.fixture
def config():
    return MultiplyConfig(format=LNS8)


@pytest.fixture
def ports(config):
    return describe([Multiply(config)])


def test_bytes_are_the_little_endian_integer():
    fields, width = fields_of(WIDTHS)
    rng = np.random.default_rng(1)
    words = {name: rng.integers(0, 1 << w, 200) for name, w in WIDTHS.items()}
    packed = pack_fields(fields, words, width)
    assert packed.shape == (200, 12)
    for n in range(200):
        value = sum(int(words[field["name"]][n]) << field["lsb"] for field in fields)
        assert packed[n].tobytes() == value.to_bytes(12, "little")
    unpacked = unpack_fields(fields, packed)
    for name in WIDTHS:
        np.testing.assert_array_equal(unpacked[name], words[name], err_msg=name)


def test_scalars_broadcast(ports):
    packets = ports[0].pack({"a": 7, "b": np.array([1, 2], np.uint8)})
    assert packets == bytes([0, 7, 1, 0, 7, 2])


def test_fields_must_be_the_units(ports):
    with pytest.raises(ValueError, match="Fields must be a, b, not a, c"):
        ports[0].pack({"a": [1], "c": [2]})
    with pytest.raises(ValueError, match="a must be in 0 … 255"):
        ports[0].pack({"a": [256], "b": [2]})


def test_results_are_the_units_in_order(config, ports):
    a, b = (x.ravel().astype(np.uint8) for x in np.meshgrid(np.arange(256), np.arange(0, 256, 5)))
    board = Board(config)
    with Link(board, ports, 1_000_000) as link:
        result = link.call("multiply", a=a, b=b)["result"]
    np.testing.assert_array_equal(result, multiply(config, a, b))
    assert board.closed
    assert 0 < board.most <= WINDOW, "more under way than the board can hold"


def test_silence_is_one_line(config, ports):
    link = Link(Board(config, answers=300), ports, 1_000_000)
    with pytest.raises(LinkError, match="^Board stopped answering: 300 bytes of multiply came of 400$"):
        link.call("multiply", a=np.zeros(400, np.uint8), b=1)


def test_unknown_unit(config, ports):
    with pytest.raises(ValueError, match="Unit must be one of multiply, not 'divide'"):
        Link(Board(config), ports, 1_000_000).call("divide", a=1, b=1)


def test_port_that_cannot_be_opened(ports, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no such device")

    monkeypatch.setitem(sys.modules, "serial", types.SimpleNamespace(Serial=refuse))
    with pytest.raises(LinkError, match="^Port /dev/ttyUSB9 cannot be opened: no such device$"):
        Link("/dev/ttyUSB9", ports, 1_000_000)


def test_missing_pyserial_names_it(ports, monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(LinkError, match="pip install pyserial"):
        Link("/dev/ttyUSB0", ports, 1_000_000)


def test_report_that_is_none(tmp_path):
    with pytest.raises(LinkError, match="cannot be read: No such file"):
        read_report(tmp_path / "report.json")
    (tmp_path / "report.json").write_text('{"units": 3}')
    with pytest.raises(LinkError, match="is not the report of a board's build"):
        read_report(tmp_path / "report.json")


def test_a_port_survives_its_description(ports):
    assert UnitPort(**ports[0].describe()) == ports[0]
