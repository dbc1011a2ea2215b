"""Dead letters on their way into the database: each rejected record once, however often its letter comes."""

from typing import Any

from sqlalchemy import Connection

from traderecon.sink.chain import link
from traderecon.sink.messages import letter_of
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, wrote

_KNOWN = "SELECT 1 FROM dead_letters WHERE source_topic = ? AND source_partition = ? AND source_offset = ?"


def take_letters(connection: Connection, sql: Statements, feed: Feed) -> tuple[Taken, str]:
    """Write the letters of records that have none yet; gives what came of it, and the chain's new head."""
    rows: list[tuple[Any, ...]] = []
    seen: set[tuple[str, int, int]] = set()
    head = feed.head
    for record in feed.records:
        letter = letter_of(feed.topic, feed.partition, record)
        origin = (letter.topic, letter.partition, letter.offset)
        if origin in seen or connection.exec_driver_sql(_KNOWN, origin).first():
            continue
        seen.add(origin)
        head = link(head, feed.topic, feed.partition, record.offset, letter.content)
        rows.append(
            (
                letter.code,
                letter.text,
                *origin,
                letter.received_at,
                letter.sha256,
                letter.size,
                letter.key,
                letter.raw,
                letter.truncated,
                feed.topic,
                feed.partition,
                record.offset,
                head,
                letter.replay_of,
            )
        )
    return Taken(wrote(connection, sql.letter, rows)), head
