"""Actions on their way into the database: what people decided about dead letters, each decision once.

Which attempt a replay is follows from the order of the topic: all that concerns one record is in one partition.
"""

from collections import Counter
from typing import Any

from sqlalchemy import Connection

from traderecon.records.action import Deed
from traderecon.sink.chain import link
from traderecon.sink.messages import action_told
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, wrote

_KNOWN = "SELECT 1 FROM dead_letter_actions WHERE action_id = ?"
_REPLAYS = "SELECT count(*) FROM dead_letter_actions WHERE root = ? AND deed = 'replay'"


def take_actions(connection: Connection, sql: Statements, feed: Feed) -> tuple[Taken, str]:
    """Write the actions that are not there yet; gives what came of it, and the chain's new head."""
    rows: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    replays: Counter[str] = Counter()
    head = feed.head
    for record in feed.records:
        action = action_told(feed.topic, feed.partition, record)
        if action is None or action.action_id in seen:
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
    return Taken(wrote(connection, sql.action, rows)), head
