"""A unit's streams as its manifest describes them, and words in a reader's terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.config import Format
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import FixedFormat, LNSFormat, Words, word_dtype

Columns = Mapping[str, Words]
#: Field arrays of operands and the index of the first of them since reset → field arrays of results.
#: Successive calls have consecutive transfers, so a unit with state (a random generator) can be modelled.
#: Where the manifest's output has ``when``, the results have one row for each transfer whose field of that name is 1
#: (as they come out of the hardware), in the order of the transfers; other transfers have none.
Model = Callable[[dict[str, Words], int], Mapping[str, Any]]


def format_of(entry: Mapping[str, Any]) -> Format | None:
    """The format that a manifest's field names; nothing where its kind is not known here."""
    options = {key: value for key, value in entry.items() if key != "kind"}
    match entry.get("kind"):
        case "lns":
            return LNSFormat(**options)
        case "fixed":
            return FixedFormat(**options)
        case "float":
            return FloatFormat(**options)
    return None


@dataclass(frozen=True)
class Field:
    """One field of a payload."""

    name: str
    lsb: int
    width: int
    format: Format | None

    def describe(self, word: int) -> str:
        """A word as sign and log, as an integer or a float, or in hexadecimal where its format is not known."""
        if isinstance(self.format, LNSFormat):
            sign, log = (int(part) for part in self.format.unpack(word))
            return f"{'+-'[sign]} " + ("zero" if log == self.format.zero_log else f"log {log}")
        if isinstance(self.format, FloatFormat):
            return f"{float(self.format.decode(word)):g} (0x{word:0{-(-self.width // 4)}x})"
        if isinstance(self.format, FixedFormat):
            return str(int(self.format.unpack(word)))
        return f"0x{word:0{-(-self.width // 4)}x}"


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_places(fields: tuple[Field, ...], width: int) -> None:
    """Raises ``ValueError`` for fields that overlap, leave the payload, or are not as wide as their format."""
    end = 0
    for item in sorted(fields, key=lambda item: item.lsb):
        if item.width < 1 or item.lsb < end or item.lsb + item.width > width:
            raise ValueError(f"Field {item.name} must have bits of its own among the payload's {width}")
        if item.format is not None and item.format.width != item.width:
            raise ValueError(f"Field {item.name} must have its format's {item.format.width} bits, not {item.width}")
        end = item.lsb + item.width
    if not fields or len({item.name for item in fields}) < len(fields):
        raise ValueError("Fields of a stream must be one or more, of different names")


@dataclass(frozen=True)
class Port:
    """One stream.

    Attributes
    ----------
    when : str or None
        Of results: the field of the operands, 1 bit, whose 1 says that a result follows; None if one always does.
    """

    name: str
    valid: str
    ready: str
    payload: str
    width: int
    fields: tuple[Field, ...]
    when: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Port":
        """The stream that a manifest describes; raises ``ValueError`` where it describes none."""
        try:
            fields = tuple(
                Field(item["name"], item["lsb"], item["width"], format_of(item["format"])) for item in entry["fields"]
            )
            names = [entry[name] for name in ("name", "valid", "ready")] + [item.name for item in fields]
            # With one port a field there is none for all of them.
            names += [] if entry["payload"] is None else [entry["payload"]]
            numbers = [entry["width"], *(number for item in fields for number in (item.lsb, item.width))]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"Manifest describes no stream: {type(error).__name__} {error}") from None
        if not all(isinstance(name, str) for name in names) or not all(map(_is_integer, numbers)):
            raise ValueError("Manifest describes no stream: names must be texts, widths integers")
        _check_places(fields, entry["width"])
        # Beyond 64 bits no NumPy integer holds a word.
        if too_wide := [item.name for item in fields if item.width > 64]:
            raise ValueError(f"Field {too_wide[0]} must have at most 64 bits")
        return cls(
            entry["name"], entry["valid"], entry["ready"], entry["payload"], entry["width"], fields, entry.get("when")
        )

    def columns(self, columns: Mapping[str, Any]) -> dict[str, Words]:
        """The port's fields as contiguous arrays of the type of their width; raises ``ValueError`` where one is
        missing, has another length, or holds a word that does not fit."""
        if unknown := set(columns) - {item.name for item in self.fields}:
            raise ValueError(f"{self.name} has no field {sorted(unknown)[0]}")
        result: dict[str, Words] = {}
        for item in self.fields:
            if item.name not in columns:
                raise ValueError(f"Field {item.name} of {self.name} is missing")
            array, dtype = np.asarray(columns[item.name]), np.dtype(word_dtype(item.width))
            if array.ndim != 1 or (result and len(array) != len(next(iter(result.values())))):
                raise ValueError(f"Field {item.name} of {self.name} must be one column as long as the others")
            if array.dtype.kind not in "iub":
                raise ValueError(f"Field {item.name} of {self.name} must be integers, not {array.dtype}")
            fits_by_type = array.dtype.kind == "u" and 8 * array.dtype.itemsize <= item.width
            if not fits_by_type and len(array) and (array.min() < 0 or int(array.max()) >> item.width):
                raise ValueError(f"Field {item.name} of {self.name} must be in 0 … {(1 << item.width) - 1}")
            result[item.name] = np.ascontiguousarray(array, dtype)
        return result

    def pack(self, columns: Columns) -> list[int]:
        """Payloads, one integer a transfer, of any width."""
        payloads = [0] * len(next(iter(columns.values())))
        for item in self.fields:
            payloads = [
                payload | word << item.lsb for payload, word in zip(payloads, columns[item.name].tolist(), strict=True)
            ]
        return payloads

    def unpack(self, payload: int) -> dict[str, int]:
        """The words of one payload."""
        return {item.name: payload >> item.lsb & (1 << item.width) - 1 for item in self.fields}

    def describe(self, words: Mapping[str, int]) -> str:
        """One transfer in a reader's terms."""
        return ", ".join(f"{item.name} = {item.describe(int(words[item.name]))}" for item in self.fields)


@dataclass(frozen=True)
class Ports:
    """All that a bench knows of a unit: its manifest, checked.

    Attributes
    ----------
    clock, reset : str or None
        Names of the ports; a unit of no register has neither.
    latency, interval : int
        Cycles from operands to result, and from one transfer to the next.
    """

    top: str
    clock: str | None
    reset: str | None
    latency: int
    interval: int
    input: Port
    output: Port

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "Ports":
        """Raises ``ValueError`` for a manifest that is not one of a unit's, in one line."""
        wanted = {"unit", "top", "clock", "reset", "latency", "interval", "inputs", "outputs"}
        if not isinstance(manifest, Mapping) or not wanted <= set(manifest):
            missing = sorted(wanted - set(manifest)) if isinstance(manifest, Mapping) else sorted(wanted)
            raise ValueError(f"Manifest has no {missing[0]}")
        for side in ("inputs", "outputs"):
            if not isinstance(manifest[side], list) or len(manifest[side]) != 1:
                raise ValueError(f"{manifest['unit']} must have one stream of operands and one of results")
        for name, least in (("latency", 0), ("interval", 1)):
            if not _is_integer(manifest[name]) or manifest[name] < least:
                raise ValueError(f"Manifest's {name} must be an integer from {least}, not {manifest[name]!r}")
        texts = (manifest["top"], *(name for name in (manifest["clock"], manifest["reset"]) if name is not None))
        if not all(isinstance(name, str) and name for name in texts):
            raise ValueError("Manifest's top, clock and reset must be names")
        operands, results = Port.of(manifest["inputs"][0]), Port.of(manifest["outputs"][0])
        flags = [item.name for item in operands.fields if item.width == 1]
        if results.when is not None and results.when not in flags:
            raise ValueError(f"Results follow {results.when!r}, which is no field of 1 bit of {operands.name}")
        return cls(
            manifest["top"],
            manifest["clock"],
            manifest["reset"],
            manifest["latency"],
            manifest["interval"],
            operands,
            results,
        )

    def brings_result(self, operands: Columns) -> npt.NDArray[np.bool_]:
        """Whether a result follows, for each transfer."""
        if self.output.when is None:
            return np.ones(len(next(iter(operands.values()))), dtype=bool)
        return operands[self.output.when].astype(bool)

    def count_results(self, operands: Columns) -> int:
        """Results of these transfers."""
        if self.output.when is None:
            return len(next(iter(operands.values())))
        return int(np.count_nonzero(operands[self.output.when]))

    def expected(self, model: Model, operands: dict[str, Words], index: int) -> dict[str, Words]:
        """What the model wants of transfers from number ``index`` on; raises ``ValueError`` where its fields or
        their length are not the unit's."""
        want = self.output.columns(model(operands, index))
        rows, count = len(next(iter(want.values()))), self.count_results(operands)
        if rows != count:
            raise ValueError(f"The model gives {rows} results for transfers that bring {count}")
        return want


@dataclass(frozen=True)
class Mismatch:
    """A transfer whose result is not the model's.

    Attributes
    ----------
    index : int
        Transfers since reset before the one that brought the result.
    row : int
        Results before it in the chunk.
    operands, got, want : str
        Words as sign and log.
    """

    index: int
    row: int
    operands: str
    got: str
    want: str

    def __str__(self) -> str:
        return f"transfer {self.index}: {self.operands}: got {self.got}, want {self.want}"


@dataclass(frozen=True)
class Check:
    """Outcome of one check.

    Attributes
    ----------
    name : str
    compared : int
        Transfers whose result was compared with the model's.
    passed : bool
    message : str
        What was done, or what went wrong; one line.
    skipped : bool
        Whether the check did not apply (and why is in the message); counts as neither passed nor failed.
    seconds : float
    is_exhaustive : bool
        Whether it went through every argument that there is.
    """

    name: str
    compared: int
    passed: bool
    message: str
    skipped: bool = False
    seconds: float = 0.0
    is_exhaustive: bool = False


def first_mismatch(ports: Ports, operands: Columns, got: Columns, want: Columns, index: int) -> Mismatch | None:
    """The first transfer whose results differ in any field; ``index`` is that of the first transfer, and ``got``
    may end early."""
    wrong = np.zeros(len(next(iter(got.values()))), dtype=bool)
    for name, column in got.items():
        wrong |= column != want[name][: len(column)]
    if not wrong.any():
        return None
    row = int(wrong.argmax())
    # The transfer that brought the result.
    transfer = row if ports.output.when is None else int(np.flatnonzero(operands[ports.output.when])[row])

    def at(columns: Columns, row: int) -> dict[str, int]:
        return {name: int(column[row]) for name, column in columns.items()}

    return Mismatch(
        index + transfer,
        row,
        ports.input.describe(at(operands, transfer)),
        ports.output.describe(at(got, row)),
        ports.output.describe(at(want, row)),
    )
