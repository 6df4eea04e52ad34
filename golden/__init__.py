"""Meaning and bits: number formats and the integer functions that the hardware must equal."""

from lnsmadam.golden.adam_update import AdamUpdateConfig, adam_update, epsilon_of, lr_of
from lnsmadam.golden.add import AddConfig, add
from lnsmadam.golden.antilog import Antilog
from lnsmadam.golden.bf16_multiply_add import Bf16MultiplyAddConfig, bf16_multiply_add
from lnsmadam.golden.divide import DivideConfig, divide
from lnsmadam.golden.dot import dot
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.float_to_lns import FloatToLNSConfig, float_to_lns
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
from lnsmadam.golden.linear_to_log import LinearToLogConfig, linear_to_log
from lnsmadam.golden.lns_to_float import LNSToFloatConfig, lns_to_float
from lnsmadam.golden.log_sum import Approximator, Memory
from lnsmadam.golden.log_to_linear import LogToLinearConfig, log_to_linear
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
from lnsmadam.golden.sgd_update import SgdUpdateConfig, sgd_update
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
    "AdamUpdateConfig",
    "AddConfig",
    "Antilog",
    "Approximator",
    "Bf16MultiplyAddConfig",
    "DivideConfig",
    "DotConfig",
    "FixedFormat",
    "LNSFormat",
    "MadamUpdateConfig",
    "Memory",
    "MultiplyAddConfig",
    "MultiplyConfig",
    "SgdUpdateConfig",
    "SqrtConfig",
    "Rounding",
    "SquareConfig",
    "Variant",
    "adam_update",
    "add",
    "bf16_multiply_add",
    "bias_log_of",
    "divide",
    "dot",
    "epsilon_of",
    "integer_madam",
    "lr_log_of",
    "lr_of",
    "madam_update",
    "multiply",
    "multiply_add",
    "sgd_update",
    "sqrt",
    "square",
    "weight_max_log_of",
    "FloatToLNSConfig",
    "LinearToLogConfig",
    "LNSToFloatConfig",
    "LogToLinearConfig",
    "float_to_lns",
    "linear_to_log",
    "lns_to_float",
    "log_to_linear",
]
