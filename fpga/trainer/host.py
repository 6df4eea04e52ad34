"""A trainer on a board as the host sees it: state to and from its memories, samples to learn from, what it predicts."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from lnsmadam.fpga.boards import DEFAULT_BAUD, TIMEOUT_S
from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer import frames
from lnsmadam.fpga.trainer.client import Client, Port, open_port
from lnsmadam.fpga.trainer.frames import Command, Progress, Result, Run, Space
from lnsmadam.fpga.trainer.identity import known_networks, machine_digest, told
from lnsmadam.golden.trainer import files
from lnsmadam.golden.trainer.config import MAX_LR_SHIFT, NetworkConfig
from lnsmadam.golden.trainer.layout import MAX_LANES, Layout
from lnsmadam.golden.trainer.order import order
from lnsmadam.golden.trainer.state import NetworkState, fresh
from lnsmadam.golden.trainer.tables import gate_margin
from lnsmadam.golden.trainer.words import spaces, state_of_words, words_of_state

Integers = npt.NDArray[np.int64]

#: Seconds without a finished sample after which a run counts as hung.
STALL_S = 10.0


@dataclass(frozen=True)
class Epoch:
    """How far a pass over samples is, or what came of it.

    Attributes
    ----------
    number : int
        0 the first.
    done, count : int
        Samples finished, and in all.
    correct, gated : int
        Of those finished: predicted rightly, and right by the gate's margin, so that nothing was learned.
    seconds : float
        Since the pass began.
    """

    number: int
    done: int
    count: int
    correct: int
    gated: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the finished samples that were predicted rightly."""
        return self.correct / max(self.done, 1)

    @property
    def gated_share(self) -> float:
        """Share of the finished samples that nothing was learned from."""
        return self.gated / max(self.done, 1)

    @property
    def samples_per_second(self) -> float:
        """Rate, the line included."""
        return self.done / max(self.seconds, 1e-9)


class Trainer:
    """Learns on a board, or on anything that speaks :mod:`~lnsmadam.fpga.trainer.frames`. Use it in a ``with``.

    Where all samples fit in the board's memory they are loaded once and stay there until others need the room, and the
    board makes each epoch's order; else they are sent in that order, half a memory at a time, while it learns from the
    other half. The order is that of :mod:`lnsmadam.golden.trainer.order` either way, so what is learned does not
    depend on the board.

    Parameters
    ----------
    port : str or Port
        Name of a serial port, or an open one.
    network : NetworkConfig, optional
        What the board must hold; by default a preset, recognised by its digest.
    baud : int
    timeout : float
        Seconds without an answer after which a request is sent again.
    attempts : int
        How often it is sent.
    poll : float
        Seconds between two looks at a run.

    Attributes
    ----------
    network : NetworkConfig
    hello : Hello
        What the board said of itself.
    layout : Layout
        Of its memories.

    Raises
    ------
    LinkError
        From here and from every method, in one line: the port cannot be opened, the board is silent, holds another
        network, was restarted, refuses or hangs.
    """

    def __init__(
        self,
        port: str | Port,
        network: NetworkConfig | None = None,
        *,
        baud: int = DEFAULT_BAUD,
        timeout: float = 1.0,
        attempts: int = 4,
        poll: float = 0.02,
    ):
        if timeout <= TIMEOUT_S:
            raise ValueError(f"Timeout must be above the board's own {TIMEOUT_S} s, not {timeout}")
        self.poll = poll
        opened = open_port(port, baud, timeout) if isinstance(port, str) else port
        name = f"Board on {port}" if isinstance(port, str) else "Board"
        self.client = Client(opened, name, attempts=attempts, patience=4 * timeout)
        # Places of the sets of samples that the board's memory holds, by their hash, and where it is free.
        self._places: dict[bytes, int] = {}
        self._free = 0
        try:
            self.hello = self.client.hello()
            self.network = self._recognise(network)
            self.layout = Layout(self.network, self.hello.lanes)
            self.regions = frames.regions(self.layout, self.hello.capacity)
            if self._status().busy:
                self.client.request(Command.STOP)
                self._wait(lambda _: None)
        except BaseException:
            self.close()
            raise

    def _recognise(self, network: NetworkConfig | None) -> NetworkConfig:
        digest, name = self.hello.digest, self.client.name
        if network is None:
            if digest not in known_networks():
                raise LinkError(f"{name} holds {told(digest)}, which is no preset: say which network it is")
            network = known_networks()[digest][1]
        if machine_digest(network) != digest:
            raise LinkError(f"{name} holds {told(digest)}, not {told(machine_digest(network))}")
        if not 1 <= self.hello.lanes <= MAX_LANES or not self.hello.capacity:
            raise LinkError(f"{name} is out of order: {self.hello.lanes} lanes, {self.hello.capacity} samples")
        return network

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the port; the board keeps what it learned, and ends a run that is under way by itself."""
        self.client.close()

    # State

    def load_state(self, state: NetworkState) -> None:
        """Puts weights, trackers, count and random generators on the board; ``ValueError`` if they are another
        network's."""
        state.check(self.network)
        for space, words in words_of_state(self.layout, state).items():
            self._write(Space(space), 0, words)

    def read_state(self) -> NetworkState:
        """Weights, trackers, count and random generators."""
        sizes = spaces(self.layout)
        return state_of_words(self.layout, {space: self._read(Space(space), 0, sizes[space]) for space in sizes})

    def load_weights(self, weights: Sequence[npt.ArrayLike]) -> None:
        """Puts words of weights, shape (neurons, inputs + 1) a layer, on the board, and everything else as before the
        first update."""
        self.load_state(fresh(self.network, weights))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes network and state to a file, see :mod:`lnsmadam.golden.trainer.files`."""
        files.save(path, self.network, self.read_state())

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Puts the state that a file holds on the board, and takes its gate, which is a setting of runs and not of the
        board; ``ValueError`` with the reason if it is not this network's."""
        network, state = files.load(path)
        here = dataclasses.replace(self.network, gate=network.gate)
        files.check_same(os.fspath(path), network, here)
        self.load_state(state)
        self.network = here

    # Samples

    def train(
        self,
        samples: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        epochs: int = 1,
        first_epoch: int = 0,
        seed: int = 0,
        lr_shift: int | Callable[[int], int] = 0,
        progress: Callable[[Epoch], None] | None = None,
    ) -> list[Epoch]:
        """Learns from samples, epoch by epoch.

        Parameters
        ----------
        samples : integer array of shape (count, inputs)
            Words of activations.
        labels : integer array of shape (count,)
        epochs, first_epoch : int
            How many, and the number of the first: it is part of what makes the order.
        seed : int
            Of the order.
        lr_shift : int or function
            Octaves by which the learning rate is lowered, 0 to 7; a function of the epoch's number.
        progress : function, optional
            Called every ``poll`` seconds and at the end of every epoch.

        Returns
        -------
        list of Epoch

        Raises
        ------
        ValueError
            Samples or labels are not the network's, or another number is out of range.
        """
        rows = self._rows(samples, labels)
        for name, value in (("Seed", seed), ("First epoch", first_epoch), ("Epochs", epochs)):
            if not isinstance(value, (int, np.integer)) or not 0 <= value < 1 << 32:
                raise ValueError(f"{name} must be an integer from 0 to {(1 << 32) - 1}, not {value}")
        margin = gate_margin(self.network)
        finished = []
        for number in range(first_epoch, first_epoch + epochs):
            shift = lr_shift(number) if callable(lr_shift) else lr_shift
            if not isinstance(shift, (int, np.integer)) or not 0 <= shift <= MAX_LR_SHIFT:
                raise ValueError(f"Shift of the learning rate must be from 0 to {MAX_LR_SHIFT}, not {shift}")
            run = Run(True, shift, margin is not None, margin or 0, True, seed=seed, epoch=number)
            finished.append(self._pass(rows, run, progress))
        return finished

    def evaluate(self, samples: npt.ArrayLike, labels: npt.ArrayLike) -> float:
        """Share of samples whose class is their label; nothing is learned."""
        return self._pass(self._rows(samples, labels), Run(learn=False), None).accuracy

    def predict(self, samples: npt.ArrayLike) -> Integers:
        """The class of each sample; nothing is learned."""
        rows = self._rows(samples, np.zeros(len(np.asarray(samples)), np.int64))
        results: list[int] = []
        self._pass(rows, Run(learn=False), None, results)
        return np.array([Result.decode(word).predicted for word in results], np.int64)

    def _rows(self, samples: npt.ArrayLike, labels: npt.ArrayLike) -> Integers:
        """Samples as the board's memory holds them, one a row, the label last."""
        inputs, classes = self.network.sizes[0], self.network.sizes[-1]
        words, numbers = np.asarray(samples), np.asarray(labels)
        if words.ndim != 2 or words.shape[1] != inputs or not len(words) or words.dtype.kind not in "iu":
            raise ValueError(f"Samples must be integers of shape (count, {inputs}), not {words.dtype} {words.shape}")
        if numbers.shape != (len(words),) or numbers.dtype.kind not in "iu":
            raise ValueError(f"Labels must be {len(words)} integers, not {numbers.dtype} {numbers.shape}")
        if words.min() < 0 or int(words.max()) >> self.network.activation.width:
            raise ValueError(f"Samples must be words of {self.network.activation.width} bits, not {words.max()}")
        if numbers.min() < 0 or numbers.max() >= classes:
            raise ValueError(f"Labels must be from 0 to {classes - 1}, not {numbers.min()} to {numbers.max()}")
        return np.column_stack([words, numbers]).astype(np.int64)

    def _pass(
        self,
        rows: Integers,
        run: Run,
        progress: Callable[[Epoch], None] | None,
        results: list[int] | None = None,
    ) -> Epoch:
        """Runs all samples once, from the board's memory or through it; puts words of RESULTS into ``results``."""
        started, state = time.monotonic(), Epoch(run.epoch, 0, len(rows), 0, 0, 0.0)
        for part, count in self._parts(rows, run):
            before = state

            def tell(now: Progress, before: Epoch = before) -> None:
                nonlocal state
                state = dataclasses.replace(
                    before,
                    done=before.done + now.done,
                    correct=before.correct + now.correct,
                    gated=before.gated + now.gated,
                    seconds=time.monotonic() - started,
                )
                if progress is not None:
                    progress(state)

            self._wait(tell)
            if (done := state.done - before.done) != count:
                raise LinkError(f"{self.client.name} ended a run after {done} of {count} samples")
            if results is not None:
                results.extend(self._read(Space.RESULTS, part, count).tolist())
        return state

    def _parts(self, rows: Integers, run: Run) -> Iterator[tuple[int, int]]:
        """Starts one run after the other until all samples have their turn; place and number of those under way."""
        place = self._place(rows)
        if place is not None:
            self._start(dataclasses.replace(run, first=place, count=len(rows)))
            yield place, len(rows)
            return
        if run.shuffle:
            rows = rows[order(len(rows), run.seed, run.epoch)]
            run = dataclasses.replace(run, shuffle=False)
        # With one sample's room there is no free half: the next waits until the first is done.
        capacity, width = self.hello.capacity, rows.shape[1]
        size, places = (capacity // 2, (0, capacity // 2)) if capacity > 1 else (1, (0, 0))
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        self._write(Space.SAMPLES, 0, chunks[0].ravel())
        for n, chunk in enumerate(chunks):
            self._start(dataclasses.replace(run, first=places[n % 2], count=len(chunk)))
            if capacity == 1:
                yield 0, 1
            if n + 1 < len(chunks):
                self._write(Space.SAMPLES, places[(n + 1) % 2] * width, chunks[n + 1].ravel())
            if capacity > 1:
                yield places[n % 2], len(chunk)

    def _place(self, rows: Integers) -> int | None:
        """Where these samples are in the board's memory, loaded if need be; None if they never fit."""
        key = hashlib.sha256(rows.tobytes()).digest()
        if key not in self._places:
            fits = len(rows) <= self.hello.capacity
            if not fits or self._free + len(rows) > self.hello.capacity:
                self._places.clear()
                self._free = 0
            if not fits:
                return None
            self._write(Space.SAMPLES, self._free * rows.shape[1], rows.ravel())
            self._places[key], self._free = self._free, self._free + len(rows)
        return self._places[key]

    # The line

    def _start(self, run: Run) -> None:
        self.client.request(Command.RUN, run.encode())

    def _status(self) -> Progress:
        return Progress.decode(self.client.request(Command.STATUS, expected=Progress.FORM.size))

    def _wait(self, tell: Callable[[Progress], None]) -> None:
        """Looks at the run until it has ended."""
        done, since = -1, time.monotonic()
        while True:
            now = self._status()
            tell(now)
            if not now.busy:
                return
            if now.done != done:
                done, since = now.done, time.monotonic()
            elif time.monotonic() - since > STALL_S:
                raise LinkError(f"{self.client.name} hangs: no sample for {STALL_S:g} s, {done} done")
            if self.poll:
                time.sleep(self.poll)

    def _write(self, space: Space, address: int, words: Integers) -> None:
        region = self.regions[space]
        size = region.words_per_write
        if space == Space.WEIGHTS:
            # A row is committed by its last word, so it shall not be split.
            size -= size % self.layout.lanes
        for start in range(0, len(words), size):
            part = words[start : start + size].tolist()
            self.client.request(Command.WRITE, frames.write_payload(space, address + start, part, region.bytes))

    def _read(self, space: Space, address: int, count: int) -> Integers:
        region, words = self.regions[space], []
        for start in range(0, count, region.words_per_read):
            size = min(region.words_per_read, count - start)
            payload = frames.read_payload(space, address + start, size)
            answer = self.client.request(Command.READ, payload, size * region.bytes)
            words += frames.unpack_words(answer, region.bytes)
        return np.array(words, np.int64)
