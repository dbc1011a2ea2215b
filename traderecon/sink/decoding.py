"""Decoding of the records that the sink reads, and what becomes of one that cannot be stored: a RecordError."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec

from traderecon.records.formats import require_known_format
from traderecon.transport import Record

Message = TypeVar("Message")


class RecordError(Exception):
    """A record that cannot be stored; the message says which record, and why."""

    def __init__(self, topic: str, partition: int, record: Record, reason: str) -> None:
        super().__init__(f"{topic}[{partition}] offset {record.offset}, key {record.key!r}: {reason}")
        self.record = record


class ForeignRecord(RecordError):
    """A record that its topic must not carry."""


class FailingRecord(RecordError):
    """A record that is valid, but writing it raises ``cause``: a bug, or a value that does not fit the database."""

    def __init__(self, topic: str, partition: int, record: Record, cause: Exception) -> None:
        super().__init__(topic, partition, record, f"{type(cause).__name__}: {cause}")
        self.cause = cause


def decode_record(decode: Callable[[bytes], Message], topic: str, partition: int, record: Record) -> Message:
    """The decoded value of a record. ForeignRecord; OtherFormat: a newer version wrote it."""
    try:
        return decode(record.value or b"")
    except (ValueError, ArithmeticError, RecursionError) as error:  # MsgspecError, UnicodeDecodeError are ValueErrors
        require_known_format(record.value or b"")
        raise ForeignRecord(topic, partition, record, str(error)) from error


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4_096)
def json_list(codes: tuple[str, ...]) -> str:
    """Codes as the JSON list of a column.

    >>> json_list(("PRICE_MISMATCH", "TIMESTAMP_DRIFT"))
    '["PRICE_MISMATCH","TIMESTAMP_DRIFT"]'
    """
    return _encode(codes).decode()
