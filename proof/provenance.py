"""Of what a piece of evidence is: a digest of the circuits' source, and the versions of the tools that found it."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolError
from lnsmadam.sim.tools import verilator

#: What evidence is of: the circuits and their model. Not what attacks them, whose own tests say whether it can.
FOLDERS = ("golden", "hw")
_SUFFIXES = (".py", ".json")
#: Digits of a digest; enough to tell two sources apart.
_DIGITS = 16


def digest(root: Path) -> str:
    """A digest of the source below a folder that has :data:`FOLDERS` in it: of the files' names and contents, without
    regard to how lines end, so that it is the same on all machines and in a wheel."""
    found = hashlib.sha256()
    files = {
        path.relative_to(root).as_posix(): path
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in _SUFFIXES
    }
    for name, path in sorted(files.items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:_DIGITS]


@lru_cache(maxsize=1)
def source_digest() -> str:
    """The digest of the source as it was when this process first asked: later changes are not of what it runs."""
    return digest(Path(__file__).parents[1])


_VERSIONS: dict[str, Callable[[], str]] = {
    "Yosys": lambda: tools.version("yosys").removeprefix("Yosys ").split(" (")[0],
    "Z3": lambda: tools.version("z3").removeprefix("Z3 version ").split(" -")[0],
    "Verilator": lambda: verilator().identity.strip().removeprefix("Verilator ").split(" rev ")[0],
    **{name: partial(importlib.metadata.version, name) for name in ("amaranth", "numpy", "mpmath", "hypothesis")},
    "coverage": partial(importlib.metadata.version, "coverage"),
}


@lru_cache
def tool_version(name: str) -> str:
    """Version of a tool, or ``unknown`` where it is missing or does not say."""
    try:
        return _VERSIONS[name]()
    except (ToolError, OSError, importlib.metadata.PackageNotFoundError):
        return "unknown"
