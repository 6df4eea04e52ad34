"""Of what a piece of evidence is: a digest of the source of what it is about, and the versions of the tools that found
it.

The source of a unit is its golden model, its hard operands, its hardware and the emitter, and all that these import: a
change of one unit leaves what is known of the others as it is. Not what attacks it, in ``sim`` and ``proof``, whose own
tests say whether it can. What is claimed of ``python`` is claimed of all of it, benches and command line too.
"""

import ast
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache, partial
from pathlib import Path

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolError
from lnsmadam.sim.tools import verilator

#: The parts of the package that a source can lie in.
FOLDERS = ("golden", "hw", "sim", "fpga", "proof")
#: The package itself; where it is installed, the others are folders of it.
_PACKAGE = "src/lnsmadam"
#: Files and folders that a subject begins with.
_ROOTS: Mapping[str, tuple[str, ...]] = {
    "trainer": ("golden/trainer", "hw/trainer"),
    "frames": ("fpga/trainer/receiver.py", "fpga/trainer/sender.py", "fpga/trainer/server.py"),
    "uart": ("fpga/uart.py",),
    "python": (*FOLDERS, _PACKAGE),
}
#: The same of a unit, which has those of them that exist.
_UNIT = ("golden/{subject}.py", "golden/{subject}_operands.py", "hw/{subject}.py")
_EMITTER = "hw/emit.py"
#: How a netlist is made.
SYNTHESIS = ("fpga/harness.py", "fpga/synth.py", "fpga/targets.py", "proof/gate_level.py")
_SUFFIXES = (".py", ".json", ".cpp", ".h")
#: Digits of a digest; enough to tell two sources apart.
_DIGITS = 16

#: Contents by path below the root, with slashes.
Files = Mapping[str, bytes]


def read_files(root: Path) -> Files:
    """The source below a folder that has :data:`FOLDERS` in it, without regard to how lines end: the same on all
    machines and in a wheel."""
    package = root / _PACKAGE if (root / _PACKAGE).is_dir() else root
    places = {name: package if name == _PACKAGE else root / name for name in (*FOLDERS, _PACKAGE)}
    found: dict[str, bytes] = {}
    taken: set[Path] = set()
    # The package comes last: what is left of it where the folders are in it.
    for name, place in places.items():
        paths = {path for path in place.rglob("*") if path.suffix in _SUFFIXES} - taken
        taken |= paths
        for path in sorted(paths):
            found[f"{name}/{path.relative_to(place).as_posix()}"] = path.read_bytes().replace(b"\r\n", b"\n")
    return found


def files_of(subject: str, files: Files) -> list[str]:
    """The paths of a subject's source, sorted.

    Raises
    ------
    ValueError
        There is no source of that subject.
    """
    roots = _ROOTS.get(subject) or tuple(root.format(subject=subject) for root in _UNIT)
    todo = [path for path in files if any(path == root or path.startswith(f"{root}/") for root in roots)]
    if not todo:
        raise ValueError(f"There is no source of {subject!r}")
    todo.append(_EMITTER)
    found: set[str] = set()
    while todo:
        path = todo.pop()
        if path not in found and path in files:
            found.add(path)
            todo += _read_by(path, files) if path.endswith(".py") else ()
    return sorted(found)


def _read_by(path: str, files: Files) -> Iterator[str]:
    """What a module imports of the package, and the data in its own folder that it names."""
    yield from _imports(files[path])
    folder = path.rpartition("/")[0]
    for other in files:
        name = other.removeprefix(f"{folder}/")
        if name.endswith(".json") and "/" not in name and name.encode() in files[path]:
            yield other


@cache
def _imports(content: bytes) -> tuple[str, ...]:
    """Paths that a module's imports of the package may mean: a name is a module, or something that a module has."""
    names: list[str] = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(
        f"{name.removeprefix('lnsmadam.').replace('.', '/')}.py" for name in names if name.startswith("lnsmadam.")
    )


def digest(paths: Iterable[str], files: Files) -> str:
    """A digest of the names and contents of some files."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path} {len(files[path])}\n".encode() + files[path])
    return found.hexdigest()[:_DIGITS]


@lru_cache(maxsize=1)
def read_source() -> Files:
    """The source as it was when this process first asked: later changes are not of what it runs."""
    return read_files(Path(__file__).parents[1])


@lru_cache
def source_digest(subject: str, *, with_synthesis: bool = False) -> str:
    """The digest of a subject's source: of a unit, or of ``trainer``, ``frames``, ``uart``, ``python`` (all there is).

    Of a netlist, how it is made is part of the source.
    """
    files = read_source()
    more = SYNTHESIS if with_synthesis else ()
    return digest(sorted({*files_of(subject, files), *more}), files)


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
