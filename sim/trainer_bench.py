"""The protocol bench of a trainer; runs inside the simulator, started by :mod:`lnsmadam.sim.trainer_protocol`."""

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cocotb

from lnsmadam.sim.trainer_driver import REGISTERS, Bench, CheckFailed, place

# Chances that the bench offers words and takes results in a cycle.
_PACES = ((0.5, 0.5), (1.0, 0.03), (0.03, 1.0), (0.9, 0.9), (1.0, 0.5))


async def check_samples(bench: Bench) -> str:
    """One sample at a time, each with the settings of its own, which change as soon as it has begun."""
    for number in range(bench.count):
        bench.set(bench.settings[number])
        bench.send(number, 1)
        await bench.until(lambda: not bench.s.waiting, "words of a sample")
        # A sample begins when its last word is there.
        for _ in range(4):
            await bench.cycle()
        bench.set(None)
        await bench.next_result()
        bench.compare_results(number + 1)
        bench.set(bench.settings[0])
        await bench.idle()
        await bench.compare_state(number + 1)
    return f"{bench.count} samples, the whole state after each"


async def check_throughput(bench: Bench) -> str:
    bench.send(0, bench.count)
    gaps, last = [], bench.cycles
    while len(bench.r.taken) < bench.count:
        await bench.next_result()
        gaps.append(bench.cycles - last)
        last = bench.cycles
    bench.compare_results(bench.count)
    await bench.idle()
    await bench.compare_state(bench.count)
    # The first waits for its words.
    if set(gaps[1:]) != {bench.cycles_per_sample}:
        raise CheckFailed(
            f"{min(gaps[1:])} to {max(gaps[1:])} cycles a sample without stalls, not {bench.cycles_per_sample}"
        )
    return f"{bench.count} samples back to back, {bench.cycles_per_sample} cycles each"


async def check_stalls(bench: Bench) -> str:
    for send, take in _PACES:
        await bench.restart()
        bench.s.pace = send
        bench.send(0, bench.count)
        await bench.finish(bench.count, take)
        await bench.idle()
        await bench.compare_state(bench.count, take)
    return f"{len(_PACES)} patterns of {bench.count} samples"


async def check_hold(bench: Bench) -> str:
    """A result that nobody takes stays, and the machine learns nothing beyond the sample that it began meanwhile."""
    bench.r.pace = 0.0
    bench.send(0, bench.count)
    for _ in range(4 * bench.patience):
        await bench.cycle()
    if bench.r.held is None:
        raise CheckFailed("valid waits for ready: nothing is offered to a receiver that is not ready")
    await bench.finish(bench.count)
    await bench.idle()
    await bench.compare_state(bench.count)
    return f"{4 * bench.patience} cycles of a receiver that does not move"


async def check_access(bench: Bench) -> str:
    """Accesses while samples wait: between two of them, and the state is that after the samples before."""
    count_of_updates = len(bench.reads) - REGISTERS
    asked, seen = 0, set()
    bench.send(0, bench.count)
    bench.r.pace = 0.5
    while len(bench.r.taken) < bench.count:
        for _ in range(bench.random.randrange(bench.cycles_per_sample)):
            await bench.cycle()
        chosen = bench.random.randrange(len(bench.reads))
        before = len(bench.r.taken)
        # Together with the count of updates, before and after.
        first, answer, last = await bench.ask(
            [bench.reads[count_of_updates], bench.reads[chosen], bench.reads[count_of_updates]]
        )
        if first != last:
            raise CheckFailed("a sample was learned between two accesses that waited together")
        done = [n for n, state in enumerate(bench.states) if state[count_of_updates] == first]
        # A result that waits belongs to a sample that is done.
        done = [n for n in done if before <= n <= len(bench.r.taken) + 1]
        if not done:
            raise CheckFailed(f"update count {first} when {len(bench.r.taken)} results were taken")
        bench.compared += 1
        answer &= bench.masks[chosen]
        if answer not in {bench.states[n][chosen] for n in done}:
            raise CheckFailed(
                f"after {done[0]} samples: {place(bench.reads[chosen])}: got {answer:#x}, "
                f"want {bench.states[done[0]][chosen]:#x}"
            )
        asked += 1
        seen.add(first)
    bench.compare_results(bench.count)
    await bench.idle()
    await bench.compare_state(bench.count)
    if len(seen) < min(3, bench.count):
        raise CheckFailed(f"accesses came through after {len(seen)} different samples only")
    return f"{asked} accesses between samples"


async def check_reset(bench: Bench) -> str:
    """Reset anywhere in a sample: idle at once, words of memory old or new, and all as before when loaded again."""
    rounds, mixed = 24, 0
    registers = len(bench.reads) - REGISTERS
    for number in range(rounds):
        await bench.restart()
        before = number % (bench.count - 1)
        bench.send(0, before)
        await bench.finish(before)
        await bench.idle()
        if number % 4 == 1 and bench.lanes > 1:
            # A row that is not written to its end.
            await bench.ask([bench.writes[0] ^ 1 << 24])
        bench.r.pace = float(number % 3 > 0)
        bench.send(before, 1)
        # The cycles of the sample in even steps, its words' loading included.
        for _ in range((number + 1) * (bench.cycles_per_sample + len(bench.samples[0])) // (rounds + 1)):
            await bench.cycle()
        if number % 4 == 2:
            # An access that waits, or is under way.
            bench.access.waiting.extend(bench.reads[:2])
            for _ in range(number % 5):
                await bench.cycle()
        for stream in (*bench.inputs, *bench.outputs):
            stream.clear()
        for _ in range(1 + number % 3):
            await bench.cycle(reset=True)
        await bench.idle()
        for stream in bench.outputs:
            if stream.taken:
                raise CheckFailed(f"{stream.name}: a word of before the reset came out after it")
        answers = await bench.ask(bench.reads)
        old, new = bench.states[before], bench.states[before + 1]
        got = [answer & mask for answer, mask in zip(answers, bench.masks, strict=True)]
        for index, word in enumerate(got):
            bench.compared += 1
            allowed = {old[index], new[index]} if index < registers else {bench.after_reset[index - registers]}
            if word not in allowed:
                raise CheckFailed(
                    f"after a reset in sample {before}: {place(bench.reads[index])}: got {word:#x}, "
                    f"want one of {', '.join(f'{one:#x}' for one in sorted(allowed))}"
                )
        words = list(zip(old, new, got, strict=True))[:registers]
        mixed += len({word == after for first, after, word in words if first != after}) == 2
    await bench.restart()
    bench.send(0, bench.count)
    await bench.finish(bench.count, 0.7)
    await bench.compare_state(bench.count)
    if not mixed:
        raise CheckFailed("no reset fell into an update")
    return f"{rounds} resets, {mixed} of them in the middle of an update"


_CHECKS: dict[str, Callable[[Bench], Awaitable[str]]] = {
    "samples": check_samples,
    "throughput": check_throughput,
    "stalls": check_stalls,
    "hold": check_hold,
    "access": check_access,
    "reset": check_reset,
}


@cocotb.test()
async def protocol(dut: Any) -> None:
    """Runs the checks that the task names and writes their outcome after each."""
    task = json.loads(Path(os.environ["LNSMADAM_TASK"]).read_text(encoding="utf-8"))
    outcome = []
    for name in task["checks"]:
        bench, started, passed = Bench(dut, task | task["runs"][name]), time.perf_counter(), True
        try:
            await bench.restart()
            message = await _CHECKS[name](bench)
        except CheckFailed as failure:
            passed, message = False, str(failure)
        if passed and not bench.compared:
            passed, message = False, "nothing was compared"
        seconds = round(time.perf_counter() - started, 3)
        entry = {"name": name, "compared": bench.compared, "passed": passed, "message": message, "seconds": seconds}
        outcome.append(entry)
        Path(task["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")
