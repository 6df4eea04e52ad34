"""The host's end of the line to a trainer: requests that end in an answer, or in one clear error."""

import contextlib
import errno
import os
import secrets
import time
from typing import Protocol

from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer.frames import OVERHEAD, PROTOCOL_VERSION, Command, Decoder, Frame, Hello, Status

try:
    import termios

    _BROKEN_LINE: tuple[type[Exception], ...] = (OSError, termios.error)
except ImportError:
    _BROKEN_LINE = (OSError,)

_CANNOT_OPEN: tuple[type[Exception], ...] = (*_BROKEN_LINE, ValueError)

#: Bytes that may pass while an answer is awaited: of a line that never falls silent no more is read.
MOST_NOISE = 4096


class Port(Protocol):
    """What :class:`Client` needs of a serial port: that of pyserial, or a stand-in."""

    @property
    def in_waiting(self) -> int: ...
    def write(self, data: bytes, /) -> int | None: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


def open_port(name: str, baud: int, timeout: float) -> Port:
    """A serial port for nobody else, whose reads and writes end after ``timeout`` seconds.

    Raises
    ------
    LinkError
        pyserial is missing, or the port cannot be opened.
    """
    try:
        import serial
    except ImportError:
        raise LinkError("A serial port needs pyserial: `pip install pyserial`") from None
    try:
        port = serial.Serial(name, baud, timeout=timeout, write_timeout=timeout, exclusive=True)
    except _CANNOT_OPEN as error:
        raise LinkError(f"Port {name} cannot be opened: {_reason(error)}") from None
    # Some USB bridges otherwise keep an answer back for 16 ms. Other ports have no such mode.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        port.set_low_latency_mode(True)
    opened: Port = port
    return opened


def _reason(error: Exception) -> str:
    """What an exception of pyserial or the system says, without its number."""
    number = getattr(error, "errno", None)
    if number in (errno.EAGAIN, errno.EACCES, errno.EBUSY):
        return {errno.EACCES: "no permission"}.get(number, "another program uses it")
    if number is None and isinstance(error.__context__, _BROKEN_LINE):
        # pyserial tells of some errors only in words that hold the system's.
        number = error.__context__.args[0]
    return os.strerror(number) if number else str(error.args[-1] if error.args else error)


class Client:
    """Sends requests and takes their answers, one at a time.

    A request without an answer is sent again, unchanged, so that a board that executed it sends its answer again and
    does nothing; after ``attempts`` times it fails. So every request ends, in an answer or in a :class:`LinkError`.

    Parameters
    ----------
    port : Port
        Its reads must wait longer than the board's ``TIMEOUT_S`` before they end empty-handed: in this pause the board
        forgets what noise began.
    name : str
        What messages call the board.
    attempts : int
    patience : float
        Seconds after which an answer that only drips in counts as none.
    sequence : int, optional
        Number of the first request; by default random, so that answers to an earlier program's requests do not look
        like those to this one's.

    Attributes
    ----------
    repeats : int
        Requests that had to be sent again.
    """

    def __init__(
        self, port: Port, name: str = "Board", *, attempts: int = 4, patience: float = 5.0, sequence: int | None = None
    ):
        self.port, self.name, self.attempts, self.patience = port, name, attempts, patience
        self.repeats = 0
        self._sequence = secrets.randbelow(256) if sequence is None else sequence % 256

    def hello(self) -> Hello:
        """What the board says of itself; from now on it follows this client's numbers.

        Raises
        ------
        LinkError
            Nobody answers, or not a trainer of this version.
        """
        reason = "does not answer: it holds no trainer, or has another baud rate"
        for attempt in range(self.attempts):
            self.repeats += attempt > 0
            # A new number every time: an answer to an earlier program's request may come with the first.
            self._sequence = (self._sequence + 1) % 256
            answer = self._exchange(Frame(self._sequence, Command.HELLO), Hello.FORM.size)
            if answer is None:
                continue
            try:
                hello = Hello.decode(answer.payload)
            except ValueError as error:
                reason = f"holds no trainer: {error}"
                continue
            if hello.version == PROTOCOL_VERSION:
                return hello
            reason = f"speaks version {hello.version} of the protocol, this program {PROTOCOL_VERSION}"
        raise LinkError(f"{self.name} {reason}")

    def request(self, command: Command, payload: bytes = b"", expected: int = 0) -> bytes:
        """The payload of the answer to a request, of ``expected`` bytes.

        Raises
        ------
        LinkError
            The board does not answer, refuses, or answers something else.
        """
        answer = self._ask(command, payload, expected)
        if answer is None:
            raise LinkError(f"{self.name} stopped answering: {command.name} was sent {self.attempts} times")
        if answer.code == Status.SEQUENCE:
            raise LinkError(f"{self.name} was restarted, or another program talks to it")
        if answer.code != Status.OK:
            raise LinkError(f"{self.name} refused {command.name}: {_name(answer.code)}")
        if len(answer.payload) != expected:
            raise LinkError(f"{self.name} answered {command.name} with {len(answer.payload)} bytes, not {expected}")
        return answer.payload

    def close(self) -> None:
        """Closes the port."""
        self.port.close()

    def _ask(self, command: Command, payload: bytes, expected: int) -> Frame | None:
        """Sends a request until its answer comes; None if it does not."""
        self._sequence = (self._sequence + 1) % 256
        for attempt in range(self.attempts):
            self.repeats += attempt > 0
            answer = self._exchange(Frame(self._sequence, command, payload), expected)
            if answer is not None:
                return answer
        return None

    def _exchange(self, frame: Frame, expected: int) -> Frame | None:
        """Sends a request once; its answer, or None."""
        try:
            # What is on the line now answers nothing that was asked.
            self.port.reset_input_buffer()
            self.port.write(frame.encode())
            return self._answer(OVERHEAD + expected)
        except _BROKEN_LINE as error:
            raise LinkError(f"{self.name}: the line broke: {_reason(error)}") from None

    def _answer(self, size: int) -> Frame | None:
        """The next answer to the present request, of up to ``size`` bytes; None if there is none."""
        decoder, heard, end = Decoder(), 0, time.monotonic() + self.patience
        while heard < MOST_NOISE + size and time.monotonic() < end:
            # An answer may be no more than a status, shorter than the one hoped for.
            data = self.port.read(max(self.port.in_waiting, 1 if heard else OVERHEAD))
            if not data:
                return None
            heard += len(data)
            for frame in decoder.feed(data):
                if frame.sequence == self._sequence:
                    return frame
        return None


def _name(code: int) -> str:
    names = {status.value: status.name.lower().replace("_", " ") for status in Status}
    return names.get(code, f"status {code}")
