"""Lives of a sink that are cut short: a process takes batches in a loop, and is killed; the next goes on.

python -m sink.taking URL TRADES KILLS          prints how many lives ended by a kill
"""

import os
import random
import signal
import sys
import time

from sink.outputs import Outputs, simulated

from traderecon.sink.store import Store

BATCH_RECORDS = 12
FIRST_BREATH_S = 0.02


def live(outputs: Outputs, url: str, seed: int) -> None:
    """Take what is left, in small batches from any partition, some of it once more."""
    rng, store = random.Random(seed), Store.open(url)
    store.ready()
    kept = store.offsets()
    at = {
        place: sum(record.offset < kept.get(place, 0) for record in records)
        for place, records in outputs.places.items()
    }
    while left := [place for place, records in outputs.places.items() if at[place] < len(records)]:
        place = rng.choice(left)
        first = max(0, at[place] - rng.choice((0, 0, 5)))
        batch = outputs.batch(place, first, rng.randint(6, BATCH_RECORDS))
        store.take(batch)
        at[place] = first + len(batch)


def main(url: str, trades: int, kills: int) -> None:
    """Kill so many lives at any moment, then let one end."""
    rng, outputs = random.Random(trades), simulated(trades)
    killed = 0
    for life in range(1_000):
        child = os.fork()
        if not child:
            live(outputs, url, life)
            os._exit(0)
        if killed < kills:
            time.sleep(FIRST_BREATH_S + rng.uniform(0, 0.1))  # the moment of the kill, not a wait
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            if os.waitstatus_to_exitcode(status):
                sys.exit("a life ended by itself, and not well")
            break
        killed += 1
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
