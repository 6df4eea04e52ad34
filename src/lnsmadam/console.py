"""What every command prints with: tables, a progress bar, lines in its place, and its own text."""

import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lnsmadam.proof.provenance import read_source

#: Seconds between two lines of a long run whose progress goes to a log.
LOG_SECONDS = 30.0

#: Ends the help of every command that is evidence.
EXIT_STATUS = "Exit status: 0 all holds, 1 evidence failed, 2 it could not be looked for, 130 interrupted."

#: How many transfers a command may be asked for: hours of them; for more there is ``soak``, which can be interrupted.
TRANSFERS = click.IntRange(1, 10**9)


class FolderPath(click.Path):
    """A folder, there or to be made; an empty text is none, though the system takes it for the current one."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("an empty text names no folder", param, ctx)
        return super().convert(value, param, ctx)


def _writable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Says before the work, which may take hours, and not after it that a folder cannot be written."""
    if value is None:
        return None
    existing = next(folder for folder in (value.absolute(), *value.absolute().parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".records-"):
            pass
    except OSError as error:
        raise click.BadParameter(f"{value} cannot be written: {error.strerror}", ctx, param) from None
    # The records are of the source that runs, not of one that changes meanwhile.
    read_source()
    return value


#: Of every command that is evidence: where its lines for the verification page go.
records_option = click.option(
    "--records",
    type=FolderPath(),
    callback=_writable,
    help="Folder that takes the outcome, for the verification page.",
)


def console() -> Console:
    """Where results go; wide enough for the tables when it is not a terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=140)


@contextmanager
def progress_bar(*, logged: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A function ``(what, done, total)`` that shows one bar on standard error.

    Parameters
    ----------
    logged : bool
        Where standard error is no terminal, shows a line every :data:`LOG_SECONDS`, for what takes minutes; nothing
        otherwise.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    if logged and not errors.is_terminal:
        yield _in_lines()
        return
    # In a log or a script's pipe a bar is noise, and an error must be one line.
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total or None)

        yield show


def _in_lines() -> Callable[[str, int, int], None]:
    started = last = time.monotonic()

    def show(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        # None at the start: what ends before the first line is due needs none.
        if now - last >= LOG_SECONDS:
            last = now
            count = f"{done:,} of {total:,}, " if total else ""
            click.echo(f"{what}: {count}{now - started:.0f} s", err=True)

    return show


def log_piece(what: str, done: int, total: int) -> None:
    """A line on standard error for a finished piece of a long run; nothing on a terminal, which has the bar."""
    if not Console(stderr=True).is_terminal:
        click.echo(f"{done:,} of {total:,}: {what}", err=True)


def verdict(passed: bool, what: str) -> int:
    """Prints the last line of a command that is evidence, and returns its exit status."""
    click.echo(f"{'passed' if passed else 'FAILED'}: {what}")
    return 0 if passed else 1


def duration(seconds: float) -> str:
    """Seconds for a table: whole ones, and tenths below ten."""
    if seconds < 0.05:
        return "<0.1 s"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def as_typed() -> str:
    """The running command as it was typed, without ``--records``: what reproduces a line of evidence."""
    words = list(click.get_current_context().find_root().obj or ())
    while "--records" in words:
        del words[words.index("--records") : words.index("--records") + 2]
    return shlex.join(["lnsmadam", *(word for word in words if not word.startswith("--records="))])
