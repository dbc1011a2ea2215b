"""Write the ledger: one row per partition of inputs and journal, the same however often an account is repeated."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from traderecon.records.account import Book, decode_account
from traderecon.sink.decoding import decode_record
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, insert_rows

_BOOK = (
    "SELECT start, next_offset, legs, duplicates, rejected, control, skipped, gaps FROM ledger "
    "WHERE topic = ? AND partition = ?"
)
_encode = msgspec.json.Encoder().encode
_decode_gaps = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def write_accounts(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Enter every account in its partition's book. The topic has no chain, so its head stays the same."""
    books: dict[tuple[str, int], Book] = {}
    for record in feed.records:
        account = decode_record(decode_account, feed.topic, feed.partition, record)
        tp = (account.topic, account.partition)
        book = books.get(tp) or _stored_book(connection, tp) or Book.opened(account)
        books[tp] = book.entered(account)
    rows: list[tuple[Any, ...]] = [
        (
            *tp,
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
        for tp, book in books.items()
    ]
    return WriteResult(insert_rows(connection, sql.account, rows)), feed.head


def _stored_book(connection: Connection, tp: tuple[str, int]) -> Book | None:
    row = connection.exec_driver_sql(_BOOK, tp).mappings().first()
    return None if row is None else Book(**{**row, "gaps": _decode_gaps(row["gaps"])})
