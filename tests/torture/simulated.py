"""The records of the pipeline's feed: two simulated days at once, one hostile and quick, one typical and slow.

    python -m torture.simulated SEED RECORDS   ->   a line of JSON per record: [topic, partition, key, value], Latin-1

Most legs of the quick day come within the grace, most of the slow day long after it. In between there are
malformed records.
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
"""Each input has its own partition count."""
QUICK_DAY = msgspec.structs.replace(PROFILES["hostile"], delay_slots=8)
SLOW_DAY = msgspec.structs.replace(PROFILES["typical"], delay_slots=200, repeated_per_mille=50)
GARBAGE_EVERY = 60
"""One record in this many is garbage."""
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


def simulated_records(seed: int, records: int) -> Iterator[Row]:
    """Yield ``records`` records."""
    chance = random.Random(f"{seed} garbage")
    days = (messages(seed * 10 + number, records, profile) for number, profile in enumerate((QUICK_DAY, SLOW_DAY)))
    for message in islice(merge(*days, key=lambda message: message.position), records):
        if chance.randrange(GARBAGE_EVERY):
            yield message.source.value, message.partition(PARTITIONS[message.source]), message.key, message.value
        else:
            yield garbage(chance, message)


def garbage(chance: random.Random, message: Sent) -> Row:
    """A malformed record in place of a leg, under its key."""
    # A producer cannot send a record without key and value.
    return (
        message.source.value,
        message.partition(PARTITIONS[message.source]),
        message.key or b"T",
        chance.choice(GARBAGE),
    )


def main(seed: str, records: str) -> None:
    """Print the records."""
    for topic, partition, *fields in simulated_records(int(seed), int(records)):
        values = [None if field is None else field.decode("latin-1") for field in fields]
        sys.stdout.write(json.dumps([topic, partition, *values]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
