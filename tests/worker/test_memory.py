"""A worker's threads share one memory arena, and large blocks are outside of it."""

import re
import sys
from pathlib import Path

import pytest
from pipeline.trades import matched_count, send
from pipeline_case import Installation

pytestmark = pytest.mark.system

LARGE = 10
REPORTS_ITS_MEMORY = f"""
import ctypes
from traderecon.cli import main

try:
    main()
finally:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    libc.free(libc.malloc(1 << 20))  # once one of them is freed, glibc would keep the next ones in the arena
    [libc.malloc(1 << 20) for _ in range({LARGE})]
    libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stderr"))
    libc.fflush(None)
"""
GLIBC_DEFAULTS = """
from traderecon.worker import memory

memory.limit_fragmentation = lambda: None
"""


def arenas_and_blocks(directory: Path, program: str) -> tuple[int, int]:
    """The number of arenas of a worker that has matched some trades, and of blocks outside of them."""
    installation = Installation(directory, topic_partitions=1)
    installation.create_topics()
    worker = installation.start(program=[sys.executable, "-c", program])
    send(installation, range(50))
    installation.until(lambda: matched_count(installation) == 50, "all are matched")
    assert worker.leave() == 0
    installation.close()
    (blocks,) = re.findall(r'type="mmap" count="(\d+)"', worker.log)
    return worker.log.count("<heap nr="), int(blocks)


def test_a_worker_has_one_arena_and_no_large_block_in_it(tmp_path: Path) -> None:
    arenas, blocks = arenas_and_blocks(tmp_path, REPORTS_ITS_MEMORY)
    assert arenas == 1
    assert blocks >= LARGE


def test_and_would_have_several_with_large_blocks_in_them(tmp_path: Path) -> None:
    arenas, blocks = arenas_and_blocks(tmp_path, GLIBC_DEFAULTS + REPORTS_ITS_MEMORY)
    assert arenas > 1
    assert blocks < LARGE
