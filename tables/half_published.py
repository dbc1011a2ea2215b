"""Half-published results: on only one of their two topics, because a worker died between the two appends.

    add(topic, trade_id, version, is_break), ...       first pass    ->  find_missing(): whether any are missing
    collect(topic, trade_id, version, ...), ...        second pass   ->  rows(): what to append, by topic

A result belongs on the topic of its state and on the topic its trade leaves; see ``BatchOutput.publish``. While the
worker has its table, replaying the leg publishes both again. Results read back into the table count as published, so
the missing half must be appended here. Pure.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from traderecon.transport.microbatch import Outgoing


class _Newest(NamedTuple):
    """The newest version of a trade on one topic, and whether it is a break."""

    version: int
    is_break: bool


class HalfPublishedResults:
    """The results of one partition on the two output topics."""

    def __init__(self, reconciled: str, mismatch: str) -> None:
        self._topics = reconciled, mismatch
        self._newest: dict[str, dict[str, _Newest]] = {topic: {} for topic in self._topics}
        self._foreign: dict[str, dict[str, int]] = {topic: {} for topic in self._topics}
        """By topic and trade: the newest version there whose state belongs on the other topic."""
        self._collected: defaultdict[tuple[str, str], dict[int, tuple[bool, Outgoing]]] = defaultdict(dict)
        self._missing_by_topic: Mapping[str, Mapping[str, _Newest | None]] = {}
        """By topic: the trades with missing results, and the newest result the topic has of each."""

    def own_topic(self, is_break: bool) -> str:
        """The topic on which results of a state belong."""
        return self._topics[is_break]

    def add(self, topic: str, trade_id: str, version: int, is_break: bool) -> None:
        """Note that a topic has a result."""
        newest = self._newest[topic].get(trade_id)
        if newest is None or newest.version < version:
            self._newest[topic][trade_id] = _Newest(version, is_break)
        if self.own_topic(is_break) != topic:
            self._foreign[topic][trade_id] = max(version, self._foreign[topic].get(trade_id, 0))

    def find_missing(self) -> bool:
        """Whether a topic lacks results that the other one has. Call it once, between the passes."""
        reconciled, mismatch = self._topics
        by_topic = {reconciled: self._missing(reconciled, mismatch), mismatch: self._missing(mismatch, reconciled)}
        self._missing_by_topic = {topic: trades for topic, trades in by_topic.items() if trades}
        return bool(self._missing_by_topic)

    def _missing(self, topic: str, other: str) -> dict[str, _Newest | None]:
        trades: dict[str, _Newest | None] = {}
        for trade_id, newest in self._newest[other].items():
            present = self._newest[topic].get(trade_id)
            version = 0 if present is None else present.version
            belongs = present is not None and self.own_topic(present.is_break) == topic
            leave_missing = belongs and version < newest.version
            if leave_missing or version < self._foreign[other].get(trade_id, 0):
                trades[trade_id] = present
        return trades

    def collect(self, topic: str, trade_id: str, version: int, is_break: bool, row: Outgoing) -> None:
        """Keep the record of a result on one topic if the other topic lacks it."""
        for other_topic, trades in self._missing_by_topic.items():
            if other_topic == topic or trade_id not in trades:
                continue
            present = trades[trade_id]
            if present is None or version > present.version:
                self._collected[other_topic, trade_id][version] = is_break, row

    def rows(self) -> Mapping[str, Sequence[Outgoing]]:
        """The rows to append to each topic, in version order for each trade."""
        rows: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for (topic, trade_id), versions in self._collected.items():
            present = self._missing_by_topic[topic][trade_id]
            own_before = "" if present is None else self.own_topic(present.is_break)
            for _, (is_break, row) in sorted(versions.items()):
                own = self.own_topic(is_break)
                if topic in {own_before, own}:
                    rows[topic].append(row)
                own_before = own
        return rows
