"""Half published: results that are on one of the two topics they belong on, for a worker died between the two.

    take_in(topic, trade_id, version, is_break), ...   the first pass    ->  lacking: trades by topic
    collect(topic, trade_id, version, ...), ...        the second pass   ->  rows to append, by topic

A result is on the topic of its state, and on the one that its trade leaves by it; see ``BatchOutput.publish``. As long
as the worker has its table, the leg comes again and the result with it. Where results are read back into the table,
they are known from then on, and nothing would send the other half. Pure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from traderecon.transport.microbatch import Outgoing


class _Newest(NamedTuple):
    """Of a trade on a topic: its newest version there, and whether that is a break."""

    version: int
    is_break: bool


class HalfPublished:
    """What the two output topics have of one partition."""

    def __init__(self, reconciled: str, mismatch: str) -> None:
        self._topics = reconciled, mismatch
        self._newest: dict[str, dict[str, _Newest]] = {topic: {} for topic in self._topics}
        self._foreign: dict[str, dict[str, int]] = {topic: {} for topic in self._topics}
        """Of a trade on a topic: its newest version there whose state is the other topic's."""
        self._collected: defaultdict[tuple[str, str], dict[int, tuple[bool, Outgoing]]] = defaultdict(dict)
        self._lacking: Mapping[str, Mapping[str, _Newest | None]] = {}

    def home(self, is_break: bool) -> str:
        """The topic of a state."""
        return self._topics[is_break]

    def take_in(self, topic: str, trade_id: str, version: int, is_break: bool) -> None:
        """A result that a topic has."""
        known = self._newest[topic].get(trade_id)
        if known is None or known.version < version:
            self._newest[topic][trade_id] = _Newest(version, is_break)
        if self.home(is_break) != topic:
            self._foreign[topic][trade_id] = max(version, self._foreign[topic].get(trade_id, 0))

    def lacking(self) -> bool:
        """Whether a topic lacks results that the other one has; asked once, between the passes."""
        reconciled, mismatch = self._topics
        found = {reconciled: self._lacks(reconciled, mismatch), mismatch: self._lacks(mismatch, reconciled)}
        self._lacking = {topic: trades for topic, trades in found.items() if trades}
        return bool(self._lacking)

    def _lacks(self, topic: str, other: str) -> dict[str, _Newest | None]:
        found: dict[str, _Newest | None] = {}
        for trade_id, newest in self._newest[other].items():
            has = self._newest[topic].get(trade_id)
            version = 0 if has is None else has.version
            stays = has is not None and self.home(has.is_break) == topic and version < newest.version
            if stays or version < self._foreign[other].get(trade_id, 0):
                found[trade_id] = has
        return found

    def collect(self, topic: str, trade_id: str, version: int, is_break: bool, row: Outgoing) -> None:
        """Take in a result of one topic a second time, and keep its record if the other topic lacks it."""
        for lacks, trades in self._lacking.items():
            if lacks == topic or trade_id not in trades:
                continue
            has = trades[trade_id]
            if has is None or version > has.version:
                self._collected[lacks, trade_id][version] = is_break, row

    def rows(self) -> Mapping[str, Sequence[Outgoing]]:
        """What to append to each topic, in the order of the versions of each trade."""
        found: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for (topic, trade_id), versions in self._collected.items():
            has = self._lacking[topic][trade_id]
            was = "" if has is None else self.home(has.is_break)
            for _, (is_break, row) in sorted(versions.items()):
                now = self.home(is_break)
                if topic in {was, now}:
                    found[topic].append(row)
                was = now
        return found
