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
TAKE_S = 0.005
"""About as long as a batch takes: a kill comes anywhere within one."""


def live(outputs: Outputs, url: str, seed: int, told: int) -> None:
    """Take what is left, in small batches from any partition, some of it once more; a byte is told of each."""
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
        os.write(told, b".")
        at[place] = first + len(batch)


def main(url: str, trades: int, kills: int) -> None:
    """Kill so many lives, each a few batches on, then let one end."""
    rng, outputs = random.Random(trades), simulated(trades)
    most = sum(map(len, outputs.places.values())) // BATCH_RECORDS // kills
    killed = 0
    while True:
        heard, told = os.pipe()
        child = os.fork()
        if not child:
            live(outputs, url, killed, told)
            os._exit(0)
        os.close(told)
        if killed < kills:
            for _ in range(rng.randrange(most)):
                os.read(heard, 1)
            time.sleep(rng.uniform(0, TAKE_S))  # the moment of the kill, not a wait
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(heard)
        if not os.WIFSIGNALED(status):
            if os.waitstatus_to_exitcode(status):
                sys.exit("a life ended by itself, and not well")
            break
        killed += 1
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
