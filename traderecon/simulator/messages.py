"""Messages: the rows of a simulated day as records of the input topics.

    Message(source, row, position)  ->  Sent(source, key, value, position, spread)

The key is the trade_id, as a producer should send it. On a hostile day some keys are missing, quoted (as a JSON
serializer writes text), or another trade's: only the values can be trusted.
"""

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from traderecon.intake import Rows
from traderecon.intake.relay import message_of
from traderecon.records import Source
from traderecon.simulator.feed import Message, feed
from traderecon.simulator.profiles import Profile
from traderecon.simulator.rows import header
from traderecon.simulator.trades import START_MS

_unpack = Struct("<3I").unpack


class Sent(NamedTuple):
    """One record of an input topic, and when it is sent (see ``Message``); ``spread`` partitions keyless records."""

    source: Source
    key: bytes | None
    value: bytes
    position: int
    spread: int

    def partition(self, partitions: int) -> int:
        """The partition librdkafka's default partitioner chooses: CRC-32 of the key; without a key, by the seed."""
        return (crc32(self.key) if self.key else self.spread) % partitions


def messages(
    seed: int, trades: int, profile: Profile, first: int = 0, *, since: int = 0, start_ms: int = START_MS
) -> Iterator[Sent]:
    """The day's records in the order they are sent, from position ``first`` on: see ``feed``."""
    readers = {source: Rows(source, header(source, profile)) for source in Source}
    for message in feed(seed, trades, profile, first, since=since, start_ms=start_ms):
        reader = readers[message.source]
        key = reader.key(message.row)
        if profile.odd_keys_per_mille or not key:
            spread, chance, number = _unpack(_hash(seed, message))
            if chance % 1000 < profile.odd_keys_per_mille:
                another = message.position + 1 + number // 3 % 100  # no trade sends before its own position
                key = ("", f'"{key}"', f"S{seed}-{another:08d}")[number % 3]
        else:
            spread = 0
        value = message_of(reader.columns, message.row, reader.unknown)
        yield Sent(message.source, key.encode() or None, value, message.position, spread)


def _hash(seed: int, message: Message) -> bytes:
    """Twelve bytes that depend on the record alone, so that a resumed day sends the same records."""
    name = f"{seed}:{message.source}:{message.position}:{message.row}"
    return blake2b(name.encode(errors="surrogateescape"), digest_size=12).digest()
