"""Decoding: the records that the sink reads; one that its topic does not carry is a ForeignRecord."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec

from traderecon.records import Reason
from traderecon.records.formats import known
from traderecon.transport import Record

Message = TypeVar("Message")


class ForeignRecord(Exception):
    """A record on a topic of ours that is not what the topic carries: which one, and what is wrong with it."""

    def __init__(self, sentence: str, record: Record) -> None:
        super().__init__(sentence)
        self.record = record


def decoded(decode: Callable[[bytes], Message], topic: str, partition: int, record: Record) -> Message:
    """What a record carries. ForeignRecord; OtherFormat: a newer version wrote it."""
    try:
        return decode(record.value or b"")
    except (ValueError, ArithmeticError, RecursionError) as error:  # MsgspecError, UnicodeDecodeError are ValueErrors
        known(record.value or b"")
        sentence = f"{topic}[{partition}] offset {record.offset}, key {record.key!r}: {error}"
        raise ForeignRecord(sentence, record) from error


_encode = msgspec.json.Encoder().encode
_reasons = msgspec.json.Decoder(tuple[Reason, ...]).decode


@lru_cache(maxsize=4_096)
def json_list(codes: tuple[str, ...]) -> str:
    """Codes as the JSON list of a column.

    >>> json_list(("PRICE_MISMATCH", "TIMESTAMP_DRIFT"))
    '["PRICE_MISMATCH","TIMESTAMP_DRIFT"]'
    """
    return _encode(codes).decode()


def reasons_of(column: str) -> tuple[Reason, ...]:
    """The reasons of such a list.

    >>> reasons_of('["PRICE_MISMATCH"]')
    (<Reason.PRICE_MISMATCH: 'PRICE_MISMATCH'>,)
    """
    return _reasons(column)
