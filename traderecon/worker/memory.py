"""Memory of a worker: keep the resident size close to the memory in use.

glibc gives each thread its own arena, which keeps freed memory, and mixes large blocks with small ones, which leaves
holes. Over 1,200,000 messages a worker grew by 93 MiB in the second half, but only by 8 MiB with a single arena; after
about 3,500,000 messages the heap was 366 MiB, of which 106 MiB were holes (``benchmarks/soak.py``).
"""

import ctypes
import gc

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
"""Source: mallopt(3)."""
LARGE_BYTES = 512 * 1024
"""RocksDB's memtables are made of 1 MiB blocks, which are allocated and freed by the dozen."""
GC_THRESHOLDS = (100_000, 5, 5)
"""For ``gc.set_threshold``: a batch of a thousand legs creates tens of thousands of objects."""


def limit_fragmentation() -> None:
    """Use one arena for all threads, and allocate large blocks by mmap, so that they are returned when freed.

    Call before the first thread starts: existing arenas stay in use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def tune_gc() -> None:
    """Exclude the objects that exist now from garbage collection, and collect less often: most die with their batch."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
