"""The trades by the trade_ids that their records were sent with, rejected ones too."""

import msgspec
import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

_OF_GROUPS = """
    SELECT result FROM result_history
    WHERE content_sha256 IS NULL AND (instr(result, '"member_id"') > 0 OR instr(result, '"sent_id"') > 0)
"""
_SENT_ID = "INSERT OR IGNORE INTO sent_ids (sent_id, trade_id) VALUES (?, ?)"


def upgrade() -> None:
    """A table, filled from the results there are; a column, empty in what there is: the chain covers those rows."""
    op.create_table(
        "sent_ids",
        sa.Column("sent_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sent_id", "trade_id"),
        comment="Trades by the trade_ids that their records were sent with, derived from the results.",
        sqlite_with_rowid=False,
    )
    op.create_index("sent_ids_by_trade", "sent_ids", ["trade_id"])
    _fill(op.get_bind())
    op.add_column("dead_letters", sa.Column("trade_id", sa.Text()))
    op.create_index("dead_letters_by_trade", "dead_letters", ["trade_id"])


def _fill(connection: sa.Connection) -> None:
    """What cannot be read is left out: its trade has no link, and a batch does not count it among its namesakes."""
    from traderecon.records.formats import OtherFormat
    from traderecon.records.result_head import decode_head
    from traderecon.sink.results import sent_id_rows

    for (text,) in connection.exec_driver_sql(_OF_GROUPS):
        try:
            rows = sent_id_rows(decode_head(text), text)
        except (msgspec.MsgspecError, OtherFormat):
            continue
        for row in rows:
            connection.exec_driver_sql(_SENT_ID, row)
