"""What the counting app is fed: keys and uids, some of them again.

    seed, how many -> Feed

A record is a key and, as its value, a uid; its partition is crc32(key) modulo the partitions: a key lives in one.
"""

import random
from zlib import crc32

from torture.plan import PARTITIONS, Feed, Record

KEYS = 200
AGAIN = 0.06
ELSEWHERE = 0.01
RECENT = 50


def drawn(seed: int, count: int) -> Feed:
    """So many records, and an epilogue with news for every key and repeats."""
    chance = random.Random(f"{seed} records")
    produced = records(chance, seed, count)
    keys = sorted({record.key or b"" for record in produced})
    fresh = [counted(key, b"s%d-e%05d" % (seed, number)) for number, key in enumerate(keys)]
    return Feed(produced, (*fresh, *chance.sample(produced, min(KEYS, count)), *fresh))


def records(chance: random.Random, seed: int, count: int) -> tuple[Record, ...]:
    """New records, some of them again soon or much later, and some uids under a second key, where they are new."""
    made: list[Record] = []
    for number in range(count):
        key, dice = b"k%d" % chance.randrange(KEYS), chance.random()
        if made and dice < AGAIN:
            made.append(made[chance.randrange(len(made))] if chance.random() < 0.5 else chance.choice(made[-RECENT:]))
        elif made and dice < AGAIN + ELSEWHERE:
            made.append(counted(key, chance.choice(made).value or b""))
        else:
            made.append(counted(key, b"s%d-%06d" % (seed, number)))
    return tuple(made)


def counted(key: bytes, uid: bytes) -> Record:
    """A record to count."""
    return Record("in", crc32(key) % PARTITIONS, key, uid)
