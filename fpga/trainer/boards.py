"""What each board can train: lanes, samples on the chip, and clock."""

from dataclasses import dataclass

from lnsmadam.fpga.boards import ALIASES
from lnsmadam.fpga.targets import Target, target_named
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.replay import SampleMemory


@dataclass(frozen=True)
class TrainerBoard:
    """A board as a trainer.

    Attributes
    ----------
    board : str
        A name of :data:`lnsmadam.fpga.boards.BOARDS`.
    target : str
        Its part, a name of :data:`lnsmadam.fpga.targets.TARGETS`.
    sizes : tuple of int
        The largest of the two networks of the documentation that it trains.
    lanes : int
        Those of the largest machine that was built and met the clock, which every build verifies.
    capacity : int
        Samples of that network that its memory holds.
    clock_hz : float
        Of the trainer, made by a PLL.
    memory : SampleMemory
        What holds the samples.
    preset : str
        Its network's preset, a name of :data:`lnsmadam.golden.trainer.config.NETWORK_PRESETS`.
    """

    board: str
    target: str
    sizes: tuple[int, ...]
    lanes: int
    capacity: int
    clock_hz: float
    memory: SampleMemory = SampleMemory.BLOCK
    preset: str = "FO"

    @property
    def part(self) -> Target:
        """The part's resources."""
        return target_named(self.target)

    def machine(self, network: NetworkConfig, lanes: int | None = None) -> TrainerConfig:
        """The machine for a network on this board, with its lanes or others."""
        # Block RAM of an ECP5 answers late: a register behind it costs a cycle a layer, and gains more of the clock.
        lanes = self.lanes if lanes is None else lanes
        return TrainerConfig(network=network, lanes=lanes, memory_registers=self.part.family == "ecp5")


SMALL, LARGE = (64, 32, 10), (64, 64, 32, 10)

#: Samples of the digits' training set: where so many fit, it is loaded once.
DIGITS = 1297

TRAINER_BOARDS = {
    entry.board: entry
    for entry in (
        TrainerBoard("icebreaker", "up5k", SMALL, 5, DIGITS, 24e6, SampleMemory.SINGLE_PORT, "FX"),
        TrainerBoard("hx8k-evn", "hx8k", SMALL, 11, 46, 60e6),
        TrainerBoard("ulx3s-25f", "ecp5-25k", LARGE, 16, DIGITS, 80e6),
        TrainerBoard("ulx3s-85f", "ecp5-85k", LARGE, 64, DIGITS, 80e6),
        TrainerBoard("ecp5-evn", "ecp5-85k", LARGE, 64, DIGITS, 80e6),
    )
}


def trainer_board(name: str) -> TrainerBoard:
    """The entry of a board; raises ``ValueError`` with the list of them."""
    try:
        return TRAINER_BOARDS[ALIASES.get(name, name)]
    except KeyError:
        raise ValueError(
            f"Board of a trainer must be one of {', '.join([*TRAINER_BOARDS, *ALIASES])}, not {name!r}"
        ) from None
