"""Volume: a thousand million transfers through compiled Verilog against the golden model, in chunks.

A chunk begins with a reset and has operands of its own, drawn from the seed, the subject's name and the chunk's
number: any of them can be run again alone, and they need no order. What was done is kept in a file that is written
whole after every chunk, so that a run that was ended goes on where it was. Each chunk gives a hash of the model's
results, and their sum is the run's digest: two runs of one seed have the same, however often they were interrupted
and wherever they ran.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import Words
from lnsmadam.hw.emit import Emitted, write_atomically
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.records import Kind, Record
from lnsmadam.sim.batch import BatchUnit, HardwareFault
from lnsmadam.sim.build import content_key
from lnsmadam.sim.ports import Model, first_mismatch
from lnsmadam.sim.stimulus import EXHAUSTIVE_BITS, Directed, mixed_operands, some_arguments

#: Transfers of a chunk: less than a second of work.
CHUNK = 1 << 18
#: One chunk of so many runs under random pauses.
STALLED = 16

_SCHEMA = 1
_DIGEST_BITS = 128
#: Chunks done, chunks in all, and what was just done.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Subject:
    """What is soaked; it must survive pickling.

    Attributes
    ----------
    name : str
    emitted : Emitted
    config : UnitConfig
    make_model : function
        A fresh model, since reset.
    directed : function or None
        The unit's own operands, every other one.
    weight : int
        Its share of a run, relative to the others'; nothing where it is exhaustive.
    """

    name: str
    emitted: Emitted
    config: UnitConfig
    make_model: Callable[[], Model]
    directed: Directed | None = None
    weight: int = 1

    @property
    def is_exhaustive(self) -> bool:
        """Whether every argument is run, once."""
        return self.config.result_when is None and self._bits <= EXHAUSTIVE_BITS

    @property
    def _bits(self) -> int:
        return sum(fmt.width for fmt in self.config.inputs.values())

    def chunks(self, count: int, chunk: int) -> int:
        """Chunks that hold at least ``count`` transfers, or every argument."""
        return -(-(1 << self._bits if self.is_exhaustive else count) // chunk)

    def operands(self, seed: int, number: int, chunk: int) -> dict[str, Words]:
        """The operands of a chunk."""
        if self.is_exhaustive:
            first = number * chunk
            return some_arguments(self.config, seed, first, min(chunk, (1 << self._bits) - first))
        generator = np.random.default_rng([seed, zlib.crc32(self.name.encode()), number])
        return mixed_operands(self.config, generator, chunk, self.directed)


@dataclass(frozen=True)
class Outcome:
    """What a chunk gave.

    Attributes
    ----------
    transfers, results : int
        Sent, and compared.
    digest : int
        Hash of the subject's name, the number and the model's results.
    seconds, simulation_seconds, model_seconds : float
    failure : str or None
        What went wrong, in one line.
    """

    transfers: int
    results: int
    digest: int
    seconds: float
    simulation_seconds: float
    model_seconds: float
    failure: str | None = None


class SoakFailed(Exception):
    """A chunk differs from the model; the message is one line.

    Attributes
    ----------
    subject : str
    number : int
        The chunk.
    """

    def __init__(self, subject: str, number: int, failure: str):
        super().__init__(f"chunk {number} of {subject}: {failure}")
        self.subject, self.number = subject, number


def run_chunk(subject: Subject, unit: BatchUnit, seed: int, number: int, chunk: int = CHUNK) -> Outcome:
    """Runs one chunk through the unit and the model, from reset; every sixteenth one under random pauses."""
    started = time.perf_counter()
    operands = subject.operands(seed, number, chunk)
    transfers = len(next(iter(operands.values())))
    stalls = seed + number if number % STALLED == STALLED - 1 else None
    failure, before = None, time.perf_counter()
    try:
        unit.reset()
        got = unit.run(operands, stalls)
    except HardwareFault as error:
        failure, got = str(error), error.results
    simulated = time.perf_counter()
    want = unit.ports.expected(subject.make_model(), operands, 0)
    modelled = time.perf_counter()
    if got and (mismatch := first_mismatch(unit.ports, operands, got, want, 0)):
        failure = str(mismatch) if failure is None else f"{failure}; {mismatch}"
    digest = hashlib.sha256(f"{subject.name} {number}".encode())
    for column in want.values():
        digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
    return Outcome(
        transfers,
        len(next(iter(got.values()))) if got else 0,
        int.from_bytes(digest.digest()[: _DIGEST_BITS // 8], "little"),
        time.perf_counter() - started,
        simulated - before,
        modelled - simulated,
        failure,
    )


@dataclass
class Tally:
    """What was done of a subject.

    Attributes
    ----------
    done : set of int
        Numbers of chunks.
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
        self.done.add(number)
        self.transfers += outcome.transfers
        self.results += outcome.results
        self.digest = (self.digest + outcome.digest) % (1 << _DIGEST_BITS)
        self.seconds += outcome.seconds
        self.simulation_seconds += outcome.simulation_seconds
        self.model_seconds += outcome.model_seconds


class State:
    """The file that a run goes on from.

    Parameters
    ----------
    path : Path
    identity : dict
        All that the results depend on; JSON types.
    chunks : dict of int
        Chunks of each subject.

    Raises
    ------
    ValueError
        The file is another run's, or is damaged; the message says what to do.
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
            found = content["identity"]
            elapsed = float(content["elapsed"])
            tallies = {name: Tally(**{**row, "done": set(row["done"])}) for name, row in content["subjects"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is no state of a soak, or is damaged: {again}") from None
        if found != self._identity:
            known = found if isinstance(found, dict) else {}
            other = next((key for key in self._identity if known.get(key) != self._identity[key]), "content")
            raise ValueError(f"{path} is of a run with another {other}: {again}")
        if {name: tally.chunks for name, tally in tallies.items()} != dict(chunks) or not all(
            tally.done <= set(range(tally.chunks)) for tally in tallies.values()
        ):
            raise ValueError(f"{path} is no state of a soak, or is damaged: {again}")
        self.tallies, self.elapsed = tallies, elapsed

    def save(self) -> None:
        """Writes the file whole."""
        rows = {name: {**vars(tally), "done": sorted(tally.done)} for name, tally in self.tallies.items()}
        content = {"identity": self._identity, "elapsed": self.elapsed, "subjects": rows}
        write_atomically(self.path, json.dumps(content) + "\n")

    def missing(self) -> Iterator[tuple[str, int]]:
        """Subjects and chunks that are still to be run, in turn, so that a run cut short has some of all."""
        longest = max(tally.chunks for tally in self.tallies.values())
        for step in range(longest):
            for name, tally in self.tallies.items():
                # The chunks of each are spread over the whole run.
                first, last = step * tally.chunks // longest, (step + 1) * tally.chunks // longest
                yield from ((name, number) for number in range(first, last) if number not in tally.done)


@cache
def _sources() -> str:
    """A hash of the golden model and of what draws operands: chunks of different ones do not make one run."""
    import lnsmadam.golden
    from lnsmadam.sim import stimulus

    folders = [Path(folder) for folder in lnsmadam.golden.__path__]
    files = sorted((path.name, path) for folder in folders for path in folder.glob("*.py"))
    files.append(("stimulus.py", Path(str(stimulus.__file__))))
    return content_key([text for name, path in files for text in (name, path.read_text(encoding="utf-8"))])


def share(subjects: Sequence[Subject], count: int) -> dict[str, int]:
    """Transfers of each subject that is not exhaustive: together at least ``count``."""
    weight = sum(subject.weight for subject in subjects if not subject.is_exhaustive)
    return {s.name: -(-count * s.weight // weight) for s in subjects if not s.is_exhaustive}


# In a process of the pool: its subjects and the units that it has compiled models of.
_SUBJECTS: dict[str, Subject] = {}
_UNITS: dict[str, BatchUnit] = {}


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Even where it is killed.
        parent.join()
        os._exit(1)


def _begin(subjects: Sequence[Subject]) -> None:
    """Prepares a process of the pool, which ends with the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _SUBJECTS.update({subject.name: subject for subject in subjects})


def _chunk_in_pool(name: str, seed: int, number: int, chunk: int) -> Outcome:
    if name not in _UNITS:
        _UNITS[name] = BatchUnit(_SUBJECTS[name].emitted)
    return run_chunk(_SUBJECTS[name], _UNITS[name], seed, number, chunk)


def soak(
    subjects: Sequence[Subject],
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    processes: int = 1,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> State:
    """Runs what is missing of a soak.

    Parameters
    ----------
    subjects : sequence of Subject
        With different names.
    folder : Path
        Takes the state, ``state.json``; a later call goes on from it.
    count : int
        Transfers of all subjects together that are not exhaustive, at least.
    seed : int
    processes : int
        So many chunks side by side; one is run in this process.
    chunk : int
        Transfers of a chunk.
    progress : function, optional

    Returns
    -------
    State
        Of the finished run.

    Raises
    ------
    SoakFailed
        A chunk differs from the model.
    ValueError
        The folder has the state of another run, or a damaged one; or ``count`` is not positive.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, the Verilog does not compile, or a process was ended.
    """
    if count < 1:
        raise ValueError(f"Count must be at least 1, not {count}")
    if not subjects or len({subject.name for subject in subjects}) != len(subjects):
        raise ValueError("Subjects must be at least one, with different names")
    shares, by_name = share(subjects, count), {subject.name: subject for subject in subjects}
    chunks = {s.name: s.chunks(shares.get(s.name, 0), chunk) for s in subjects}
    identity = {
        "schema": _SCHEMA,
        "seed": seed,
        "count": count,
        "chunk": chunk,
        "choice of units": sorted(by_name),
        "Verilog": {s.name: content_key([s.emitted.verilog]) for s in subjects},
        "golden model": _sources(),
    }
    say = progress or (lambda done, total, what: None)
    state = State(folder / "state.json", identity, chunks)
    total = sum(chunks.values())
    started, before = time.perf_counter(), state.elapsed

    def take(name: str, number: int, outcome: Outcome) -> None:
        if outcome.failure is not None:
            raise SoakFailed(name, number, outcome.failure)
        tally = state.tallies[name]
        tally.add(number, outcome)
        state.elapsed = before + time.perf_counter() - started
        state.save()
        say(sum(len(tally.done) for tally in state.tallies.values()), total, name)

    waiting = list(state.missing())
    names = list(dict.fromkeys(name for name, _ in waiting))
    say(total - len(waiting), total, "building")
    units: dict[str, BatchUnit] = {}
    try:
        for name in names:
            # Once, before several processes would do it side by side.
            units[name] = BatchUnit(by_name[name].emitted)
        started = time.perf_counter()
        if processes == 1:
            for name, number in waiting:
                take(name, number, run_chunk(by_name[name], units[name], seed, number, chunk))
        elif waiting:
            _in_pool([by_name[name] for name in names], waiting, seed, chunk, processes, take)
    except HardwareFault as error:
        raise SoakFailed(names[len(units)], 0, str(error)) from None
    finally:
        for unit in units.values():
            unit.close()
    return state


def _in_pool(
    subjects: Sequence[Subject],
    waiting: Sequence[tuple[str, int]],
    seed: int,
    chunk: int,
    processes: int,
    take: Callable[[str, int, Outcome], None],
) -> None:
    # Not forked: a progress bar has a thread.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(subjects,))
    try:
        rest, running = list(reversed(waiting)), dict[Future[Outcome], tuple[str, int]]()
        while rest or running:
            while rest and len(running) < 2 * processes:
                name, number = rest.pop()
                running[pool.submit(_chunk_in_pool, name, seed, number, chunk)] = name, number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                take(*running.pop(future), future.result())
    except BrokenExecutor:
        raise ToolFailed("A process of the soak was ended from outside, as where memory is short") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _claim(subject: Subject) -> str:
    return f"soak of {subject.name}: the compiled Verilog gives the model's results"


def failed_record(subject: Subject, failure: SoakFailed, command: str) -> Record:
    """The line of evidence of a chunk that differs."""
    kind = Kind.EXHAUSTIVE if subject.is_exhaustive else Kind.SAMPLED
    return Record(subject.config.unit, kind, _claim(subject), str(failure), False, command, 0.0)


def soak_records(subjects: Sequence[Subject], state: State, seed: int, command: str) -> list[Record]:
    """A line of evidence for each subject of a finished run."""
    records = []
    for subject in subjects:
        tally = state.tallies[subject.name]
        kind, what = (Kind.EXHAUSTIVE, "all of them") if subject.is_exhaustive else (Kind.SAMPLED, f"seed {seed}")
        records.append(
            Record(
                subject.config.unit,
                kind,
                _claim(subject),
                f"{tally.transfers:,} transfers, {tally.results:,} results equal, {what}",
                tally.results > 0,
                command,
                tally.seconds,
                {
                    "parameters": subject.emitted.manifest["parameters"],
                    "transfers": tally.transfers,
                    "compared": tally.results,
                    "chunks": tally.chunks,
                    "digest": f"{tally.digest:032x}",
                    "simulated_per_second": round(tally.transfers / max(tally.simulation_seconds, 1e-9)),
                    "modelled_per_second": round(tally.transfers / max(tally.model_seconds, 1e-9)),
                },
            )
        )
    return records
