"""A network that learns sample by sample in LNS words: the integer model of ``trainer``.

``kernel`` has the same network compiled; it is imported by itself, because Numba takes a second to load.
"""

from lnsmadam.golden.trainer.config import NETWORK_PRESETS, NetworkConfig, SecondMoment, WarmUp, network_preset
from lnsmadam.golden.trainer.files import export_floats, export_logs, load, save
from lnsmadam.golden.trainer.network import Network, Outcome, accuracy
from lnsmadam.golden.trainer.state import NetworkState, encode_inputs, initial

__all__ = [
    "NETWORK_PRESETS",
    "Network",
    "NetworkConfig",
    "NetworkState",
    "Outcome",
    "SecondMoment",
    "WarmUp",
    "accuracy",
    "encode_inputs",
    "export_floats",
    "export_logs",
    "initial",
    "load",
    "network_preset",
    "save",
]
