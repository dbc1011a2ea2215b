"""The ledger on its way into the database: of each partition of inputs and journal one row, whatever is told again."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records.account import Book, decode_account
from traderecon.sink.decoding import decoded
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, wrote

_KNOWN = (
    "SELECT start, next_offset, legs, duplicates, rejected, control, skipped, gaps FROM ledger "
    "WHERE topic = ? AND partition = ?"
)
_encode = msgspec.json.Encoder().encode
_gaps = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def take_accounts(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Enter every account; there is no chain, so its head stays."""
    books: dict[tuple[str, int], Book] = {}
    for record in feed.records:
        account = decoded(decode_account, feed.topic, feed.partition, record)
        place = (account.topic, account.partition)
        book = books.get(place) or _book(connection, place) or Book.opened(account)
        books[place] = book.entered(account)
    rows: list[tuple[Any, ...]] = [
        (
            *place,
            book.start,
            book.next_offset,
            book.legs,
            book.duplicates,
            book.rejected,
            book.control,
            book.skipped,
            book.unaccounted,
            _encode(book.gaps).decode(),
        )
        for place, book in books.items()
    ]
    return WriteResult(wrote(connection, sql.account, rows)), feed.head


def _book(connection: Connection, place: tuple[str, int]) -> Book | None:
    row = connection.exec_driver_sql(_KNOWN, place).mappings().first()
    return None if row is None else Book(**{**row, "gaps": _gaps(row["gaps"])})
