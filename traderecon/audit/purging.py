"""A purge of the database, in the order in which it can be cut off anywhere: said, done trade by trade, then removed.

    decision on ``actions``  ->  trades, some at a time  ->  [checkpoints published -> rows removed], again and again

Workers may run: a purge touches only what the sink has finished with, in short transactions of its own.
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
from traderecon.sink.database_id import found_id
from traderecon.sink.purge import Plan, Removal, Step, planned, purged, removal, remove
from traderecon.topics import Topics
from traderecon.transport import Outgoing
from traderecon.transport.errors import NotAccepted
from traderecon.transport.microbatch import partition_for

_BEGUN = "SELECT first_offset FROM beginnings WHERE topic = ? AND partition = ?"
_READ = "SELECT partition, next_offset FROM sink_offsets WHERE topic = ?"


class Purging(NamedTuple):
    """Where a purge works: the database, its log and topics, the file of checkpoints; ``moment``: ISO 8601 UTC."""

    engine: Engine
    client: Client
    names: Topics
    checkpoints: Path
    moment: Callable[[], str]
    sign: Callable[[Checkpoint], Checkpoint] = lambda checkpoint: checkpoint

    async def purge(self, before: str, by: str, reason: str, advance: Callable[[int], None]) -> Plan:
        """Take everything older than ``before`` that may go; what was taken. ClientError, StoreError, OSError."""
        await self._holds_are_known()
        plan = await asyncio.to_thread(self.plan, before)
        said = Purge(uuid.uuid4().hex, before, plan.trades, plan.results, by, self.moment(), reason)
        if plan.trades:
            await decide(self.client, self.names, said)
        trades = results = 0
        after: str | None = ""
        while after is not None:
            step = await asyncio.to_thread(self._step, before, after)
            trades, results, after = trades + step.trades, results + step.results, step.after or None
            advance(step.results)
        while (rows := await asyncio.to_thread(self._removal)) is not None:
            await self._publish(rows)
            await asyncio.to_thread(self._remove, rows)
        return plan._replace(trades=trades, results=results)

    def plan(self, before: str) -> Plan:
        """What would be taken."""
        with self.engine.connect() as connection:
            return planned(connection, before)

    async def _holds_are_known(self) -> None:
        """NotAccepted where the sink has not read every decision yet: a legal hold may be among them."""
        ends = await self.client.ends(self.names.actions)
        stored = await asyncio.to_thread(self._decisions_read)
        if behind := [number for number, end in ends.items() if stored.get(number, 0) < end]:
            raise NotAccepted(
                f"{self.names.actions}[{behind[0]}] has decisions the database does not know yet, perhaps a legal "
                "hold: let a worker with the sink catch up, then purge"
            )

    def _decisions_read(self) -> dict[int, int]:
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql(_READ, (self.names.actions,)).all()
        return {int(row[0]): int(row[1]) for row in found}

    def _step(self, before: str, after: str) -> Step:
        with self.engine.execution_options(writes=True).begin() as connection:
            return purged(connection, before, after)

    def _removal(self) -> Removal | None:
        with self.engine.connect() as connection:
            return removal(connection)

    async def _publish(self, rows: Removal) -> None:
        told = [
            self.sign(
                Checkpoint(
                    *(one.topic, one.partition, one.next_offset, one.head, one.rows, one.last_row, self.moment()),
                    first=await asyncio.to_thread(self._begun, one.topic, one.partition),
                    database=await asyncio.to_thread(self._database),
                )
            )
            for one in rows.starts
        ]
        await asyncio.to_thread(append, self.checkpoints, told)
        for one in told:
            await self.client.append(self.names.checkpoints, one.partition, [Outgoing(one.key, one.line)])

    def _begun(self, topic: str, partition: int) -> int | UnsetType:
        with self.engine.connect() as connection:
            found = connection.exec_driver_sql(_BEGUN, (topic, partition)).first()
        return UNSET if found is None else int(found[0])

    def _database(self) -> str | UnsetType:
        with self.engine.connect() as connection:
            return found_id(connection) or UNSET

    def _remove(self, rows: Removal) -> None:
        with self.engine.execution_options(writes=True).begin() as connection:
            if removal(connection) == rows:  # else another purge was first: look again
                remove(connection, rows)


async def decide(client: Client, names: Topics, decision: Hold | Release | Purge) -> None:
    """Write a decision to the topic of actions, where the database finds it. ClientError."""
    place = partition_for(decision.key, (await client.topics()).get(names.actions, 1))
    await client.append(names.actions, place, [Outgoing(decision.key, encode_action(decision))])
