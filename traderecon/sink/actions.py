"""Write actions to the database, each once: decisions about dead letters, legal holds and changes of the rules.

The attempt number of a replay follows from the order on the topic: all actions on one record share a partition.
"""

from collections import Counter

import msgspec
from sqlalchemy import Connection

from traderecon.records.action import Action, DeadLetterAction, Deed, Hold, Release, RulesChange, decode_action
from traderecon.sink.chain import link
from traderecon.sink.columns import ActionColumns, RulesChangeColumns
from traderecon.sink.decoding import decode_record
from traderecon.sink.legal_holds import take_hold
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, appended_at, insert_rows
from traderecon.transport import Record

STORED = (DeadLetterAction, RulesChange, Hold, Release)
"""The kinds that have a table. Others are the business of their readers, whatever is in them."""

_ACTION_EXISTS = "SELECT 1 FROM dead_letter_actions WHERE action_id = ?"
_CHANGE_EXISTS = "SELECT 1 FROM rules_changes WHERE action_id = ?"
_REPLAYS = "SELECT count(*) FROM dead_letter_actions WHERE root = ? AND deed = 'replay'"


def write_actions(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the actions that are not stored yet; returns what was written and the new head of the chain."""
    rows: list[ActionColumns] = []
    seen: set[str] = set()
    replays: Counter[str] = Counter()
    head = feed.head
    for record in feed.records:
        action = decode_record(_decode_stored_action, feed.topic, feed.partition, record)
        if isinstance(action, RulesChange):
            _write_rules_change(connection, sql, feed, record, action)
            continue
        if isinstance(action, Hold | Release):
            take_hold(connection, action)
            continue
        if not isinstance(action, DeadLetterAction) or action.action_id in seen:
            continue
        if connection.exec_driver_sql(_ACTION_EXISTS, (action.action_id,)).first():
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
        rows.append(
            ActionColumns(
                action_id=action.action_id,
                deed=action.deed,
                letter=action.letter,
                root=action.root,
                attempt=attempt,
                by=action.by,
                at=action.at,
                reason=action.reason,
                action=content.decode(),
                topic=feed.topic,
                partition=feed.partition,
                offset=record.offset,
                chain=head,
            )
        )
    return WriteResult(insert_rows(connection, sql.action, rows)), head


def _decode_stored_action(value: bytes) -> Action | None:
    value.decode()  # the row stores the raw value as text, so it must be UTF-8
    return decode_action(value, STORED)


def _write_rules_change(
    connection: Connection, sql: Statements, feed: Feed, record: Record, change: RulesChange
) -> None:
    """Rules changes have no chain; the row names the message it came from."""
    if connection.exec_driver_sql(_CHANGE_EXISTS, (change.action_id,)).first():
        return
    row = RulesChangeColumns(
        action_id=change.action_id,
        journal_partition=change.partition,
        journal_offset=change.offset,
        before_sha256=change.before,
        after_sha256=change.after,
        difference=msgspec.json.encode(change.difference).decode(),
        at=appended_at(record),
        action=(record.value or b"").decode(),
        topic=feed.topic,
        partition=feed.partition,
        offset=record.offset,
    )
    insert_rows(connection, sql.rules_change, [row])
