"""Why some mutants may live: what is known of those that the bench does not notice and no proof calls the same.

``survivors.json`` holds one sentence for each, which is of a fault in exactly one netlist: that of another
configuration, or of the unit after a change, gives its cells other names or the same names to other cells. Its mutants
are unexplained until somebody has looked at them.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from lnsmadam.proof.mutation.mutants import Mutant

# Digits of a netlist's digest.
_DIGITS = 16


@lru_cache(maxsize=1)
def entries() -> tuple[dict[str, str], ...]:
    """The list: ``unit`` and ``netlist`` (its digest), ``cell``, ``mode`` and ``port`` of the fault, ``reason``."""
    return tuple(json.loads(Path(__file__).with_name("survivors.json").read_text(encoding="utf-8")))


def digest(netlist: str) -> str:
    """A digest of a netlist in RTLIL: of what it is, not of where its source stands on this machine."""
    kept = [
        line for line in netlist.splitlines() if not line.lstrip().startswith(("#", "autoidx ", "attribute \\src "))
    ]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:_DIGITS]


def reason(netlist: str, mutant: Mutant) -> str | None:
    """The sentence on a mutant of a netlist, or None where nobody has explained it."""
    fault = (digest(netlist), mutant.cell, mutant.mode, mutant.port)
    for entry in entries():
        if fault == (entry["netlist"], entry["cell"], entry["mode"], entry["port"]):
            return entry["reason"]
    return None
