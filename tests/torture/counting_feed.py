"""The feed of the counting app: keys and uids, with repeats.

    seed, number of records -> Feed

A record is a key and, as its value, a uid; its partition is crc32(key) modulo the partitions.
"""

import random
from zlib import crc32

from torture.plan import PARTITIONS, Feed, Record

KEYS = 200
REPEAT_SHARE = 0.06
OTHER_KEY_SHARE = 0.01
RECENT_RECORDS = 50


def counting_feed(seed: int, count: int) -> Feed:
    """A feed of ``count`` records; its epilogue has a new record for every key, and repeats."""
    chance = random.Random(f"{seed} records")
    produced = records(chance, seed, count)
    keys = sorted({record.key or b"" for record in produced})
    new_records = [counting_record(key, b"s%d-e%05d" % (seed, number)) for number, key in enumerate(keys)]
    return Feed(produced, (*new_records, *chance.sample(produced, min(KEYS, count)), *new_records))


def records(chance: random.Random, seed: int, count: int) -> tuple[Record, ...]:
    """New records, repeats soon or much later, and repeated uids under another key, where they are new."""
    so_far: list[Record] = []
    for number in range(count):
        key, dice = b"k%d" % chance.randrange(KEYS), chance.random()
        if so_far and dice < REPEAT_SHARE:
            so_far.append(
                so_far[chance.randrange(len(so_far))]
                if chance.random() < 0.5
                else chance.choice(so_far[-RECENT_RECORDS:])
            )
        elif so_far and dice < REPEAT_SHARE + OTHER_KEY_SHARE:
            so_far.append(counting_record(key, chance.choice(so_far).value or b""))
        else:
            so_far.append(counting_record(key, b"s%d-%06d" % (seed, number)))
    return tuple(so_far)


def counting_record(key: bytes, uid: bytes) -> Record:
    """A record to count."""
    return Record("in", crc32(key) % PARTITIONS, key, uid)
