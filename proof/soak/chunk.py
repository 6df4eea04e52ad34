"""A chunk of a soak: its operands, and the compiled Verilog's results against the golden model's.

A chunk begins with a reset and has operands of its own, drawn from the seed, the subject's name and the chunk's
number: any of them can be run again alone, and they need no order.
"""

import hashlib
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.format import Words
from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.batch import BatchUnit, HardwareFault
from lnsmadam.sim.ports import Model, first_mismatch
from lnsmadam.sim.stimulus import EXHAUSTIVE_BITS, Directed, mixed_operands, some_arguments

#: Transfers of a chunk: less than a second of work.
CHUNK = 1 << 18
#: One chunk of so many runs under random pauses.
STALLED = 16
#: Of a chunk's digest, and of their sum.
DIGEST_BITS = 128


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
        """How many chunks of ``chunk`` transfers hold at least ``count``, or every argument."""
        return -(-(1 << self._bits if self.is_exhaustive else count) // chunk)

    def operands(self, seed: int, number: int, chunk: int) -> dict[str, Words]:
        """The operands of the chunk of that number: words by field, each of shape ``(chunk,)``.

        The last chunk of an exhaustive subject may be shorter.
        """
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
        Hash of the subject's name, the number and the model's results, of ``DIGEST_BITS`` bits.
    seconds, simulation_seconds, model_seconds : float
        All of it, the compiled Verilog alone, the model alone.
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


def run_chunk(subject: Subject, unit: BatchUnit, seed: int, number: int, chunk: int = CHUNK) -> Outcome:
    """Runs one chunk through the unit and the model, from reset; one in :data:`STALLED` under random pauses.

    A result that differs and a hang are told in :attr:`Outcome.failure`.

    Parameters
    ----------
    subject : Subject
    unit : BatchUnit
        The subject's Verilog, compiled.
    seed, number : int
    chunk : int
        Transfers.
    """
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
    # Of the model's results: the same where the Verilog is wrong, and on every machine.
    digest = hashlib.sha256(f"{subject.name} {number}".encode())
    for column in want.values():
        digest.update(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes())
    return Outcome(
        transfers,
        len(next(iter(got.values()))) if got else 0,
        int.from_bytes(digest.digest()[: DIGEST_BITS // 8], "little"),
        time.perf_counter() - started,
        simulated - before,
        modelled - simulated,
        failure,
    )
