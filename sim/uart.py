"""A board's design behind its serial line, compiled: a stand-in for the port of a real board."""

import ctypes
import re
from pathlib import Path

from lnsmadam.sim.compiled import CompiledModel

_MAIN = Path(__file__).with_name("uart.cpp")
_FOREVER = 1 << 62


class SimulatedUART(CompiledModel):
    """Talks to Verilog with the ports ``clk``, ``rst``, ``rx`` and ``tx``, byte by byte as over a serial port.

    Time is the design's own: it stands still between two calls. Use it in a ``with``.

    Parameters
    ----------
    verilog : str
    top : str
        Name of its top module.
    divisor : int
        Clock cycles of one bit on the line.
    patience : int
        Clock cycles, counted from the last byte sent, after which :meth:`read` returns with what there is.

    Raises
    ------
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """

    def __init__(self, verilog: str, top: str, *, divisor: int, patience: int = 200_000):
        self.divisor, self.patience = divisor, patience
        has_busy = re.search(r"^\s*output\s+busy\s*;", verilog, re.MULTILINE) is not None
        super().__init__(
            f"board-{top}",
            {"board.v": verilog},
            top,
            _MAIN,
            prefix="board",
            counts=("unsent", "received", "broken", "busy", "run", "take"),
            arguments=(ctypes.c_int64(divisor),),
            headers={"uart_ports.h": f"#define BUSY(top) {'(top).busy' if has_busy else 'true'}\n"},
        )
        #: Clock cycles since the start.
        self.cycles = 0
        self.reset()

    def reset(self) -> None:
        """Holds the design's reset for a few cycles; memories keep their content."""
        self.call("reset", ctypes.c_int64(4))

    def discard(self) -> None:
        """Forgets what is still to be sent; the line is idle at once."""
        self.call("discard")

    @property
    def busy(self) -> bool:
        """The design's output ``busy``; always true of a design without."""
        return bool(self.call("busy"))

    @property
    def broken(self) -> int:
        """Bytes from ``tx`` that had no stop bit, or a start bit that was too short."""
        return int(self.call("broken"))

    @property
    def unsent(self) -> int:
        """Bytes that still wait to be sent."""
        return int(self.call("unsent"))

    @property
    def in_waiting(self) -> int:
        """Bytes that came and were not read."""
        return int(self.call("received"))

    def write(self, data: bytes) -> int:
        """Puts bytes on the line, behind what is still to be sent; they go out as time passes."""
        self.put(data)
        return len(data)

    def put(self, data: bytes, divisor: int | None = None) -> None:
        """As :meth:`write`, with another number of cycles a bit."""
        count, each = ctypes.c_int64(len(data)), ctypes.c_int64(divisor or self.divisor)
        self.call("send", ctypes.c_char_p(bytes(data)), count, each)

    def put_levels(self, bits: int, count: int, cycles: int) -> None:
        """Puts up to 32 levels on the line, the lowest bit first, each for ``cycles``; behind what is to be sent."""
        self.call("levels", *(ctypes.c_int64(number) for number in (bits, count, cycles)))

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes from the line; fewer if no more come within the patience."""
        if self.in_waiting < size:
            self.run(_FOREVER, size, until_sent=True)
            self.run(self.patience, size)
        return self.take(size)

    def run(self, cycles: int, wanted: int = _FOREVER, *, until_sent: bool = False) -> int:
        """Lets time pass, until ``wanted`` bytes wait to be read or, if asked for, all is sent; cycles passed."""
        passed = int(self.call("run", ctypes.c_int64(cycles), ctypes.c_int64(wanted), ctypes.c_int64(until_sent)))
        self.cycles += passed
        return passed

    def take(self, size: int) -> bytes:
        """Up to ``size`` of the bytes that came already."""
        buffer = ctypes.create_string_buffer(max(size, 1))
        count = self.call("take", buffer, ctypes.c_int64(size))
        return buffer.raw[:count]

    def reset_input_buffer(self) -> None:
        """Forgets what came and was not read."""
        self.take(self.in_waiting)
