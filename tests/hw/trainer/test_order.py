"""The circuit's order of an epoch against the golden one."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from lnsmadam.golden.trainer.order import order
from lnsmadam.hw.trainer.order import Order


async def give_key(ctx, dut, data):
    for n, byte in enumerate(data):
        ctx.set(dut.key.payload, byte)
        ctx.set(dut.key_first, n == 0)
        ctx.set(dut.key.valid, 1)
        await ctx.tick().until(dut.key.ready)
    ctx.set(dut.key.valid, 0)


async def take(ctx, dut, count, rng=None):
    """Places, and the cycles until the last of them."""
    places, cycles = [], 0
    while len(places) < count:
        ready = 1 if rng is None else int(rng.integers(2))
        ctx.set(dut.o.ready, ready)
        _, _, valid, place = await ctx.tick().sample(dut.o.valid, dut.o.payload)
        cycles += 1
        assert cycles < 40 * (count + 10), "no more places came"
        if valid and ready:
            places.append(place)
    ctx.set(dut.o.ready, 0)
    return places, cycles


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    "capacity, counts", [(2, (1, 2)), (21, (1, 2, 3, 4, 5, 8, 9, 16, 17, 21)), (62, (31, 33)), (300, (300, 257, 100))]
)
def test_places_are_golden(capacity, counts):
    dut, rng, compared = Order(capacity), np.random.default_rng(1), 0

    async def bench(ctx):
        nonlocal compared
        for number, count in enumerate(counts):
            for shuffle in (1, 0, 1):
                seed, epoch = (int(rng.integers(1 << 32)) for _ in range(2))
                await give_key(ctx, dut, seed.to_bytes(4, "little") + epoch.to_bytes(4, "little"))
                ctx.set(dut.count, count)
                ctx.set(dut.shuffle, shuffle)
                ctx.set(dut.start, 1)
                await ctx.tick()
                ctx.set(dut.start, 0)
                # Fewer than all in some epochs: the next begins in the middle of this one.
                wanted = count if number % 2 else max(count - 3, 1)
                places, _ = await take(ctx, dut, wanted, rng if number % 3 else None)
                golden = order(count, seed, epoch) if shuffle else np.arange(count)
                assert places == golden[:wanted].tolist()
                compared += wanted

    simulate(dut, bench)
    assert compared > len(counts)


def test_cycles():
    dut = Order(64)

    async def bench(ctx):
        await give_key(ctx, dut, bytes(8))
        for shuffle, each in ((1, 10), (0, 2)):
            ctx.set(dut.count, 64)
            ctx.set(dut.shuffle, shuffle)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            _, before = await take(ctx, dut, 1)
            _, cycles = await take(ctx, dut, 63)
            assert cycles == 63 * each and before < 30

    simulate(dut, bench)
