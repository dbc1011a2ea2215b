"""The ends of partitions: how far they can be read now, and their high watermarks.

ask(partitions) -> Answer | None        report(incidents, ...) -> partitions without a leader, hanging transactions
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
    """Readable end and high watermark of each partition whose leader answers."""

    readable: Mapping[TP, int]
    high: Mapping[TP, int]


class Ends:
    """Asks for the ends on behalf of ``consumer``, a ``BatchConsumer``."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._request: asyncio.Future[Answer] | None = None
        self._transactions = OpenTransactions()

    async def ask(self, tps: Iterable[TP]) -> Answer | None:
        """Return None while the log does not answer. At most one request is in flight."""
        if self._request is None:
            self._request = asyncio.ensure_future(self._fetch(tuple(tps)))
        done, _ = await asyncio.wait({self._request}, timeout=self._consumer.watch_interval_s)
        if not done:
            return None
        request, self._request = self._request, None
        try:
            return request.result()
        except self._consumer.transient_errors:
            return None

    async def _fetch(self, tps: tuple[TP, ...]) -> Answer:
        return Answer(await self._consumer.readable_ends(*tps), await self._consumer.highwaters(*tps))

    def report(self, incidents: Incidents, tps: Iterable[TP], answer: Answer, now_s: float) -> None:
        """Report partitions without a leader that answers, and hanging transactions."""
        incidents.report(
            Kind.NO_LEADER, {_name(tp): _no_leader_text(tp) for tp in sorted(tps) if tp not in answer.readable}
        )
        hanging = self._transactions.observe(answer.readable, answer.high, now_s)
        incidents.report(
            Kind.OPEN_TRANSACTION,
            {_name(tp): _transaction_text(tp, transaction, now_s) for tp, transaction in sorted(hanging.items())},
        )


def _no_leader_text(tp: TP) -> str:
    return (
        f"{_name(tp)} has no leader that answers, so it cannot be read. Other partitions continue; no grace period "
        "expires until this one can be read. Start its broker."
    )


def _transaction_text(tp: TP, transaction: Hanging, now_s: float) -> str:
    since_s = clock.now_ns() / 1e9 - (now_s - transaction.since_s)
    since = datetime.fromtimestamp(since_s, UTC).isoformat(timespec="seconds")
    return (
        f"{_name(tp)} has an open transaction at offset {transaction.first_offset}, since {since} or longer; "
        f"{transaction.behind} offsets wait behind it, and no grace period expires meanwhile. Make its producer commit "
        f"or abort, or end it with `kafka-transactions.sh abort --topic {tp.topic} --partition {tp.partition} "
        f"--start-offset {transaction.first_offset}`."
    )


def _name(tp: TP) -> str:
    return f"{tp.topic}[{tp.partition}]"
