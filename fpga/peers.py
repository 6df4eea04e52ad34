"""Public units and weight updates that ours stand beside, as measured; the data are in ``peers.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One measured unit.

    Attributes
    ----------
    unit, source, promise : str
        What it is, whose it is, and what it says of its results.
    latency : int or None
        Cycles. Of a public unit the input and the output register count, as do their flip-flops.
    ice40, ecp5 : mapping
        Cells as ``measure`` counts them, without DSP blocks unless ``dsp`` is above 0. None where not measured.
    hx8k_mhz, up5k_mhz, ecp5_mhz : float, list of float, or None
        Median of three seeds.
    ice40_with_dsp, ecp5_with_dsp : mapping or None
        LUTs and blocks of the same unit where DSP blocks are allowed.
    """

    unit: str
    source: str
    promise: str
    latency: int | None
    ice40: Mapping[str, int] = field(hash=False)
    ecp5: Mapping[str, int] | None = field(hash=False)
    hx8k_mhz: Any = None
    up5k_mhz: Any = None
    ecp5_mhz: Any = None
    ice40_with_dsp: Mapping[str, int] | None = field(default=None, hash=False)
    ecp5_with_dsp: Mapping[str, int] | None = field(default=None, hash=False)


@lru_cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("peers.json").read_text(encoding="utf-8"))
    return data


def _rows(table: str) -> tuple[Peer, ...]:
    return tuple(Peer(**row) for row in _data()[table])


def flow() -> dict[str, Any]:
    """How all of them were measured: tools, parts, commands, harness."""
    return dict(_data()["flow"])


def units() -> tuple[Peer, ...]:
    """Arithmetic units with public sources."""
    return _rows("units")


def weight_updates() -> tuple[Peer, ...]:
    """Weight updates in public Verilog."""
    return _rows("weight_updates")
