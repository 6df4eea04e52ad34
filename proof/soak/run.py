"""Volume: a thousand million transfers through compiled Verilog against the golden model, in chunks.

A chunk can be run alone and they need no order (:mod:`lnsmadam.proof.soak.chunk`); what was done is kept in a file
that is written whole after every chunk (:mod:`lnsmadam.proof.soak.state`), so that a run that was ended goes on where
it was. Each chunk gives a hash of the model's results, and their sum is the run's digest: two runs of one seed have
the same, however often they were interrupted and wherever they ran.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any

from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.provenance import tool_version
from lnsmadam.proof.records import Kind, Record
from lnsmadam.proof.soak.chunk import CHUNK, Outcome, Subject, run_chunk
from lnsmadam.proof.soak.state import State
from lnsmadam.sim.batch import BatchUnit, HardwareFault
from lnsmadam.sim.build import content_key

# Of the state file; a new one makes every older file another run's.
_SCHEMA = 2
#: Chunks done, chunks in all, and what was just done.
Progress = Callable[[int, int, str], None]


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


@cache
def _sources() -> str:
    """A hash of the golden model and of what draws operands: chunks of different ones do not make one run."""
    import lnsmadam.golden
    from lnsmadam.sim import stimulus

    folders = [Path(folder) for folder in lnsmadam.golden.__path__]
    files = sorted((path.name, path) for folder in folders for path in folder.glob("*.py"))
    files.append(("stimulus.py", Path(str(stimulus.__file__))))
    return content_key([text for name, path in files for text in (name, path.read_text(encoding="utf-8"))])


def _identity(subjects: Sequence[Subject], count: int, seed: int, chunk: int) -> dict[str, Any]:
    """All that the results of a run depend on. The keys are what a refused state is said to have another of."""
    return {
        "schema": _SCHEMA,
        "seed": seed,
        "count": count,
        "chunk": chunk,
        "choice of units": sorted(subject.name for subject in subjects),
        "Verilog": {subject.name: content_key([subject.emitted.verilog]) for subject in subjects},
        "golden model": _sources(),
        "simulator": tool_version("Verilator"),
    }


def share(subjects: Sequence[Subject], count: int) -> dict[str, int]:
    """Transfers of each subject that is not exhaustive, by weight: together at least ``count``."""
    weight = sum(subject.weight for subject in subjects if not subject.is_exhaustive)
    return {s.name: -(-count * s.weight // weight) for s in subjects if not s.is_exhaustive}


# In a process of the pool: its subjects and the units that it has compiled models of.
_SUBJECTS: dict[str, Subject] = {}
_UNITS: dict[str, BatchUnit] = {}


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it has ended, even where that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _begin(subjects: Sequence[Subject]) -> None:
    """Prepares a process of the pool, which ends with the one that started it."""
    # A terminal's Ctrl-C reaches every process; the one that started the pool ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _SUBJECTS.update({subject.name: subject for subject in subjects})


def _chunk_in_pool(name: str, seed: int, number: int, chunk: int) -> Outcome:
    """Runs a chunk in a process of the pool."""
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
    say = progress or (lambda done, total, what: None)
    state = State(folder / "state.json", _identity(subjects, count, seed, chunk), chunks)
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
    units: dict[str, BatchUnit] = {}
    try:
        for name in names:
            say(total - len(waiting), total, f"building {name}")
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
    """Runs the chunks that wait in several processes, and hands each outcome to ``take`` as it comes.

    Raises
    ------
    ToolFailed
        A process was ended from outside.
    """
    # Not forked: a progress bar has a thread.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(subjects,))
    try:
        rest, running = list(reversed(waiting)), dict[Future[Outcome], tuple[str, int]]()
        while rest or running:
            # One waits behind each that runs; no more, for an interrupted run finishes what runs.
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


def _kind(subject: Subject) -> Kind:
    return Kind.EXHAUSTIVE if subject.is_exhaustive else Kind.SAMPLED


def failed_record(subject: Subject, failure: SoakFailed, command: str) -> Record:
    """The line of evidence of a chunk that differs."""
    return Record(subject.config.unit, _kind(subject), _claim(subject), str(failure), False, command, 0.0)


def soak_records(subjects: Sequence[Subject], state: State, seed: int, command: str) -> list[Record]:
    """A line of evidence for each subject of a finished run."""
    records = []
    for subject in subjects:
        tally = state.tallies[subject.name]
        what = "all of them" if subject.is_exhaustive else f"seed {seed}"
        records.append(
            Record(
                subject.config.unit,
                _kind(subject),
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
