"""The protocol bench; runs inside the simulator, started by :mod:`lnsmadam.sim.protocol`.

Every check starts with a reset, so that the unit stands at transfer 0 and the expected results are the same
list for all. One cycle of the bench: drive in the low half of the clock, look at the end of it, raise the
clock::

    clk     ______/‾‾‾‾‾‾\\______/‾‾‾‾‾‾\\
            drive ^look    drive ^look
"""

import json
import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

# Chances that the sender offers and the receiver takes in a cycle, run against each other.
_PACES = ((0.5, 0.5), (1.0, 0.25), (0.25, 1.0), (0.9, 0.9), (1.0, 0.5), (0.1, 0.1))


class CheckFailed(Exception):
    """The unit did something it must not.

    Attributes
    ----------
    message : str
        One line, with names in braces where the caller writes payloads as sign and log: the bench imports neither
        formats nor NumPy, whose import would take longer than its checks.
    operands, results : dict
        Payloads by those names.
    """

    def __init__(self, message: str, operands: dict[str, int] | None = None, results: dict[str, int] | None = None):
        super().__init__(message)
        self.message, self.operands, self.results = message, operands or {}, results or {}


@dataclass(frozen=True)
class Sample:
    """What a cycle ended with."""

    accepted: bool
    valid: bool
    payload: int


class Bench:
    """Drives one unit cycle by cycle and compares every result that is taken.

    Attributes
    ----------
    compared : int
        Results compared in this check.
    sent, due, received : int
        Since reset: transfers accepted, results that they bring, results taken.
    """

    def __init__(self, dut: Any, task: dict[str, Any]):
        manifest = task["manifest"]
        operands, results = manifest["inputs"][0], manifest["outputs"][0]
        self.latency: int = manifest["latency"]
        self.interval: int = manifest["interval"]
        self.operands: list[int] = task["operands"]
        self.results: list[int] = task["results"]
        # Whether a result follows, for each transfer; and the transfer that brings each result.
        self.brings: list[bool] = task["brings"]
        self._bringers = [number for number, brings in enumerate(self.brings) if brings]
        self.random = random.Random(task["seed"])
        self.compared = 0
        self.sent = self.due = self.received = 0
        self._clock = getattr(dut, manifest["clock"]) if manifest["clock"] else None
        self._reset = getattr(dut, manifest["reset"]) if manifest["reset"] else None
        signals = ("valid", "ready", "payload")
        self._valid, self._ready, self._payload = (getattr(dut, operands[name]) for name in signals)
        self._o_valid, self._o_ready, self._o_payload = (getattr(dut, results[name]) for name in signals)
        self._width: int = operands["width"]
        self._waiting: int | None = None
        self._offered: int | None = None
        # Cycles without a transfer, both sides willing at times, after which a unit counts as hung.
        self.patience = 256 + 16 * (self.latency + self.interval)
        # Longer than anything in flight can take.
        self.drain_cycles = 2 * self.latency + self.interval + 8

    @property
    def has_reset(self) -> bool:
        return self._reset is not None

    @property
    def awaits_result(self) -> bool:
        """Whether a result is due: of an accepted transfer or, without registers, of one that is offered."""
        is_through = self.latency == 0 and self._offered is not None
        return self.due > self.received or (is_through and self.brings[self.sent])

    async def cycle(self, operand: int | None, ready: bool, reset: bool = False) -> Sample:
        """One clock cycle; checks that a result which waits stays as it is, and compares one that is taken.

        Operands that were offered and not accepted stay offered, whatever ``operand`` says: the sender keeps
        the rules too.
        """
        if self._offered is not None and not reset:
            operand = self._offered
        self._valid.value = int(operand is not None)
        # Operands that are not valid must not matter.
        self._payload.value = self.random.getrandbits(self._width) if operand is None else operand
        self._o_ready.value = int(ready)
        if self._reset is not None:
            self._reset.value = int(reset)
        await Timer(5, "ns")
        accepted = operand is not None and bool(self._ready.value)
        sample = Sample(accepted, bool(self._o_valid.value), int(self._o_payload.value))
        if self._clock is not None:
            self._clock.value = 1
        await Timer(5, "ns")
        if self._clock is not None:
            self._clock.value = 0
        self._offered = operand if operand is not None and not sample.accepted and not reset else None
        if not reset:
            self._look(sample, ready)
        return sample

    def _look(self, sample: Sample, ready: bool) -> None:
        if sample.accepted:
            self.due += self.brings[self.sent]
            self.sent += 1
        if self._waiting is not None:
            if not sample.valid:
                raise CheckFailed(f"valid was dropped before result {self.received} was taken")
            if sample.payload != self._waiting:
                raise CheckFailed(
                    f"result {self.received} changed while it waited: {{before}} became {{after}}",
                    results={"before": self._waiting, "after": sample.payload},
                )
        self._waiting = sample.payload if sample.valid and not ready else None
        if sample.valid and ready:
            self._compare(sample.payload)

    def _compare(self, payload: int) -> None:
        if self.received >= self.due:
            raise CheckFailed(
                f"{self.sent} transfers accepted, {self.due} results due and {self.received + 1} came: one too many"
            )
        transfer, want = self._bringers[self.received], self.results[self.received]
        self.received += 1
        self.compared += 1
        if payload != want:
            raise CheckFailed(
                f"transfer {transfer}: {{operand}}: got {{got}}, want {{want}}",
                {"operand": self.operands[transfer]},
                {"got": payload, "want": want},
            )

    async def quiet_cycle(self) -> None:
        """A cycle after a reset and before any operands: there must be no result."""
        if (await self.cycle(None, False)).valid:
            raise CheckFailed("a result of before the reset came out after it")

    async def restart(self, cycles: int = 3, operand: int | None = None) -> None:
        """Resets the unit and the bench's idea of it; a unit without reset is drained."""
        for _ in range(cycles if self._reset is not None else 0):
            await self.cycle(operand, True, reset=True)
        self._waiting = None
        self.sent = self.due = self.received = 0

    async def drain(self) -> None:
        """Takes what is in flight, then checks that nothing was lost and nothing more comes."""
        for _ in range(self.patience):
            if self.received == self.due and self._offered is None:
                break
            await self.cycle(None, True)
        if self.received < self.due:
            raise CheckFailed(f"{self.due - self.received} of {self.due} results never came")
        for _ in range(self.drain_cycles):
            # One result too many fails in the comparison.
            await self.cycle(None, True)

    def transfers_for(self, results: int) -> int:
        """Transfers, from the first, that bring so many results; all, where there are fewer."""
        return self._bringers[results - 1] + 1 if 0 < results <= len(self._bringers) else len(self.operands)

    async def traffic(self, count: int, send: float, take: float, cycles: int | None = None) -> None:
        """Sends transfers up to number ``count`` with pauses on both sides; ends early after ``cycles``."""
        idle, done = 0, 0
        while self.sent < count and (cycles is None or done < cycles):
            before = self.sent + self.received
            operand = self.operands[self.sent] if self.random.random() < send else None
            await self.cycle(operand, self.random.random() < take)
            idle = idle + 1 if self.sent + self.received == before else 0
            done += 1
            if idle > self.patience:
                raise CheckFailed(
                    f"no transfer for {self.patience} cycles: {self.sent} accepted, {self.received} results"
                )


async def check_latency(bench: Bench) -> str:
    latency = bench.latency
    for number in range(bench.transfers_for(16)):
        sample = await bench.cycle(bench.operands[number], True)
        if not sample.accepted:
            raise CheckFailed("the unit does not accept operands although nothing waits")
        taken = 0
        while bench.received < bench.due:
            if taken > latency + bench.patience:
                raise CheckFailed(f"the result of transfer {number} never came")
            await bench.cycle(None, True)
            taken += 1
        if bench.brings[number] and taken != latency:
            raise CheckFailed(f"the latency is {taken} cycles, the manifest says {latency}")
        for _ in range(bench.random.randrange(3) + bench.interval - 1):
            await bench.cycle(None, True)
    await bench.drain()
    return f"{latency} cycle{'s' * (latency != 1)}"


async def check_hold(bench: Bench) -> str:
    total, waited = len(bench.operands), 0
    while bench.sent < total and waited < 8:
        # The receiver does not move until a result stands there, and then for some cycles more.
        since_first: int | None = None
        for _ in range(4 * bench.latency + bench.interval + 16):
            operand = bench.operands[bench.sent] if bench.sent < total else None
            sample = await bench.cycle(operand, False)
            since_first = since_first + 1 if since_first is not None else (0 if bench.awaits_result else None)
            if since_first is not None and since_first >= bench.latency and not sample.valid:
                raise CheckFailed("valid waits for ready: nothing is offered to a receiver that is not ready")
        waited += since_first is not None
        await bench.drain()
    return f"{waited} long pauses of the receiver"


async def check_stalls(bench: Bench) -> str:
    count = min(len(bench.operands), 300)
    for send, take in _PACES:
        await bench.restart()
        await bench.traffic(count, send, take)
        await bench.drain()
    return f"{len(_PACES)} patterns of {count} transfers"


async def check_reset(bench: Bench) -> str:
    rounds = 12
    count = bench.transfers_for(24)
    for number in range(rounds):
        # Fill the unit, its output stuck in every other round, and reset it at once, for one cycle at the
        # least.
        cycles = 1 + bench.random.randrange(2 * bench.latency + 4)
        await bench.traffic(len(bench.operands), 1.0, (number % 2) * 0.8, cycles)
        await bench.restart(1 + number % 3, bench.operands[bench.random.randrange(len(bench.operands))])
        if number % 4 < 2:
            for _ in range(bench.drain_cycles):
                await bench.quiet_cycle()
        await bench.traffic(count, 0.7, 0.7)
        await bench.drain()
        await bench.restart()
    return f"{rounds} resets"


async def check_throughput(bench: Bench) -> str:
    # Up to the last transfer that brings a result.
    count, interval, latency = bench.transfers_for(len(bench.results)), bench.interval, bench.latency
    cycles = 0
    while bench.sent < count or bench.received < bench.due:
        await bench.cycle(bench.operands[bench.sent] if bench.sent < count else None, True)
        cycles += 1
        if cycles > 4 * count * interval + latency + bench.patience:
            raise CheckFailed(f"{bench.received} of {len(bench.results)} results after {cycles} cycles")
    await bench.drain()
    want = (count - 1) * interval + latency + 1
    if cycles != want:
        raise CheckFailed(f"{count} transfers took {cycles} cycles without stalls, not {want}")
    return f"{count} transfers in {cycles} cycles"


_CHECKS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    "latency": check_latency,
    "hold": check_hold,
    "stalls": check_stalls,
    "reset": check_reset,
    "throughput": check_throughput,
}


@cocotb.test()
async def protocol(dut: Any) -> None:
    """Runs the checks that the task names and writes their outcome after each."""
    task = json.loads(Path(os.environ["LNSMADAM_TASK"]).read_text(encoding="utf-8"))
    outcome = []
    for name in task["checks"]:
        bench, started = Bench(dut, task), time.perf_counter()
        passed, skipped, payloads = True, False, dict[str, Any](operands={}, results={})
        try:
            await bench.restart()
            if not bench.results:
                passed, message = False, "nothing was compared: no result follows any transfer"
            elif name == "reset" and not bench.has_reset:
                message, skipped = "the unit holds no state", True
            else:
                message = await _CHECKS[name](bench)
        except CheckFailed as failure:
            passed, message = False, failure.message
            payloads = {"operands": failure.operands, "results": failure.results}
        if passed and not skipped and not bench.compared:
            passed, message = False, "nothing was compared"
        outcome.append(
            {
                "name": name,
                "compared": bench.compared,
                "passed": passed,
                "message": message,
                "skipped": skipped,
                "seconds": round(time.perf_counter() - started, 3),
                **payloads,
            }
        )
        Path(task["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")
