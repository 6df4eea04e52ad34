"""What every command prints with: tables, and a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def console() -> Console:
    """Where results go; wide enough for the tables when it is not a terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=140)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A function ``(what, done, total)`` that shows one bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    # In a log or a script's pipe a bar is noise, and an error must be one line.
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total or None)

        yield show
