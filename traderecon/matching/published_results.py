"""What was published of a journal partition, read back into its table: no version is ever published with two verdicts.

read_back(TP("legs", 2))   the table has lost what its group had committed: everything that the outputs have
read_on(2)                 other rules judged it last: what they published behind the table's rows
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from faust.types import TP

from traderecon.records.result_message import Published, published
from traderecon.tables import BatchTable, HalfPublished, last_published, outputs
from traderecon.topics import Topics
from traderecon.transport.behind import NoLeader
from traderecon.transport.fingerprint import Fingerprint
from traderecon.transport.microbatch import Outgoing, Record

AT_ONCE = 500
"""Results are read in steps: nothing else runs meanwhile."""
AGAIN_S = 1.0
"""How soon a leader is asked for again."""

logger = logging.getLogger(__name__)


class PublishedResults:
    """The outputs of an app's matching table."""

    def __init__(self, app: Any, topics: Topics, table: BatchTable) -> None:
        self._app, self._table = app, table
        self._outputs = topics.reconciled, topics.mismatch

    async def read_back(self, tp: TP) -> AsyncIterator[int]:
        """Everything there is, so that the journal can be read again under whatever rules are in force now.

        Gives how many results were read, step by step.
        """
        logger.warning("%s[%s]: reading what was published of it from %s", *tp, ", ".join(sorted(self._outputs)))
        async for count in self._read(tp.partition, {}):
            yield count

    async def read_on(self, partition: int) -> None:
        """What is published and not in the partition's rows: a worker that died in between leaves such results.

        Under the same rules they would come again, byte for byte; under others with other verdicts.
        """
        while True:
            try:
                async for _ in self._read(partition, self._table.written(partition)):
                    await asyncio.sleep(0)
            except NoLeader as error:
                logger.warning("partition %d waits for what was published of it: %s has no leader", partition, error)
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _read(self, partition: int, known: Mapping[TP, Fingerprint]) -> AsyncIterator[int]:
        consumer = self._app.consumer
        tps = {TP(topic, partition) for topic in self._outputs}
        lows, highs = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        if missing := tps - (lows.keys() & highs.keys()):
            raise NoLeader(missing)
        first = {tp: max(lows[tp] or 0, known[tp].offset + 1 if tp in known else 0) for tp in tps}
        spans = {tp: range(first[tp], highs[tp]) for tp in tps if first[tp] < (highs[tp] or 0)}
        # Before any row says that a result is published: a worker that dies in between begins here again.
        async for count in self._complete(partition, spans):
            yield count
        async for _, step in self._steps(spans):
            changes: dict[bytes, bytes] = {}
            for result in outputs.newest(result for _, result in step):
                last = self._table.stored_row(partition, last_published.PREFIX + result.trade_id.encode())
                changes |= outputs.rows(result, last, partial(self._table.stored_values, partition))
            if changes:
                await self._table.put_rows(partition, changes)
            yield len(step)

    async def _complete(self, partition: int, spans: Mapping[TP, range]) -> AsyncIterator[int]:
        """Append what a worker that died had appended to one of the two outputs only."""
        half, known = HalfPublished(*self._outputs), set[str]()
        async for topic, step in self._steps(spans):
            for _, result in step:
                if result.trade_id not in known:
                    known.add(result.trade_id)
                    if row := self._table.stored_row(partition, last_published.PREFIX + result.trade_id.encode()):
                        last = last_published.decoded(row)
                        half.take_in(half.home(last.state.is_break), result.trade_id, last.version, last.state.is_break)
                half.take_in(topic, result.trade_id, result.last.version, result.last.state.is_break)
            yield len(step)
        if not half.lacking():
            return
        async for topic, step in self._steps(spans):
            for record, result in step:
                row_again = Outgoing(record.key, record.value)
                half.collect(topic, result.trade_id, result.last.version, result.last.state.is_break, row_again)
            yield len(step)
        for topic, rows in half.rows().items():
            logger.warning("%s[%d] lacks %d results that the other output has: appended", topic, partition, len(rows))
            await self._app.append(topic, partition, rows)

    async def _steps(self, spans: Mapping[TP, range]) -> AsyncIterator[tuple[str, Sequence[tuple[Record, Published]]]]:
        """The results there, each with its record, at most ``AT_ONCE`` of one topic at a time."""
        async for tp, records in self._app.transport.read(spans):
            for begun in range(0, len(records), AT_ONCE):
                step = records[begun : begun + AT_ONCE]
                yield tp.topic, [(record, published(record.value or b"")) for record in step]
