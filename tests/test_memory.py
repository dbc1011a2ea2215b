"""A worker's threads share one arena of memory."""

import subprocess
import sys

ALLOCATES = """
import ctypes, sys, threading
from traderecon import memory

if sys.argv[1] == "settled":
    memory.settle()
held, begin = [], threading.Barrier(6)

def hold():
    begin.wait()
    held.append([bytes(2_000) for _ in range(2_000)])
    begin.wait()

threads = [threading.Thread(target=hold) for _ in range(5)]
for thread in threads:
    thread.start()
begin.wait()
begin.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", ALLOCATES, how], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


def test_what_is_settled_has_one_arena() -> None:
    assert arenas("settled") == 1


def test_and_what_is_not_has_several() -> None:
    assert arenas("unsettled") > 1
