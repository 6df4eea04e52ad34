"""The host's end of the line: every request ends, in an answer or in one line of reason."""

import os
import pty
import sys
from pathlib import Path

import device
import pytest

from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer import frames
from lnsmadam.fpga.trainer.client import Client, open_port
from lnsmadam.golden.trainer.config import network_preset


def refused(message, line, **options):
    with pytest.raises(LinkError, match=message) as caught:
        Client(line, **options).hello()
    assert "\n" not in str(caught.value)


class Scripted(device.Line):
    """Answers with what a function of the request's frame gives."""

    def __init__(self, answer):
        super().__init__(None)
        self.answer, self.writes = answer, 0

    def write(self, data):
        self.writes += 1
        (request,) = frames.Decoder().feed(data)
        self.waiting += self.answer(request)
        return len(data)

    def read(self, size=1):
        data = bytes(self.waiting[:size])
        del self.waiting[:size]
        return data


def test_a_silent_port():
    line = Scripted(lambda request: b"")
    refused("^Board does not answer: it holds no trainer, or has another baud rate$", line, attempts=3)
    assert line.writes == 3


def test_a_line_that_never_falls_silent():
    class Noise(Scripted):
        read_bytes = 0

        def read(self, size=1):
            self.read_bytes += size
            return b"\xa5\x00" * size if size < 9 else bytes(size)

    line = Noise(lambda request: b"")
    refused("^Board does not answer", line, attempts=2)
    assert line.read_bytes < 20_000


def test_a_line_that_drips(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("lnsmadam.fpga.trainer.client.time.monotonic", lambda: now[0])

    class Drip(Scripted):
        def read(self, size=1):
            now[0] += 0.9
            return b"\x00"

    refused("^Board does not answer", Drip(lambda request: b""), attempts=2)
    assert now[0] < 12


def test_what_is_no_trainer():
    other = lambda payload, code=0: lambda r: frames.Frame(r.sequence, code, payload).encode()  # noqa: E731
    refused("^Board speaks version 9 of the protocol, this program 1$", Scripted(other(b"\x09" + bytes(17))))
    refused("^Board holds no trainer: Payload of HELLO must have 18 bytes, not 3$", Scripted(other(b"\x01ab")))


@pytest.mark.parametrize(
    ("code", "payload", "message"),
    [
        (frames.Status.BAD_ARGUMENT, b"", "Board refused STATUS: bad argument"),
        (frames.Status.BUSY, b"", "Board refused STATUS: busy"),
        (77, b"", "Board refused STATUS: status 77"),
        (frames.Status.SEQUENCE, b"\x05", "Board was restarted, or another program talks to it"),
        (frames.Status.OK, b"abc", "Board answered STATUS with 3 bytes, not 17"),
    ],
)
def test_refusals(code, payload, message):
    line = Scripted(lambda request: frames.Frame(request.sequence, code, payload).encode())
    with pytest.raises(LinkError, match=f"^{message}$"):
        Client(line).request(frames.Command.STATUS, expected=17)
    assert line.writes == 1


def test_a_late_answer_to_an_earlier_program_is_no_hello():
    board = device.Device(network_preset("FO"), 4, 8)

    class Late(device.Line):
        late = 2

        def write(self, data):
            self.late -= 1
            if self.late >= 0:
                (request,) = frames.Decoder().feed(data)
                self.waiting += frames.Frame(request.sequence, 0, (b"", bytes(100))[self.late]).encode()
                return len(data)
            return super().write(data)

    client = Client(Late(board))
    assert client.hello().lanes == 4 and client.repeats == 2


def test_an_answer_to_another_request_is_none():
    line = Scripted(lambda request: frames.Frame((request.sequence - 1) % 256, 0, b"").encode())
    with pytest.raises(LinkError, match="^Board stopped answering: STOP was sent 4 times$"):
        Client(line).request(frames.Command.STOP)


def test_ports_that_cannot_be_opened(tmp_path, monkeypatch):
    cases = ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (Path(__file__), "Inappropriate ioctl"))
    for path, reason in cases:
        with pytest.raises(LinkError, match=f"^Port {path} cannot be opened: .*{reason}") as caught:
            open_port(str(path), 1_000_000, 0.1)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(LinkError, match="pip install pyserial"):
        open_port("/dev/ttyUSB0", 1_000_000, 0.1)


def test_a_silent_terminal_and_one_in_use():
    here, there = pty.openpty()
    name = os.ttyname(there)
    try:
        with pytest.raises(LinkError, match=f"^Board on {name} does not answer"):
            Client(open_port(name, 1_000_000, 0.1), f"Board on {name}", attempts=2).hello()
        held = open_port(name, 1_000_000, 0.1)
        with pytest.raises(LinkError, match=f"^Port {name} cannot be opened: another program uses it$"):
            open_port(name, 1_000_000, 0.1)
        held.close()
    finally:
        os.close(here)
        os.close(there)


def test_a_line_that_breaks():
    class Gone(device.Line):
        def write(self, data):
            raise OSError(5, "of some kind")

    with pytest.raises(LinkError, match="^Board: the line broke: Input/output error$"):
        Client(Gone(None)).hello()
