"""Purge the database, in steps that may be interrupted anywhere and run again.

    decision on ``actions``  ->  trades, some at a time  ->  [checkpoints published -> rows removed], repeatedly

Workers may keep running: a purge only touches rows that the sink no longer writes, in short transactions.
"""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET, UnsetType
from sqlalchemy import Engine

from traderecon.audit.checkpoint_files import append
from traderecon.client.client import Client
from traderecon.records.action import Hold, Purge, Release, encode_action
from traderecon.records.checkpoint import Checkpoint
from traderecon.sink.database_id import current_id
from traderecon.sink.purge import Plan, Removal, Step, next_removal, plan_purge, purge_next, remove
from traderecon.topics import Topics
from traderecon.transport import Outgoing
from traderecon.transport.errors import NotAccepted
from traderecon.transport.microbatch import partition_for

_FIRST_OFFSET = "SELECT first_offset FROM beginnings WHERE topic = ? AND partition = ?"
_NEXT_OFFSETS = "SELECT partition, next_offset FROM sink_offsets WHERE topic = ?"


class Purging(NamedTuple):
    """A purge of one database, with its log and topics and its checkpoint file; ``moment``: now as ISO 8601 UTC."""

    engine: Engine
    client: Client
    names: Topics
    checkpoints: Path
    moment: Callable[[], str]
    sign: Callable[[Checkpoint], Checkpoint] = lambda checkpoint: checkpoint

    async def purge(self, before: str, by: str, reason: str, advance: Callable[[int], None]) -> Plan:
        """Purge the purgeable trades older than ``before``; returns what was purged. ClientError, StoreError, OSError.

        ``advance`` is called with the number of results after each step.
        """
        await self._require_all_decisions()
        plan = await asyncio.to_thread(self.plan, before)
        decision = Purge(uuid.uuid4().hex, before, plan.trades, plan.results, by, self.moment(), reason)
        if plan.trades:
            await decide(self.client, self.names, decision)
        trades = results = 0
        after: str | None = ""
        while after is not None:
            step = await asyncio.to_thread(self._step, before, after)
            trades, results, after = trades + step.trades, results + step.results, step.after or None
            advance(step.results)
        while (removal := await asyncio.to_thread(self._next_removal)) is not None:
            await self._publish_checkpoints(removal)
            await asyncio.to_thread(self._remove, removal)
        return plan._replace(trades=trades, results=results)

    def plan(self, before: str) -> Plan:
        """What a purge would delete."""
        with self.engine.connect() as connection:
            return plan_purge(connection, before)

    async def _require_all_decisions(self) -> None:
        """NotAccepted if the sink has not stored every decision yet: a legal hold may be among them."""
        ends = await self.client.ends(self.names.actions)
        stored = await asyncio.to_thread(self._stored_decisions)
        if behind := [partition for partition, end in ends.items() if stored.get(partition, 0) < end]:
            raise NotAccepted(
                f"{self.names.actions}[{behind[0]}] has decisions that are not in the database yet, perhaps a legal "
                "hold: let a worker with the sink catch up, then purge"
            )

    def _stored_decisions(self) -> dict[int, int]:
        """The next offset of each partition of the actions."""
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql(_NEXT_OFFSETS, (self.names.actions,)).all()
        return {int(row[0]): int(row[1]) for row in rows}

    def _step(self, before: str, after: str) -> Step:
        with self.engine.execution_options(writes=True).begin() as connection:
            return purge_next(connection, before, after)

    def _next_removal(self) -> Removal | None:
        with self.engine.connect() as connection:
            return next_removal(connection)

    async def _publish_checkpoints(self, removal: Removal) -> None:
        checkpoints = [
            self.sign(
                Checkpoint(
                    *(start.topic, start.partition, start.next_offset, start.head, start.rows, start.last_row),
                    self.moment(),
                    first=await asyncio.to_thread(self._first_offset, start.topic, start.partition),
                    database=await asyncio.to_thread(self._database_id),
                )
            )
            for start in removal.starts
        ]
        await asyncio.to_thread(append, self.checkpoints, checkpoints)
        for checkpoint in checkpoints:
            message = Outgoing(checkpoint.key, checkpoint.line)
            await self.client.append(self.names.checkpoints, checkpoint.partition, [message])

    def _first_offset(self, topic: str, partition: int) -> int | UnsetType:
        with self.engine.connect() as connection:
            row = connection.exec_driver_sql(_FIRST_OFFSET, (topic, partition)).first()
        return UNSET if row is None else int(row[0])

    def _database_id(self) -> str | UnsetType:
        with self.engine.connect() as connection:
            return current_id(connection) or UNSET

    def _remove(self, removal: Removal) -> None:
        with self.engine.execution_options(writes=True).begin() as connection:
            if next_removal(connection) == removal:  # otherwise another purge was faster: plan again
                remove(connection, removal)


async def decide(client: Client, names: Topics, decision: Hold | Release | Purge) -> None:
    """Write a decision to the topic of actions, from where the sink stores it. ClientError."""
    partition = partition_for(decision.key, (await client.topics()).get(names.actions, 1))
    await client.append(names.actions, partition, [Outgoing(decision.key, encode_action(decision))])
