"""Bitstreams for boards, and that of units behind a serial line."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnsmadam.fpga import tools
from lnsmadam.fpga.boards import DEFAULT_BAUD, TIMEOUT_S, Board, board_named
from lnsmadam.fpga.link import describe
from lnsmadam.fpga.synth import Progress
from lnsmadam.fpga.top import Top, check_units
from lnsmadam.fpga.uart import divisor_of
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.hw.toolchain import ToolFailed

#: Name of the design in the tools' files.
NAME = "lnsmadam"

#: A byte must come well within the board's patience with a broken-off packet.
SLOWEST_BAUD = round(10 * 10 / TIMEOUT_S)


def _overfull(log: str) -> list[str]:
    """What a nextpnr log says the design needs beyond what the part has."""
    lines = re.findall(r"(\w+): +(\d+)/ *(\d+) +\d+%", log)
    return list(dict.fromkeys(
        f"{used} {kind} of {available}" for kind, used, available in lines if int(used) > int(available)
    ))  # fmt: skip


def _concatenate(folder: Path, console: Path) -> str:
    """The logs of all tools of a build, one after the other."""
    parts = []
    for title, path in (
        ("yosys", folder / f"{NAME}.rpt"),
        ("nextpnr", folder / f"{NAME}.tim"),
        ("messages of the build script", console),
    ):
        if path.exists():
            parts.append(f"==== {title}\n{path.read_text(encoding='utf-8', errors='replace')}")
    return "\n".join(parts)


def _timing(report: dict[str, Any]) -> dict[str, Any]:
    return {
        clock: {"fmax_mhz": round(value["achieved"], 2), "needed_mhz": round(value["constraint"], 2)}
        for clock, value in report["fmax"].items()
    }


def check_baud(baud: int) -> None:
    """Raises ``ValueError`` for a line that is too slow for the board's patience."""
    if baud < SLOWEST_BAUD:
        raise ValueError(f"Baud rate must be at least {SLOWEST_BAUD}, not {baud}: the board drops slower packets")


def default_divisor(platform: Any, baud: int) -> int:
    """Cycles of a bit, of the board's own clock; raises ``ValueError`` for a rate that it cannot make."""
    divisor = divisor_of(float(platform.default_clk_frequency), baud)
    check_baud(baud)
    return divisor


def _run_tools(
    board: Board,
    platform: Any,
    top: Callable[[], Any],
    folder: Path,
    environment: Mapping[str, str],
    options: Mapping[str, str],
    check: Callable[[str], None] | None,
) -> tuple[dict[str, Any], str]:
    """Builds in ``folder`` with the tools that the environment names; returns nextpnr's report and the log."""
    plan = platform.build(
        top(), name=NAME, do_build=False, do_program=False, nextpnr_opts="--seed 1 --report report.json", **options
    )
    if check:
        check(plan.files[f"{NAME}.il"])
    plan.extract(folder)
    console = folder / "console.txt"
    job = tools.Job(
        f"Build for {board.name}",
        ("sh", f"{plan.script}.sh"),
        folder,
        console,
        environment={**os.environ, **environment},
    )
    try:
        tools.run_all([job])
    except ToolFailed as error:
        log = _concatenate(folder, console)
        if needs := _overfull(log):
            raise ToolFailed(
                f"Design does not fit on {board.name} ({platform.device}): it needs {', '.join(needs)}"
            ) from None
        raise ToolFailed(str(error)) from None
    return json.loads((folder / "report.json").read_text(encoding="utf-8")), _concatenate(folder, console)


def make_bitstream(
    board: Board,
    platform: Any,
    top: Callable[[], Any],
    directory: Path,
    *,
    details: Mapping[str, Any],
    options: Mapping[str, str] | None = None,
    check: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Makes ``BOARD.bin`` or ``BOARD.bit``, ``report.json`` and ``tools.log`` in ``directory``.

    The files take their places when all three are whole; an earlier report goes first and the new one comes last,
    so a report never stands beside another build's bitstream.

    Parameters
    ----------
    board : Board
    platform : Platform
        ``board.make()``.
    top : function
        Makes the design, once the tools are found: Amaranth warns of one that nothing builds.
    directory : Path
    details : dict, JSON types
        What the report says of the design.
    options : dict of str, optional
        More overrides of the platform's build, such as ``synth_opts``.
    check : callable, optional
        Told the design's RTLIL before synthesis; what it raises ends the build.
    progress : callable, optional
        Called with (steps done, steps in all, what is being done).

    Returns
    -------
    dict, what report.json holds
        ``board``, ``title``, ``part``, ``bitstream``, ``details``, ``utilisation`` (used and available of each kind
        of cell), ``timing`` (MHz reached and needed of each clock), ``tools``.

    Raises
    ------
    ~lnsmadam.hw.toolchain.ToolError
        A tool is missing or failed, the design does not fit, or does not reach its clocks; one line.
    """
    directory = Path(directory)

    def tell(done: int, what: str) -> None:
        if progress:
            progress(done, 3, what)

    tell(0, "Finding the tools")
    environment = {tools.variable(name): tools.find(name) for name in board.tools}
    versions = {name: tools.version(name) for name in board.tools[:2]}
    tell(1, f"Synthesis, place and route for {board.name}")
    directory.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".building-", dir=directory))
    try:
        routed, log = _run_tools(board, platform, top, folder, environment, options or {}, check)
        tell(2, "Writing the report")
        bitstream = f"{board.name}.{board.bitstream}"
        report = {
            "board": board.name,
            "title": board.title,
            "part": f"{platform.device}-{platform.package}",
            "bitstream": bitstream,
            **details,
            "utilisation": {kind: cell for kind, cell in sorted(routed["utilization"].items()) if cell["used"]},
            "timing": _timing(routed),
            "tools": versions,
        }
        (folder / "final.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (folder / "final.log").write_text(log, encoding="utf-8")
        (directory / "report.json").unlink(missing_ok=True)
        os.replace(folder / f"{NAME}.{board.bitstream}", directory / bitstream)
        os.replace(folder / "final.log", directory / "tools.log")
        os.replace(folder / "final.json", directory / "report.json")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            # Only if nothing is in it, which was so before a first build that failed.
            directory.rmdir()
    tell(3, f"{board.name} done")
    return report


def build(
    board: str | Board,
    units: Sequence[UnitComponent],
    directory: Path,
    *,
    baud: int = DEFAULT_BAUD,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Makes a bitstream of units behind the serial line, see :func:`make_bitstream`.

    Parameters
    ----------
    board : str or Board
        A name of :data:`~lnsmadam.fpga.boards.BOARDS` or an alias.
    units : sequence of UnitComponent
        What the board answers to, see :class:`~lnsmadam.fpga.top.PacketServer`.
    baud : int
        Bits per second of the serial line.
    progress : callable, optional
        Called with (steps done, steps in all, what is being done).

    Returns
    -------
    dict, what report.json holds
        Its details are ``clock_mhz``, ``baud``, and ``units``: number, ports and parameters of each.

    Raises
    ------
    ValueError
        No such board, no units, or a baud rate that the clock cannot make.
    ~lnsmadam.hw.toolchain.ToolError
        A tool is missing or failed, the design does not fit, or does not reach the board's clock; one line.
    """
    if isinstance(board, str):
        board = board_named(board)
    check_units(units)
    platform = board.make()
    clock_hz = float(platform.default_clk_frequency)
    divisor = default_divisor(platform, baud)
    details = {
        "clock_mhz": clock_hz / 1e6,
        "baud": baud,
        "units": [port.describe() for port in describe(units)],
    }

    def top() -> Top:
        return Top(units, divisor=divisor, timeout=round(clock_hz * TIMEOUT_S))

    return make_bitstream(board, platform, top, directory, details=details, progress=progress)
