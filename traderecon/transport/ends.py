"""Where partitions end: up to where they can be read now, and their high watermarks; and what lies in between.

ask(partitions) -> Answer | None        report(incidents, ...) -> partitions without a leader, transactions that hang
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from faust.types import TP

from traderecon import clock
from traderecon.transport.incidents import Incidents, Kind
from traderecon.transport.open_transactions import Hanging, OpenTransactions


class Answer(NamedTuple):
    """Of the partitions whose leader answers: up to where each can be read, and the next offset it will give."""

    readable: Mapping[TP, int]
    high: Mapping[TP, int]


class Ends:
    """What one consumer has been told. ``consumer``: a ``BatchConsumer``."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._asking: asyncio.Future[Answer] | None = None
        self._transactions = OpenTransactions()

    async def ask(self, tps: Iterable[TP]) -> Answer | None:
        """None while the log does not answer. One question at a time is under way."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._answer(tuple(tps)))
        done, _ = await asyncio.wait({self._asking}, timeout=self._consumer.watch_interval_s)
        if not done:
            return None
        asked, self._asking = self._asking, None
        try:
            return asked.result()
        except self._consumer.transient_errors:
            return None

    async def _answer(self, tps: tuple[TP, ...]) -> Answer:
        return Answer(await self._consumer.readable_ends(*tps), await self._consumer.highwaters(*tps))

    def report(self, incidents: Incidents, tps: Iterable[TP], answer: Answer, now_s: float) -> None:
        """Say which of the partitions have no leader that answers, and which transactions hang."""
        incidents.report(Kind.NO_LEADER, {_name(tp): _no_leader(tp) for tp in sorted(tps) if tp not in answer.readable})
        hanging = self._transactions.observe(answer.readable, answer.high, now_s)
        incidents.report(
            Kind.OPEN_TRANSACTION, {_name(tp): _open(tp, one, now_s) for tp, one in sorted(hanging.items())}
        )


def _no_leader(tp: TP) -> str:
    return (
        f"{_name(tp)} has no leader that answers, so it cannot be read. Everything else goes on; no grace ends until "
        "it can be read. Start its broker."
    )


def _open(tp: TP, one: Hanging, now_s: float) -> str:
    since = datetime.fromtimestamp(clock.now_ns() / 1e9 - (now_s - one.since_s), UTC).isoformat(timespec="seconds")
    return (
        f"{_name(tp)} has an open transaction at offset {one.first_offset}, since {since} or longer; {one.behind} "
        "offsets wait behind it, and no grace ends meanwhile. Have its producer commit or abort, or end it with "
        f"`kafka-transactions.sh abort --topic {tp.topic} --partition {tp.partition} --start-offset "
        f"{one.first_offset}`."
    )


def _name(tp: TP) -> str:
    return f"{tp.topic}[{tp.partition}]"
