"""A model that Verilator compiled, with its C++ driver, as an object."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lnsmadam.sim.build import RUNTIME, build_simulation


class Report(ctypes.Structure):
    """What a driver tells of a run, as ``stalls.h`` has it."""

    _fields_ = [("sent", ctypes.c_int64), ("received", ctypes.c_int64), ("cycles", ctypes.c_int64)]


def stalls_header() -> dict[str, str]:
    """The header that drivers of batch runs share, by its name."""
    path = Path(__file__).with_name("stalls.h")
    return {path.name: path.read_text(encoding="utf-8")}


class CompiledModel:
    """One instance of a compiled model, until it is closed. Use it in a ``with``.

    The driver's C functions are called ``PREFIX_name``. ``new`` makes an instance, which the others take first;
    ``delete`` frees it.

    Parameters
    ----------
    kind, sources, top, main, headers, compile_flags, runtime
        As those of :func:`~lnsmadam.sim.build.build_simulation`.
    verilator_flags : sequence of str
        Besides those for speed.
    prefix : str
    counts : sequence of str
        Functions that return a 64-bit integer; the others return nothing.
    arguments : sequence
        Of ``new``, as ctypes.

    Raises
    ------
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """

    def __init__(
        self,
        kind: str,
        sources: Mapping[str, str],
        top: str,
        main: Path,
        *,
        prefix: str,
        counts: Sequence[str],
        arguments: Sequence[Any] = (),
        headers: Mapping[str, str] | None = None,
        compile_flags: Sequence[str] = ("-O3",),
        verilator_flags: Sequence[str] = (),
        runtime: Sequence[str] = RUNTIME,
    ):
        library = build_simulation(
            kind,
            sources,
            top,
            main=main,
            headers=headers,
            verilator_flags=("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", *verilator_flags),
            compile_flags=compile_flags,
            link_flags=("-shared",),
            runtime=runtime,
            output=f"{prefix}.so",
        )
        self._prefix, self._library = prefix, ctypes.CDLL(str(library))
        for name in counts:
            self._function(name).restype = ctypes.c_int64
        new = self._function("new")
        new.restype = ctypes.c_void_p
        self._handle: ctypes.c_void_p | None = ctypes.c_void_p(new(*arguments))

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"{self._prefix}_{name}")

    def call(self, name: str, *arguments: Any) -> Any:
        """The driver's function of that name."""
        return self._function(name)(self._handle, *arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the model."""
        if self._handle is not None:
            self.call("delete")
            self._handle = None
