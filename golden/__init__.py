"""Meaning and bits: number formats and the integer functions that the hardware must equal."""

from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.format import (
    LNS6,
    LNS8,
    LNS10,
    LNS12,
    LNS16,
    PRESETS,
    SYNAPSE,
    FixedFormat,
    LNSFormat,
)
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.golden.madam_update import (
    MadamUpdateConfig,
    Rounding,
    Variant,
    bias_log_of,
    integer_madam,
    lr_log_of,
    madam_update,
    weight_max_log_of,
)
from lnsmadam.golden.multiply import MultiplyConfig, multiply
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.golden.sqrt import SqrtConfig, sqrt
from lnsmadam.golden.square import SquareConfig, square

__all__ = [
    "LNS6",
    "LNS8",
    "LNS10",
    "LNS12",
    "LNS16",
    "PRESETS",
    "SYNAPSE",
    "AddConfig",
    "Approximator",
    "DivideConfig",
    "FixedFormat",
    "LNSFormat",
    "MadamUpdateConfig",
    "Memory",
    "MultiplyAddConfig",
    "MultiplyConfig",
    "SqrtConfig",
    "Rounding",
    "SquareConfig",
    "Variant",
    "add",
    "bias_log_of",
    "divide",
    "integer_madam",
    "lr_log_of",
    "madam_update",
    "multiply",
    "multiply_add",
    "sqrt",
    "square",
    "weight_max_log_of",
]
