"""A smaller run of the same Verilog in Icarus Verilog, where it is installed: a second reading of the language,
with four-valued signals, in the test bench that users get from :mod:`lnsmadam.sim.vectors`."""

import re
import time

import numpy as np

from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import MissingTool, ToolFailed
from lnsmadam.sim.build import scratch_folder
from lnsmadam.sim.ports import Check, Columns, Model, Ports
from lnsmadam.sim.tools import icarus
from lnsmadam.sim.vectors import bench_files

_NAME = "icarus"
_TIMEOUT_SECONDS = 120.0
_WRONG = re.compile(r"FAIL: transfer (\d+): operands ([0-9a-f]+): got ([0-9a-fxzXZ]+), want ([0-9a-f]+)")


def run_icarus(emitted: Emitted, model: Model, operands: Columns, *, seed: int = 0) -> Check:
    """Compares a few thousand transfers; skipped, with a word, where Icarus Verilog is not installed.

    Parameters
    ----------
    emitted : Emitted
    model : Model
        Called once, with index 0.
    operands : dict
        Columns of words.
    seed : int
        Of the pauses.

    Raises
    ------
    ValueError
        There are no operands, or the model's fields are not the unit's.
    """
    ports = Ports.of(emitted.manifest)
    columns = ports.input.columns(operands)
    count = len(next(iter(columns.values())))
    if not count:
        raise ValueError("There was nothing to compare: no operands were given")
    try:
        iverilog, vvp = icarus()
    except MissingTool as missing:
        return Check(_NAME, 0, True, f"skipped: {missing}", skipped=True)
    started = time.perf_counter()

    def outcome(compared: int, passed: bool, message: str) -> Check:
        return Check(_NAME, compared, passed, message, seconds=time.perf_counter() - started)

    brings = ports.brings_result(columns)
    if not brings.any():
        return outcome(0, False, f"nothing was compared: no result follows any of {count} transfers")
    bench = f"{ports.top}_tb"
    with scratch_folder() as folder:
        files = bench_files(emitted.manifest, ports, columns, ports.expected(model, columns, 0), seed)
        for name, text in {"unit.v": emitted.verilog, **files}.items():
            (folder / name).write_text(text, encoding="utf-8")
        try:
            iverilog.run("-g2005", "-s", bench, "-o", "bench.vvp", f"{bench}.v", "unit.v", cwd=folder)
            # The last word is the bench's, not the status that follows from it.
            printed = vvp.run("-n", "bench.vvp", cwd=folder, timeout=_TIMEOUT_SECONDS, check=False)
        except ToolFailed as failure:
            return outcome(0, False, " ".join(str(failure).split()))
    lines = [line for line in printed.splitlines() if line.startswith(("PASS: ", "FAIL: "))]
    if not lines:
        last = (printed.strip().splitlines() or ["it printed nothing"])[-1].strip()
        return outcome(0, False, f"the bench did not come to its end: {last}")
    verdict = lines[-1]
    if verdict.startswith("PASS: "):
        return outcome(int(brings.sum()), True, f"{count} transfers under stalls, seed {seed}")
    if (wrong := _WRONG.fullmatch(verdict)) is None:
        taken = re.search(r"hangs after (\d+)", verdict)
        return outcome(int(taken[1]) if taken else 0, False, verdict.removeprefix("FAIL: "))
    transfer, row = int(wrong[1]), int(np.count_nonzero(brings[: int(wrong[1])]))
    if not re.fullmatch("[0-9a-f]+", wrong[3]):
        return outcome(row, False, f"result {row} has unknown bits: {wrong[3]}")
    told = ports.input.describe(ports.input.unpack(int(wrong[2], 16)))
    got, want = (ports.output.describe(ports.output.unpack(int(wrong[n], 16))) for n in (3, 4))
    return outcome(row + 1, False, f"transfer {transfer}: {told}: got {got}, want {want}")
