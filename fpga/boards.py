"""Boards that ``build`` makes bitstreams for: each by its definition in amaranth-boards."""

import importlib
from dataclasses import dataclass
from typing import Any

#: Bits per second. 1 000 000 divides 12 MHz and 25 MHz exactly, and every USB bridge on these boards does it.
DEFAULT_BAUD = 1_000_000

#: Silence in the middle of a packet or frame after which it counts as broken off, in seconds. Far above the gaps that a
#: USB bridge leaves between two bytes of one write, far below what a person notices.
TIMEOUT_S = 0.05


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes
    ----------
    name : str
        The word of the command line.
    title : str
        As its maker calls it.
    module, platform : str
        Where its Amaranth platform is, in ``amaranth_boards``.
    family : str
        ``ice40`` or ``ecp5``: which tools build for it.
    bitstream : str
        Extension of the file that programs it.
    """

    name: str
    title: str
    module: str
    platform: str
    family: str
    bitstream: str

    def make(self) -> Any:
        """A fresh platform: one serves for one build."""
        return getattr(importlib.import_module(f"amaranth_boards.{self.module}"), self.platform)()

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools, in the order in which they run."""
        return ("yosys", f"nextpnr-{self.family}", {"ice40": "icepack", "ecp5": "ecppack"}[self.family])


BOARDS = {
    board.name: board
    for board in (
        Board("icebreaker", "1BitSquared iCEBreaker", "icebreaker", "ICEBreakerPlatform", "ice40", "bin"),
        Board("hx8k-evn", "Lattice iCE40HX8K-B-EVN", "ice40_hx8k_b_evn", "ICE40HX8KBEVNPlatform", "ice40", "bin"),
        Board("ulx3s-25f", "Radiona ULX3S 25F", "ulx3s", "ULX3S_25F_Platform", "ecp5", "bit"),
        Board("ulx3s-45f", "Radiona ULX3S 45F", "ulx3s", "ULX3S_45F_Platform", "ecp5", "bit"),
        Board("ulx3s-85f", "Radiona ULX3S 85F", "ulx3s", "ULX3S_85F_Platform", "ecp5", "bit"),
        Board("ecp5-evn", "Lattice ECP5-5G Evaluation", "ecp5_5g_evn", "ECP55GEVNPlatform", "ecp5", "bit"),
    )
}

#: Other words for the same boards.
ALIASES = {"ulx3s": "ulx3s-85f"}


def board_named(name: str) -> Board:
    """The board of that name; raises ``ValueError`` with the list of them."""
    try:
        return BOARDS[ALIASES.get(name, name)]
    except KeyError:
        raise ValueError(f"Board must be one of {', '.join([*BOARDS, *ALIASES])}, not {name!r}") from None
