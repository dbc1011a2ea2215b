"""Money at stake, currency, how far the sides agree; breaks that become more urgent with age, how they are resolved."""

from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None

_HISTORY = (
    "SELECT trade_id, version, decided_at, result FROM result_history WHERE content_sha256 IS NULL "
    "ORDER BY trade_id, version, id"
)
_RESULT = "UPDATE results SET currency = ?, at_stake = ?, agreed = ?, sent_by_both = ? WHERE trade_id = ?"
_BREAK = (
    "UPDATE breaks SET currency = ?, at_stake = ?, escalates_at = ?, escalates_to = ?, resolution = ?, "
    "agreed = ?, sent_by_both = ? WHERE break_id = ?"
)
_EVENT = "UPDATE break_events SET resolution = ? WHERE break_id = ? AND version = ?"


def upgrade() -> None:
    """New columns, filled from the results there are: ``audit verify`` derives every row again."""
    amount, later = "what a break is about, in the currency", "the severity from then on"
    for table in ("results", "breaks"):
        op.add_column(table, sa.Column("currency", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("at_stake", sa.Text(), nullable=True, comment=amount))
    agreed = "fields that both sides sent and that agree"
    op.add_column("breaks", sa.Column("escalates_at", sa.Text(), nullable=True))
    op.add_column("breaks", sa.Column("escalates_to", sa.Text(), nullable=True, comment=later))
    op.add_column("breaks", sa.Column("resolution", sa.Text(), nullable=True, comment="how it was resolved"))
    for table in ("results", "breaks"):
        op.add_column(table, sa.Column("agreed", sa.Integer(), nullable=True, comment=agreed))
        op.add_column(table, sa.Column("sent_by_both", sa.Integer(), nullable=True))
    op.add_column(
        "break_events", sa.Column("resolution", sa.Text(), nullable=True, comment="how this event resolved the break")
    )
    alone = "pnl snapshots alone, a grace after them"
    op.add_column("standings", sa.Column("orphans", sa.Integer(), nullable=False, server_default="0", comment=alone))
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """Derive the new columns; a trade whose results cannot be read keeps them empty, and ``audit verify`` names it."""
    from traderecon.records.formats import OtherFormat
    from traderecon.sink.break_projection import HistoryEntry, UnreadableResult, project

    rows = connection.exec_driver_sql(_HISTORY)
    for trade_id, history in groupby(map(HistoryEntry._make, rows), key=lambda row: row.trade_id):
        try:
            result, break_row, events = project(history)
        except (UnreadableResult, OtherFormat):
            continue
        compared = (result.agreed, result.sent_by_both)
        connection.exec_driver_sql(_RESULT, (result.currency, result.at_stake, *compared, trade_id))
        if break_row is not None:
            columns = (break_row.currency, break_row.at_stake, break_row.escalates_at, break_row.escalates_to)
            connection.exec_driver_sql(_BREAK, (*columns, break_row.resolution, *compared, break_row.break_id))
        for event in events:
            if event.resolution is not None:
                connection.exec_driver_sql(_EVENT, (event.resolution, event.break_id, event.version))
