"""What the pipeline is fed: trades of two simulated days at once, one hostile and quick, one typical and slow.

    python -m torture.simulated SEED RECORDS   ->   a line of JSON per record: [topic, partition, key, value], Latin-1

Most legs of the quick day come within the grace, most of the slow day long after it. In between there are records of
which nothing can be made, whoever reads them.
"""

import json
import random
import sys
from collections.abc import Iterator
from heapq import merge
from itertools import islice

import msgspec

from traderecon.records import Source
from traderecon.simulator import PROFILES, Sent, messages

PARTITIONS = {Source.EXECUTIONS: 4, Source.CONFIRMATIONS: 3, Source.PNL: 2}
"""An input has as many as its producer likes."""
QUICK = msgspec.structs.replace(PROFILES["hostile"], delay_slots=8)
SLOW = msgspec.structs.replace(PROFILES["typical"], delay_slots=200, repeated_per_mille=50)
EVERY = 60
"""One record in so many is garbage."""
GARBAGE = (
    None,
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b'{"trade_id":"T","trade_id":"T"}',
    b'{"trade_id":"' + b"T" * 70_000 + b'"}',
)

Row = tuple[str, int, bytes | None, bytes | None]


def fed(seed: int, records: int) -> Iterator[Row]:
    """So many records."""
    chance = random.Random(f"{seed} garbage")
    days = (messages(seed * 10 + number, records, profile) for number, profile in enumerate((QUICK, SLOW)))
    for sent in islice(merge(*days, key=lambda sent: sent.position), records):
        if chance.randrange(EVERY):
            yield sent.source.value, sent.partition(PARTITIONS[sent.source]), sent.key, sent.value
        else:
            yield garbage(chance, sent)


def garbage(chance: random.Random, sent: Sent) -> Row:
    """Nonsense under the key of a trade, which loses that leg."""
    # A producer sends no record that is nothing at all.
    return sent.source.value, sent.partition(PARTITIONS[sent.source]), sent.key or b"T", chance.choice(GARBAGE)


def main(seed: str, records: str) -> None:
    """Print them."""
    for topic, partition, *fields in fed(int(seed), int(records)):
        texts = [None if field is None else field.decode("latin-1") for field in fields]
        sys.stdout.write(json.dumps([topic, partition, *texts]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
