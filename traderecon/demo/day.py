"""The day of a demo: which messages of the simulated feed have been sent, so that the next start continues there.

Every trade that was started is finished: messages that a stopped or killed run left unsent are sent by the next run,
whatever its seed and rate, before its worker starts. Otherwise a trade would wait for a leg that is never sent, a false
break.

Progress is written before and after sending. A demo killed in between sends some messages again; they are the same
facts.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traderecon import durable
from traderecon.client.client import Client
from traderecon.client.outbox import Outbox
from traderecon.demo import FILE
from traderecon.simulator import PROFILES, SLOT_MS, START_MS, Profile, Sent, messages, pace
from traderecon.topics import Topics
from traderecon.transport import Outgoing

UNBOUNDED = 2**40
"""Number of trades if the demo runs until it is stopped."""
OPENING_TRADES = 1_000
"""Trades sent at once, as if the day had begun some time ago."""
GRACE_FRACTION = 4
"""The other side of a trade is sent within a quarter of the grace, however slow the rate."""
TYPICAL = PROFILES["typical"]


class Progress(msgspec.Struct, frozen=True):
    """The progress of one seed's day; trades are numbered, and ``position`` counts slots of the feed.

    Trades before ``finished`` have been sent completely; of those before ``begun``, the messages due before
    ``position``. ``start_ms``: execution of trade 0; ``delay_slots``: maximum delay of the messages of these trades.
    """

    start_ms: int
    finished: int = 0
    begun: int = 0
    position: int = 0
    delay_slots: int = TYPICAL.delay_slots

    @property
    def outstanding(self) -> bool:
        """Whether a trade has unsent messages."""
        return self.begun > self.finished


class Day:
    """The days of all seeds in a data directory; the day of one seed continues."""

    def __init__(self, directory: Path, seed: int, now_ms: int) -> None:
        self._file = directory / FILE
        self._seed = str(seed)
        self.sent = 0
        """Messages sent by this process."""
        self._seeds = _read(self._file) if self._file.exists() else {}
        start_ms = now_ms - OPENING_TRADES * SLOT_MS
        self._seeds.setdefault(self._seed, Progress(start_ms - start_ms % 1_000))

    @property
    def begun(self) -> int:
        """Number of trades of which at least one message has been sent."""
        return self._seeds[self._seed].begun

    async def finish(self, client: Client, names: Topics, partitions: Mapping[str, int]) -> None:
        """Send the remaining messages of started trades, of every seed, at once."""
        for seed, progress in list(self._seeds.items()):
            if progress.outstanding:
                profile = replace(TYPICAL, delay_slots=progress.delay_slots)
                feed = _feed(seed, progress.begun, profile, progress)
                async for _ in self._send(client, names, partitions, feed, rate=None, first=0):
                    pass
                self._write(seed, replace(progress, finished=progress.begun))

    async def send(
        self,
        client: Client,
        names: Topics,
        partitions: Mapping[str, int],
        *,
        trades: int | None,
        rate: float | None,
        grace_s: float,
    ) -> AsyncGenerator[int, None]:
        """Send the next trades, up to ``trades`` of the day in total, ``rate`` of them per second (None: at once).

        Call ``finish`` first. Yields the position each time that all messages before it are in the log.
        """
        start = self._seeds[self._seed]
        first, last = start.begun, trades or UNBOUNDED
        if first >= last:
            return
        delay_slots = (
            TYPICAL.delay_slots if rate is None else int(min(TYPICAL.delay_slots, rate * grace_s / GRACE_FRACTION))
        )
        progress = replace(start, finished=first, position=first, delay_slots=delay_slots)
        feed = _feed(self._seed, last, replace(TYPICAL, delay_slots=delay_slots), progress)
        paced_from = max(first, OPENING_TRADES)
        async for position, sent in self._send(client, names, partitions, feed, rate=rate, first=paced_from):
            begun = max(progress.begun, min(position + 1, last))
            progress = replace(progress, begun=begun, position=position if sent else progress.position)
            self._write(self._seed, progress)
            if sent:
                yield position
        self._write(self._seed, replace(progress, finished=last, begun=last))

    async def _send(
        self,
        client: Client,
        names: Topics,
        partitions: Mapping[str, int],
        feed: Iterator[Sent],
        *,
        rate: float | None,
        first: int,
    ) -> AsyncGenerator[tuple[int, bool], None]:
        """Send the messages; yields the last position of each group before it is sent, and when it is in the log."""
        topic_of = {source: topic for topic, source in names.inputs.items()}
        outbox = Outbox(client)
        async for due in pace(feed, rate, first):
            yield due[-1].position, False
            for message in due:
                topic = topic_of[message.source]
                outbox.put(topic, message.partition(partitions[topic]), Outgoing(message.key, message.value))
            await outbox.flush()
            self.sent += len(due)
            yield due[-1].position, True

    def _write(self, seed: str, progress: Progress) -> None:
        if progress == self._seeds[seed]:
            return
        self._seeds[seed] = progress
        durable.replace(self._file, msgspec.json.encode(self._seeds))


def _feed(seed: str, trades: int, profile: Profile, progress: Progress) -> Iterator[Sent]:
    return messages(int(seed), trades, profile, progress.position, since=progress.finished, start_ms=progress.start_ms)


def _read(file: Path) -> dict[str, Progress]:
    """The stored progress; an earlier version stored only the position, of a day that began at ``START_MS``."""
    stored = msgspec.json.decode(file.read_bytes(), type=dict[str, Progress | int])
    return {
        seed: Progress(START_MS, begun=progress + 1, position=progress) if isinstance(progress, int) else progress
        for seed, progress in stored.items()
    }
