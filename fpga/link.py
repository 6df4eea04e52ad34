"""The host's end of the line: words to packets, packets to the board, answers to words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lnsmadam.fpga.top import WINDOW, bytes_of
from lnsmadam.golden.format import check_words, word_dtype
from lnsmadam.hw.emit import emit
from lnsmadam.hw.pipeline import UnitComponent

Words = npt.NDArray[Any]


class LinkError(RuntimeError):
    """The line to the board failed; the message is one line."""


class Line(Protocol):
    """What :class:`Link` needs of a serial port: that of pyserial, or a stand-in."""

    def write(self, data: bytes, /) -> int | None: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def close(self) -> None: ...


def pack_fields(fields: Sequence[Mapping[str, Any]], words: Mapping[str, npt.ArrayLike], width: int) -> Words:
    """Payloads as bytes, little-endian.

    Parameters
    ----------
    fields : the manifest's ``fields`` of a port
    words : field name → array of words, shapes that broadcast
    width : int
        Bits of the payload.

    Returns
    -------
    uint8 array, broadcast shape + (bytes,)

    Raises
    ------
    ValueError
        A field is missing, unknown, or a word does not fit in it.
    """
    names = [field["name"] for field in fields]
    if set(words) != set(names):
        raise ValueError(f"Fields must be {', '.join(names)}, not {', '.join(words)}")
    arrays = {name: check_words(words[name], field["width"], name) for name, field in zip(names, fields, strict=True)}
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    payload = np.zeros((*shape, bytes_of(width)), np.uint8)
    for field in fields:
        first, shift = divmod(field["lsb"], 8)
        bits = arrays[field["name"]].astype(np.uint64) << np.uint64(shift)
        for k in range(bytes_of(shift + field["width"])):
            payload[..., first + k] |= (bits >> np.uint64(8 * k)).astype(np.uint8)
    return payload


def unpack_fields(fields: Sequence[Mapping[str, Any]], payload: Words) -> dict[str, Words]:
    """The inverse of :func:`pack_fields`: arrays of words by field name."""
    words = {}
    for field in fields:
        first, shift = divmod(field["lsb"], 8)
        bits = np.zeros(payload.shape[:-1], np.uint64)
        for k in range(bytes_of(shift + field["width"])):
            bits |= payload[..., first + k].astype(np.uint64) << np.uint64(8 * k)
        mask = np.uint64((1 << field["width"]) - 1)
        words[field["name"]] = (bits >> np.uint64(shift) & mask).astype(word_dtype(field["width"]))
    return words


@dataclass(frozen=True)
class UnitPort:
    """One unit of a board's design as the host sees it.

    Attributes
    ----------
    number : int
        First byte of its packets.
    unit : str
        Its name.
    parameters : dict
        Its configuration, as in the manifest.
    input, output : dict
        Its ports, as in the manifest.
    """

    number: int
    unit: str
    parameters: Mapping[str, Any]
    input: Mapping[str, Any]
    output: Mapping[str, Any]

    @property
    def packet_bytes(self) -> int:
        """Bytes of one packet, its number included."""
        return 1 + bytes_of(self.input["width"])

    @property
    def answer_bytes(self) -> int:
        """Bytes of one answer."""
        return bytes_of(self.output["width"])

    def pack(self, words: Mapping[str, npt.ArrayLike]) -> bytes:
        """Packets, one after the other, of one-dimensional arrays of words by field name."""
        payload = pack_fields(self.input["fields"], words, self.input["width"]).reshape(-1, self.packet_bytes - 1)
        number = np.full((len(payload), 1), self.number, np.uint8)
        return np.concatenate([number, payload], axis=1).tobytes()

    def unpack(self, answers: bytes) -> dict[str, Words]:
        """Arrays of words by field name, of answers one after the other."""
        payload = np.frombuffer(answers, np.uint8).reshape(-1, self.answer_bytes)
        return unpack_fields(self.output["fields"], payload)

    def describe(self) -> dict[str, Any]:
        """JSON form, for a board's report."""
        return {
            "number": self.number,
            "unit": self.unit,
            "parameters": self.parameters,
            "input": self.input,
            "output": self.output,
        }


def describe(units: Iterable[UnitComponent]) -> list[UnitPort]:
    """The units of a design, in the order in which they were given to it."""
    ports = []
    for number, unit in enumerate(units):
        manifest = emit(unit).manifest
        (i,), (o,) = manifest["inputs"], manifest["outputs"]
        ports.append(UnitPort(number, manifest["unit"], manifest["parameters"], i, o))
    return ports


def read_report(path: Path) -> tuple[list[UnitPort], int]:
    """Units and baud rate of a board, from the ``report.json`` that ``build`` wrote."""
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        units, baud = [UnitPort(**entry) for entry in report["units"]], report["baud"]
        for unit in units:
            _check_port(unit)
    except OSError as error:
        raise LinkError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise LinkError(f"{path} is not the report of a board's build") from None
    if type(baud) is not int or baud < 1 or len({unit.number for unit in units}) < len(units):
        raise LinkError(f"{path} is not the report of a board's build")
    return units, baud


def _check_port(unit: UnitPort) -> None:
    """Raises ``ValueError`` or ``TypeError`` for a unit whose packets cannot be packed as it says."""
    if type(unit.number) is not int or not 0 <= unit.number < 256 or not isinstance(unit.unit, str):
        raise ValueError("no unit")
    for port in (unit.input, unit.output):
        end, width = 0, port["width"]
        names = [field["name"] for field in port["fields"]]
        if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
            raise ValueError("no fields")
        for field in sorted(port["fields"], key=lambda field: field["lsb"]):
            lsb, bits = field["lsb"], field["width"]
            if not all(type(number) is int for number in (lsb, bits, width)) or not 0 < bits <= 64:
                raise ValueError("no widths")
            if not end <= lsb <= width - bits or field["format"].get("width", bits) != bits:
                raise ValueError("no place")
            end = lsb + bits


class Link:
    """Calls units on a board.

    Parameters
    ----------
    port : str or Line
        Name of a serial port, or an open one whose reads time out.
    units : sequence of UnitPort
        What is on the board, see :func:`read_report`.
    baud : int
    timeout : float
        Seconds without an answer after which the board counts as silent.

    Raises
    ------
    LinkError
        pyserial is missing, or the port cannot be opened.
    """

    def __init__(self, port: str | Line, units: Sequence[UnitPort], baud: int, *, timeout: float = 1.0):
        self.units = {unit.unit: unit for unit in units}
        self.timeout = timeout
        self.line: Line
        if isinstance(port, str):
            try:
                import serial
            except ImportError:
                raise LinkError("A serial port needs pyserial: `pip install pyserial`") from None
            try:
                self.line = serial.Serial(port, baud, timeout=timeout)
            except (OSError, ValueError) as error:
                raise LinkError(f"Port {port} cannot be opened: {error}") from None
        else:
            self.line = port

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def call(self, unit: str, **words: npt.ArrayLike) -> dict[str, Words]:
        """Results of ``unit`` for one-dimensional arrays of words by field name.

        Raises
        ------
        ValueError
            No such unit or field on the board.
        LinkError
            The board does not answer.
        """
        if unit not in self.units:
            raise ValueError(f"Unit must be one of {', '.join(self.units)}, not {unit!r}")
        port = self.units[unit]
        packets = port.pack(words)
        # Of what is under way the board can hold WINDOW bytes while it answers.
        step = max(WINDOW // port.packet_bytes, 1) * port.packet_bytes
        answers = bytearray()
        for start in range(0, len(packets), step):
            chunk = packets[start : start + step]
            self.line.write(chunk)
            wanted = len(chunk) // port.packet_bytes * port.answer_bytes
            answer = b""
            while len(answer) < wanted:
                more = self.line.read(wanted - len(answer))
                if not more:
                    raise LinkError(
                        f"Board stopped answering: {len(answers) + len(answer)} bytes of {unit} came of "
                        f"{len(packets) // port.packet_bytes * port.answer_bytes}"
                    )
                answer += more
            answers += answer
        return port.unpack(bytes(answers))
