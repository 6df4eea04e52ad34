"""Samples in the order of an epoch, and the results in their places."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.order import order
from lnsmadam.hw.trainer.replay import CELLS, RUN, Replay, SampleMemory, WordMemory, check_capacity

INPUTS, CAPACITY = 4, 13
MACHINE = TrainerConfig(network=network_preset("FX", (INPUTS, 3, 5)), lanes=2)
WIDE = TrainerConfig(network=network_preset("FX", (INPUTS, 3, 300)), lanes=2)


async def access(ctx, dut, address, *, results=0, write=0, data=0):
    ctx.set(dut.access.payload, {"address": address, "results": results, "write": write, "data": data})
    ctx.set(dut.access.valid, 1)
    await ctx.tick().until(dut.access.ready)
    ctx.set(dut.access.valid, 0)
    ctx.set(dut.answer.ready, 1)
    (answer,) = await ctx.tick().sample(dut.answer.payload).until(dut.answer.valid)
    ctx.set(dut.answer.ready, 0)
    return answer


async def begin(ctx, dut, first, count, shuffle=0, seed=0, epoch=0):
    for n, byte in enumerate(seed.to_bytes(4, "little") + epoch.to_bytes(4, "little")):
        ctx.set(dut.key.payload, byte)
        ctx.set(dut.key_first, n == 0)
        ctx.set(dut.key.valid, 1)
        await ctx.tick().until(dut.key.ready)
    ctx.set(dut.key.valid, 0)
    for port, value in ((dut.first, first), (dut.count, count), (dut.shuffle, shuffle), (dut.start, 1)):
        ctx.set(port, value)
    await ctx.tick()
    ctx.set(dut.start, 0)


def played(dut, rng=None):
    """A process in the core's place: takes words with pauses, answers each sample some cycles after its last word."""
    samples = []

    async def core(ctx):
        words = []
        while True:
            ready = 1 if rng is None else int(rng.integers(2))
            ctx.set(dut.samples.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.samples.valid, dut.samples.payload)
            if not (valid and ready):
                continue
            words.append(word)
            if len(words) == INPUTS + 1:
                samples.append(words)
                ctx.set(dut.samples.ready, 0)
                await ctx.tick().repeat(1 if rng is None else int(rng.integers(1, 30)))
                ctx.set(dut.results.payload, result_of(words))
                ctx.set(dut.results.valid, 1)
                await ctx.tick()
                ctx.set(dut.results.valid, 0)
                words = []

    return samples, core


def result_of(words):
    predicted = sum(words) % 5
    return {"predicted": predicted, "correct": predicted == words[-1], "gated": predicted % 2}


def simulate(dut, bench, *others):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    for other in others:
        simulator.add_testbench(other, background=True)
    simulator.run()


def contents(machine, seed):
    words = np.random.default_rng(seed).integers(0, 1 << machine.sample_width, CAPACITY * (INPUTS + 1)).tolist()
    for n in range(CAPACITY):
        words[n * (INPUTS + 1) + INPUTS] = (sum(words[n * (INPUTS + 1) : n * (INPUTS + 1) + INPUTS]) * 2) % 5
    return words


@pytest.mark.parametrize("machine", [MACHINE, WIDE], ids=["two words a cell", "one"])
@pytest.mark.parametrize("kind", SampleMemory, ids=lambda kind: kind.name.lower())
def test_samples_come_in_order_and_results_go_to_their_places(kind, machine):
    dut, words, rng = Replay(machine, CAPACITY, kind), contents(machine, 1), np.random.default_rng(2)
    samples, core = played(dut, rng)

    async def bench(ctx):
        for address, word in enumerate(words):
            await access(ctx, dut, address, write=1, data=word)
        for address in rng.permutation(len(words)).tolist():
            assert await access(ctx, dut, address) == words[address]
        results = [0] * CAPACITY
        for run in range(8):
            first = int(rng.integers(CAPACITY))
            count = int(rng.integers(1, CAPACITY - first + 1))
            seed, epoch, shuffle = run // 2, run, run % 2
            samples.clear()
            await begin(ctx, dut, first, count, shuffle, seed, epoch)
            cycles = 0
            while ctx.get(dut.busy):
                cycles += 1
                assert cycles < 3000
                if cycles % 7 == 0:
                    # The same words again, from the run's other end of time: a write never disturbs a read.
                    address = int(rng.integers(len(words)))
                    await access(ctx, dut, address, write=1, data=words[address])
                else:
                    await ctx.tick()
            places = [first + int(p) for p in (order(count, seed, epoch) if shuffle else range(count))]
            wanted = [words[p * (INPUTS + 1) : (p + 1) * (INPUTS + 1)] for p in places]
            assert samples == wanted
            outcomes = [result_of(sample) for sample in wanted]
            for place, outcome in zip(places, outcomes, strict=True):
                results[place] = outcome["predicted"] | outcome["correct"] << 14 | outcome["gated"] << 15
            assert ctx.get(dut.done) == count
            assert ctx.get(dut.correct) == sum(outcome["correct"] for outcome in outcomes)
            assert ctx.get(dut.gated) == sum(outcome["gated"] for outcome in outcomes)
            for place in range(CAPACITY):
                assert await access(ctx, dut, place, results=1) == results[place]

    simulate(dut, bench, core)


def test_stop_ends_a_run_after_what_has_begun():
    dut, words = Replay(MACHINE, CAPACITY, SampleMemory.BLOCK), contents(MACHINE, 3)
    samples, core = played(dut)

    async def bench(ctx):
        for address, word in enumerate(words):
            await access(ctx, dut, address, write=1, data=word)
        for cycles in range(1, 120, 7):
            samples.clear()
            await begin(ctx, dut, 0, CAPACITY)
            await ctx.tick().repeat(cycles)
            ctx.set(dut.stop, 1)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            before = ctx.get(dut.done)
            await ctx.tick().repeat(60)
            assert not ctx.get(dut.busy) and before <= ctx.get(dut.done) <= min(before + 2, CAPACITY)
            assert len(samples) == ctx.get(dut.done)

    simulate(dut, bench, core)


def test_a_core_that_is_quick_never_waits_long():
    """Words follow each other; between samples are fewer cycles than the two that a bit of a number takes, and 12."""
    dut = Replay(MACHINE, CAPACITY, SampleMemory.BLOCK)
    _, core = played(dut)

    async def bench(ctx):
        await begin(ctx, dut, 0, CAPACITY, shuffle=1)
        cycles = 0
        while ctx.get(dut.busy):
            await ctx.tick()
            cycles += 1
        # Of 16 places 3 are left out, 10 cycles each.
        assert cycles < CAPACITY * (INPUTS + 1 + 2 * 4 + 12) + 3 * 10

    simulate(dut, bench, core)


def test_a_large_memory_is_one_memory():
    depth = RUN + 300
    dut, rng = WordMemory(width=7, depth=depth, kind=SampleMemory.BLOCK), np.random.default_rng(4)
    addresses = [
        0,
        RUN - 1,
        RUN,
        depth - 1,
        *rng.integers(0, depth, 200).tolist(),
        *rng.integers(RUN, depth, 50).tolist(),
    ]
    words = {address: int(rng.integers(128)) for address in addresses}

    async def bench(ctx):
        ctx.set(dut.write, 1)
        for address, word in words.items():
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write, 0)
        for address in rng.permutation(addresses).tolist():
            ctx.set(dut.read, 1)
            ctx.set(dut.read_address, address)
            await ctx.tick()
            # What was read stays, wherever the address goes, and once it has moved, too.
            ctx.set(dut.read, 0)
            ctx.set(dut.read_address, (address + RUN) % depth)
            if rng.integers(2):
                await ctx.tick()
            ctx.set(dut.move, 1)
            await ctx.tick()
            ctx.set(dut.move, 0)
            if rng.integers(2):
                await ctx.tick()
            assert ctx.get(dut.read_data) == words[address]

    simulate(dut, bench)


def test_what_is_refused():
    block, single = SampleMemory.BLOCK, SampleMemory.SINGLE_PORT
    with pytest.raises(ValueError, match=f"^Capacity must be from 2 to [0-9]+ samples of {INPUTS} inputs, not 1$"):
        check_capacity(MACHINE, 1, block)
    most = CELLS * 2 // (INPUTS + 1)
    check_capacity(MACHINE, most, single)
    check_capacity(WIDE, most // 2, single)
    with pytest.raises(ValueError, match=f"^Capacity must be from 2 to {most} samples of .* inputs, not {most + 1}$"):
        check_capacity(MACHINE, most + 1, single)
    check_capacity(MACHINE, most + 1, block)
    check_capacity(MACHINE, 209715, block)
    with pytest.raises(ValueError, match="^Capacity must be from 2 to 209715 samples of .* inputs, not 209716$"):
        check_capacity(MACHINE, 209716, block)
