"""The format of a record: a number in it, unless it is the first format; an unknown one is an error.

    {"format": 3, ...}     require_known_format(value)  ->  OtherFormat: a newer version wrote it

Unknown fields are ignored: an additional field does not make a new format.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

FORMAT = 1
BARE_CANCELS = 2
"""The format of a record with a leg that lacks a term, or a cancel that lacks a version."""
WITH_ATTRIBUTES = 3
"""The format of a record with a leg that has a commission or a date, or with a reason about an attribute."""
IN_GROUP = 4
"""The format of a record with a leg that lies under its group."""
WITH_MATCH_KEY = 5
"""The format of a record with a leg of a trade whose trade_id a match key refines."""
WITH_CUT_OFF = 6
"""The format of a result whose break becomes more urgent at a cut-off."""
NEWEST = WITH_CUT_OFF


class OtherFormat(Exception):
    """A record of an unknown format; a worker that reads one ends with ``exit_code``."""

    exit_code = 78

    def __init__(self, found: int, newest: int = NEWEST) -> None:
        super().__init__(
            f"a record of format {found}, this version reads up to {newest}: install the version that wrote it, on "
            "every host"
        )
        self.found = found


class _Tagged(msgspec.Struct, frozen=True):
    format: int = FORMAT


class HasFormat(Protocol):
    """A record with a format number."""

    @property
    def format(self) -> int:
        """The number."""
        ...


AnyRecord = TypeVar("AnyRecord", bound=HasFormat)
_decode = msgspec.json.Decoder(_Tagged).decode


def decode_checked(decode: Callable[[bytes | str], AnyRecord], value: bytes | str) -> AnyRecord:
    """The record in a value. OtherFormat: a newer version wrote it; MsgspecError: it cannot be decoded."""
    try:
        record = decode(value)
    except msgspec.MsgspecError:
        require_known_format(value)
        raise
    _require_known_number(record.format)
    return record


def require_known_format(value: bytes | str, newest: int = NEWEST) -> None:
    """Raise OtherFormat if a record has an unknown format number. Without one, or without JSON, nothing is raised.

    ``newest``: the highest format of its topic.

    >>> require_known_format(b'{"format":1}'), require_known_format(b"{}"), require_known_format(b"no json")
    (None, None, None)
    """
    try:
        found = _decode(value).format
    except (msgspec.MsgspecError, RecursionError):
        return
    _require_known_number(found, newest)


def _require_known_number(found: int, newest: int = NEWEST) -> None:
    if not FORMAT <= found <= newest:
        raise OtherFormat(found, newest)
