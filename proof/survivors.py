"""Why some mutants may live: what is known of those that the bench does not notice and no proof calls the same.

``survivors.json`` holds one sentence for each, found again by the text of its source line, for numbers move.
"""

import json
from functools import lru_cache
from pathlib import Path

from lnsmadam.proof.mutation import Mutant


@lru_cache(maxsize=1)
def _explained() -> dict[tuple[str, str, str, str], str]:
    entries = json.loads(Path(__file__).with_name("survivors.json").read_text(encoding="utf-8"))
    return {(entry["unit"], entry["line"], entry["mode"], entry["port"]): entry["reason"] for entry in entries}


def reason(unit: str, mutant: Mutant) -> str | None:
    """The sentence on a mutant of a unit, or None where nobody has explained it."""
    return _explained().get((unit, mutant.line, mutant.mode, mutant.port))
