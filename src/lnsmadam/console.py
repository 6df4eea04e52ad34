"""What every command prints with: tables, a progress bar, and its own text."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

#: Of every command that is evidence: where its lines for the verification page go.
records_option = click.option(
    "--records",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that takes the outcome, for the verification page.",
)


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


def as_typed() -> str:
    """The running command as it was typed, without ``--records``: what reproduces a line of evidence."""
    words = list(click.get_current_context().find_root().obj or ())
    while "--records" in words:
        del words[words.index("--records") : words.index("--records") + 2]
    return shlex.join(["lnsmadam", *(word for word in words if not word.startswith("--records="))])
