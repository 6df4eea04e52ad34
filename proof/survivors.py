"""Why some mutants may live: what is known of those that the bench does not notice and no proof calls the same.

``survivors.json`` holds one sentence for each. A change of the unit gives its cells other names, and their mutants are
unexplained again until somebody has looked at them.
"""

import json
from functools import lru_cache
from pathlib import Path

from lnsmadam.proof.mutation import Mutant


@lru_cache(maxsize=1)
def _explained() -> dict[tuple[str, str, str, str], str]:
    entries = json.loads(Path(__file__).with_name("survivors.json").read_text(encoding="utf-8"))
    return {(entry["unit"], entry["cell"], entry["mode"], entry["port"]): entry["reason"] for entry in entries}


def reason(unit: str, mutant: Mutant) -> str | None:
    """The sentence on a mutant of a unit, or None where nobody has explained it."""
    return _explained().get((unit, mutant.cell, mutant.mode, mutant.port))
