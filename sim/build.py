"""Compiled simulations, cached by content.

An entry of the cache is a folder named by a hash of everything that went into it: Verilog, C++, flags, and
the versions of Verilator and the compiler. It is made under another name and renamed when it is whole, so an
interrupted build leaves nothing that a later run would trust, and of two processes that build the same thing
the second to finish takes the first one's. Verilator's runtime and its header, the slow parts, are compiled once and
shared.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lnsmadam.hw.toolchain import ToolFailed, cache_folder
from lnsmadam.sim.tools import Tool, compiler, verilator

# Part of every key: a change of how entries are made makes old ones unreachable; of simulations, the second as well.
_RECIPE = "1"
_BUILD = "2"
_ABANDONED_SECONDS = 3600.0
_PREFIX = "Vtop"
_HEADER = "model.h"
# Generated code, in bytes, from which on it is not optimised: 15 MB take one minute to compile then, else ten.
_LARGE = 8 << 20
#: Files of Verilator's runtime that every model needs, without ``.cpp``.
RUNTIME = ("verilated", "verilated_threads")
_STANDARD = ["-std=gnu++17", "-fPIC", "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0"]


def content_key(parts: Sequence[str]) -> str:
    """A hash of texts, of which no two lists give the same input to it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:24]


def cached(kind: str, parts: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` filled for these parts, now or in an earlier run.

    Parameters
    ----------
    kind : str
        Readable beginning of the folder's name.
    parts : texts
        Everything the content depends on.
    make : function of an empty folder
    """
    cache = cache_folder("verilator")
    entry = cache / f"{kind}-{content_key([_RECIPE, platform.machine(), *parts])}"
    if entry.is_dir():
        return entry
    cache.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    temporary = Path(tempfile.mkdtemp(prefix=".partial-", dir=cache))
    try:
        make(temporary)
        try:
            temporary.rename(entry)
        except OSError:
            # Another process finished the same entry meanwhile; its content is ours.
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return entry


def _sweep(cache: Path) -> None:
    """Removes what killed builds left behind."""
    for partial in cache.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(partial, ignore_errors=True)


def _header(tool: Tool, cxx: Tool, include: Path, flags: Sequence[str]) -> list[str | Path]:
    """Verilator's header, precompiled, as flags: to read it takes a second, more than a small unit.

    No flags where it cannot be had: it is nothing but faster. Only of GCC, which reads what stands in the file instead
    where other flags would give another meaning; clang wants the file where it was compiled.
    """
    if "Free Software Foundation" not in cxx.identity:
        return []

    def make(folder: Path) -> None:
        (folder / _HEADER).write_text('#include "verilated.h"\n', encoding="utf-8")
        cxx.run(*flags, "-x", "c++-header", folder / _HEADER, "-o", folder / f"{_HEADER}.gch")

    try:
        # GCC does not see that a header has changed since.
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(include.glob("*.h"))]
        return ["-include", cached("header", [tool.identity, cxx.identity, *flags, *texts], make) / _HEADER]
    except (ToolFailed, OSError):
        return []


def _runtime(tool: Tool, cxx: Tool, include: Path, names: Sequence[str], flags: Sequence[str]) -> list[Path]:
    """Object files of Verilator's runtime, compiled side by side."""

    def compile_one(name: str) -> Path:
        def make(folder: Path) -> None:
            # Not where the time goes in a simulation: -O1 compiles in half the time.
            cxx.run("-O1", *flags, "-c", include / f"{name}.cpp", "-o", folder / f"{name}.o")

        parts = [name, tool.identity, cxx.identity, str(include), *flags]
        return cached(f"runtime-{name}", parts, make) / f"{name}.o"

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return list(pool.map(compile_one, names))


def build_simulation(
    kind: str,
    sources: Mapping[str, str],
    top: str,
    *,
    main: Path | None = None,
    headers: Mapping[str, str] | None = None,
    verilator_flags: Sequence[str] = (),
    compile_flags: Sequence[str] = ("-O3",),
    link_flags: Sequence[str] = (),
    runtime: Sequence[str] = RUNTIME,
    output: str,
) -> Path:
    """Compiles Verilog and a C++ main program to one file; returns its path in the cache.

    Parameters
    ----------
    kind : str
        Readable beginning of the entry's name.
    sources : dict
        Verilog texts by file name.
    top : str
        The top module; its C++ class is ``Vtop``.
    main : Path
        C++ file that drives the model.
    headers : dict
        Generated C++ headers by file name, for ``main`` to include.
    verilator_flags, compile_flags, link_flags : lists
        The runtime does not see ``compile_flags``, so that all builds share it.
    runtime : list
        Files of Verilator's runtime, without ``.cpp``.
    output : str
        Name of the file.
    """
    tool, cxx = verilator(), compiler()
    headers = headers or {}
    main_text = main.read_text(encoding="utf-8") if main else ""
    texts = [item for name in sorted({**sources, **headers}) for item in (name, {**sources, **headers}[name])]
    parts = [
        *(kind, top, tool.identity, cxx.identity, output, main_text, *texts),
        *("recipe", _BUILD, "verilator", *verilator_flags, "compile", *_STANDARD, *compile_flags),
        *("link", *link_flags, "runtime", *runtime),
    ]

    def make(folder: Path) -> None:
        for name, text in {**sources, **headers}.items():
            (folder / name).write_text(text, encoding="utf-8")
        generated = folder / "generated"
        tool.run(
            *("--cc", "--prefix", _PREFIX, "--top-module", top, "-Mdir", generated),
            # Yosys leaves signed comparisons of unequal widths; they are right, and the model decides.
            *("-Wno-WIDTH", "-Wno-fatal", *verilator_flags, *sources),
            cwd=folder,
        )
        include = Path(tool.run("--getenv", "VERILATOR_ROOT").strip()) / "include"
        flags = [*_STANDARD, f"-I{include}", f"-I{include / 'vltstd'}"]
        # One translation unit: the model inlines into the loop that drives it.
        found = sorted(generated.glob("*.cpp"))
        once = [path for path in found if path.stem.endswith("__Slow")]
        often = [path for path in found if path not in once]
        text = "".join(f'#include "{path}"\n' for path in [*often, *([main] if main else [])])
        # Verilator's name for what runs once, before the first cycle.
        text += "#pragma GCC optimize(0)\n" + "".join(f'#include "{path}"\n' for path in once)
        (folder / "unity.cpp").write_text(text, encoding="utf-8")
        # The time to compile grows faster than the code, and tables of thousands of entries are a great deal of it.
        level = ["-O0"] if sum(path.stat().st_size for path in often) > _LARGE else []
        # What the header's meaning depends on; flags of the main program's alone would give one more of 70 MB each.
        own = [flag for flag in compile_flags if flag.startswith(("-O", "-DVM_"))]
        with ThreadPoolExecutor(1) as pool:
            # Beside the minutes of what is not optimised, a second is nothing, and its header would be another.
            header = None if level else pool.submit(_header, tool, cxx, include, [*own, *flags])
            objects = _runtime(tool, cxx, include, runtime, flags)
        includes = [*(header.result() if header else []), f"-I{generated}", f"-I{folder}"]
        inputs = [folder / "unity.cpp", *objects]
        cxx.run(*compile_flags, *level, *flags, *includes, *inputs, *link_flags, "-o", folder / output)
        shutil.rmtree(generated)
        (folder / "unity.cpp").unlink()

    return cached(kind, parts, make) / output


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one run's files, beside the cache, removed afterwards."""
    cache = cache_folder("verilator")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-run-", dir=cache) as folder:
        yield Path(folder)
