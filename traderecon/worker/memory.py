"""Memory of a worker: what it needs is bounded, and what it holds is to stay near it.

glibc gives a thread an arena of its own and keeps what is freed there, and puts large blocks among the small ones,
where a hole is left of each. Of 1,200,000 messages a worker came to hold 93 MiB more in the second half, and 8 with one
arena for all; after some 3,500,000 the heap was 366 MiB, 106 of it holes (``benchmarks/soak.py``).
"""

import ctypes
import gc

ARENAS, APART = -8, -3
"""What mallopt is told. Source: mallopt(3), M_ARENA_MAX, M_MMAP_THRESHOLD."""
LARGE_BYTES = 512 * 1024
"""The tables of RocksDB in memory are made of blocks of a MiB, which come and go by the dozen."""
COLLECT = (100_000, 5, 5)
"""Objects, and collections, until the next one: a batch of a thousand legs makes tens of thousands of objects."""


def give_back() -> None:
    """One arena for every thread from now on, and large blocks each by itself, given back when it is free.

    Before the first thread starts: an arena that is there is given to the next one.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if set_option is not None:
        set_option(ARENAS, 1)
        set_option(APART, LARGE_BYTES)


def settle() -> None:
    """What is here now stays, and most of what comes goes with its batch: not worth being looked for so often."""
    gc.freeze()
    gc.set_threshold(*COLLECT)
