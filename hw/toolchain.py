"""Where programs are found and finished work is kept: what simulation and synthesis share."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path


class ToolError(RuntimeError):
    """A tool is missing or failed; the first line of the message is for the user."""


class MissingTool(ToolError):
    """A program that a command needs was not found; the message is one line that names its package."""


class ToolFailed(ToolError):
    """A tool ended with an error; the message holds what it printed last."""


def find_tool(name: str, variable: str, package: str, bundled: Sequence[Path] = ()) -> str:
    """Path of a program: its environment variable, then the environment's packages, then ``PATH``.

    Parameters
    ----------
    name : str
        The program on ``PATH``.
    variable : str
        Environment variable that overrides the search: a path, or a name on ``PATH`` or among the packages'.
    package : str
        What brings the program, for the message.
    bundled : sequence of Path
        Where one of the environment's packages would have it, the likeliest first.

    Raises
    ------
    MissingTool
        The program is nowhere, or the variable names something that is not a program.
    """
    if chosen := os.environ.get(variable):
        folders = [str(path.parent) for path in bundled]
        if path := shutil.which(chosen) or shutil.which(chosen, path=os.pathsep.join(folders)):
            return path
        raise MissingTool(f"{variable} names {chosen!r}, which is not a program that can run")
    for candidate in bundled:
        if path := shutil.which(str(candidate)):
            return path
    if path := shutil.which(name):
        return path
    raise MissingTool(f"{name} was not found: {package} brings it, or set {variable} to its path")


def cache_folder(kind: str) -> Path:
    """Where finished work of one kind is kept: under ``LNSMADAM_CACHE``, by default ``build/cache`` of the current
    folder."""
    return Path(os.environ.get("LNSMADAM_CACHE") or Path("build") / "cache").absolute() / kind
