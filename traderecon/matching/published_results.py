"""Read published results back into the matching table, so that no version is ever published with two verdicts.

read_back(TP("legs", 2))   the table lost rows that its group had committed: reads everything in the outputs
read_on(2)                 other rules judged the last batch: reads what was published after the table's rows
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from faust.types import TP

from traderecon.records.result_message import PublishedResult, decode_published
from traderecon.tables import BatchTable, HalfPublishedResults, last_published, outputs
from traderecon.topics import Topics
from traderecon.transport.catch_up import NoLeader
from traderecon.transport.fingerprint import Fingerprint
from traderecon.transport.microbatch import Outgoing, Record

STEP = 500
"""Results are read in steps of this many; each step blocks the event loop."""
LEADER_RETRY_S = 1.0
"""How long to wait before a partition without a leader is read again."""

logger = logging.getLogger(__name__)


class ResultReader:
    """The results of an app's matching table in its output topics."""

    def __init__(self, app: Any, topics: Topics, table: BatchTable) -> None:
        self._app, self._table = app, table
        self._outputs = topics.reconciled, topics.mismatch

    async def read_back(self, tp: TP) -> AsyncIterator[int]:
        """Read every result of a journal partition, so that it can be judged again under any rules.

        Yields the number of results read, step by step.
        """
        logger.warning("%s[%s]: reading its published results back from %s", *tp, ", ".join(sorted(self._outputs)))
        async for count in self._read(tp.partition, {}):
            yield count

    async def read_on(self, partition: int) -> None:
        """Read the results that a worker published before it died, and did not write to the partition's rows.

        Under the same rules they would be published again, byte for byte; under others with other verdicts.
        """
        while True:
            try:
                async for _ in self._read(partition, self._table.write_marks(partition)):
                    await asyncio.sleep(0)
            except NoLeader as error:
                logger.warning("partition %d waits to read its published results: %s has no leader", partition, error)
                await asyncio.sleep(LEADER_RETRY_S)
            else:
                return

    async def _read(self, partition: int, written: Mapping[TP, Fingerprint]) -> AsyncIterator[int]:
        """Store the results after the last record ``written`` to each output, in both outputs and in the table."""
        consumer = self._app.consumer
        tps = {TP(topic, partition) for topic in self._outputs}
        starts, ends = await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)
        if missing := tps - (starts.keys() & ends.keys()):
            raise NoLeader(missing)
        first = {tp: max(starts[tp] or 0, written[tp].offset + 1 if tp in written else 0) for tp in tps}
        spans = {tp: range(first[tp], ends[tp]) for tp in tps if first[tp] < (ends[tp] or 0)}
        # Complete the outputs before any row marks a result as published: after a crash this starts again.
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
        """Append each result that is in only one of the two outputs it belongs to: the worker died in between."""
        half, seen = HalfPublishedResults(*self._outputs), set[str]()
        async for topic, step in self._steps(spans):
            for _, result in step:
                if result.trade_id not in seen:
                    seen.add(result.trade_id)
                    if stored := self._table.stored_row(partition, last_published.PREFIX + result.trade_id.encode()):
                        last = last_published.decode(stored)
                        half.add(
                            half.own_topic(last.state.is_break), result.trade_id, last.version, last.state.is_break
                        )
                half.add(topic, result.trade_id, result.last.version, result.last.state.is_break)
            yield len(step)
        if not half.find_missing():
            return
        async for topic, step in self._steps(spans):
            for record, result in step:
                row = Outgoing(record.key, record.value)
                half.collect(topic, result.trade_id, result.last.version, result.last.state.is_break, row)
            yield len(step)
        for topic, rows in half.rows().items():
            logger.warning("%s[%d]: appending %d results that only the other output has", topic, partition, len(rows))
            await self._app.append(topic, partition, rows)

    async def _steps(
        self, spans: Mapping[TP, range]
    ) -> AsyncIterator[tuple[str, Sequence[tuple[Record, PublishedResult]]]]:
        """The results in these offsets, each with its record: one topic at a time, at most ``STEP`` results."""
        async for tp, records in self._app.transport.read(spans):
            for start in range(0, len(records), STEP):
                step = records[start : start + STEP]
                yield tp.topic, [(record, decode_published(record.value or b"")) for record in step]
