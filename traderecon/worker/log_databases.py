"""The databases that have read an embedded log: which file had which id, noted beside the log.

    noted(directory, path)  ->  in_force(directory)  ->  {"3f9c2a7b51d0": True, "0c11d8e2a94f": False}

A file that was restored or replaced has another id: the group of the one before has no database any more, and what it
has committed keeps nothing. An id whose file cannot be looked at counts as in force: its database may come back.
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


def noted(directory: Path, database: Path) -> None:
    """Note the id that a database has now. OSError."""
    found, database_id = _noted(directory), id_in(database)
    if database_id and found.get(database_id) != str(database.resolve()):
        durable.replace(directory / NAME, _encode(found | {database_id: str(database.resolve())}))


def in_force(directory: Path) -> dict[str, bool]:
    """Every id that was noted, and whether its file still has it."""
    return {database_id: _has(Path(path), database_id) for database_id, path in _noted(directory).items()}


def _has(path: Path, database_id: str) -> bool:
    if not path.exists():
        return not path.parent.is_dir()  # a disk that is not mounted; else the file was removed
    return id_in(path) in {database_id, None}


def _noted(directory: Path) -> dict[str, str]:
    try:
        return _decode((directory / NAME).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("%s cannot be read, every database counts that has read the log: %s", directory / NAME, error)
        return {}
