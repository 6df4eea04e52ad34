"""Plots of the report, as SVG text that stands inside a page."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with every kind of colour vision.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#9aa3ad"
INK = "#27313b"

# Any: matplotlib types the keys as one long Literal.
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": "#7d8790",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e7ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
    # Outlines: the page then looks the same whatever fonts a machine has.
    "svg.fonttype": "path",
    "svg.hashsalt": "lnsmadam",
}


def _svg(figure: Figure, label: str) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def accuracy_plot(training: Mapping[str, Any]) -> str:
    """Test accuracy by epoch, in LNS and under Adam."""
    with matplotlib.rc_context(_STYLE):
        figure, (axes,) = _figure(8.6, 3.6)
        epochs = range(len(training["accuracy"]))
        # What comes before training is chance, far below the rest: a note instead of an empty half of the plot.
        lowest = 100 * min(*training["accuracy"][1:], *training["adam"][1:])
        bottom = min(70, 10 * (lowest // 10))
        axes.plot(epochs, 100 * np.array(training["adam"]), "s--", color=ORANGE, markersize=3.5, label="float64, Adam")
        axes.plot(epochs, 100 * np.array(training["accuracy"]), "o-", color=BLUE, markersize=4, label="LNS, Madam")
        axes.set(xlabel="epoch", ylabel="test accuracy, %", ylim=(bottom, 100.5), xlim=(-0.2, len(epochs) - 0.8))
        axes.annotate(
            f"before training: {100 * training['accuracy'][0]:.0f} %",
            (0.15, bottom + 0.8), fontsize=9, color="#5b6670", va="bottom", rotation=90,
        )  # fmt: skip
        axes.legend(loc="lower right")
    return _svg(figure, "Test accuracy by epoch")


def learning_plot(learning: Mapping[str, Any]) -> str:
    """Test accuracy by epoch, of the machine and under Adam; Adam's first point is that after one epoch."""
    with matplotlib.rc_context(_STYLE):
        figure, (axes,) = _figure(8.6, 3.2)
        machine, adam = (100 * np.array(learning[name]) for name in ("accuracy", "adam"))
        bottom = min(80, 10 * (min(*machine[1:], *adam) // 10))
        axes.plot(range(1, len(adam) + 1), adam, "s--", color=ORANGE, markersize=3, label="float32, Adam, batch 16")
        axes.plot(
            range(1, len(machine)), machine[1:], "o-", color=BLUE, markersize=3.5, label="emitted Verilog, batch 1"
        )
        axes.set(xlabel="epoch", ylabel="test accuracy, %", ylim=(bottom, 100.5), xlim=(0.2, len(machine) - 0.2))
        axes.legend(loc="lower right")
    return _svg(figure, "Test accuracy of the trainer by epoch")


def schedule_plot(schedule: Sequence[Mapping[str, Any]]) -> str:
    """What the machine does, cycle by cycle, while it learns samples back to back."""
    colors = {"forward": BLUE, "loss": GREY, "learn": GREEN}
    with matplotlib.rc_context(_STYLE):
        figure, (axes,) = _figure(8.6, 1.5)
        for run in schedule:
            if run["phase"] not in colors:
                continue
            axes.barh(0, run["cycles"], left=run["start"], color=colors[run["phase"]], height=0.8, linewidth=0)
            if run["cycles"] > 60:
                text = f"{run['phase']}\n{run['cycles']}"
                axes.text(
                    run["start"] + run["cycles"] / 2, 0, text, ha="center", va="center", fontsize=8.5, color="white"
                )
        end = max((run["start"] + run["cycles"] for run in schedule), default=1)
        axes.set(xlabel="cycle", xlim=(0, end), ylim=(-0.5, 0.5), yticks=[])
        axes.spines["left"].set_visible(False)
    return _svg(figure, "Cycles of three samples")


def _envelope(axes: Axes, curve: Mapping[str, Any], color: str, label: str) -> None:
    octaves, low, high = (np.array(curve[name]) for name in ("octaves", "low", "high"))
    if np.array_equal(low, high):
        axes.plot(octaves, low, ".", color=color, markersize=4, label=label)
    else:
        axes.fill_between(octaves, low, high, color=color, alpha=0.55, linewidth=0.5, label=label)


def error_plot(errors: Sequence[Mapping[str, Any]]) -> str:
    """Error of the multiply-add by z: one format a panel."""
    with matplotlib.rc_context(_STYLE):
        figure, panels = _figure(8.6, 3.5, len(errors))
        for axes, curves in zip(panels, errors, strict=True):
            bound = 0.5 if curves["worst"] <= 0.5 else 1.0
            _envelope(axes, curves["subtract"], ORANGE, "difference")
            _envelope(axes, curves["add"], BLUE, "sum")
            for side in (-bound, bound):
                axes.axhline(side, color=INK, linewidth=0.9, linestyle=":")
            end = max(curves["subtract"]["octaves"][-1], curves["add"]["octaves"][-1])
            axes.set(
                title=f"{curves['format'].upper()}, worst {curves['worst']:.3f} ulp",
                xlabel="z, distance of the two logs in octaves", xlim=(-0.02 * end, end * 1.02),
                ylim=(-1.25 * bound, 1.45 * bound),
            )  # fmt: skip
            axes.title.set_fontsize(10.5)
            axes.legend(loc="upper right", ncols=2, fontsize=9, markerscale=1.6)
        panels[0].set_ylabel("error, ulp of the log")
    return _svg(figure, "Error of the multiply-add over every distance of the logs")


def histogram_plot(training: Mapping[str, Any]) -> str:
    """How often each magnitude occurs among the gradients and the trained weights."""
    with matplotlib.rc_context(_STYLE):
        figure, panels = _figure(8.6, 2.9, 2)
        for axes, name, title, color in (
            (panels[0], "grads", "gradients that the update met", GREEN),
            (panels[1], "final_weights", "weights at the end", BLUE),
        ):
            data = training[name]
            counts = np.array(data["counts"], dtype=float)
            total = counts.sum() + data["zeros"]
            per_bin = max(1, round(data["base_factor"] / 4))
            logs = (data["log_min"] + np.arange(len(counts))) / data["base_factor"]
            edges = np.arange(np.floor(logs[0]), np.ceil(logs[-1]) + 0.5, per_bin / data["base_factor"])
            heights, _ = np.histogram(logs, edges, weights=100 * counts / total)
            axes.bar(edges[:-1], heights, width=np.diff(edges), align="edge", color=color, linewidth=0)
            axes.set(xlabel="log2 of the magnitude", title=title, xlim=(edges[0], edges[-1]))
            axes.title.set_fontsize(10.5)
            if data["zeros"]:
                axes.text(
                    0.98, 0.93, f"{100 * data['zeros'] / total:.0f} % are zero", transform=axes.transAxes,
                    ha="right", va="top", fontsize=9,
                )  # fmt: skip
        panels[0].set_ylabel("share per quarter octave, %")
    return _svg(figure, "Magnitudes of gradients and weights")


def cost_plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """LUTs and clock as bars, one row a unit: ``title``, ``lut4``, ``mhz``, ``ours``."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 0.6 + 0.27 * len(rows)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
        places = np.arange(len(rows))[::-1]
        colors = [BLUE if row["ours"] else GREY for row in rows]
        for axes, key, label in ((left, "lut4", "LUT4, fewer is better"), (right, "mhz", "MHz, more is better")):
            values = [row[key] for row in rows]
            axes.barh(places, values, color=colors, height=0.72)
            for place, value in zip(places, values, strict=True):
                axes.text(value, place, f" {value:.0f}", va="center", fontsize=8.5)
            axes.set(xlabel=label, xlim=(0, 1.14 * max(values)), ylim=(-0.6, len(rows) - 0.4))
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        left.set_yticks(places, [row["title"] for row in rows], fontsize=9)
    return _svg(figure, "Cells and clock beside public units")
