"""A sink that is killed again and again: a process takes batches in a loop, is killed, and the next one continues.

python -m sink.taking URL TRADES KILLS          prints the number of kills
"""

import os
import random
import signal
import sys
import time

from sink.outputs import Outputs, simulated_outputs

from traderecon.sink.store import Store

BATCH_RECORDS = 12
TAKE_S = 0.005
"""About as long as a batch takes, so that kills hit any point of it."""


def live(outputs: Outputs, url: str, seed: int, progress: int) -> None:
    """Take the remaining records in small batches from random partitions, with repeats; write a byte for each batch."""
    rng, store = random.Random(seed), Store.open(url)
    store.prepare()
    offsets = store.offsets()
    taken = {
        tp: sum(record.offset < offsets.get(tp, 0) for record in records) for tp, records in outputs.partitions.items()
    }
    while left := [tp for tp, records in outputs.partitions.items() if taken[tp] < len(records)]:
        tp = rng.choice(left)
        first = max(0, taken[tp] - rng.choice((0, 0, 5)))
        batch = outputs.batch(tp, first, rng.randint(6, BATCH_RECORDS))
        store.take(batch)
        os.write(progress, b".")
        taken[tp] = first + len(batch)


def main(url: str, trades: int, kills: int) -> None:
    """Kill the process ``kills`` times, each after a few batches, then let one finish."""
    rng, outputs = random.Random(trades), simulated_outputs(trades)
    most = sum(map(len, outputs.partitions.values())) // BATCH_RECORDS // kills
    killed = 0
    while True:
        signals, progress = os.pipe()
        child = os.fork()
        if not child:
            live(outputs, url, killed, progress)
            os._exit(0)
        os.close(progress)
        if killed < kills:
            for _ in range(rng.randrange(most)):
                os.read(signals, 1)
            time.sleep(rng.uniform(0, TAKE_S))  # randomizes the moment of the kill
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(signals)
        if not os.WIFSIGNALED(status):
            if os.waitstatus_to_exitcode(status):
                sys.exit("a process failed without being killed")
            break
        killed += 1
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
