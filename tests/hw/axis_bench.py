"""Runs inside the simulator: sends packets through a unit with cocotbext-axi, notes the packets that come out."""

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, SimTimeoutError, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

TASK = json.loads(Path(os.environ["LNSMADAM_TASK"]).read_text(encoding="utf-8"))


def pauses(rng, chance):
    return (rng.random() < chance for _ in itertools.repeat(None))


@cocotb.test()
async def packets(dut):
    rng, rounds, fault = random.Random(TASK["seed"]), [], None
    dut.aresetn.value = 0
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 0
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    await ClockCycles(dut.aclk, 3)
    # A packet that reset cuts off: nothing of it may be seen later.
    dut.aresetn.value = 1
    dut.s_axis_tvalid.value = 1
    dut.s_axis_tlast.value = 0
    dut.s_axis_tdata.value = rng.getrandbits(len(dut.s_axis_tdata))
    await ClockCycles(dut.aclk, 5)
    dut.s_axis_tvalid.value = 0
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 3)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    for work in TASK["rounds"]:
        source.set_pause_generator(pauses(rng, work["source_pauses"]))
        sink.set_pause_generator(pauses(rng, work["sink_pauses"]))
        received = []
        for packet in work["packets"]:
            await source.send(AxiStreamFrame(bytes.fromhex(packet)))
        try:
            for _ in range(work["expected"]):
                frame = await with_timeout(sink.recv(), 40_000, "ns")
                received.append(bytes(frame.tdata).hex())
        except SimTimeoutError:
            fault = f"packet {len(received)} of {work['expected']} never came"
        # Time for one too many.
        sink.clear_pause_generator()
        sink.pause = False
        await ClockCycles(dut.aclk, 40)
        if not fault and (not sink.empty() or sink.active or dut.m_axis_tvalid.value):
            fault = "one packet too many, or a piece of one"
        rounds.append(received)
        if fault:
            break
    Path(TASK["outcome"]).write_text(json.dumps({"rounds": rounds, "fault": fault}), encoding="utf-8")
