"""Partition statuses on their way into the database: of each journal partition the newest."""

from typing import Any

from sqlalchemy import Connection

from traderecon.records.partition_status import decode_status, to_columns
from traderecon.sink.decoding import decoded
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, at, wrote


def take_statuses(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the newest status of each partition; there is no chain, so its head stays."""
    newest: dict[int, tuple[Any, ...]] = {}
    for record in feed.records:
        status = decoded(decode_status, feed.topic, feed.partition, record)
        newest[status.partition] = (status.partition, status.watermark, *to_columns(status), at(record))
    return WriteResult(wrote(connection, sql.standing, [*newest.values()])), feed.head
