"""Decoding of the records that the sink reads. A record that its topic must not carry is a ForeignRecord."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec

from traderecon.records.formats import require_known_format
from traderecon.transport import Record

Message = TypeVar("Message")


class ForeignRecord(Exception):
    """A record that its topic must not carry; the message says which record and what is wrong with it."""

    def __init__(self, message: str, record: Record) -> None:
        super().__init__(message)
        self.record = record


def decode_record(decode: Callable[[bytes], Message], topic: str, partition: int, record: Record) -> Message:
    """The decoded value of a record. ForeignRecord; OtherFormat: a newer version wrote it."""
    try:
        return decode(record.value or b"")
    except (ValueError, ArithmeticError, RecursionError) as error:  # MsgspecError, UnicodeDecodeError are ValueErrors
        require_known_format(record.value or b"")
        message = f"{topic}[{partition}] offset {record.offset}, key {record.key!r}: {error}"
        raise ForeignRecord(message, record) from error


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4_096)
def json_list(codes: tuple[str, ...]) -> str:
    """Codes as the JSON list of a column.

    >>> json_list(("PRICE_MISMATCH", "TIMESTAMP_DRIFT"))
    '["PRICE_MISMATCH","TIMESTAMP_DRIFT"]'
    """
    return _encode(codes).decode()
