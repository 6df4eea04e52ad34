"""Which network a board holds, by the digest that it answers."""

import dataclasses
import functools

from lnsmadam.fpga.trainer.boards import TRAINER_BOARDS
from lnsmadam.golden.trainer.config import NETWORK_PRESETS, NetworkConfig, network_preset


def machine_digest(network: NetworkConfig) -> bytes:
    """What a board answers that holds this network; the gate is a run's, not the machine's."""
    return bytes.fromhex(dataclasses.replace(network, gate=None).digest())


@functools.lru_cache(maxsize=1)
def known_networks() -> dict[bytes, tuple[str, NetworkConfig]]:
    """Presets of the sizes that boards are built for, and their names, by digest."""
    known = {}
    for sizes in sorted({board.sizes for board in TRAINER_BOARDS.values()}):
        for preset in NETWORK_PRESETS:
            network = network_preset(preset, sizes)
            known[machine_digest(network)] = (f"{preset} {'-'.join(map(str, sizes))}", network)
    return known


def told(digest: bytes) -> str:
    known = known_networks().get(digest)
    return known[0] if known else f"a network of digest {digest.hex()}"
