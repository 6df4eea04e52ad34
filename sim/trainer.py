"""A trainer's emitted Verilog in Verilator: it learns from rows of samples, and its whole state can be read."""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.trainer.config import MAX_LR_SHIFT
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.golden.trainer.state import NetworkState
from lnsmadam.golden.trainer.tables import gate_steps
from lnsmadam.golden.trainer.words import LOGITS, spaces, state_of_words, words_of_state
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.trainer.core import Trainer
from lnsmadam.hw.trainer.emit import emit_trainer
from lnsmadam.sim.batch import HardwareFault
from lnsmadam.sim.compiled import CompiledModel, Report, stalls_header

Integers = npt.NDArray[Any]

_MAIN = Path(__file__).with_name("trainer.cpp")
# What the C++ loop returns; the first is success.
_FAULTS = {
    1: "nothing moved for {patience} cycles: {sent} words of {what} accepted, {received} results",
    2: "one result too many: {sent} words of {what} accepted, {received} results",
    3: "valid was dropped before result {received} of {what} was taken",
    4: "result {received} of {what} changed while it waited to be taken",
}
#: What a machine does in a cycle.
PHASES = ("idle", "forward", "loss", "learn")


def requests(space: int, addresses: Integers, data: Integers | None = None) -> npt.NDArray[np.uint64]:
    """Words of the stream ``access``: reads, or writes of ``data`` (signed words as their two's complement)."""
    words = np.asarray(addresses, np.uint64) | np.uint64(space << 20)
    if data is None:
        return words
    low = (np.asarray(data, np.int64) & 0xFFFF_FFFF).astype(np.uint64)
    return words | np.uint64(1 << 23) | low << np.uint64(24)


def plain_wrapper(manifest: dict[str, Any]) -> str:
    """Verilog module ``plain`` around a trainer, with names that C++ accepts."""
    streams = {
        stream["name"]: stream | {"short": short, "is_input": side == "inputs"}
        for side, shorts in (("inputs", "sa"), ("outputs", "rw"))
        for stream, short in zip(manifest[side], shorts, strict=True)
    }
    declarations, connections = ["input clk", "input rst"], [".clk(clk)", ".rst(rst)"]
    for stream in streams.values():
        to, back = ("input", "output") if stream["is_input"] else ("output", "input")
        short = stream["short"]
        declarations += [f"{to} {short}_valid", f"{back} {short}_ready"]
        declarations += [f"{to} [{stream['width'] - 1}:0] {short}_payload"]
        connections += [f".{stream[name]}({short}_{name})" for name in ("valid", "ready", "payload")]
    for name, setting in manifest["settings"].items():
        declarations.append(f"input [{setting['width'] - 1}:0] {name}")
        connections.append(f".{setting['port']}({name})")
    declarations += ["output idle", "output [1:0] phase"]
    connections += [f".{manifest[name]}({name})" for name in ("idle", "phase")]
    unit = f"  {manifest['top']} trainer({', '.join(connections)});"
    return f"module plain({', '.join(declarations)});\n{unit}\nendmodule\n"


@dataclass(frozen=True)
class HardwareOutcome:
    """What the machine said of samples, one entry a sample.

    Attributes
    ----------
    predicted : integer array
        Classes.
    correct, gated : bool arrays
        Whether the class is the label; whether the gate kept the sample from being learned.
    cycles : integer array
        From one result to the next; of the first sample, from its first word on.
    """

    predicted: Integers
    correct: npt.NDArray[np.bool_]
    gated: npt.NDArray[np.bool_]
    cycles: Integers

    @classmethod
    def joined(cls, parts: "list[HardwareOutcome]") -> "HardwareOutcome":
        """One after the other."""
        names = ("predicted", "correct", "gated", "cycles")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class CompiledTrainer(CompiledModel):
    """A trainer's emitted Verilog, compiled, after reset. Use it in a ``with``.

    Parameters
    ----------
    machine : TrainerConfig
    emitted : Emitted, optional
        Other Verilog with the ports of this machine; by default the machine's own.

    Raises
    ------
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """

    def __init__(self, machine: TrainerConfig, emitted: Emitted | None = None):
        self.machine, self.network, self.layout = machine, machine.network, machine.layout
        emitted = emitted or emit_trainer(Trainer(machine))
        super().__init__(
            "trainer",
            {"plain.v": plain_wrapper(emitted.manifest), "trainer.v": emitted.verilog},
            "plain",
            _MAIN,
            prefix="trainer",
            counts=("samples", "access"),
            headers=stalls_header(),
            # Compiles in half the time of -O3, and is a tenth slower.
            compile_flags=("-O1",),
        )
        #: Cycles without a transfer after which the machine counts as hung.
        self.patience = 4096 + 8 * (self.layout.rows + sum(self.network.sizes))
        #: Cycles and seconds of all runs of samples so far.
        self.cycles, self.seconds = 0, 0.0

    def reset(self) -> None:
        """Resets the machine; its memories keep their words."""
        self.call("reset")

    def access(self, words: npt.NDArray[np.uint64], stalls_seed: int | None = None) -> Integers:
        """Sends requests and returns the answers, 32 bits each."""
        words = np.ascontiguousarray(words, np.uint64)
        answers, report = np.zeros(len(words), np.uint32), Report()
        status = self.call(
            "access",
            ctypes.c_void_p(words.ctypes.data),
            ctypes.c_int64(len(words)),
            ctypes.c_void_p(answers.ctypes.data),
            *self._run_arguments(stalls_seed, report),
        )
        self._raise_on(status, report, "requests")
        return answers

    def _run_arguments(self, stalls_seed: int | None, report: Report) -> tuple[Any, ...]:
        return (
            ctypes.c_int64(self.patience),
            ctypes.c_int64(stalls_seed is not None),
            ctypes.c_uint64((stalls_seed or 0) & 0xFFFF_FFFF_FFFF),
            ctypes.byref(report),
        )

    def _raise_on(self, status: int, report: Report, what: str) -> None:
        if status:
            told = {"sent": report.sent, "received": report.received, "patience": self.patience, "what": what}
            raise HardwareFault(_FAULTS[status].format(**told), {})

    def state(self, stalls_seed: int | None = None) -> NetworkState:
        """Every weight, tracker and register, read through the stream ``access``."""
        words = {
            space: self.access(requests(space, np.arange(count)), stalls_seed)
            for space, count in spaces(self.layout).items()
        }
        return state_of_words(self.layout, words)

    def load(self, state: NetworkState, stalls_seed: int | None = None) -> None:
        """Writes all of that."""
        for space, words in words_of_state(self.layout, state).items():
            self.access(requests(space, np.arange(len(words)), words), stalls_seed)

    def train(
        self,
        samples: Integers,
        labels: Integers,
        lr_shift: int = 0,
        gate: float | None = None,
        *,
        learn: bool = True,
        stalls_seed: int | None = None,
    ) -> HardwareOutcome:
        """Sends samples back to back and takes their results.

        Parameters
        ----------
        samples : integer array of shape (count, inputs)
            Words of activations.
        labels : integer array of shape (count,)
        lr_shift : int
            Octaves by which the learning rate is smaller than the network's.
        gate : float, optional
            Octaves of margin from which on a sample is not learned; by default the network's, which may be none.
        learn : bool
            Whether weights change.
        stalls_seed : int, optional
            Both sides pause at random, as this seed says, and the rules of a waiting stream are checked.

        Raises
        ------
        HardwareFault
            The machine hangs, loses or invents a result, or lets a waiting one change.
        """
        if not 0 <= lr_shift <= MAX_LR_SHIFT:
            raise ValueError(f"Shift of the learning rate must be from 0 to {MAX_LR_SHIFT}, not {lr_shift}")
        gate = self.network.gate if gate is None else gate
        margin = 0 if gate is None else gate_steps(self.network, gate)
        self.call("set", int(learn), lr_shift, int(gate is not None), margin)
        samples, labels = np.asarray(samples), np.asarray(labels)
        words = np.ascontiguousarray(np.column_stack([samples, labels]), np.uint32)
        count = len(words)
        results, gaps, report = np.zeros(count, np.uint32), np.zeros(count, np.int64), Report()
        before = time.perf_counter()
        status = self.call(
            "samples",
            ctypes.c_void_p(words.ctypes.data),
            ctypes.c_int64(words.shape[1]),
            ctypes.c_int64(count),
            ctypes.c_void_p(results.ctypes.data),
            ctypes.c_void_p(gaps.ctypes.data),
            *self._run_arguments(stalls_seed, report),
        )
        self.seconds += time.perf_counter() - before
        self.cycles += report.cycles
        self._raise_on(status, report, "samples")
        bits = self.machine.label_bits
        predicted = (results & ((1 << bits) - 1)).astype(np.int64)
        correct, gated = (results >> (bits + flag) & 1 for flag in (0, 1))
        return HardwareOutcome(predicted, correct.astype(bool), gated.astype(bool), gaps)

    def phases(self, samples: Integers, labels: Integers, limit: int = 1 << 16) -> npt.NDArray[np.uint8]:
        """Learns samples back to back; returns what the machine did in each cycle, an index of :data:`PHASES`, from
        the first word to the last result, up to ``limit`` cycles."""
        record = np.zeros(limit, np.uint8)
        self.call("record", ctypes.c_void_p(record.ctypes.data), ctypes.c_int64(limit))
        before = self.cycles
        self.train(samples, labels)
        return record[: self.cycles - before]

    def predict(self, samples: Integers) -> Integers:
        """The classes of samples; nothing is learned."""
        return self.train(samples, np.zeros(len(samples), np.int64), learn=False).predicted

    def logits(self, samples: Integers) -> Integers:
        """The logits of samples, one row each, read after each."""
        outputs = np.arange(self.network.sizes[-1])
        rows = []
        for sample in np.asarray(samples):
            self.predict(sample[None])
            rows.append(self.access(requests(LOGITS, outputs)).astype(np.int32).astype(np.int64))
        return np.array(rows)
