"""Logarithmic arithmetic that learns: hardware generator, golden model and evidence."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lnsmadam.array import LNSArray

__all__ = ["LNSArray"]


def __getattr__(name: str) -> Any:
    # Late, so that the command line's help needs no NumPy.
    if name == "LNSArray":
        from lnsmadam.array import LNSArray

        return LNSArray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
