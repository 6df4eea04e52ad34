"""The demo's figures as one page that needs no network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from lnsmadam import plots

_TEMPLATE = "report.html.j2"


def _number(value: float) -> str:
    """With thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _millions(value: float) -> str:
    return f"{value / 1e6:.1f} million" if value >= 1e6 else _number(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\N{NARROW NO-BREAK SPACE}%"


def _last_three(accuracy: list[float]) -> float:
    """Mean of the last three epochs: one test image more or less is not a result."""
    return sum(accuracy[-3:]) / len(accuracy[-3:])


def _peer_rows(figures: Mapping[str, Any], kind: str, target: str) -> list[dict[str, Any]]:
    """Public units in the columns of ours, on one target."""
    family, clock = ("ice40", "hx8k_mhz") if target == "hx8k" else ("ecp5", "ecp5_mhz")
    return [
        {
            "title": peer["unit"],
            "source": peer["source"],
            "promise": peer["promise"],
            "latency": peer["latency"],
            "mhz": peer[clock],
            **{key: peer[family].get(key) for key in ("lut4", "ff", "bram", "dsp")},
            # ECP5's carry cell is CCU2C.
            "carry": peer[family].get("carry", peer[family].get("ccu2c")),
            "ours": False,
        }
        for peer in figures["peers"][kind]
        if peer[family] is not None
    ]


def _own_rows(figures: Mapping[str, Any], unit: str, target: str) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "source": "lnsmadam",
            "promise": _promise(row["guarantee"]),
            "mhz": row["fmax_mhz"]["median"],
            "ours": True,
        }
        for row in figures["cost"]
        if row["unit"] == unit and row["target"] == target
    ]


def _promise(guarantee: Mapping[str, Any]) -> str:
    kinds = {"nearest": "correctly rounded", "faithful": "faithful", "stochastic": "stochastic rounding"}
    kind = kinds.get(guarantee["rounding"], guarantee["rounding"])
    if guarantee["rounding"] == "stochastic":
        return f"step within {guarantee['max_error_ulp']:.3f} ulp before {kind}"
    return f"{kind}, at most {guarantee['max_error_ulp']:.3f} ulp"


def cost_tables(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One table for each kind of unit and target, ours first."""
    kinds = (("multiply_add", "units", "Multiply-add"), ("madam_update", "weight_updates", "Weight update"))
    targets = list(dict.fromkeys(row["target"] for row in figures["cost"]))
    parts = {row["target"]: row["part"] for row in figures["cost"]}
    return [
        {
            "title": f"{title} on {parts[target]}",
            "unit": unit,
            "target": target,
            "rows": _own_rows(figures, unit, target) + _peer_rows(figures, kind, target),
        }
        for unit, kind, title in kinds
        for target in targets
    ]


def _bars(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [row for row in table["rows"] if row["lut4"] is not None and row["mhz"] is not None]
    # Names of one source's variants differ only together with it.
    return [
        {**row, "title": row["title"] if row["ours"] else f"{_shorten(row['title'])} ({_shorten(row['source'], 18)})"}
        for row in sorted(rows, key=lambda row: row["lut4"])
    ]


def _shorten(text: str, length: int = 38) -> str:
    head = text.split(":")[0].split(", 13 bits")[0]
    return head if len(head) <= length else head[: length - 1].rstrip() + "…"


def render(figures: Mapping[str, Any]) -> str:
    """The page.

    Parameters
    ----------
    figures : dict
        What :func:`~lnsmadam.demo.run_demo` writes to ``report.json``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, millions=_millions, percent=_percent)
    tables = cost_tables(figures)
    training = figures["training"]
    drawings = {
        "accuracy": plots.accuracy_plot(training),
        "errors": plots.error_plot(figures["errors"]),
        "histograms": plots.histogram_plot(training),
        "cost": plots.cost_plot(_bars(tables[0])),
        "learning": plots.learning_plot(figures["learning"]),
        "schedule": plots.schedule_plot(figures["learning"]["schedule"]),
    }
    return environment.get_template(_TEMPLATE).render(
        **figures,
        tables=tables,
        drawings={name: _unique(name, text) for name, text in drawings.items()},
        final=_last_three(training["accuracy"]),
        final_adam=_last_three(training["adam"]),
        learned=_last_three(figures["learning"]["accuracy"]),
        learned_adam=_last_three(figures["learning"]["adam"]),
    )


def _unique(name: str, svg: str) -> str:
    """The drawing with identifiers of its own: several share one page."""
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(before, f"{before}{name}-")
    return svg
