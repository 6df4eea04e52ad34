"""``lnsmadam page``: the verification page of what the evidence has left."""

from pathlib import Path

import click

from lnsmadam.console import EXIT_STATUS
from lnsmadam.hw.emit import write_atomically
from lnsmadam.proof.records import load, other_form
from lnsmadam.verification import page


@click.command("page", epilog=EXIT_STATUS)
@click.option(
    "--records",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("build/verify"),
    show_default=True,
    help="Folder that `--records` of the other commands has filled.",
)
@click.option(
    "--document", type=click.Path(dir_okay=False, path_type=Path), help="The page to write; else it is printed."
)
def page_command(folder: Path, document: Path | None) -> int:
    """Makes the verification page of what the evidence has left.

    Lines that were found in an earlier source are marked. Exit status 1 if any evidence failed, 2 if there is none.
    """
    records, left = load(folder), other_form(folder)
    if left:
        others = f"of another version of lnsmadam: {left[0]}" + (f" and {len(left) - 1} more" if len(left) > 1 else "")
        if not records:
            raise ValueError(f"There are no records to make a page of, only {others}")
        click.echo(f"lnsmadam: left out, as {others}", err=True)
    text = page(records)
    if document:
        write_atomically(document, text)
    click.echo(document or text)
    for record in records:
        if not record.passed:
            click.echo(f"lnsmadam: {record.subject}: {record.claim}: {record.result}", err=True)
    return int(not all(record.passed for record in records))
