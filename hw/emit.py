"""Verilog and manifest of a configured unit: the two files that everything downstream reads."""

import contextlib
import errno
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring

from lnsmadam.hw.interface import PORTS, Interface
from lnsmadam.hw.pipeline import UnitComponent


def write_atomically(path: Path, text: str) -> None:
    """Writes a whole file or nothing: an interrupted run leaves what was there before.

    A link stays, and what it points to is written. What is there and is no file stays as it is: a device takes the
    text, for a name put in its place would end it.

    Raises
    ------
    OSError
        It cannot be written; the error names ``path``.
    """
    temporary = None
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        # Beside the file itself, where the name is a link's.
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True)
        temporary = real.with_name(f".{real.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, real)
    except (OSError, RuntimeError) as error:
        # A link in a circle is a RuntimeError of `resolve`.
        number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (errno.ELOOP, "Link loop")
        raise OSError(number, reason, str(path)) from None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Emitted:
    """A unit as Verilog text and manifest.

    Attributes
    ----------
    verilog : str
        Verilog-2005; the same configuration gives the same bytes.
    manifest : dict
        Ports, fields, latency, guarantee; JSON types only.
    """

    verilog: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.manifest["top"])

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Writes ``NAME.v`` and then ``NAME.json``; returns both paths."""
        directory = Path(directory)
        verilog_path, manifest_path = directory / f"{self.name}.v", directory / f"{self.name}.json"
        # A manifest must never stand beside another run's Verilog: it goes first and comes back last.
        with contextlib.suppress(NotADirectoryError):
            manifest_path.unlink(missing_ok=True)
        write_atomically(verilog_path, self.verilog)
        write_atomically(manifest_path, json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n")
        return verilog_path, manifest_path


def to_verilog(component: wiring.Component, name: str, parameters: dict[str, Any] | None = None) -> str:
    """The text of a component as module ``name``, the same bytes on every machine; with ``parameters`` its first line
    says what it is."""
    # Amaranth prefers a Yosys it finds on PATH; the bytes must not depend on the machine.
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    # Widths are meant as they are written, and Verilator's lint should not stop a user's build.
    head = "" if parameters is None else f"// lnsmadam {name}: {json.dumps(parameters)}\n"
    return f"{head}/* verilator lint_off WIDTH */\n{text}/* verilator lint_on WIDTH */\n"


def emit(component: UnitComponent, interface: Interface = Interface.STREAM) -> Emitted:
    """Converts a unit to Verilog, with the ports of an interface, and describes it."""
    config = component.config
    ports = PORTS[interface](component)
    described = ports.describe()
    streams = {side: described.pop(side) for side in ("inputs", "outputs")}
    manifest = {
        "unit": config.unit,
        "top": config.unit,
        "verilog": f"{config.unit}.v",
        "interface": interface.value,
        "parameters": config.parameters(),
        **described,
        "latency": component.latency,
        "interval": component.interval,
        **streams,
        "guarantee": config.guarantee(),
    }
    return Emitted(to_verilog(ports.component, config.unit, manifest["parameters"]), manifest)
