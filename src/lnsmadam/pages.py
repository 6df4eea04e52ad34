"""Tables in Markdown pages, between marker lines that a command finds again."""

from collections.abc import Sequence
from pathlib import Path

from lnsmadam.hw.emit import write_atomically


def markdown(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table."""
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def between_markers(document: str, name: str, text: str) -> str:
    """The document with ``text`` between the marker lines of ``name``; raises ``ValueError`` without them."""
    start, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    if start not in document or end not in document:
        raise ValueError(f"The file has no markers for {name}")
    head, rest = document.split(start, 1)
    return f"{head}{start}{text}{end}{rest.split(end, 1)[1]}"


def put_tables(document: Path, parts: dict[str, str]) -> None:
    """Replaces the tables between a page's markers."""
    text = document.read_text(encoding="utf-8")
    for name, table in parts.items():
        text = between_markers(text, name, table)
    write_atomically(document, text)
