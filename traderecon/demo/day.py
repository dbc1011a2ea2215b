"""The day of a demo: which messages of the simulated feed have been sent, so that the next start goes on there.

A trade that has begun is finished: what a run that was stopped or killed left unsent is sent by the next one, of any
seed and at any rate, before its worker starts. Else a trade would wait for a leg that nobody sends: a false break.

What is about to be sent is written down before it is sent, what has been sent afterwards. A demo that is killed in
between sends some messages again, which are the same facts.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traderecon import durable
from traderecon.client.client import Client
from traderecon.client.outbox import Outbox
from traderecon.simulator import PROFILES, SLOT_MS, START_MS, Profile, Sent, messages, paced
from traderecon.topics import Topics
from traderecon.transport import Outgoing

FILE = "demo.json"
UNBOUNDED = 2**40
"""Trades of a day that goes on until it is stopped."""
AT_ONCE = 1_000
"""So many trades open the day, as if it had begun a while ago."""
OF_THE_GRACE = 4
"""The other side of a trade comes within a quarter of the grace, however slow the rate."""
TYPICAL = PROFILES["typical"]


class Progress(msgspec.Struct, frozen=True):
    """How far one seed's day has got: a trade is known by its number, a position is where a message is due.

    All of the trades before ``finished`` has been sent; of those before ``begun`` what is due before ``position``.
    ``start_ms`` is the execution of trade 0, ``delay_slots`` how late a message of these trades may be.
    """

    start_ms: int
    finished: int = 0
    begun: int = 0
    position: int = 0
    delay_slots: int = TYPICAL.delay_slots

    @property
    def outstanding(self) -> bool:
        """Whether something of a trade that has begun is not sent."""
        return self.begun > self.finished


class Day:
    """The days of every seed in a data directory, of which one goes on."""

    def __init__(self, directory: Path, seed: int, now_ms: int) -> None:
        self._file = directory / FILE
        self._seed = str(seed)
        self.sent = 0
        """Messages sent by this process."""
        self._seeds = _read(self._file) if self._file.exists() else {}
        opened_ms = now_ms - AT_ONCE * SLOT_MS
        self._seeds.setdefault(self._seed, Progress(opened_ms - opened_ms % 1_000))

    @property
    def begun(self) -> int:
        """Trades of which something has been sent."""
        return self._seeds[self._seed].begun

    async def finish(self, client: Client, names: Topics, partitions: Mapping[str, int]) -> None:
        """Send at once what is left of the trades that have begun, of every seed."""
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
        """Send what comes next, up to ``trades`` of the day in total, ``rate`` of them a second (None: at once).

        ``finish`` comes before. Gives the position again and again, when what is before it is in the log.
        """
        before = self._seeds[self._seed]
        first, most = before.begun, trades or UNBOUNDED
        if first >= most:
            return
        delay_slots = (
            TYPICAL.delay_slots if rate is None else int(min(TYPICAL.delay_slots, rate * grace_s / OF_THE_GRACE))
        )
        progress = replace(before, finished=first, position=first, delay_slots=delay_slots)
        feed = _feed(self._seed, most, replace(TYPICAL, delay_slots=delay_slots), progress)
        async for position, sent in self._send(client, names, partitions, feed, rate=rate, first=max(first, AT_ONCE)):
            begun = max(progress.begun, min(position + 1, most))
            progress = replace(progress, begun=begun, position=position if sent else progress.position)
            self._write(self._seed, progress)
            if sent:
                yield position
        self._write(self._seed, replace(progress, finished=most, begun=most))

    async def _send(  # a feed, and where it goes
        self,
        client: Client,
        names: Topics,
        partitions: Mapping[str, int],
        feed: Iterator[Sent],
        *,
        rate: float | None,
        first: int,
    ) -> AsyncGenerator[tuple[int, bool], None]:
        """Send the messages; gives the last position of each group, before it is sent and when it is in the log."""
        topic_of = {source: topic for topic, source in names.inputs.items()}
        outbox = Outbox(client)
        async for due in paced(feed, rate, first):
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
    """What is written; a version before this one wrote a position alone, of a day that began with the simulator's."""
    found = msgspec.json.decode(file.read_bytes(), type=dict[str, Progress | int])
    return {
        seed: Progress(START_MS, begun=one + 1, position=one) if isinstance(one, int) else one
        for seed, one in found.items()
    }
