"""Decisions about dead letters: each is written to ``actions`` before it is carried out.

    read earlier decisions -> is one more allowed? -> append the action -> is it among the first three? -> send

The order in the topic decides between concurrent processes: one that finds three replays of a record before its own
sends nothing. A crash after the action uses up an attempt; a record sent twice is still a single leg.
"""

import uuid
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from traderecon.client.client import Client
from traderecon.clock import now_ns
from traderecon.records.action import MAX_REPLAYS, DeadLetterAction, Deed, decode_action, encode_action
from traderecon.records.dead_letter import REPLAY_ATTEMPT, REPLAY_OF, dead_letter_id
from traderecon.records.digest import sha256
from traderecon.records.formats import require_known_format
from traderecon.records.instants import iso
from traderecon.sink.rows import DeadLetterRecord
from traderecon.topics import Topics
from traderecon.transport.microbatch import Outgoing, partition_for


class Decision(NamedTuple):
    """What to do with dead letters, who decided it, and why."""

    deed: Deed
    by: str
    reason: str


class Outcome(NamedTuple):
    """The outcome for one dead letter: ``attempt`` counts the replays of its record, ``why_not`` is empty if done."""

    letter: str
    attempt: int | None = None
    why_not: str = ""


class _DeadLetter(NamedTuple):
    id: str
    root: str
    record: DeadLetterRecord


class Decider:
    """Carries out decisions on a log; ``dry``: reports what it would do, and writes nothing."""

    def __init__(self, client: Client, names: Topics, *, dry: bool = False) -> None:
        self._client, self._names, self._dry = client, names, dry
        self._actions: dict[str, list[DeadLetterAction]] = {}
        self._next_offsets: dict[int, int] = {}

    async def decide(self, decision: Decision, records: Sequence[DeadLetterRecord]) -> list[Outcome]:
        """One outcome per dead letter, in their order; raises ``ClientError``."""
        partitions = (await self._client.topics()).get(self._names.actions, 1)
        dead_letters = [_dead_letter(record) for record in records]
        outcomes: dict[str, Outcome] = {}
        new_actions: dict[str, DeadLetterAction] = {}
        await self._read_actions({partition_for(dead_letter.root.encode(), partitions) for dead_letter in dead_letters})
        for dead_letter in dead_letters:
            pending = sum(action.root == dead_letter.root for action in new_actions.values())
            if why_not := self._why_not(decision.deed, dead_letter, pending):
                outcomes[dead_letter.id] = Outcome(dead_letter.id, None, why_not)
                continue
            by, reason = decision.by, decision.reason
            action = DeadLetterAction(
                uuid.uuid4().hex, decision.deed, dead_letter.id, dead_letter.root, by, iso(now_ns()), reason
            )
            new_actions[dead_letter.id] = action
            if self._dry:
                attempt = len(_replays(self._actions.get(dead_letter.root, ()))) + pending + 1
                outcomes[dead_letter.id] = Outcome(dead_letter.id, attempt)
        if new_actions and not self._dry:
            allowed = [dead_letter for dead_letter in dead_letters if dead_letter.id in new_actions]
            outcomes |= await self._carry_out(allowed, new_actions, partitions)
        return [outcomes[dead_letter.id] for dead_letter in dead_letters]

    async def _carry_out(
        self, dead_letters: Sequence[_DeadLetter], actions: Mapping[str, DeadLetterAction], partitions: int
    ) -> dict[str, Outcome]:
        """Append the actions, read them back, and send the records of those among the first three."""
        rows: dict[int, list[Outgoing]] = defaultdict(list)
        for dead_letter in dead_letters:
            action = actions[dead_letter.id]
            rows[partition_for(action.key, partitions)].append(Outgoing(action.key, encode_action(action)))
        for partition, batch in rows.items():
            await self._client.append(self._names.actions, partition, batch)
        await self._read_actions(rows.keys())
        outcomes = {}
        outbox: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for dead_letter in dead_letters:
            action = actions[dead_letter.id]
            if action.deed is Deed.DISCARD:
                outcomes[dead_letter.id] = Outcome(dead_letter.id)
                continue
            replays = [replay.action_id for replay in _replays(self._actions[dead_letter.root])]
            attempt = replays.index(action.action_id) + 1
            if attempt > MAX_REPLAYS:
                outcomes[dead_letter.id] = Outcome(dead_letter.id, None, "another process replayed it at the same time")
                continue
            row = dead_letter.record.row
            outbox[row.source_topic, row.source_partition].append(_replayed_record(dead_letter, attempt))
            outcomes[dead_letter.id] = Outcome(dead_letter.id, attempt)
        for tp, batch in outbox.items():
            await self._client.append(*tp, batch)
        return outcomes

    def _why_not(self, deed: Deed, dead_letter: _DeadLetter, pending: int) -> str:
        """Why the decision is not allowed for a dead letter; empty if it is."""
        row = dead_letter.record.row
        earlier = self._actions.get(dead_letter.root, [])
        if discards := [
            action for action in earlier if action.deed is Deed.DISCARD and action.letter == dead_letter.id
        ]:
            return f"it was discarded by {discards[-1].by} at {discards[-1].at}: {discards[-1].reason}"
        if deed is Deed.DISCARD:
            return ""
        if row.source_topic not in {*self._names.inputs, self._names.legs}:
            return f"{row.source_topic} is not an input: fix the stage that wrote it, then rebuild the database"
        if row.truncated:
            return "its record was truncated (over 64 kB): ask its sender to send it again in smaller records"
        if _sha256(bytes_of(dead_letter.record.raw)) != row.sha256:
            return "its record was changed in the database after it was rejected: run `traderecon audit verify`"
        if len(_replays(earlier)) + pending >= MAX_REPLAYS:
            return f"it was replayed {MAX_REPLAYS} times: ask its sender to correct and resend it, or discard it"
        return ""

    async def _read_actions(self, partitions: Iterable[int]) -> None:
        """Read the actions appended since the last call."""
        for partition in sorted(set(partitions)):
            start = self._next_offsets.get(partition, 0)
            async for records in self._client.read(self._names.actions, partition, start):
                for record in records:
                    action = _decode(record.value or b"")
                    if action is not None:
                        actions = self._actions.setdefault(action.root, [])
                        if all(earlier.action_id != action.action_id for earlier in actions):
                            actions.append(action)
                    self._next_offsets[partition] = record.offset + 1


def _decode(value: bytes) -> DeadLetterAction | None:
    """The action in a record; None for any other record, which the sink reports. OtherFormat."""
    try:
        action = decode_action(value)
    except msgspec.MsgspecError:
        require_known_format(value)
        return None
    return action if isinstance(action, DeadLetterAction) else None


def _dead_letter(record: DeadLetterRecord) -> _DeadLetter:
    row = record.row
    return _DeadLetter(dead_letter_id(row.source_topic, row.source_partition, row.source_offset), record.root, record)


def _replays(actions: Iterable[DeadLetterAction]) -> list[DeadLetterAction]:
    return [action for action in actions if action.deed is Deed.REPLAY]


def _replayed_record(dead_letter: _DeadLetter, attempt: int) -> Outgoing:
    """The unchanged record, with headers that name its origin."""
    headers = ((REPLAY_OF, dead_letter.root.encode()), (REPLAY_ATTEMPT, b"%d" % attempt))
    return Outgoing(bytes_of(dead_letter.record.key), bytes_of(dead_letter.record.raw), None, headers)


def bytes_of(base64: str | None) -> bytes | None:
    """Decode a base64 cell; b"" if the cell was tampered with, which then fails the sha256 check."""
    try:
        return None if base64 is None else b64decode(base64)
    except ValueError:
        return b""


def _sha256(value: bytes | None) -> str | None:
    return None if value is None else sha256(value)
