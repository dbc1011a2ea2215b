"""Draws: the random numbers of one trade, from a hash of its seed and index.

Not a stream of random numbers: trades share nothing, and no change of a library's generator can affect them.
"""

from hashlib import blake2b
from struct import Struct

_sixteen = Struct("<16I").unpack


def draws(seed: int, index: int, use: str) -> tuple[int, ...]:
    """Sixteen numbers below 2^32 for trade ``index``; they differ for each ``use``."""
    return _sixteen(blake2b(f"{seed}:{index}:{use}".encode()).digest())
