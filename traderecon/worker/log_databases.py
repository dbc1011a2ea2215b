"""The databases that have read an embedded log, recorded next to it with their ids and files.

    record(directory, path)  ->  in_use(directory)  ->  {"3f9c2a7b51d0": True, "0c11d8e2a94f": False}

A database that was restored or replaced has a new id: the old id's group no longer has a database, and its commits must
not hold back retention. An id whose file cannot be read counts as in use: its database may come back.
"""

import logging
from pathlib import Path

import msgspec

from traderecon import durable
from traderecon.sink.database_id import id_in

NAME = "databases.json"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str]).decode

logger = logging.getLogger(__name__)


def record(directory: Path, database: Path) -> None:
    """Record the current id of a database. OSError."""
    paths, database_id = _read(directory), id_in(database)
    if database_id and paths.get(database_id) != str(database.resolve()):
        durable.replace(directory / NAME, _encode(paths | {database_id: str(database.resolve())}))


def in_use(directory: Path) -> dict[str, bool]:
    """Every recorded id, and whether its file still has it."""
    return {database_id: _may_have_id(Path(path), database_id) for database_id, path in _read(directory).items()}


def _may_have_id(path: Path, database_id: str) -> bool:
    if not path.exists():
        return not path.parent.is_dir()  # the disk may not be mounted; otherwise the file was removed
    return id_in(path) in {database_id, None}


def _read(directory: Path) -> dict[str, str]:
    try:
        return _decode((directory / NAME).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning(
            "%s cannot be read; every database that has read the log is respected: %s", directory / NAME, error
        )
        return {}
