"""What is attacked of each unit, beside the registry of units: real-number meanings, configurations of long runs."""

import functools
from typing import Any

from lnsmadam.golden.floats import FLOATS
from lnsmadam.golden.format import LNS16, FixedFormat
from lnsmadam.golden.log_sum import Memory
from lnsmadam.proof.error import (
    meaning_of_conversions,
    meaning_of_dot,
    meaning_of_fused,
    meaning_of_logs,
    meaning_of_updates,
)
from lnsmadam.proof.error.meaning import Meaning
from lnsmadam.proof.soak.chunk import Subject
from lnsmadam.units import UNITS

#: What each unit means in real numbers.
MEANINGS: dict[str, Meaning] = {
    "multiply": meaning_of_logs.multiply_meaning,
    "divide": meaning_of_logs.divide_meaning,
    "square": meaning_of_logs.square_meaning,
    "sqrt": meaning_of_logs.sqrt_meaning,
    "add": meaning_of_logs.add_meaning,
    "multiply_add": meaning_of_logs.multiply_add_meaning,
    "dot": meaning_of_dot.dot_meaning,
    "linear_to_log": meaning_of_conversions.linear_to_log_meaning,
    "log_to_linear": meaning_of_conversions.log_to_linear_meaning,
    "float_to_lns": meaning_of_conversions.float_to_lns_meaning,
    "lns_to_float": meaning_of_conversions.lns_to_float_meaning,
    "bf16_multiply_add": meaning_of_fused.bf16_multiply_add_meaning,
    "sgd_update": meaning_of_fused.sgd_update_meaning,
    "madam_update": meaning_of_updates.madam_update_meaning,
    "adam_update": meaning_of_updates.adam_update_meaning,
}

#: What ``error all`` measures of each unit, as options of ``error UNIT``.
CONFIGURATIONS = {
    "multiply": ("", "--format lns16"),
    "divide": ("", "--format lns16"),
    "square": ("", "--format lns16"),
    "sqrt": ("", "--format lns16"),
    "add": ("", "--format lns6", "--format lns16"),
    "multiply_add": ("", "--format lns6", "--format lns16"),
    "dot": ("", "--format lns16", "--antilog chord", "--format lns6", "--lns-result lns16"),
    "linear_to_log": ("", "--format lns16"),
    "log_to_linear": ("", "--format lns16"),
    "float_to_lns": ("", "--float-format float32", "--format lns8 --float-format float32"),
    "lns_to_float": ("", "--float-format float32", "--format lns8 --float-format float32"),
    "madam_update": (
        "",
        "--variant integer",
        "--variant rounded",
        "--rounding nearest --state-rounding nearest --beta-shift 4",
        "--no-coarse-outliers",
    ),
    "adam_update": ("",),
    "bf16_multiply_add": ("",),
    "sgd_update": ("",),
}

#: Of the netlists: unit → configurations beside the default, as options of the command line and as they are passed on.
VARIANTS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "multiply_add": (
        ("--memory block", {"memory": Memory.BLOCK}),
        ("--format lns16", {"operand": LNS16}),
        ("--format lns16 --memory block", {"operand": LNS16, "memory": Memory.BLOCK}),
    ),
    "dot": (("--memory block", {"memory": Memory.BLOCK}),),
}

#: Of the long runs: name → unit, its options, and the weight among those that are not exhaustive.
SOAKED: dict[str, tuple[str, dict[str, Any], int]] = {
    "multiply_add_lns16": ("multiply_add", {"operand": LNS16}, 4),
    "dot": ("dot", {}, 4),
    "dot_16_lanes": ("dot", {"lanes": 16}, 2),
    "madam_update": ("madam_update", {}, 4),
    "linear_to_log": ("linear_to_log", {}, 0),
    "linear_to_log_lns16": ("linear_to_log", {"format": LNS16, "linear_format": FixedFormat(32, 16, signed=True)}, 3),
    "log_to_linear": ("log_to_linear", {}, 0),
    "log_to_linear_lns16": (
        "log_to_linear",
        {"format": LNS16, "linear_format": FixedFormat(32, 16, signed=True)},
        0,
    ),
    "float_to_lns": ("float_to_lns", {}, 0),
    "float_to_lns_lns16": ("float_to_lns", {"format": LNS16, "float_format": FLOATS["float32"]}, 3),
    "lns_to_float": ("lns_to_float", {}, 0),
    "lns_to_float_lns16": ("lns_to_float", {"format": LNS16, "float_format": FLOATS["float32"]}, 0),
}


def soaked(name: str) -> Subject:
    """The subject of a long run by its name; raises ``ValueError`` with the list of them."""
    if name not in SOAKED:
        raise ValueError(f"Soak must be of {', '.join(SOAKED)}, not {name!r}")
    unit_name, options, weight = SOAKED[name]
    unit = UNITS[unit_name]
    config = unit.configure(options)
    return Subject(name, unit.emit(config), config, functools.partial(unit.model, config), unit.directed, weight)
