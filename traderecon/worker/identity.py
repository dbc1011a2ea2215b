"""The identity of stored state: the log it belongs to, and how that is laid out.

    pin(directory, Identity(cluster, prefix, partitions))  ->  identity.json, once; OtherIdentity: it says otherwise

Offsets of one log mean nothing in another: records would be passed over unseen. The data directory and each worker's
home have one; the database has a row of its own that says the same.
"""

from pathlib import Path

import msgspec

from traderecon.durable import create

NAME = "identity.json"
FORMAT = 1
"""Of the file, and of the directories beside it: ``worker-<k>/<role>/`` with tables and strikes, and
``worker-<k>/2/<role>/`` where a stage has a second process. Another is refused."""


class Identity(msgspec.Struct, frozen=True):
    """Which log: its cluster's id, the prefix of our topics, and how many partitions they have."""

    cluster: str
    topic_prefix: str
    topic_partitions: int


class _File(Identity, frozen=True, kw_only=True):
    format: int = FORMAT


class OtherIdentity(Exception):
    """What is stored belongs to another log, or was written by another version: what was found, and what to do."""


def pin(directory: Path, identity: Identity) -> bool:
    """Have a directory belong to a log from now on, or find that it does; True where it was not said before.

    OtherIdentity: it belongs to another one. OSError: it cannot be read or written.
    """
    path = directory / NAME
    if held(directory) is None:
        try:
            create(path, msgspec.json.format(msgspec.json.encode(_file(identity))) + b"\n")
        except FileExistsError:
            pass  # another worker was first
        else:
            return True
    verify(directory, identity)
    return False


def verify(directory: Path, identity: Identity) -> None:
    """OtherIdentity where a directory says that it belongs to another log; it may say nothing."""
    stored = held(directory)
    if stored is not None and (said := difference(str(directory / NAME), stored, identity)):
        raise OtherIdentity(said)


def held(directory: Path) -> Identity | None:
    """What a directory says it belongs to; None where it says nothing. OtherIdentity: it cannot be read."""
    path = directory / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        written = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get("format")
        number = msgspec.json.decode(written) if written is not None else None
        if number != FORMAT:
            raise OtherIdentity(
                f"{path} is of format {number}, this version knows {FORMAT}: install the version that wrote it, or "
                "name a directory of its own in TRADERECON_DATA_DIR"
            )
        return msgspec.json.decode(content, type=Identity)
    except msgspec.MsgspecError as error:
        raise OtherIdentity(
            f"{path} cannot be read ({error}): restore it from a backup; where you know that {directory} belongs to "
            "this log, remove the file, and it is written anew"
        ) from None


def difference(where: str, stored: Identity, now: Identity) -> str | None:
    """What is stored beside what is, and what to do; None where both are one log."""
    for what, setting, before, after in (
        ("cluster", "TRADERECON_BROKER", stored.cluster, now.cluster),
        ("topic prefix", "TRADERECON_TOPIC_PREFIX", stored.topic_prefix, now.topic_prefix),
        ("number of partitions", "TRADERECON_TOPIC_PARTITIONS", stored.topic_partitions, now.topic_partitions),
    ):
        if before != after:
            return (
                f"{where} belongs to the {what} {before!r}, and {setting} leads to {after!r}: offsets of the one mean "
                f"nothing in the other. Mend {setting}, or name a directory and a database of their own in "
                "TRADERECON_DATA_DIR and TRADERECON_DATABASE_URL"
            )
    return None


def unexpected(identity: Identity, expected: str) -> str | None:
    """What to say where ``TRADERECON_CLUSTER_ID`` names another cluster; None where it names this one, or none."""
    if expected in {"", identity.cluster}:
        return None
    return (
        f"this is the cluster {identity.cluster!r}, and TRADERECON_CLUSTER_ID expects {expected!r}: mend "
        "TRADERECON_BROKER, or the id where this one is meant"
    )


def _file(identity: Identity) -> _File:
    return _File(**msgspec.structs.asdict(identity))
