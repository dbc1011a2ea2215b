"""Decisions about dead letters: each is written to ``actions`` first, and only then done.

    what was decided so far -> is one more allowed? -> the action, acknowledged -> is it one of the first three? -> send

The order of the topic decides, and nobody can pass it by: whoever finds three replays of a record before his own sends
nothing. Who dies between action and record has used up an attempt; what is sent twice is one leg all the same.
"""

import uuid
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from traderecon.client.client import Client
from traderecon.clock import now_ns
from traderecon.records.action import MOST_REPLAYS, DeadLetterAction, Deed, decode_action, encode_action
from traderecon.records.dead_letter import REPLAY_ATTEMPT, REPLAY_OF, dead_letter_id
from traderecon.records.digest import sha256
from traderecon.records.formats import known
from traderecon.records.instants import iso
from traderecon.sink.rows import SentRecord
from traderecon.topics import Topics
from traderecon.transport.microbatch import Outgoing, partition_for


class Decision(NamedTuple):
    """What a person wants done, and who it is."""

    deed: Deed
    by: str
    reason: str


class Outcome(NamedTuple):
    """What became of it for one letter; ``attempt`` counts the replays of its record. ``why_not``: empty where done."""

    letter: str
    attempt: int | None = None
    why_not: str = ""


class _Asked(NamedTuple):
    letter: str
    root: str
    sent: SentRecord


class Decider:
    """Decides on a log; ``dry``: says what would be done, and writes nothing."""

    def __init__(self, client: Client, names: Topics, *, dry: bool = False) -> None:
        self._client, self._names, self._dry = client, names, dry
        self._so_far: dict[str, list[DeadLetterAction]] = {}
        self._read_to: dict[int, int] = {}

    async def decide(self, decision: Decision, letters: Sequence[SentRecord]) -> list[Outcome]:
        """One outcome per letter, in their order; raises ``ClientError``."""
        partitions = (await self._client.topics()).get(self._names.actions, 1)
        asked = [_asked(sent) for sent in letters]
        outcomes: dict[str, Outcome] = {}
        written: dict[str, DeadLetterAction] = {}
        await self._catch_up({partition_for(one.root.encode(), partitions) for one in asked})
        for one in asked:
            under_way = sum(action.root == one.root for action in written.values())
            if why_not := self._why_not(decision.deed, one, under_way):
                outcomes[one.letter] = Outcome(one.letter, None, why_not)
                continue
            by, reason = decision.by, decision.reason
            action = DeadLetterAction(uuid.uuid4().hex, decision.deed, one.letter, one.root, by, iso(now_ns()), reason)
            written[one.letter] = action
            if self._dry:
                outcomes[one.letter] = Outcome(
                    one.letter, len(_replays(self._so_far.get(one.root, ()))) + under_way + 1
                )
        if written and not self._dry:
            outcomes |= await self._done([one for one in asked if one.letter in written], written, partitions)
        return [outcomes[one.letter] for one in asked]

    async def _done(
        self, asked: Sequence[_Asked], written: Mapping[str, DeadLetterAction], partitions: int
    ) -> dict[str, Outcome]:
        """Write the actions, see which of them count, and send what they ask for."""
        rows: dict[int, list[Outgoing]] = defaultdict(list)
        for one in asked:
            action = written[one.letter]
            rows[partition_for(action.key, partitions)].append(Outgoing(action.key, encode_action(action)))
        for partition, some in rows.items():
            await self._client.append(self._names.actions, partition, some)
        await self._catch_up(rows.keys())
        outcomes = {}
        outbox: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for one in asked:
            action = written[one.letter]
            if action.deed is Deed.DISCARD:
                outcomes[one.letter] = Outcome(one.letter)
                continue
            attempt = [each.action_id for each in _replays(self._so_far[one.root])].index(action.action_id) + 1
            if attempt > MOST_REPLAYS:
                outcomes[one.letter] = Outcome(one.letter, None, "somebody else replayed it in the same moment")
                continue
            outbox[one.sent.row.source_topic, one.sent.row.source_partition].append(_again(one, attempt))
            outcomes[one.letter] = Outcome(one.letter, attempt)
        for place, some in outbox.items():
            await self._client.append(*place, some)
        return outcomes

    def _why_not(self, deed: Deed, one: _Asked, under_way: int) -> str:
        """Why it cannot be done with a letter; empty where it can."""
        row = one.sent.row
        so_far = self._so_far.get(one.root, [])
        if discarded := [each for each in so_far if each.deed is Deed.DISCARD and each.letter == one.letter]:
            return f"it was discarded by {discarded[-1].by} at {discarded[-1].at}: {discarded[-1].reason}"
        if deed is Deed.DISCARD:
            return ""
        if row.source_topic not in {*self._names.inputs, self._names.legs}:
            return f"{row.source_topic} is written by us: mend what wrote it, then rebuild the database from the topics"
        if row.truncated:
            return "it is kept in part only (over 64 kB): have its sender send it again, in smaller records"
        if _sha256(bytes_of(one.sent.raw)) != row.sha256:
            return "its bytes are not those that were rejected: the database was changed, see `traderecon audit verify`"
        if len(_replays(so_far)) + under_way >= MOST_REPLAYS:
            return f"it was replayed {MOST_REPLAYS} times: have its sender mend and send it, or discard it"
        return ""

    async def _catch_up(self, partitions: Iterable[int]) -> None:
        """Read what was decided since the last time."""
        for partition in sorted(set(partitions)):
            async for records in self._client.read(self._names.actions, partition, self._read_to.get(partition, 0)):
                for record in records:
                    action = _decided(record.value or b"")
                    if action is not None:
                        known = self._so_far.setdefault(action.root, [])
                        if all(each.action_id != action.action_id for each in known):
                            known.append(action)
                    self._read_to[partition] = record.offset + 1


def _decided(value: bytes) -> DeadLetterAction | None:
    """The action in a record; what is none, the sink puts aside, and is passed over. OtherFormat."""
    try:
        action = decode_action(value)
    except msgspec.MsgspecError:
        known(value)
        return None
    return action if isinstance(action, DeadLetterAction) else None


def _asked(sent: SentRecord) -> _Asked:
    letter = dead_letter_id(sent.row.source_topic, sent.row.source_partition, sent.row.source_offset)
    return _Asked(letter, sent.root, sent)


def _replays(actions: Iterable[DeadLetterAction]) -> list[DeadLetterAction]:
    return [action for action in actions if action.deed is Deed.REPLAY]


def _again(one: _Asked, attempt: int) -> Outgoing:
    """The record as it was, with what tells where it comes from."""
    headers = ((REPLAY_OF, one.root.encode()), (REPLAY_ATTEMPT, b"%d" % attempt))
    return Outgoing(bytes_of(one.sent.key), bytes_of(one.sent.raw), None, headers)


def bytes_of(base64: str | None) -> bytes | None:
    """A cell of base64; b"" where somebody made something else of it, which no letter's sha256 fits."""
    try:
        return None if base64 is None else b64decode(base64)
    except ValueError:
        return b""


def _sha256(value: bytes | None) -> str | None:
    return None if value is None else sha256(value)
