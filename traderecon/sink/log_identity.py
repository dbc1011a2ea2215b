"""Belonging: which log the database's offsets are of. On another one they would pass over records unseen.

pinned(connection, path, cluster, prefix)  ->  True where nothing was said before, and offsets were there already
"""

from sqlalchemy import Connection

from traderecon.exit_codes import Exit
from traderecon.sink.database import StoreError

_FOUND = "SELECT cluster, topic_prefix FROM log_identity"
_SAID = "INSERT INTO log_identity (id, cluster, topic_prefix) VALUES (1, ?, ?)"
_USED = "SELECT EXISTS (SELECT 1 FROM sink_offsets)"


def belongs(connection: Connection, path: str, cluster: str, topic_prefix: str) -> bool:
    """Whether the database says that it is of this log; False where it says nothing. StoreError: of another one."""
    row = connection.exec_driver_sql(_FOUND).first()
    if row is None:
        return False
    for what, setting, before, after in (
        ("cluster", "TRADERECON_BROKER", row[0], cluster),
        ("topic prefix", "TRADERECON_TOPIC_PREFIX", row[1], topic_prefix),
    ):
        if before != after:
            raise StoreError(
                Exit.CONFIG,
                f"{path} belongs to the {what} {before!r}, and {setting} leads to {after!r}: its offsets would pass "
                f"over records unseen. Mend {setting}, or name another database in TRADERECON_DATABASE_URL: it is made "
                "anew from the topics",
            )
    return True


def pinned(connection: Connection, path: str, cluster: str, topic_prefix: str) -> bool:
    """Have the database be of this log from now on; True where it was in use before anybody noted of which."""
    if belongs(connection, path, cluster, topic_prefix):
        return False
    connection.exec_driver_sql(_SAID, (cluster, topic_prefix))
    return bool(connection.exec_driver_sql(_USED).scalar())
