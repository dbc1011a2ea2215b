"""Write the ledger: one row per partition of inputs and journal, the same however often an account is repeated."""

import msgspec
from sqlalchemy import Connection

from traderecon.records.account import PartitionLedger, decode_account
from traderecon.sink.columns import LedgerColumns
from traderecon.sink.database import unreadable_row
from traderecon.sink.decoding import decode_record
from traderecon.sink.statements import Statements
from traderecon.sink.write_result import Feed, WriteResult, insert_rows

_STORED = (
    "SELECT start, next_offset, legs, duplicates, rejected, control, skipped, gaps FROM ledger "
    "WHERE topic = ? AND partition = ?"
)
_encode = msgspec.json.Encoder().encode
_decode_gaps = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def write_accounts(connection: Connection, sql: Statements, feed: Feed) -> tuple[WriteResult, str]:
    """Add every account to its partition's ledger. The topic has no chain, so its head stays the same."""
    ledgers: dict[tuple[str, int], PartitionLedger] = {}
    for record in feed.records:
        account = decode_record(decode_account, feed.topic, feed.partition, record)
        tp = (account.topic, account.partition)
        ledger = ledgers.get(tp) or _stored_ledger(connection, tp) or PartitionLedger.starting_at(account)
        ledgers[tp] = ledger.with_account(account)
    rows = [
        LedgerColumns(
            *tp,
            start=ledger.start,
            next_offset=ledger.next_offset,
            legs=ledger.legs,
            duplicates=ledger.duplicates,
            rejected=ledger.rejected,
            control=ledger.control,
            skipped=ledger.skipped,
            unaccounted=ledger.unaccounted,
            gaps=_encode(ledger.gaps).decode(),
        )
        for tp, ledger in ledgers.items()
    ]
    return WriteResult(insert_rows(connection, sql.account, rows)), feed.head


def _stored_ledger(connection: Connection, tp: tuple[str, int]) -> PartitionLedger | None:
    row = connection.exec_driver_sql(_STORED, tp).mappings().first()
    if row is None:
        return None
    try:
        return msgspec.convert({**row, "gaps": _decode_gaps(row["gaps"])}, PartitionLedger)
    except (msgspec.MsgspecError, TypeError) as error:
        raise unreadable_row(f"the row of {tp[0]}[{tp[1]}] in ledger", error) from error
