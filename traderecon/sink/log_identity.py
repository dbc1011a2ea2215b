"""The log that the database's offsets belong to. On another log they would skip records unnoticed.

bind(connection, path, cluster, prefix)  ->  True if the database had offsets but no log on record
"""

from sqlalchemy import Connection

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError
from traderecon.topics import Topics, topics

_LOG = "SELECT cluster, topic_prefix FROM log_identity"
_INSERT = "INSERT INTO log_identity (id, cluster, topic_prefix) VALUES (1, ?, ?)"
_HAS_OFFSETS = "SELECT EXISTS (SELECT 1 FROM sink_offsets)"
TOPIC_PREFIX = """
SELECT coalesce(
    (SELECT topic_prefix FROM log_identity),
    (SELECT substr(topic, 1, length(topic) - length('reconciled')) FROM sink_offsets WHERE topic LIKE '%reconciled'),
    ''
)
"""
"""Of a database from before its log was recorded, by the topics it has read."""


def is_bound(connection: Connection, path: str, cluster: str, topic_prefix: str) -> bool:
    """Whether the database is bound to this log; False if it is bound to none. StoreError: bound to another."""
    row = connection.exec_driver_sql(_LOG).first()
    if row is None:
        return False
    for what, setting, stored, configured in (
        ("cluster", "TRADERECON_BROKER", row[0], cluster),
        ("topic prefix", "TRADERECON_TOPIC_PREFIX", row[1], topic_prefix),
    ):
        if stored != configured:
            raise StoreError(
                Exit.CONFIG,
                f"{path} belongs to the {what} {stored!r}, and {setting} leads to {configured!r}: its offsets would "
                f"skip records there. Correct {setting}, or name another database in TRADERECON_DATABASE_URL: a new "
                "one is filled from the topics",
            )
    return True


def bind(connection: Connection, path: str, cluster: str, topic_prefix: str) -> bool:
    """Bind the database to this log; True if it had offsets from a version that did not record the log."""
    if is_bound(connection, path, cluster, topic_prefix):
        return False
    connection.exec_driver_sql(_INSERT, (cluster, topic_prefix))
    return bool(connection.exec_driver_sql(_HAS_OFFSETS).scalar())


def bound_topics(connection: Connection) -> Topics:
    """The topics of the log the database is bound to; or, bound to none, has read; else without a prefix."""
    return topics(str(connection.exec_driver_sql(TOPIC_PREFIX).scalar_one()))
