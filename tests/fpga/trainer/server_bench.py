"""The gateware with a stand-in for the core, compiled, and driven in steps."""

import ctypes
import functools
import re
from pathlib import Path

import numpy as np
import stand_in
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from server_model import CAPACITY, CLOCK_HZ, HOLD, MACHINE, RELEASE, SILENCE, TIMEOUT

from lnsmadam.fpga.trainer.top import TrainerDevice
from lnsmadam.hw.emit import to_verilog
from lnsmadam.hw.trainer.replay import SampleMemory
from lnsmadam.sim.build import build_simulation

HERE = Path(__file__).parent


class Bench(wiring.Component):
    """The device with its inside's state at its ports."""

    def __init__(self, kind):
        self.core = stand_in.StandIn(MACHINE)
        self.device = TrainerDevice(
            MACHINE, capacity=CAPACITY, timeout=TIMEOUT, clock_hz=CLOCK_HZ, kind=kind, core=self.core
        )
        # Plain names: Verilator changes those with two underscores.
        ins, outs = (
            {"i_valid": 1, "i_payload": 8, "o_ready": 1, "hold": 1},
            {"i_ready": 1, "o_valid": 1, "o_payload": 8},
        )
        outs |= {"running": 1, "held": 1}
        super().__init__({n: In(w) for n, w in ins.items()} | {n: Out(w) for n, w in outs.items()})

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = self.device
        m.d.comb += [
            device.i.valid.eq(self.i_valid),
            device.i.payload.eq(self.i_payload),
            self.i_ready.eq(device.i.ready),
            self.o_valid.eq(device.o.valid),
            self.o_payload.eq(device.o.payload),
            device.o.ready.eq(self.o_ready),
            self.running.eq(device.replay.busy | ~self.core.idle),
            self.held.eq(device.server.held),
            self.core.hold.eq(self.hold),
        ]
        return m


class Board:
    """A compiled bench."""

    def __init__(self, library):
        self.library = library
        self.library.bench_new.restype = ctypes.c_void_p
        self.library.bench_run.restype = self.library.bench_cycles.restype = ctypes.c_long
        self.bench = ctypes.c_void_p(library.bench_new())

    def run(self, steps):
        steps = np.ascontiguousarray(steps, np.uint16)
        forgotten, out = np.zeros(len(steps), np.uint8), np.zeros(1 << 24, np.uint8)
        sent = self.library.bench_run(
            self.bench, *(steps.ctypes, ctypes.c_long(len(steps)), ctypes.c_long(TIMEOUT)),
            *(forgotten.ctypes, out.ctypes, ctypes.c_long(len(out))),
        )  # fmt: skip
        assert sent >= 0, f"step {-1 - sent} of {len(steps)} did not end"
        assert sent <= len(out)
        return out[:sent].tobytes(), forgotten.astype(bool)


@functools.cache
def build(kind=SampleMemory.BLOCK, change=None):
    verilog = to_verilog(Bench(kind), "bench")
    if change:
        verilog, count = re.subn(*change, verilog)
        assert count == 1, change[0]
    path = build_simulation(
        "trainer-server", {"bench.v": verilog}, "bench", main=HERE / "bench.cpp",
        compile_flags=("-O2",), link_flags=("-shared",), output="bench.so",
    )  # fmt: skip
    return ctypes.CDLL(str(path))


def follow(model, steps, forgotten):
    """What the model answers to the steps of a bench."""
    answers, data = b"", bytearray()

    def flush():
        nonlocal answers
        answers += model.receive(bytes(data))
        data.clear()

    for step, lost in zip(steps.tolist(), forgotten.tolist(), strict=True):
        if step < 256:
            if not lost:
                data.append(step)
            continue
        flush()
        if step == SILENCE:
            model.silence()
        elif step in (HOLD, RELEASE):
            model.held_back = step == HOLD
            model.settle()
    flush()
    return answers


def steps_of(*parts):
    return np.array([s for part in parts for s in (part if isinstance(part, bytes) else [part])], np.uint16)
