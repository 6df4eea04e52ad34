"""What a trainer needs of a part, known before synthesis: its block RAM exactly, its logic by a measured line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lnsmadam.fpga.targets import Target
from lnsmadam.golden.trainer.config import SecondMoment
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.trainer.replay import SampleMemory

#: Words by bits of one block of RAM in each of its forms with a port that reads and one that writes.
BLOCKS: dict[str, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}

#: Logic cells (of an iCE40; LUT4 of an ECP5) of everything but the lanes, and of one lane, for networks of the presets'
#: formats. Lines through builds: FX 8 lanes (HX8K) and 5 (UP5K), FO 4 and 11 (HX8K's formats), 16 and 64 (ECP5). With a
#: tracker a weight: FX's, and a tracker's cells by itself for each lane.
CELLS: dict[tuple[str, SecondMoment], tuple[int, int]] = {
    ("ice40", SecondMoment.NONE): (3750, 240),
    ("ice40", SecondMoment.FACTORED): (4800, 226),
    ("ice40", SecondMoment.PER_WEIGHT): (3750, 540),
    ("ecp5", SecondMoment.NONE): (2750, 245),
    ("ecp5", SecondMoment.FACTORED): (3480, 231),
    ("ecp5", SecondMoment.PER_WEIGHT): (2750, 545),
}


def blocks(width: int, depth: int, family: str) -> int:
    """Blocks of RAM that a memory takes: those of the form that needs fewest."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in BLOCKS[family])


def blocks_of(rtlil: str, family: str) -> int:
    """Blocks of RAM of a design, from Amaranth's output: of each memory that asks for them."""
    memories = re.findall(r'attribute \\ram_style "block"\s+memory width (\d+) size (\d+)', rtlil)
    return sum(blocks(int(width), int(depth), family) for width, depth in memories)


@dataclass(frozen=True)
class Needs:
    """Blocks of RAM and about how many logic cells."""

    bram: int
    cells: int

    def check(self, board: str, part: Target) -> None:
        """Raises ``ValueError`` with what is needed and what there is, if a part has too little."""
        over = []
        if self.bram > part.capacity["bram"]:
            over.append(f"{self.bram} blocks of RAM of {part.capacity['bram']}")
        if self.cells > part.capacity["lut4"]:
            over.append(f"about {self.cells} logic cells of {part.capacity['lut4']}")
        if over:
            raise ValueError(f"Network does not fit on {board} ({part.part}): it needs {' and '.join(over)}")


def least_needs(machine: TrainerConfig, capacity: int, memory: SampleMemory, part: Target) -> Needs:
    """What is known before anything is elaborated: the RAM of weights and samples, and the cells."""
    layout = machine.layout
    memories = [(layout.word_bits * layout.lanes, layout.rows)]
    if memory is SampleMemory.BLOCK:
        memories.append((machine.sample_width, capacity * layout.inputs(0)))
    return Needs(_sum(memories, part.family), cells_estimate(machine, part.family))


def cells_estimate(machine: TrainerConfig, family: str) -> int:
    """About how many logic cells a trainer takes, its serial line included."""
    fixed, lane = CELLS[family, machine.network.second_moment]
    return fixed + lane * machine.lanes


def _sum(memories: Iterable[tuple[int, int]], family: str) -> int:
    return sum(blocks(width, depth, family) for width, depth in memories)
