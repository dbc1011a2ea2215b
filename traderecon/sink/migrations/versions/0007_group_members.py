"""The records of groups by their own ids."""

import msgspec
import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

_OF_GROUPS = """
    SELECT result FROM result_history WHERE content_sha256 IS NULL AND instr(result, '"member_id"') > 0
"""
_MEMBER = "INSERT OR IGNORE INTO group_members (member_id, trade_id) VALUES (?, ?)"


def upgrade() -> None:
    """A table, filled from the results there are."""
    op.create_table(
        "group_members",
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("member_id", "trade_id"),
        comment="Records of groups by the id they have of their own: a look-up, no evidence.",
        sqlite_with_rowid=False,
    )
    op.create_index("group_members_by_trade", "group_members", ["trade_id"])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """What cannot be read is left out: nothing but the way to a page is lost."""
    from traderecon.records.formats import OtherFormat
    from traderecon.records.result_head import decode_head
    from traderecon.sink.results import member_rows

    for (text,) in connection.exec_driver_sql(_OF_GROUPS):
        try:
            rows = member_rows(decode_head(text), text)
        except (msgspec.MsgspecError, OtherFormat):
            continue
        for row in rows:
            connection.exec_driver_sql(_MEMBER, row)
