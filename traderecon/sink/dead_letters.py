"""Dead letters on their way into the database: each rejected record once, however often its letter comes."""

import logging
from typing import Any

from sqlalchemy import Connection

from traderecon.records.dead_letter import decode_dead_letter
from traderecon.sink.chain import link
from traderecon.sink.decoding import decoded
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, wrote

logger = logging.getLogger(__name__)

_KNOWN = "SELECT sha256 FROM dead_letters WHERE source_topic = ? AND source_partition = ? AND source_offset = ?"


def take_dead_letters(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Write the letters of records that have none yet; gives what came of it, and the chain's new head.

    An input that was made anew may have another malformed record where the letter of one is stored: an error is logged.
    """
    rows: list[tuple[Any, ...]] = []
    digests: dict[tuple[str, int, int], str | None] = {}
    head = feed.head
    for record in feed.records:
        letter = decoded(decode_dead_letter, feed.topic, feed.partition, record)
        origin = (letter.topic, letter.partition, letter.offset)
        if origin not in digests and (row := connection.exec_driver_sql(_KNOWN, origin).first()) is not None:
            digests[origin] = row[0]
        if origin in digests:
            if digests[origin] != letter.sha256:
                logger.error(
                    "%s[%d] offset %d: %s[%d] offset %d has the dead letter of another record in the database, from "
                    "before the topic was cut or made anew: this one is on the topic only",
                    *(feed.topic, feed.partition, record.offset),
                    *origin,
                )
            continue
        digests[origin] = letter.sha256
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
    return WriteResult(wrote(connection, sql.letter, rows)), head
