"""Draws: the numbers behind one trade, from a hash of its name.

Not a stream of random numbers: nothing is shared between trades, and no library's generator can change them.
"""

from hashlib import blake2b
from struct import Struct

_sixteen = Struct("<16I").unpack


def draws(seed: int, index: int, use: str) -> tuple[int, ...]:
    """Sixteen numbers below 2^32 for trade ``index``; another ``use`` gives other numbers."""
    return _sixteen(blake2b(f"{seed}:{index}:{use}".encode()).digest())
