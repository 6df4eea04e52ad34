"""A board's Verilog, serial line included, in Verilator behind a pseudo-terminal: what drives a board drives it."""

import os
import pty
import select
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lnsmadam.fpga.trainer.boards import TrainerBoard
from lnsmadam.fpga.trainer.top import NAME, emit_top
from lnsmadam.fpga.uart import divisor_of
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.replay import check_capacity
from lnsmadam.sim.uart import SimulatedUART

#: Cycles that pass between two looks at the terminal while the board works.
BURST = 20_000

#: Seconds between two looks while it does not.
REST_S = 0.05

#: Silence that ends a begun frame, in byte times. In seconds of a simulation the board's own would be its host's
#: patience and more.
SILENT_BYTES = 200

_PIECE = 4096


def simulated_board(machine: TrainerConfig, board: TrainerBoard, *, baud: int | None = None) -> SimulatedUART:
    """A board's design, compiled.

    Parameters
    ----------
    machine : TrainerConfig
    board : TrainerBoard
        Whose memory and clock it has.
    baud : int, optional
        Of its line. By default as fast as the design can: a simulation has no cycles to waste on waiting.

    Raises
    ------
    ValueError
        The clock cannot make this baud rate, or the memory is too small or too large.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler.
    """
    check_capacity(machine, board.capacity, board.memory)
    clock_hz = round(board.clock_hz)
    divisor = divisor_of(clock_hz, clock_hz // 4 if baud is None else baud)
    silence = SILENT_BYTES * 10 * divisor
    verilog = emit_top(
        machine, capacity=board.capacity, divisor=divisor, timeout=silence, clock_hz=clock_hz, kind=board.memory
    )
    return SimulatedUART(verilog, NAME, divisor=divisor, patience=2 * silence)


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal that passes bytes as they are: the board's end, and the path of the host's."""
    board, host = pty.openpty()
    try:
        tty.setraw(host)
        os.set_blocking(board, False)
        # The host's end stays open here, so that hosts may come and go.
        yield board, os.ttyname(host)
    finally:
        os.close(board)
        os.close(host)


def serve(board: SimulatedUART, end: int, stopped: Callable[[], bool] = lambda: False) -> None:
    """Passes bytes between a simulated board and an open terminal until ``stopped``.

    Time stands still for a board that does nothing, but for its patience after the last byte, in which it forgets a
    broken-off frame.

    Parameters
    ----------
    board : SimulatedUART
    end : int
        File descriptor of the board's end; reads and writes do not block.
    stopped : function
        Asked between bursts and rests.
    """
    left = 0
    while not stopped():
        works = left > 0 or board.unsent > 0 or board.busy
        readable, _, _ = select.select([end], [], [], 0 if works else REST_S)
        if readable:
            board.write(os.read(end, _PIECE))
            left = board.patience
        if works or readable:
            sent = board.unsent > 0
            passed = board.run(BURST, 1, until_sent=sent)
            # An answer's bytes come one after the other; together they make one write.
            data = board.take(1)
            while data and board.run(20 * board.divisor, 1):
                more = board.take(1)
                if not more:
                    break
                data += more
            _send(end, data)
            left = board.patience if sent or data else left - passed


def _send(end: int, data: bytes) -> None:
    """To the host; what it does not read is lost, as on a line."""
    while data:
        try:
            data = data[os.write(end, data) :]
        except BlockingIOError:
            return
