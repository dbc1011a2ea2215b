"""A worker's threads share one arena of memory."""

import sys
from pathlib import Path

from pipeline.trades import matched, send
from pipeline_case import Installation

TELLS_ITS_ARENAS = """
import ctypes
from traderecon.cli import main

try:
    main()
finally:
    libc = ctypes.CDLL(None)
    libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stderr"))
    libc.fflush(None)
"""
AS_GLIBC_WOULD = """
from traderecon import memory

memory.share_one_arena = lambda: None
"""


def arenas(directory: Path, program: str) -> int:
    """Of a worker that has matched some trades."""
    installation = Installation(directory, topic_partitions=1)
    installation.create_topics()
    worker = installation.start(program=[sys.executable, "-c", program])
    send(installation, range(50))
    installation.until(lambda: matched(installation) == 50, "all are matched")
    assert worker.leave() == 0
    installation.close()
    return worker.log.count("<heap nr=")


def test_a_worker_has_one_arena(tmp_path: Path) -> None:
    assert arenas(tmp_path, TELLS_ITS_ARENAS) == 1


def test_and_would_have_several(tmp_path: Path) -> None:
    assert arenas(tmp_path, AS_GLIBC_WOULD + TELLS_ITS_ARENAS) > 1
