"""Actions on their way into the database: what people decided about dead letters, and changes of the rules, each once.

Which attempt a replay is follows from the order of the topic: all that concerns one record is in one partition.
"""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records.action import Action, DeadLetterAction, Deed, Hold, Release, RulesChange, decode_action
from traderecon.sink.chain import link
from traderecon.sink.decoding import decoded
from traderecon.sink.legal_holds import take_hold
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, at, wrote
from traderecon.transport import Record

_KNOWN = "SELECT 1 FROM dead_letter_actions WHERE action_id = ?"
_KNOWN_CHANGE = "SELECT 1 FROM rules_changes WHERE action_id = ?"
_REPLAYS = "SELECT count(*) FROM dead_letter_actions WHERE root = ? AND deed = 'replay'"


def take_actions(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the actions that are not there yet; gives what came of it, and the chain's new head."""
    rows: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    replays: Counter[str] = Counter()
    head = feed.head
    for record in feed.records:
        action = decoded(_action, feed.topic, feed.partition, record)
        if isinstance(action, RulesChange):
            _take_change(connection, sql, feed, record, action)
            continue
        if isinstance(action, Hold | Release):
            take_hold(connection, action)
            continue
        if not isinstance(action, DeadLetterAction) or action.action_id in seen:
            continue
        if connection.exec_driver_sql(_KNOWN, (action.action_id,)).first():
            continue
        seen.add(action.action_id)
        attempt = None
        if action.deed is Deed.REPLAY:
            if action.root not in replays:
                replays[action.root] = connection.exec_driver_sql(_REPLAYS, (action.root,)).scalar_one()
            replays[action.root] += 1
            attempt = replays[action.root]
        content = record.value or b""
        head = link(head, feed.topic, feed.partition, record.offset, content)
        said = (action.action_id, action.deed, action.letter, action.root, attempt, action.by, action.at, action.reason)
        rows.append((*said, content.decode(), feed.topic, feed.partition, record.offset, head))
    return WriteResult(wrote(connection, sql.action, rows)), head


def _action(value: bytes) -> Action | None:
    value.decode()  # it is stored as it came
    return decode_action(value)


def _take_change(connection: Connection, sql: Statements, feed: Feed, record: Record, change: RulesChange) -> None:
    """A change of the rules has no chain; its row says which message it is."""
    if connection.exec_driver_sql(_KNOWN_CHANGE, (change.action_id,)).first():
        return
    said = (change.action_id, change.partition, change.offset, change.before, change.after)
    difference = msgspec.json.encode(change.difference).decode()
    content = (record.value or b"").decode()
    wrote(
        connection,
        sql.rules_change,
        [(*said, difference, at(record), content, feed.topic, feed.partition, record.offset)],
    )
