"""Write dead letters to the database: each rejected record once, however often its dead letter is repeated."""

import logging

from sqlalchemy import Connection

from traderecon.records.dead_letter import decode_dead_letter
from traderecon.sink.chain import link
from traderecon.sink.columns import DeadLetterColumns
from traderecon.sink.decoding import decode_record
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, insert_rows

logger = logging.getLogger(__name__)

_DIGEST = "SELECT sha256 FROM dead_letters WHERE source_topic = ? AND source_partition = ? AND source_offset = ?"


def write_dead_letters(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the dead letters of records that have none yet; returns what was written and the new head of the chain.

    A recreated input topic may have another malformed record at an offset whose dead letter is stored: this is logged
    as an error.
    """
    rows: list[DeadLetterColumns] = []
    digests: dict[tuple[str, int, int], str | None] = {}
    head = feed.head
    for record in feed.records:
        dead_letter = decode_record(decode_dead_letter, feed.topic, feed.partition, record)
        origin = (dead_letter.topic, dead_letter.partition, dead_letter.offset)
        if origin not in digests and (row := connection.exec_driver_sql(_DIGEST, origin).first()) is not None:
            digests[origin] = row[0]
        if origin in digests:
            if digests[origin] != dead_letter.sha256:
                logger.error(
                    "%s[%d] offset %d: %s[%d] offset %d has the dead letter of another record in the database, from "
                    "before the topic was truncated or recreated: the new dead letter is on the topic only",
                    *(feed.topic, feed.partition, record.offset),
                    *origin,
                )
            continue
        digests[origin] = dead_letter.sha256
        head = link(head, feed.topic, feed.partition, record.offset, dead_letter.content)
        rows.append(
            DeadLetterColumns(
                code=dead_letter.code,
                text=dead_letter.text,
                source_topic=dead_letter.topic,
                source_partition=dead_letter.partition,
                source_offset=dead_letter.offset,
                received_at=dead_letter.received_at,
                sha256=dead_letter.sha256,
                size=dead_letter.size,
                key=dead_letter.key,
                raw=dead_letter.raw,
                truncated=dead_letter.truncated,
                topic=feed.topic,
                partition=feed.partition,
                offset=record.offset,
                chain=head,
                replay_of=dead_letter.replay_of,
                trade_id=dead_letter.trade_id,
            )
        )
    return WriteResult(insert_rows(connection, sql.dead_letter, rows)), head
