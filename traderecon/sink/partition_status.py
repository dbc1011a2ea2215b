"""Write partition statuses: the newest of each journal partition."""

from sqlalchemy import Connection

from traderecon.records.partition_status import decode_status, to_columns
from traderecon.sink.columns import StatusColumns
from traderecon.sink.decoding import decode_record
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, appended_at, insert_rows


def write_statuses(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the newest status of each partition. The topic has no chain, so its head stays the same."""
    newest: dict[int, StatusColumns] = {}
    for record in feed.records:
        status = decode_record(decode_status, feed.topic, feed.partition, record)
        newest[status.partition] = StatusColumns(
            status.partition, status.watermark, *to_columns(status), appended_at(record), status.orphans
        )
    return WriteResult(insert_rows(connection, sql.partition_status, [*newest.values()])), feed.head
