"""A bitstream of a network that learns on a board."""

import dataclasses
from pathlib import Path
from typing import Any

from lnsmadam.fpga.boards import DEFAULT_BAUD, TIMEOUT_S, board_named
from lnsmadam.fpga.build import check_baud, make_bitstream
from lnsmadam.fpga.pll import BoardClock, pll_of
from lnsmadam.fpga.synth import Progress
from lnsmadam.fpga.trainer.boards import TrainerBoard, trainer_board
from lnsmadam.fpga.trainer.needs import blocks_of, least_needs
from lnsmadam.fpga.trainer.top import TrainerDevice, TrainerTop
from lnsmadam.fpga.uart import divisor_of
from lnsmadam.golden.trainer.config import NetworkConfig, network_preset
from lnsmadam.hw.trainer.replay import SampleMemory, check_capacity


def build_trainer(
    board: str | TrainerBoard,
    directory: Path,
    network: NetworkConfig | None = None,
    *,
    lanes: int | None = None,
    capacity: int | None = None,
    clock_hz: float | None = None,
    baud: int = DEFAULT_BAUD,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Makes a bitstream of a trainer, see :func:`lnsmadam.fpga.build.make_bitstream`.

    Parameters
    ----------
    board : str or TrainerBoard
        A name of :data:`~lnsmadam.fpga.trainer.boards.TRAINER_BOARDS` or an alias.
    directory : Path
    network : NetworkConfig, optional
        By default that of the board's entry.
    lanes, capacity, clock_hz : optional
        In place of the board's entry.
    baud : int
        Bits per second of the serial line.
    progress : callable, optional
        Called with (steps done, steps in all, what is being done).

    Returns
    -------
    dict, what report.json holds
        Its details are ``network`` (description), ``lanes``, ``samples`` (how many the board holds), ``clock_mhz``
        and ``baud``.

    Raises
    ------
    ValueError
        No such board; lanes, clock or baud rate cannot be; or the network does not fit, with what it needs.
    ~lnsmadam.hw.toolchain.ToolError
        A tool is missing or failed, the design does not fit, or does not reach the clock; one line.
    """
    entry = trainer_board(board) if isinstance(board, str) else board
    network = network_preset(entry.preset, entry.sizes) if network is None else network
    machine = entry.machine(network, lanes)
    capacity = entry.capacity if capacity is None else capacity
    check_capacity(machine, capacity, entry.memory)
    least = least_needs(machine, capacity, entry.memory, entry.part)
    least.check(entry.board, entry.part)
    made_for = board_named(entry.board)
    platform = made_for.make()
    pll = pll_of(made_for.family, float(platform.default_clk_frequency), clock_hz or entry.clock_hz)
    hz = pll.output_hz
    divisor = divisor_of(hz, baud)
    check_baud(baud)
    details = {
        "network": network.describe(),
        "lanes": machine.lanes,
        "samples": capacity,
        "clock_mhz": hz / 1e6,
        "baud": baud,
    }

    def top() -> TrainerTop:
        device = TrainerDevice(
            machine, capacity=capacity, timeout=round(hz * TIMEOUT_S), clock_hz=round(hz), kind=entry.memory
        )
        return TrainerTop(device, divisor=divisor, clock=BoardClock(made_for.family, pll))

    def check(rtlil: str) -> None:
        dataclasses.replace(least, bram=blocks_of(rtlil, entry.part.family)).check(entry.board, entry.part)

    return make_bitstream(
        made_for,
        platform,
        top,
        directory,
        details=details,
        options=tool_options(entry.memory),
        check=check,
        progress=progress,
    )


def tool_options(memory: SampleMemory) -> dict[str, str]:
    """Overrides of the platform's build that a memory of samples needs."""
    if memory is SampleMemory.BLOCK:
        return {}
    # SPRAM holds anything at power-up. Amaranth gives every memory a first content: for this one it is taken away.
    return {"synth_opts": "-spram", "script_after_read": "delete */t:$meminit_v2 */r:MEMID=*sample_cells %i"}
