"""Pictures and table of docs/trainer.md, made from the memory's map and the machine's schedule.

``python -m lnsmadam.trainer_page`` writes them; tests compare the committed ones, and every cycle with the emitted
Verilog.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.layout import Layout
from lnsmadam.golden.trainer.machine import TrainerConfig
from lnsmadam.hw.emit import write_atomically
from lnsmadam.hw.trainer.schedule import Schedule, schedule
from lnsmadam.pages import between_markers

#: Where they are in the repository.
PAGE = Path("docs") / "trainer.md"
BANKS = Path("docs") / "pictures" / "trainer_banks.svg"
SCHEDULE = Path("docs") / "pictures" / "trainer_schedule.svg"


#: Sizes and lanes of the table's rows; the last two have sizes that are multiples of the lanes.
MACHINES = (
    ((64, 32, 10), 4),
    ((64, 32, 10), 8),
    ((64, 32, 10), 16),
    ((64, 64, 32, 10), 16),
    ((64, 64, 32, 10), 64),
    ((64, 32, 16), 8),
    ((256, 64, 16), 16),
)
CLOCK_HZ = 80_000_000
#: The machine of the picture of the schedule, and the network and the lanes of that of the banks.
PICTURED = ((64, 32, 10), 8)
BANKED = ((3, 6, 4), 4)


def machine(sizes: tuple[int, ...], lanes: int) -> TrainerConfig:
    """The machine for a network of preset FO."""
    return TrainerConfig(network=network_preset("FO", sizes), lanes=lanes)


def table() -> str:
    """Cycles of a sample in each of :data:`MACHINES`, as Markdown."""
    rate = f"samples/s at {CLOCK_HZ // 10**6} MHz"
    head = ("network", "lanes", "forward", "loss", "update", "of it backward", "sample", rate)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for sizes, lanes in MACHINES:
        cycles = schedule(machine(sizes, lanes))
        cells = ["-".join(map(str, sizes)), lanes, _share(cycles.useful_forward, cycles.forward), cycles.loss]
        cells += [_share(cycles.useful_learn, cycles.learn), _share(cycles.useful_backward, cycles.backward)]
        cells += [cycles.sample, f"{CLOCK_HZ // cycles.sample:,}".replace(",", " ")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _share(useful: int, cycles: int) -> str:
    return f"{useful} of {cycles}, {100 * useful // cycles} %"


def page(text: str) -> str:
    """The document with its table anew."""
    return between_markers(text, "cycles", table())


# Okabe and Ito's hues: told apart with every kind of colour vision. Each picture paints its own ground.
_STYLE = """\
text { font: 13px sans-serif; fill: #27313b; }
.small { font-size: 11.5px; } .head { font-weight: bold; } .code { font-family: monospace; }
.middle { text-anchor: middle; } .end { text-anchor: end; } .on { fill: #fff; }
.ground { fill: #fff; } .line { stroke: #5b6670; fill: none; stroke-width: 1.2; }
.faint { stroke: #d7dce0; fill: none; } .cell { fill: #f3f5f7; stroke: #9aa3ad; }
.empty { fill: none; stroke: #d7dce0; }
.forward { fill: #0072b2; } .learn { fill: #00795a; } .loss { fill: #a8480a; } .move { fill: #7b8792; }
.mark { fill: #fbe3b0; stroke: #a8480a; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #dfe5ea; } .ground { fill: #161b21; } .line { stroke: #98a4ae; } .faint { stroke: #39424b; }
.cell { fill: #232b33; stroke: #56616b; } .empty { stroke: #39424b; } .on { fill: #fff; }
.mark { fill: #5a4310; stroke: #e0a04a; }
}"""


class _Picture:
    """SVG by its elements; the numbers are pixels."""

    def __init__(self, width: int, height: int, label: str):
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img" aria-label="{label}">',
            f"<style>\n{_STYLE}\n</style>",
        ]
        self.box(0, 0, width, height, "ground")

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{kind}"/>')

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        plain = text.replace("&", "&amp;").replace("<", "&lt;")
        self._parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}">{plain}</text>')

    def line(self, *points: tuple[float, float], kind: str = "line", arrow: bool = False) -> None:
        """A line through points; an arrow points down or right, as its last part does."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="{kind}"/>')
        if arrow:
            (x0, y0), (x, y) = points[-2:]
            corners = [(x - 4, y - 6), (x + 4, y - 6)] if x0 == x and y0 < y else [(x - 6, y - 4), (x - 6, y + 4)]
            self.line(corners[0], (x, y), corners[1])

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


def banks() -> str:
    """Which weight is in which lane and row, and what a row is used for."""
    sizes, lanes = BANKED
    layout = Layout(network_preset("FO", sizes), lanes)
    # Every weight named by its place.
    names = [np.arange(n)[:, None] * 100 + np.arange(layout.inputs(k)) for k, n in enumerate(sizes[1:])]
    rows = layout.to_rows(names, -1)
    left, top, wide, high = 150, 66, 66, 25
    # A row of the last layer: the only one whose sums go back here.
    layer, source = layout.network.layers - 1, 2
    marked = layout.row(layer, 0, source)
    network = "-".join(map(str, sizes))
    picture = _Picture(960, 506, f"Weights of a {network} network in {lanes} lanes")
    picture.text(left, 22, f"Memory of weights: {network} network, {lanes} lanes", "head")
    picture.text(left - 8, top - 8, "row", "small end")
    for lane in range(lanes):
        picture.text(left + (lane + 0.5) * wide, top - 8, f"lane {lane}", "small middle")
    for row, words in enumerate(rows):
        y = top + row * high
        picture.text(left - 8, y + 17, str(row), "small end")
        for lane, name in enumerate(words):
            x = left + lane * wide
            picture.box(x, y, wide, high, "empty" if name < 0 else "cell")
            if name >= 0 and row != marked:
                picture.text(x + wide / 2, y + 17, _weight(name), "code middle")
    for k in range(layout.network.layers):
        for block in range(layout.blocks(k)):
            _bracket_block(picture, layout, k, block, (left, top, wide, high))
    y = top + marked * high
    picture.box(left - 2, y - 1, lanes * wide + 4, high + 2, "mark")
    for lane, name in enumerate(rows[marked]):
        picture.text(left + (lane + 0.5) * wide, y + 17, _weight(name), "code middle")
    _draw_uses(picture, 560, [_weight(name) for name in rows[marked]], source)
    return picture.svg()


def _weight(name: int) -> str:
    return f"w[{name // 100}][{name % 100}]"


def _bracket_block(
    picture: _Picture, layout: Layout, layer: int, block: int, grid: tuple[float, float, float, float]
) -> None:
    left, top, wide, high = grid
    first = layout.row(layer, block, 0)
    y, end = top + first * high + 3, top + (first + layout.inputs(layer)) * high - 3
    x = left - 36
    picture.line((x + 5, y), (x, y), (x, end), (x + 5, end))
    picture.text(x - 8, (y + end) / 2 - 3, f"layer {layer}", "small end")
    picture.text(x - 8, (y + end) / 2 + 12, f"block {block}", "small end")
    if block or layer:
        edge = top + first * high
        picture.line((left - 120, edge), (left + layout.lanes * wide + 8, edge), kind="line" if not block else "faint")
    right = left + layout.lanes * wide + 10
    picture.text(right, top + first * high + 17, "input 0", "small")
    picture.text(right, top + (first + layout.inputs(layer) - 1) * high + 17, "constant 1", "small")


def _draw_uses(picture: _Picture, left: float, weights: Sequence[str], source: int) -> None:
    """The marked row in the forward pass, and in backward and update."""
    wide, gap = 78, 14
    xs = [left + lane * (wide + gap) for lane in range(len(weights))]
    middles = [x + wide / 2 for x in xs]

    picture.text(left, 22, f"Forward: a[{source}] goes to all lanes", "head")
    picture.line((left - 26, 48), (middles[-1], 48))
    picture.text(left - 30, 43, f"a[{source}]", "code")
    for lane, (x, middle, weight) in enumerate(zip(xs, middles, weights, strict=True)):
        picture.line((middle, 48), (middle, 70), arrow=True)
        picture.box(x, 70, wide, 26, "mark")
        picture.text(middle, 88, f"× {weight}", "code middle")
        picture.line((middle, 96), (middle, 118), arrow=True)
        picture.box(x, 118, wide, 26, "cell")
        picture.text(middle, 136, f"neuron {lane}", "small middle")
    picture.text(left, 164, "Each lane adds the product to its own neuron's sum.", "small")

    top = 204
    picture.text(left, top, "Backward and update: each lane has its neuron's delta", "head")
    for lane, (x, middle, weight) in enumerate(zip(xs, middles, weights, strict=True)):
        picture.text(middle, top + 28, f"d[{lane}]", "code middle")
        picture.line((middle, top + 33), (middle, top + 52), arrow=True)
        picture.box(x, top + 52, wide, 26, "mark")
        picture.text(middle, top + 70, f"× {weight}", "code middle")
    nodes, y = middles, top + 78.0
    while len(nodes) > 1:
        pairs = list(zip(nodes[::2], nodes[1::2], strict=True))
        for a, b in pairs:
            middle = (a + b) / 2
            for x in (a, b):
                picture.line((x, y), (x, y + 14), (middle, y + 14), (middle, y + 30))
            picture.box(middle - 13, y + 30, 26, 22, "cell")
            picture.text(middle, y + 46, "+", "middle")
        nodes, y = [(a + b) / 2 for a, b in pairs], y + 52
    picture.line((nodes[0], y), (nodes[0], y + 22), arrow=True)
    picture.box(nodes[0] - 70, y + 22, 140, 26, "cell")
    picture.text(nodes[0], y + 40, f"sum for input {source}", "small middle")
    picture.text(left, y + 72, "The tree's sum is added to those of the layer's other blocks.", "small")
    picture.text(left, y + 90, f"At the same time lane j moves w[j][{source}] by its own step, from", "small")
    picture.text(left, y + 106, f"a[{source}] and d[j], and the row is written back.", "small")


def _runs(cycles: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive cycles, as (first, one behind the last)."""
    runs: list[tuple[int, int]] = []
    for cycle in cycles:
        if runs and runs[-1][1] == cycle:
            runs[-1] = (runs[-1][0], cycle + 1)
        else:
            runs.append((cycle, cycle + 1))
    return runs


def schedule_picture() -> str:
    """What each part of the machine does in the cycles of one sample."""
    config = machine(*PICTURED)
    cycles, layout = schedule(config), config.layout
    left, right, top, high = 150, 938, 64, 34
    picture = _Picture(960, 412, f"Cycles of one sample of {'-'.join(map(str, PICTURED[0]))} in {config.lanes} lanes")
    scale = (right - left) / cycles.sample

    def x(cycle: float) -> float:
        return round(left + cycle * scale, 2)

    rows: list[tuple[str, list[tuple[int, int, str]]]] = [
        (
            "rows to the lanes",
            _bars(layout, cycles.forward_rows, "forward") + _bars(layout, cycles.learn_rows, "learn"),
        ),
        ("sums drain", [(*run, "move") for sums in cycles.sums for run in _runs(sums)]),
        ("activations", [(*run, "forward") for made in cycles.activations for run in _runs(made)]),
        ("logits, loss, deltas", _loss_bars(cycles)),
        ("deltas into lanes", [(*run, "move") for loads in reversed(cycles.loads) for run in _runs(loads)]),
        ("deltas go back", [(*run, "learn") for made in cycles.deltas[:-1] for run in _runs(made)]),
        ("rows written back", _written(config, cycles)),
    ]
    bottom = top + len(rows) * high
    for cycle in range(0, cycles.sample + 1, 100):
        picture.line((x(cycle), top - 6), (x(cycle), bottom), kind="faint")
        picture.text(x(cycle), bottom + 16, str(cycle), "small middle")
    picture.text(left - 10, bottom + 16, "cycle", "small end")
    for place, (name, bars) in enumerate(rows):
        y = top + place * high
        picture.text(left - 10, y + 18, name, "small end")
        for first, end, kind in bars:
            # A gap between neighbours.
            picture.box(x(first), y, max(x(end) - x(first) - 0.8, 0.8), 25, kind)
    for layer, (forward, learn) in enumerate(zip(cycles.forward_rows, cycles.learn_rows, strict=True)):
        for spans in (forward, learn):
            for run in _blocks(layout, layer, spans):
                picture.text((x(run[0]) + x(run[1])) / 2, top + 17, str(len(range(*run))), "small middle on")
            middle = (x(spans[0]) + x(spans[-1] + 1)) / 2
            picture.line((x(spans[0]), top - 8), (x(spans[0]), top - 12), (x(spans[-1] + 1) - 1, top - 12),
                         (x(spans[-1] + 1) - 1, top - 8))  # fmt: skip
            what = "forward" if spans is forward else "update"
            picture.text(middle, top - 18, f"{what} layer {layer}: {len(spans)}", "small middle")

    # The phases, one after the other.
    learned = cycles.learn_rows[0][-1] + 1
    y = bottom + 34
    parts = [
        ("forward", 0, cycles.forward, "forward"),
        ("loss", cycles.forward, cycles.learn_rows[-1][0], "loss"),
        ("backward and update", cycles.learn_rows[-1][0], learned, "learn"),
        ("end", learned, cycles.sample, "move"),
    ]
    picture.text(left - 10, y + 18, "phases", "small end")
    for name, first, end, kind in parts:
        picture.box(x(first), y, x(end) - x(first) - 0.8, 27, kind)
        middle = (x(first) + x(end)) / 2
        if end - first > 100:
            picture.text(middle, y + 18, f"{name}: {end - first}", "middle on")
        else:
            picture.text(middle, y + 18, str(end - first), "small middle on")
            picture.text(middle, y + 42, name, "small middle")
    picture.text(left, y + 64, f"One sample: {cycles.sample} cycles. {_waits(cycles)}", "")
    return picture.svg()


def _blocks(layout: Layout, layer: int, rows: Sequence[int]) -> list[tuple[int, int]]:
    """First cycle of each block of a pass over a layer, and the one behind its last."""
    inputs = layout.inputs(layer)
    return [(rows[k], rows[k + inputs - 1] + 1) for k in range(0, len(rows), inputs)]


def _bars(layout: Layout, passes: Sequence[Sequence[int]], kind: str) -> list[tuple[int, int, str]]:
    return [(*run, kind) for layer, rows in enumerate(passes) for run in _blocks(layout, layer, rows)]


def _loss_bars(cycles: Schedule) -> list[tuple[int, int, str]]:
    """From the first logit to the prediction, from there to the first delta, and the deltas."""
    first, last = cycles.deltas[-1][0], cycles.deltas[-1][-1]
    return [
        (cycles.sums[-1][0], cycles.decided, "loss"),
        (cycles.decided, first, "loss"),
        (first, last + 1, "loss"),
    ]


def _written(config: TrainerConfig, cycles: Schedule) -> list[tuple[int, int, str]]:
    later = cycles.written - cycles.learn_rows[0][-1]
    moved = [[row + later for row in rows] for rows in cycles.learn_rows]
    return _bars(config.layout, moved, "learn")


def _waits(cycles: Schedule) -> str:
    forward = cycles.forward - sum(map(len, cycles.forward_rows))
    learn = cycles.learn - sum(map(len, cycles.learn_rows))
    return f"Rows wait {forward} cycles in the forward pass and {learn} in backward and update."


def main() -> None:
    """Writes all three below the current directory, the repository's root."""
    write_atomically(BANKS, banks())
    write_atomically(SCHEDULE, schedule_picture())
    write_atomically(PAGE, page(PAGE.read_text(encoding="utf-8")))
    print(BANKS, SCHEDULE, PAGE, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
