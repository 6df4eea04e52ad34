"""A proxy of a unit's switching energy: toggles of its gates while it computes.

The unit is mapped to the static CMOS gates of :mod:`lnsmadam.fpga.gates` and simulated gate by gate, one operation a
cycle, while its results are compared with the golden model. What is printed stands for the capacitance that the
logic alone switches per operation, relative to another unit measured in the same way, and for nothing else: there
are no wires, no clock tree, no leakage, no voltage, no sizes of transistors. Memories are counted as logic, a
register's enable as a multiplexer.

A net's load is the transistor gates on it and the drains of its driver; a toggle is weighted by the load of its
net, because that is what the toggle charges or discharges. The figure without glitches is that of gates without
delay; the one with them gives each gate the same delay and is an estimate only, since real delays differ and
short pulses die out. A deep datapath glitches more, so the first figure is the careful one where a shallow unit is
said to be better than a deep one.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.fpga import tools
from lnsmadam.fpga.gates import FLIP_FLOP, Bits, Netlist, black_boxes, genlib
from lnsmadam.fpga.synth import Step, digest, run_steps
from lnsmadam.golden.config import UnitConfig
from lnsmadam.golden.floats import FloatFormat
from lnsmadam.golden.format import LNSFormat, Words, word_dtype
from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import cache_folder

#: What the figures mean, in one line below every table.
PROXY = (
    "A proxy for the capacitance that the logic alone switches, to compare units: no wires, clock tree, leakage or "
    "voltage; memories count as logic."
)

Columns = dict[str, Words]
#: A fresh model, for one stream since reset.
MakeModel = Callable[[], Callable[[Columns, int], Mapping[str, Any]]]

#: Streams simulated side by side.
LANES = 1024
#: Transfers of one vector, where a unit gives a result only at the last.
VECTOR_LENGTH = 16

# Area first: in the same library every unit gets the smallest netlist that abc finds, not the fastest.
_ABC = "+strash;dc2;dch;amap,-m"


class Operands(Enum):
    """How operands are drawn."""

    REAL = "real"
    UNIFORM = "uniform"


class GatesDiffer(Exception):
    """The gates do not compute what the golden model does; the message is one line."""


def draw(config: UnitConfig, operands: Operands, seed: int, shape: tuple[int, int]) -> Columns:
    """Operands of every field.

    ``REAL``: real numbers, normal with variance 1 and times a power of two from 1/4 to 4 drawn for each, encoded
    in the field's format: a field of the same name has the same numbers in every unit. Fixed point takes the normal
    number alone, without sign where it has none. ``UNIFORM``: every word equally often, so each format has numbers
    of its own. A flag is 0 or 1; ``first`` and the field that announces a result mark vectors of
    :data:`VECTOR_LENGTH` transfers.

    Parameters
    ----------
    shape : (int, int)
        Transfers of one stream, streams.
    """
    columns: Columns = {}
    for name, fmt in config.inputs.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        position = np.arange(shape[0])[:, None] % VECTOR_LENGTH
        if config.result_when is not None and name in (config.result_when, "first"):
            words = np.broadcast_to(position == (0 if name == "first" else VECTOR_LENGTH - 1), shape)
        elif operands is Operands.UNIFORM or fmt.width == 1:
            words = rng.integers(0, 1 << fmt.width, shape, dtype=np.uint64)
        else:
            normal = rng.standard_normal(shape)
            scaled = np.ldexp(normal, rng.integers(-2, 3, shape))
            if isinstance(fmt, LNSFormat):
                words = fmt.encode(scaled, saturate=True)
            elif isinstance(fmt, FloatFormat):
                words = fmt.encode(scaled)
            else:
                real = normal if fmt.signed else abs(normal)
                words = fmt.pack(np.clip(np.rint(np.ldexp(real, fmt.fraction_bits)), fmt.minimum, fmt.maximum))
        columns[name] = np.asarray(words).astype(fmt.dtype)
    return columns


def _script(emitted: Emitted) -> str:
    return "\n".join(
        [
            "read_verilog -lib gates.v",
            f"read_verilog {emitted.name}.v",
            f"synth -flatten -noabc -top {emitted.name}",
            # Enables and resets become gates in front of a plain flip-flop.
            f"dfflegalize -cell {FLIP_FLOP} 01",
            "opt -nodffe -nosdff",
            f"abc -genlib gates.genlib -script {_ABC}",
            "opt_clean -purge",
            "write_json netlist.json",
            "",
        ]
    )


def map_to_gates(emitted: Emitted, cache: Path | None = None) -> dict[str, Any]:
    """The unit as a module of gates of the library, as Yosys writes it; cached like the steps of ``synth``."""
    script, library = _script(emitted), genlib()
    step = Step(
        label=f"Synthesis of {emitted.name} to gates",
        tool="yosys",
        arguments=["-q", "-l", "yosys.txt", "gates.ys"],
        files={f"{emitted.name}.v": emitted.verilog, "gates.v": black_boxes(), "gates.genlib": library,
               "gates.ys": script},
        key=digest("gates", emitted.verilog, black_boxes(), library, script, tools.version("yosys")),
        cache=cache_folder("synth") if cache is None else Path(cache).absolute(),
    )  # fmt: skip
    run_steps([step], lambda _: None)
    text = (step.folder / "netlist.json").read_text(encoding="utf-8")
    module: dict[str, Any] = json.loads(text)["modules"][emitted.name]
    return module


def _to_bits(fields: list[dict[str, Any]], columns: Columns) -> Bits:
    """Words of bits (transfers, payload bits, words) of columns (transfers, streams)."""
    rows = [columns[item["name"]] >> np.array(k, columns[item["name"]].dtype) & 1
            for item in fields for k in range(item["width"])]  # fmt: skip
    bits = np.stack(rows, axis=1).astype(np.uint8)
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint64)


def _to_words(item: dict[str, Any], payload: Bits) -> Words:
    """Columns (transfers, streams) of one field of words of bits (transfers, payload bits, words)."""
    part = payload[:, item["lsb"] : item["lsb"] + item["width"]]
    bits = np.unpackbits(np.ascontiguousarray(part).view(np.uint8), axis=-1, bitorder="little")
    weights = np.uint64(1) << np.arange(item["width"], dtype=np.uint64)
    words: Words = (bits * weights[:, None]).sum(axis=1, dtype=np.uint64)
    return words.astype(word_dtype(item["width"]))


def _expected(make_model: MakeModel, config: UnitConfig, columns: Columns, results: npt.NDArray[np.bool_]) -> Columns:
    """The model's results, stream by stream; rows without a result hold anything."""
    found: Columns = {name: np.zeros(results.shape, fmt.dtype) for name, fmt in config.outputs.items()}
    for lane in range(results.shape[1]):
        given = make_model()({name: np.ascontiguousarray(c[:, lane]) for name, c in columns.items()}, 0)
        for name, column in found.items():
            values = np.asarray(given[name])
            # A model of a unit with vectors may give a row a transfer, or a row a result.
            column[results[:, lane], lane] = values[results[:, lane]] if len(values) == len(column) else values
    return found


def _check(
    emitted: Emitted, columns: Columns, expected: Columns, results: npt.NDArray[np.bool_], seen: dict[str, Bits]
) -> int:
    """Compares what came out with the model; returns how many results were compared."""
    latency, port = emitted.manifest["latency"], emitted.manifest["outputs"][0]
    streams = np.unpackbits(seen["valid"].view(np.uint8), axis=-1, bitorder="little")[:, 0].astype(bool)
    due = np.zeros_like(streams)
    due[latency:] = results[: len(results) - latency]
    if not np.array_equal(streams, due):
        cycle, lane = np.argwhere(streams != due)[0]
        raise GatesDiffer(f"Gates of {emitted.name} give a result in the wrong cycle: {cycle} of stream {lane}")
    compared = int(np.count_nonzero(due))
    if not compared:
        raise GatesDiffer(f"Gates of {emitted.name} gave no result to compare")
    for item in port["fields"]:
        want = np.zeros(due.shape, expected[item["name"]].dtype)
        want[latency:] = expected[item["name"]][: len(due) - latency]
        got = _to_words(item, seen["payload"])
        if (wrong := due & (got != want)).any():
            cycle, lane = (int(index) for index in np.argwhere(wrong)[0])
            words = ", ".join(f"{name} = 0x{int(column[cycle - latency, lane]):x}" for name, column in columns.items())
            raise GatesDiffer(
                f"Gates of {emitted.name} differ from the golden model: {item['name']} is "
                f"0x{int(got[cycle, lane]):x}, not 0x{int(want[cycle, lane]):x}, of {words}"
            )
    return compared


def measure_energy(
    emitted: Emitted,
    make_model: MakeModel,
    config: UnitConfig,
    *,
    operands: Operands = Operands.REAL,
    count: int = 1 << 16,
    seed: int = 0,
    cache: Path | None = None,
    module: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Counts the toggles of a unit's gates per operation.

    Parameters
    ----------
    emitted : Emitted
        The unit; it must take a transfer in every cycle.
    make_model : callable
        Gives a golden model that has just been reset.
    config : UnitConfig
        Of the same unit.
    operands, seed
        See :func:`draw`.
    count : int
        Operations counted, rounded up to whole cycles of :data:`LANES` streams.
    cache : Path, optional
        Folder of finished steps, as for :func:`~lnsmadam.fpga.synth.measure`.
    module : dict, optional
        Gates to simulate in place of those that :func:`map_to_gates` makes.

    Returns
    -------
    dict, JSON types only
        ``transistors``, ``gates``, ``ff``, ``depth`` and ``cells`` of the netlist; per operation ``toggles`` of the
        outputs of gates and flip-flops and ``switched_load`` (toggles of all nets but the clock, operands'
        included, each times its net's load), without glitches, and ``toggles_with_glitches`` and
        ``switched_load_with_glitches``; ``clock_load`` beside them; ``operations`` counted, results ``compared``.

    Raises
    ------
    ValueError
        The count is below 1, or the unit cannot take a transfer in every cycle.
    GatesDiffer
        The gates do not compute what the model does.
    ~lnsmadam.hw.toolchain.ToolError
        Yosys is missing or failed.
    """
    if count < 1:
        raise ValueError(f"Count must be at least 1, not {count}")
    manifest = emitted.manifest
    if manifest["interval"] != 1 or len(manifest["inputs"]) != 1 or len(manifest["outputs"]) != 1:
        raise ValueError(f"{emitted.name} must take a transfer of one stream in every cycle")
    netlist = Netlist(module or map_to_gates(emitted, cache))
    source, sink = manifest["inputs"][0], manifest["outputs"][0]
    words, cycles = LANES // 64, -(-count // LANES)
    # Counting starts when the last stage has had a transfer and a new one comes.
    warm_up = manifest["latency"] + 1
    # A unit with vectors must also end one, or nothing would be compared.
    warm_up += VECTOR_LENGTH if config.result_when is not None else 0
    shape = (warm_up + cycles, LANES)
    columns = draw(config, operands, seed, shape)
    results = np.ones(shape, dtype=bool) if config.result_when is None else columns[config.result_when].astype(bool)
    expected = _expected(make_model, config, columns, results)

    ones, zeros = np.full((1, words), ~np.uint64(0)), np.zeros((1, words), dtype=np.uint64)
    held = {sink["ready"]: ones}
    simulation = netlist.simulation(words)
    if manifest["reset"]:
        for level in (ones, ones):
            simulation.clock({**held, source["valid"]: zeros, manifest["reset"]: level}, counted=False)
        held[manifest["reset"]] = zeros
    payload = _to_bits(source["fields"], columns)
    seen: dict[str, list[Bits]] = {"valid": [], "payload": []}
    for cycle, bits in enumerate(payload):
        simulation.clock({**held, source["valid"]: ones, source["payload"]: bits}, counted=cycle >= warm_up)
        if not (simulation.values[netlist.ports[source["ready"]]] == ones).all():
            raise GatesDiffer(f"Gates of {emitted.name} refuse a transfer while their results are taken")
        for name, rows in seen.items():
            rows.append(simulation.values[netlist.ports[sink[name]]])
    compared = _check(emitted, columns, expected, results, {name: np.stack(rows) for name, rows in seen.items()})

    operations = cycles * LANES

    def per_operation(toggles: npt.NDArray[np.int64]) -> tuple[float, float]:
        return round(int(toggles[netlist.outputs].sum()) / operations, 3), round(
            int((toggles * netlist.load).sum()) / operations, 3
        )

    toggles, load = per_operation(simulation.settled)
    all_toggles, all_load = per_operation(simulation.transitions)
    return {
        "unit": manifest["unit"],
        "parameters": manifest["parameters"],
        "latency": manifest["latency"],
        "transistors": netlist.transistors,
        "gates": sum(n for kind, n in netlist.cells.items() if kind != FLIP_FLOP),
        "ff": netlist.cells.get(FLIP_FLOP, 0),
        "depth": netlist.depth,
        "toggles": toggles,
        "switched_load": load,
        "toggles_with_glitches": all_toggles,
        "switched_load_with_glitches": all_load,
        "clock_load": netlist.clock_load,
        "operations": operations,
        "compared": compared,
        "operands": operands.value,
        "seed": seed,
        "cells": dict(sorted(netlist.cells.items())),
        "tools": {"yosys": tools.version("yosys")},
        "commands": _script(emitted).splitlines(),
        "note": PROXY,
    }
