"""The identity of stored state: the log it belongs to, and that log's layout.

    bind(directory, Identity(cluster, prefix, partitions))  ->  identity.json, written once; OtherIdentity if it differs

Offsets of one log are meaningless in another: records would be skipped silently. The data directory and each worker's
home have an identity file; the database has a row with the same content.
"""

from pathlib import Path

import msgspec

from traderecon.durable import create

NAME = "identity.json"
FORMAT = 1
"""Version of the file and of the directories next to it: ``worker-<k>/<role>/`` with tables and retry counts, and
``worker-<k>/2/<role>/`` if a stage has a second process. Other versions are rejected."""


class Identity(msgspec.Struct, frozen=True):
    """A log: the id of its cluster, the prefix of the pipeline's topics, and their number of partitions."""

    cluster: str
    topic_prefix: str
    topic_partitions: int


class _File(Identity, frozen=True, kw_only=True):
    format: int = FORMAT


class OtherIdentity(Exception):
    """Stored state belongs to another log, or was written by another version: what was found, and what to do."""


def bind(directory: Path, identity: Identity) -> bool:
    """Bind a directory to a log, or verify that it is bound to it; True if it was not bound before.

    OtherIdentity: it is bound to another log. OSError: it cannot be read or written.
    """
    path = directory / NAME
    if stored_identity(directory) is None:
        try:
            create(path, msgspec.json.format(msgspec.json.encode(_file(identity))) + b"\n")
        except FileExistsError:
            pass  # another worker was first
        else:
            return True
    verify(directory, identity)
    return False


def verify(directory: Path, identity: Identity) -> None:
    """OtherIdentity if a directory is bound to another log; an unbound one passes."""
    stored = stored_identity(directory)
    if stored is not None and (error := difference(str(directory / NAME), stored, identity)):
        raise OtherIdentity(error)


def stored_identity(directory: Path) -> Identity | None:
    """The identity stored in a directory; None if there is none. OtherIdentity: it cannot be read."""
    path = directory / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        raw = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("format")
        number = msgspec.json.decode(raw) if raw is not None else None
        if number != FORMAT:
            raise OtherIdentity(
                f"{path} has format {number}, but this version reads format {FORMAT}: install the version that wrote "
                "it, or set TRADERECON_DATA_DIR to another directory"
            )
        return msgspec.json.decode(content, type=Identity)
    except msgspec.MsgspecError as error:
        raise OtherIdentity(
            f"{path} cannot be read ({error}): restore it from a backup; if you are sure that {directory} belongs to "
            "this log, remove the file, and it will be written again"
        ) from None


def difference(owner: str, stored: Identity, current: Identity) -> str | None:
    """The error text if stored and current identity differ: both values, and what to do; None if they agree."""
    for field, setting, before, after in (
        ("cluster", "TRADERECON_BROKER", stored.cluster, current.cluster),
        ("topic prefix", "TRADERECON_TOPIC_PREFIX", stored.topic_prefix, current.topic_prefix),
        ("number of partitions", "TRADERECON_TOPIC_PARTITIONS", stored.topic_partitions, current.topic_partitions),
    ):
        if before != after:
            return (
                f"{owner} belongs to the {field} {before!r}, but {setting} leads to {after!r}: offsets of one log are "
                f"meaningless in the other. Correct {setting}, or set TRADERECON_DATA_DIR and "
                "TRADERECON_DATABASE_URL to a new directory and database"
            )
    return None


def unexpected(identity: Identity, expected: str) -> str | None:
    """The error text if ``TRADERECON_CLUSTER_ID`` is another cluster's; None if it is this one's, or empty."""
    if expected in {"", identity.cluster}:
        return None
    return (
        f"this is the cluster {identity.cluster!r}, but TRADERECON_CLUSTER_ID expects {expected!r}: correct "
        "TRADERECON_BROKER, or TRADERECON_CLUSTER_ID if this is the right cluster"
    )


def _file(identity: Identity) -> _File:
    return _File(**msgspec.structs.asdict(identity))
