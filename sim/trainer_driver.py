"""Drives a trainer's four streams inside the simulator and compares what comes out, for the bench.

What the machine must hold after each sample is in the task: nothing here knows a network. As in
:mod:`lnsmadam.sim.cocotb_bench` a cycle drives in the low half of the clock, looks at the end of it, and raises it.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from cocotb.triggers import Timer

#: Registers, which are the last of what a task reads.
REGISTERS = 3


class CheckFailed(Exception):
    """The machine did something it must not; the message is one line."""


class Stream:
    """One stream's signals, and what the bench does with it.

    Attributes
    ----------
    waiting : deque of words
        Of an input: still to be sent. A word that was offered stays offered until it is accepted.
    accepted : int
        Of an input: words since the last reset.
    taken : list of words
        Of an output: what came.
    pace : float
        Chance that the bench moves in a cycle.
    """

    def __init__(self, dut: Any, entry: dict[str, Any]):
        self.name: str = entry["name"]
        self.width: int = entry["width"]
        self.valid, self.ready, self.payload = (getattr(dut, entry[name]) for name in ("valid", "ready", "payload"))
        self.waiting: deque[int] = deque()
        self.taken: list[int] = []
        self.pace = 1.0
        self.offered = False
        self.accepted = 0
        self.held: int | None = None

    def clear(self) -> None:
        self.waiting.clear()
        self.taken.clear()
        self.offered, self.held, self.pace, self.accepted = False, None, 1.0, 0


class Bench:
    """Drives one machine cycle by cycle.

    Attributes
    ----------
    samples : list of lists of words
        Each ends with its label.
    results : list of words
        One for each sample, whatever becomes of the weights of those before.
    states : list of lists of words
        What ``reads`` must answer before the first sample, and after each.
    """

    def __init__(self, dut: Any, task: dict[str, Any]):
        manifest = task["manifest"]
        self.samples: list[list[int]] = task["samples"]
        self.results: list[int] = task["results"]
        self.states: list[list[int]] = task["states"]
        self.masks: list[int] = task["masks"]
        self.reads: list[int] = task["reads"]
        self.writes: list[int] = task["writes"]
        self.after_reset: list[int] = task["after_reset"]
        self.settings: list[dict[str, int]] = task["settings"]
        self.cycles_per_sample: int = task["cycles_per_sample"]
        self.patience: int = task["patience"]
        self.lanes: int = task["lanes"]
        self.random = random.Random(task["seed"])
        self.compared = self.cycles = 0
        self._clock, self._reset = getattr(dut, manifest["clock"]), getattr(dut, manifest["reset"])
        self._idle = getattr(dut, manifest["idle"])
        self._settings = {
            name: (getattr(dut, entry["port"]), entry["width"]) for name, entry in manifest["settings"].items()
        }
        self.inputs = [Stream(dut, entry) for entry in manifest["inputs"]]
        self.outputs = [Stream(dut, entry) for entry in manifest["outputs"]]
        self.s, self.access = self.inputs
        self.r, self.answer = self.outputs

    @property
    def count(self) -> int:
        return len(self.samples)

    @property
    def is_busy(self) -> bool:
        """Whether a whole sample, or an access, has been accepted whose result or answer has not been taken."""
        samples = self.s.accepted // len(self.samples[0])
        return samples > len(self.r.taken) or self.access.accepted > len(self.answer.taken)

    def set(self, values: dict[str, int] | None) -> None:
        """Settings of a sample; random ones for None."""
        for name, (signal, width) in self._settings.items():
            signal.value = self.random.getrandbits(width) if values is None else values[name]

    async def cycle(self, reset: bool = False) -> bool:
        """One clock cycle; returns whether the machine says that it is idle."""
        chance = self.random.random
        for stream in self.inputs:
            stream.offered = bool(stream.offered or (stream.waiting and chance() < stream.pace))
            stream.valid.value = int(stream.offered)
            # A word that is not valid must not matter.
            stream.payload.value = stream.waiting[0] if stream.offered else self.random.getrandbits(stream.width)
        ready = [chance() < stream.pace for stream in self.outputs]
        for stream, takes in zip(self.outputs, ready, strict=True):
            stream.ready.value = int(takes)
        self._reset.value = int(reset)
        await Timer(5, "ns")
        idle = bool(self._idle.value)
        if idle and not reset and self.is_busy:
            raise CheckFailed(
                f"idle although {self.s.accepted} words of samples and {len(self.r.taken)} results passed"
            )
        for stream in self.inputs:
            if stream.offered and bool(stream.ready.value) and not reset:
                stream.waiting.popleft()
                stream.offered = False
                stream.accepted += 1
        for stream, takes in zip(self.outputs, ready, strict=True):
            if not reset:
                self._look(stream, takes)
        self._clock.value = 1
        await Timer(5, "ns")
        self._clock.value = 0
        self.cycles += 1
        return idle

    def _look(self, stream: Stream, takes: bool) -> None:
        is_valid = bool(stream.valid.value)
        word = int(stream.payload.value) if is_valid else 0
        if stream.held is not None:
            if not is_valid:
                raise CheckFailed(f"{stream.name}: valid was dropped before word {len(stream.taken)} was taken")
            if word != stream.held:
                raise CheckFailed(
                    f"{stream.name}: word {len(stream.taken)} changed as it waited: {stream.held:#x} became {word:#x}"
                )
        stream.held = word if is_valid and not takes else None
        if is_valid and takes:
            stream.taken.append(word)

    async def until(self, done: Callable[[], bool], what: str, factor: int = 1) -> int:
        """Cycles until something is so."""
        for cycle in range(factor * self.patience):
            if done():
                return cycle
            await self.cycle()
        raise CheckFailed(f"{what}: not within {factor * self.patience} cycles")

    async def idle(self) -> None:
        """Waits until the machine is idle, and looks that nothing more comes out of it."""
        taken = [len(stream.taken) for stream in self.outputs]
        quiet = 0
        for _ in range(self.patience):
            quiet = quiet + 1 if await self.cycle() else 0
            if quiet == 8:
                break
        else:
            raise CheckFailed(f"the machine is not idle after {self.patience} cycles")
        for stream, before in zip(self.outputs, taken, strict=True):
            if len(stream.taken) > before:
                raise CheckFailed(f"{stream.name}: one too many: {stream.taken[-1]:#x}")

    async def ask(self, requests: Sequence[int], pace: float = 1.0) -> list[int]:
        """Sends accesses; returns the answers."""
        before = len(self.answer.taken)
        self.access.waiting.extend(requests)
        self.access.pace = self.answer.pace = pace
        await self.until(
            lambda: len(self.answer.taken) - before >= len(requests), "answers to accesses", 1 + len(requests)
        )
        return self.answer.taken[before:]

    async def restart(self) -> None:
        """Resets the machine and loads the state before the first sample."""
        for stream in (*self.inputs, *self.outputs):
            stream.clear()
        for _ in range(3):
            await self.cycle(reset=True)
        self.set(self.settings[0])
        await self.ask(self.writes)
        await self.idle()

    def send(self, first: int, count: int) -> None:
        """Queues samples."""
        for sample in self.samples[first : first + count]:
            self.s.waiting.extend(sample)

    async def finish(self, count: int, pace: float = 1.0) -> None:
        """Takes results until there are so many, and compares them."""
        self.r.pace = pace
        await self.until(lambda: len(self.r.taken) >= count, f"result {len(self.r.taken)}", 40 * max(1, count))
        self.compare_results(count)

    async def next_result(self) -> None:
        """Waits for one more result."""
        taken = len(self.r.taken)
        await self.until(lambda: len(self.r.taken) > taken, f"result {taken}")

    def compare_results(self, count: int) -> None:
        got, want = self.r.taken[:count], self.results[:count]
        if len(self.r.taken) > count:
            raise CheckFailed(f"{count} samples were sent and {len(self.r.taken)} results came")
        for number, (a, b) in enumerate(zip(got, want, strict=True)):
            self.compared += 1
            if a != b:
                raise CheckFailed(f"result of sample {number}: got {a:#x}, want {b:#x}")

    async def compare_state(self, samples: int, pace: float = 1.0) -> None:
        """Reads everything and compares it with the state after so many samples."""
        answers = await self.ask(self.reads, pace)
        for request, answer, mask, want in zip(self.reads, answers, self.masks, self.states[samples], strict=True):
            self.compared += 1
            if answer & mask != want:
                raise CheckFailed(f"after {samples} samples: {place(request)}: got {answer & mask:#x}, want {want:#x}")


def place(request: int) -> str:
    """Space and address of an access."""
    return f"space {request >> 20 & 7}, address {request & 0xFFFFF}"
