"""Standings on their way into the database: of each journal partition the newest."""

from typing import Any

from sqlalchemy import Connection

from traderecon.sink.messages import standing_of
from traderecon.sink.statements import Statements
from traderecon.sink.taken import Feed, Taken, at, wrote


def take_standings(connection: Connection, sql: Statements, feed: Feed) -> tuple[Taken, str]:
    """Write the newest standing of each partition; there is no chain, so its head stays."""
    newest: dict[int, tuple[Any, ...]] = {}
    for record in feed.records:
        standing = standing_of(feed.topic, feed.partition, record)
        newest[standing.partition] = (standing.partition, standing.watermark, *standing.waiting, at(record))
    return Taken(wrote(connection, sql.standing, [*newest.values()])), feed.head
