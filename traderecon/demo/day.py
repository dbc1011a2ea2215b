"""The day of a demo: which messages of the simulated feed have been sent, so that the next start goes on there.

The place is written after the log has what is before it. A demo that is killed in between sends some messages again,
which are the same facts.
"""

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import msgspec

from traderecon.simulator import PROFILES, messages, paced
from traderecon.topics import Topics
from traderecon.transport import Outgoing
from traderecon.transport.client import Client
from traderecon.transport.outbox import Outbox

FILE = "demo.json"
UNBOUNDED = 2**40
"""Trades of a day that goes on until it is stopped."""
AT_ONCE = 1_000
"""So many trades open the day, as if it had begun a while ago."""


class Day:
    """One seed's day in a data directory."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._file = directory / FILE
        self._seed = str(seed)
        self.sent = 0
        """Messages sent by this process."""
        self.positions: dict[str, int] = {}
        if self._file.exists():
            self.positions = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])

    @property
    def position(self) -> int:
        """Everything before this position has been sent."""
        return self.positions.get(self._seed, 0)

    async def send(
        self, client: Client, names: Topics, partitions: Mapping[str, int], *, trades: int | None, rate: float | None
    ) -> AsyncGenerator[int, None]:
        """Send what comes next, up to ``trades`` of the day in total, ``rate`` of them a second (None: at once).

        Gives the position again and again, when what is before it is in the log.
        """
        topic_of = {source: topic for topic, source in names.inputs.items()}
        outbox = Outbox(client)
        feed = messages(int(self._seed), trades or UNBOUNDED, PROFILES["typical"], self.position)
        async for due in paced(feed, rate, max(self.position, AT_ONCE)):
            for message in due:
                topic = topic_of[message.source]
                outbox.put(topic, message.partition(partitions[topic]), Outgoing(message.key, message.value))
            await outbox.flush()
            self.sent += len(due)
            # Others may have this position too: the next start sends it again. Beyond the last trade a longer day
            # would have more to say.
            self._reached(min(due[-1].position, trades or UNBOUNDED))
            yield self.position

    def _reached(self, position: int) -> None:
        if position <= self.position:
            return
        self.positions[self._seed] = position
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self.positions))
        draft.replace(self._file)
