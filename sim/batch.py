"""Volume runs: millions of transfers a second through the compiled Verilog, compared with the golden
model."""

import ctypes
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnsmadam.golden.format import Words, word_dtype
from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.build import RUNTIME
from lnsmadam.sim.compiled import CompiledModel, Report, stalls_header
from lnsmadam.sim.ports import Columns, Mismatch, Model, Port, Ports, first_mismatch

_MAIN = Path(__file__).with_name("batch.cpp")
# Signals that Amaranth did not name begin with an underscore in Verilator. Such a model is compiled for a short run.
_COVERAGE: dict[str, Any] = {
    "verilator_flags": ("--coverage-line", "--coverage-toggle", "--coverage-underscore"),
    "compile_flags": ("-O1", "-DCOVERAGE"),
    "runtime": (*RUNTIME, "verilated_cov"),
}
# Of many variants each runs for a moment.
_SELECT: dict[str, Any] = {"compile_flags": ("-O1", "-DSELECT")}
# What the C++ loop returns; the first is success.
_FAULTS = {
    1: "no transfer for {patience} cycles: {sent} accepted, {received} results",
    2: "a result without operands: {sent} accepted, {received} results and one more",
    3: "valid was dropped before result {received} was taken",
    4: "result {received} changed while it waited to be taken",
    5: "a result came out after reset",
}


class HardwareFault(Exception):
    """The unit broke the rules of a stream; the message is one line.

    Attributes
    ----------
    results : dict of columns
        What came out before.
    """

    def __init__(self, message: str, results: dict[str, Words]):
        super().__init__(message)
        self.results = results


@dataclass(frozen=True)
class Comparison:
    """Outcome of a volume run.

    Attributes
    ----------
    count : int
        Results compared.
    mismatch : Mismatch or None
        The first one; the run ends with the chunk that contains it.
    fault : str or None
        What ended the run, where the unit hung, lost or invented a transfer, or broke another rule of
        streams.
    seconds, simulation_seconds : float
        Time of the whole run (stimulus, model and comparison included), and of the simulation alone.
    """

    count: int
    mismatch: Mismatch | None
    fault: str | None
    seconds: float
    simulation_seconds: float

    @property
    def passed(self) -> bool:
        return self.count > 0 and self.mismatch is None and self.fault is None

    @property
    def failure(self) -> str | None:
        """What went wrong, in one line."""
        parts = [text for text in (self.fault, str(self.mismatch) if self.mismatch else None) if text]
        return "; ".join(parts) or None

    @property
    def vectors_per_second(self) -> float:
        """Rate of the whole run."""
        return self.count / max(self.seconds, 1e-9)

    @property
    def simulated_per_second(self) -> float:
        """Rate of the simulation alone."""
        return self.count / max(self.simulation_seconds, 1e-9)


def plain_wrapper(ports: Ports, selector: int = 0) -> str:
    """Verilog module ``plain`` around a unit, with one port a field and names that C++ accepts.

    Of a unit of several variants, ``selector`` is the width of its further input ``select``.
    """
    inputs, outputs = ports.input, ports.output
    declarations = ["input clk", "input rst"] if ports.clock else []
    declarations += [f"input [{selector - 1}:0] select"] if selector else []
    declarations += ["input i_valid", "output i_ready", "output o_valid", "input o_ready"]
    declarations += [f"input [{item.width - 1}:0] i{n}" for n, item in enumerate(inputs.fields)]
    declarations += [f"output [{item.width - 1}:0] o{n}" for n, item in enumerate(outputs.fields)]
    connections = [f".{ports.clock}(clk)"] if ports.clock else []
    connections += [f".{ports.reset}(rst)"] if ports.reset else []
    connections += [".select(select)"] if selector else []
    connections += [
        *(f".{inputs.valid}(i_valid)", f".{inputs.ready}(i_ready)", f".{inputs.payload}(operands)"),
        *(f".{outputs.valid}(o_valid)", f".{outputs.ready}(o_ready)", f".{outputs.payload}(results)"),
    ]
    lines = [
        f"module plain({', '.join(declarations)});",
        f"  wire [{inputs.width - 1}:0] operands;",
        f"  wire [{outputs.width - 1}:0] results;",
        *(f"  assign operands[{item.lsb} +: {item.width}] = i{n};" for n, item in enumerate(inputs.fields)),
        *(f"  assign o{n} = results[{item.lsb} +: {item.width}];" for n, item in enumerate(outputs.fields)),
        f"  {ports.top} unit({', '.join(connections)});",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _ctype(width: int) -> str:
    return f"uint{8 * np.dtype(word_dtype(width)).itemsize}_t"


def _brings_result(ports: Ports) -> str:
    """C++ of whether a result follows the transfer in ``row``."""
    if ports.output.when is None:
        return "(void)row; return true;"
    return f"return column{[item.name for item in ports.input.fields].index(ports.output.when)}[row];"


def _ports_header(ports: Ports) -> str:
    """C++ of ``Inputs`` and ``Outputs``: how rows of columns reach the ports of :func:`plain_wrapper`."""

    def columns(port: Port, const: str) -> list[str]:
        return [f"    {const}{_ctype(item.width)}* column{n};" for n, item in enumerate(port.fields)]

    def constructor(name: str, port: Port, const: str) -> str:
        casts = [
            f"column{n}(static_cast<{const}{_ctype(item.width)}*>(columns[{n}]))" for n, item in enumerate(port.fields)
        ]
        return f"    explicit {name}({const}void* const* columns) : {', '.join(casts)} {{}}"

    numbers = range(len(ports.output.fields))
    equal = " && ".join(f"field{n} == other.field{n}" for n in numbers)
    return "\n".join(
        [
            "#pragma once",
            "#include <cstdint>",
            f"#define CLOCKED {int(ports.clock is not None)}",
            "struct Inputs {",
            *columns(ports.input, "const "),
            constructor("Inputs", ports.input, "const "),
            "    void write(Vtop& top, int64_t row) const {",
            *(f"        top.i{n} = column{n}[row];" for n in range(len(ports.input.fields))),
            "    }",
            f"    static constexpr bool ALL_BRING = {'true' if ports.output.when is None else 'false'};",
            f"    bool brings_result(int64_t row) const {{ {_brings_result(ports)} }}",
            "};",
            "struct Outputs {",
            *columns(ports.output, ""),
            constructor("Outputs", ports.output, ""),
            "    struct Row {",
            *(f"        {_ctype(item.width)} field{n};" for n, item in enumerate(ports.output.fields)),
            f"        bool operator==(const Row& other) const {{ return {equal}; }}",
            "    };",
            "    static Row read(const Vtop& top) { return {",
            *(f"        {_ctype(item.width)}(top.o{n})," for n, item in enumerate(ports.output.fields)),
            "    }; }",
            "    void store(const Row& values, int64_t row) const {",
            *(f"        column{n}[row] = values.field{n};" for n in numbers),
            "    }",
            "};",
            "",
        ]
    )


class BatchUnit(CompiledModel):
    """A compiled unit, reset, whose state lasts from one :meth:`run` to the next. Use it in a ``with``.

    Parameters
    ----------
    emitted : Emitted
    coverage : bool
        Count which lines run and which bits toggle, for :meth:`write_coverage`.
    selector : int
        Width of the input ``select`` of a unit of several variants, for :meth:`select`.

    Raises
    ------
    HardwareFault
        A result comes out before any operand went in.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """

    def __init__(self, emitted: Emitted, coverage: bool = False, selector: int = 0):
        self.ports = Ports.of(emitted.manifest)
        super().__init__(
            f"{'coverage' if coverage else 'batch'}-{self.ports.top}",
            {"plain.v": plain_wrapper(self.ports, selector), "unit.v": emitted.verilog},
            "plain",
            _MAIN,
            prefix="unit",
            counts=("run", "reset", "interrupt"),
            headers={**stalls_header(), "unit_ports.h": _ports_header(self.ports)},
            **(_COVERAGE if coverage else _SELECT if selector else {}),
        )
        # Longer than any result can take, so that one too many has time to come out.
        self._drain = 2 * self.ports.latency + 8
        self._patience = 4096 + 16 * (self.ports.latency + self.ports.interval)
        #: Cycles of the last run.
        self.cycles = 0
        try:
            self.reset()
        except HardwareFault:
            self.close()
            raise

    def reset(self) -> None:
        """Resets the unit (nothing, for one without clock) and checks that nothing comes out."""
        self._raise_on(self.call("reset", ctypes.c_int64(self._drain)), Report(), {})

    def select(self, number: int) -> None:
        """Turns to a variant; what the one before left in the registers stays until they are written."""
        self.call("select", ctypes.c_uint32(number))

    def interrupt(self, operands: Mapping[str, Any], seed: int, cycles: int) -> None:
        """Resets the unit in mid-flow: for some cycles operands go in and results are taken, or not, at random; then
        reset comes for a cycle or a few, whatever both sides do meanwhile.

        Raises
        ------
        HardwareFault
            A result comes out afterwards.
        """
        inputs = self.ports.input.columns(operands)
        count = len(next(iter(inputs.values())))
        numbers = (ctypes.c_int64(count), ctypes.c_int64(cycles), ctypes.c_int64(self._drain), ctypes.c_uint64(seed))
        self._raise_on(self.call("interrupt", _pointers(inputs), *numbers), Report(), {})

    def run(self, operands: Mapping[str, Any], stalls_seed: int | None = None) -> dict[str, Words]:
        """Sends operands, one transfer a row, and takes the results that follow them.

        Parameters
        ----------
        operands : dict
            One column of words for each field.
        stalls_seed : int, optional
            Both sides pause at random, as this seed says, and the rules of a waiting stream are checked; by
            default neither side ever pauses.

        Returns
        -------
        dict of columns of words, in the order of the operands; one row for each transfer that brings a result

        Raises
        ------
        HardwareFault
            The unit hangs, loses or invents a transfer, or lets a waiting result change.
        """
        inputs = self.ports.input.columns(operands)
        count, results = len(next(iter(inputs.values()))), self.ports.count_results(inputs)
        outputs = {item.name: np.zeros(results, word_dtype(item.width)) for item in self.ports.output.fields}
        report = Report()
        status = self.call(
            "run",
            _pointers(inputs),
            _pointers(outputs),
            ctypes.c_int64(count),
            ctypes.c_int64(results),
            ctypes.c_int64(self._drain),
            ctypes.c_int64(self._patience),
            ctypes.c_int64(stalls_seed is not None),
            ctypes.c_uint64((stalls_seed or 0) & 0xFFFF_FFFF_FFFF),
            ctypes.byref(report),
        )
        self.cycles = report.cycles
        self._raise_on(status, report, outputs)
        return outputs

    def write_coverage(self, path: Path) -> None:
        """Writes Verilator's counts since the unit was made, in its own format."""
        self.call("coverage", str(path).encode())

    def _raise_on(self, status: int, report: Report, outputs: dict[str, Words]) -> None:
        if status:
            message = _FAULTS[status]
            raise HardwareFault(
                message.format(sent=report.sent, received=report.received, patience=self._patience),
                {name: column[: report.received] for name, column in outputs.items()},
            )


def _pointers(columns: Mapping[str, Words]) -> Any:
    return (ctypes.c_void_p * len(columns))(*(column.ctypes.data for column in columns.values()))


def compare(
    emitted: Emitted,
    model: Model,
    chunks: Iterable[Columns],
    *,
    progress: Callable[[int], None] | None = None,
    stalls_seed: int | None = None,
    coverage: Path | None = None,
) -> Comparison:
    """Runs operands through the unit and the model; stops at the first chunk that differs.

    Parameters
    ----------
    emitted : Emitted
    model : Model
    chunks : iterable of dicts
        Columns of operand words. The unit's state and the model's index go on from chunk to chunk.
    progress : function, optional
        Called with the transfers done so far, after every chunk.
    stalls_seed : int, optional
        As for :meth:`BatchUnit.run`.
    coverage : Path, optional
        File for Verilator's counts of lines and toggles.

    Raises
    ------
    ValueError
        There was nothing to compare, or the model's fields are not the unit's.
    """
    started = time.perf_counter()
    # `index` counts transfers, `count` results: not every unit gives one for each.
    index, count, simulated, mismatch, fault = 0, 0, 0.0, None, None
    try:
        with BatchUnit(emitted, coverage is not None) as unit:
            # The build is not part of the rate.
            started = time.perf_counter()
            for number, chunk in enumerate(chunks):
                operands = unit.ports.input.columns(chunk)
                rows = len(next(iter(operands.values())))
                if not rows:
                    continue
                results, before = unit.ports.count_results(operands), time.perf_counter()
                try:
                    got = unit.run(operands, None if stalls_seed is None else stalls_seed + number)
                except HardwareFault as error:
                    # What came out before may show where it went wrong.
                    fault, got = str(error), error.results
                    results = len(next(iter(got.values())))
                simulated += time.perf_counter() - before
                want = unit.ports.expected(model, operands, index)
                mismatch = first_mismatch(unit.ports, operands, got, want, index)
                count += results if mismatch is None else mismatch.row + 1
                index += rows
                if progress is not None:
                    progress(index)
                if mismatch is not None or fault is not None:
                    break
            if coverage is not None:
                unit.write_coverage(coverage)
    except HardwareFault as error:
        fault = str(error)
    if count == 0 and fault is None:
        if index:
            fault = f"nothing was compared: no result follows any of {index} transfers"
            return Comparison(0, None, fault, time.perf_counter() - started, simulated)
        raise ValueError("There was nothing to compare: no operands were given")
    return Comparison(count, mismatch, fault, time.perf_counter() - started, simulated)
