"""Write dead letters to the database: each rejected record once, however often its dead letter is repeated."""

import logging
from typing import Any

from sqlalchemy import Connection

from traderecon.records.dead_letter import decode_dead_letter
from traderecon.sink.chain import link
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
    rows: list[tuple[Any, ...]] = []
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
            (
                dead_letter.code,
                dead_letter.text,
                *origin,
                dead_letter.received_at,
                dead_letter.sha256,
                dead_letter.size,
                dead_letter.key,
                dead_letter.raw,
                dead_letter.truncated,
                feed.topic,
                feed.partition,
                record.offset,
                head,
                dead_letter.replay_of,
            )
        )
    return WriteResult(insert_rows(connection, sql.dead_letter, rows)), head
