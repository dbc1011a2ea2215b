"""The format of a record: a number in it, where it is not of the first; one we do not know is refused.

    {"format": 2, ...}     known(value)  ->  OtherFormat: a newer version wrote it, and this one must not go on

Fields that we do not know are passed over: a field more makes no new format.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

FORMAT = 1
BARE_CANCELS = 2
"""The format of a record with a cancel that lacks a term or a version."""
NEWEST = BARE_CANCELS


class OtherFormat(Exception):
    """A record of a format that this version does not know; ``exit_code``: what a worker that meets it ends with."""

    exit_code = 78

    def __init__(self, found: int) -> None:
        super().__init__(
            f"a record of format {found}, this version reads up to {NEWEST}: install the version that wrote it, on "
            "every host"
        )
        self.found = found


class _Tagged(msgspec.Struct, frozen=True):
    format: int = FORMAT


class Numbered(Protocol):
    """A record that has, or may have, the number of its format."""

    @property
    def format(self) -> int | msgspec.UnsetType:
        """The number; UNSET for the first."""
        ...


AnyRecord = TypeVar("AnyRecord", bound=Numbered)
_decode = msgspec.json.Decoder(_Tagged).decode


def checked(decode: Callable[[bytes | str], AnyRecord], value: bytes | str) -> AnyRecord:
    """The record in a value. OtherFormat: a newer version wrote it; MsgspecError: it is not what is decoded here."""
    try:
        record = decode(value)
    except msgspec.MsgspecError:
        known(value)
        raise
    if record.format is not msgspec.UNSET:
        ours(record.format)
    return record


def known(value: bytes | str) -> None:
    """OtherFormat where a record says that it is of another; what says nothing, or is no JSON, may be of ours.

    >>> known(b'{"format":1}'), known(b"{}"), known(b"no json")
    (None, None, None)
    """
    try:
        found = _decode(value).format
    except (msgspec.MsgspecError, RecursionError):
        return
    ours(found)


def ours(found: int) -> None:
    """OtherFormat for a number that is none of ours."""
    if not FORMAT <= found <= NEWEST:
        raise OtherFormat(found)
