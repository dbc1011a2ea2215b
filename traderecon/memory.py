"""Memory of a worker: what it needs is bounded, and what it holds is to stay near it.

glibc gives a thread an arena of its own and keeps what is freed there: in the second half of a soak of 1,200,000
messages a worker came to hold 93 MiB more, and 8 with one arena for all (``benchmarks/soak.py``).
"""

import ctypes
import gc

ARENAS = -8
"""What mallopt is told. Source: mallopt(3), M_ARENA_MAX."""
COLLECT = (100_000, 20, 50)
"""Objects, and collections, until the next one: a batch of a thousand legs makes tens of thousands of objects."""


def share_one_arena() -> None:
    """For every thread from now on. Before the first one starts: an arena that is there is given to the next thread."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if set_option is not None:
        set_option(ARENAS, 1)


def settle() -> None:
    """What is here now stays, and most of what comes goes with its batch: not worth being looked for so often."""
    gc.freeze()
    gc.set_threshold(*COLLECT)
