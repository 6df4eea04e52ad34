"""What was done of a soak, and the file that a run which was ended goes on from."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnsmadam.hw.emit import write_atomically
from lnsmadam.proof.soak.chunk import DIGEST_BITS, Outcome
from lnsmadam.sim.build import content_key


@dataclass
class Tally:
    """What was done of a subject.

    Attributes
    ----------
    chunks : int
        All there are.
    done : set of int
        Numbers of those that were run.
    transfers, results, seconds, simulation_seconds, model_seconds : int and float
        Sums over the chunks that were run, of what :class:`~lnsmadam.proof.soak.chunk.Outcome` has.
    digest : int
        The same; a sum, so that the order of chunks does not matter.
    """

    chunks: int
    done: set[int] = field(default_factory=set)
    transfers: int = 0
    results: int = 0
    digest: int = 0
    seconds: float = 0.0
    simulation_seconds: float = 0.0
    model_seconds: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Counts a chunk that was run."""
        self.done.add(number)
        self.transfers += outcome.transfers
        self.results += outcome.results
        self.digest = (self.digest + outcome.digest) % (1 << DIGEST_BITS)
        self.seconds += outcome.seconds
        self.simulation_seconds += outcome.simulation_seconds
        self.model_seconds += outcome.model_seconds


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as pairs of first and last: what is done is nearly in one piece."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _checksum(content: Mapping[str, Any]) -> str:
    """Of what a state says, so that no damage of it counts as work that was done."""
    return content_key([json.dumps(content, sort_keys=True)])


class State:
    """The file that a run goes on from.

    Parameters
    ----------
    path : Path
    identity : dict
        All that the results depend on; JSON types.
    chunks : dict of int
        Chunks of each subject.

    Attributes
    ----------
    tallies : dict of Tally
        By the name of the subject.
    elapsed : float
        Seconds of all the calls that the run took so far.

    Raises
    ------
    ValueError
        The file is another run's, or is damaged; the message says what to do. The file stays as it is.
    OSError
        The folder cannot be written to.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], chunks: Mapping[str, int]):
        self.path, self._identity = path, dict(identity)
        self.tallies = {name: Tally(count) for name, count in chunks.items()}
        self.elapsed = 0.0
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            # A folder that cannot be written to is told before the work, not after the first chunk of it.
            self.save()
            return
        except UnicodeDecodeError:
            text = ""
        again = f"remove {path} to start anew, or give another --folder"
        try:
            content = json.loads(text)
            if content.pop("checksum") != _checksum(content):
                raise ValueError("checksum")
            found, elapsed = content["identity"], content["elapsed"]
            tallies = {
                name: Tally(**{**row, "done": {n for first, last in row["done"] for n in range(first, last + 1)}})
                for name, row in content["subjects"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"{path} is no state of a soak, or is damaged: {again}") from None
        if found != self._identity:
            known = found if isinstance(found, dict) else {}
            other = next((key for key in self._identity if known.get(key) != self._identity[key]), "content")
            raise ValueError(f"{path} is of a run with another {other}: {again}")
        self.tallies, self.elapsed = tallies, elapsed

    def save(self) -> None:
        """Writes the file whole."""
        rows = {name: {**vars(tally), "done": _ranges(tally.done)} for name, tally in self.tallies.items()}
        content = {"identity": self._identity, "elapsed": self.elapsed, "subjects": rows}
        write_atomically(self.path, json.dumps({**content, "checksum": _checksum(content)}) + "\n")

    def missing(self) -> Iterator[tuple[str, int]]:
        """Subjects and chunks that are still to be run, in turn, so that a run cut short has some of all."""
        longest = max(tally.chunks for tally in self.tallies.values())
        for step in range(longest):
            for name, tally in self.tallies.items():
                # The chunks of each are spread over the whole run.
                first, last = step * tally.chunks // longest, (step + 1) * tally.chunks // longest
                yield from ((name, number) for number in range(first, last) if number not in tally.done)
