"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make every table. It spells out what ``schema`` said when it was written, and stays as it is."""
    op.create_table(
        "break_events",
        sa.Column("break_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("transition", sa.Text(), nullable=False, comment="opened, reclassified or resolved"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("previous_event_id", sa.Text(), nullable=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("break_id", "version"),
        comment="What moved a break: follows from the results of its trade, in version order.",
    )
    op.create_table(
        "breaks",
        sa.Column("break_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="OPEN, REOPENED or RESOLVED"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False, comment="of the newest version that was a break"),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("notional", sa.Text(), nullable=True),
        sa.Column("event_time", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("break_id"),
        sa.UniqueConstraint("trade_id"),
        comment="A trade that needed a person, followed over its versions.",
    )
    op.create_index("breaks_by_status", "breaks", ["status", "severity", "opened_at"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source_topic", sa.Text(), nullable=False),
        sa.Column("source_partition", sa.Integer(), nullable=False),
        sa.Column("source_offset", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True, comment="base64"),
        sa.Column("raw", sa.Text(), nullable=True, comment="base64; the first part of it where truncated"),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_topic", "source_partition", "source_offset"),
        comment="Records that are no leg, with their reason and origin.",
    )
    op.create_index("dead_letters_by_code", "dead_letters", ["code", "id"], unique=False)
    op.create_table(
        "result_history",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False, comment="the record's value, byte for byte"),
        sa.Column(
            "chain", sa.Text(), nullable=False, comment="sha256 over the chain before, the coordinates and the result"
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("trade_id", "version", "event_id"),
        comment="Every result ever, append-only, in the order it was stored.",
    )
    op.create_table(
        "results",
        sa.Column("trade_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("hints", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_time", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("notional", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("trade_id"),
        sqlite_with_rowid=False,
        comment="One row per trade: its newest version.",
    )
    op.create_index("results_by_event_time", "results", ["event_time"], unique=False)
    op.create_index("results_by_state", "results", ["state", "trade_id"], unique=False)
    op.create_index("results_by_ticker", "results", ["ticker", "trade_id"], unique=False)
    op.create_table(
        "sink_offsets",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.Integer(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False, comment="the chain after the last row of this partition"),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="Where the sink reads on: written in the transaction of the rows themselves.",
    )
    op.create_table(
        "standings",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.Text(), nullable=True),
        sa.Column("pending", sa.Text(), nullable=False, comment="JSON: how many trades wait for what"),
        sa.Column("oldest", sa.Text(), nullable=False, comment="JSON: the trades whose grace ends first"),
        sa.Column("at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partition"),
        comment="How far matching has got in each journal partition, and what waits there.",
    )
