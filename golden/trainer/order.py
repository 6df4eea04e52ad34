"""The order of the samples in an epoch: a permutation that a few adders make, one place after the other.

A counter of w = max(bit_length(count - 1), 2) bits runs through all its values; a bijection on w bits, made of steps
that each have an inverse, scatters them; those of count and above are left out. Eight rounds of ::

    x = (x + key) mod 2**w,  x = x xor (x >> 3),  x = 5 * x mod 2**w,  key = key rotated right by 12 of 32 bits

after which the key is back where it was. key is the CRC-32 (zlib's) of seed and epoch, 4 bytes each, little-endian.
Any epoch's order can be made without those before it. It is no cryptography: of the count! orders it reaches 2**32.
"""

import zlib

import numpy as np
import numpy.typing as npt

ROUNDS, KEY_TURN, XOR_SHIFT, ADD_SHIFT = 8, 12, 3, 2
KEY_BITS = 32

#: Largest number of samples in an epoch.
MAX_COUNT = 1 << 24


def order_bits(count: int) -> int:
    """Bits of the counter that orders ``count`` samples."""
    return max((count - 1).bit_length(), 2)


def order(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The samples 0 to ``count - 1`` in the order of an epoch.

    Parameters
    ----------
    count : int
        1 to ``MAX_COUNT``.
    seed, epoch : int
        32 bits, unsigned.

    Raises
    ------
    ValueError
        A number is out of range.
    """
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"Count must be from 1 to {MAX_COUNT}, not {count}")
    for number, name in ((seed, "Seed"), (epoch, "Epoch")):
        if not 0 <= number < 1 << KEY_BITS:
            raise ValueError(f"{name} must be from 0 to {(1 << KEY_BITS) - 1}, not {number}")
    mask = (1 << order_bits(count)) - 1
    key = zlib.crc32(int(seed).to_bytes(4, "little") + int(epoch).to_bytes(4, "little"))
    x = np.arange(mask + 1, dtype=np.int64)
    for _ in range(ROUNDS):
        x = (x + key) & mask
        x ^= x >> XOR_SHIFT
        x = (x + (x << ADD_SHIFT)) & mask
        key = (key >> KEY_TURN | key << (KEY_BITS - KEY_TURN)) & ((1 << KEY_BITS) - 1)
    return x[x < count]
