"""The ids of a database, where its history begins, and changes of the rules."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Three tables, empty: the sink writes them."""
    op.create_table(
        "database_ids",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("database_id", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="The ids this database has had; the newest is in force: the sink's group carries it.",
    )
    op.create_table(
        "beginnings",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_offset", sa.Integer(), nullable=False),
        sa.Column("complete_from", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="Partitions whose first messages had expired when this database began to read them.",
    )
    op.create_table(
        "rules_changes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("journal_partition", sa.Integer(), nullable=False),
        sa.Column("journal_offset", sa.Integer(), nullable=False, comment="the first that the new rules judged"),
        sa.Column("before_sha256", sa.Text(), nullable=False),
        sa.Column("after_sha256", sa.Text(), nullable=False),
        sa.Column("difference", sa.Text(), nullable=False, comment="JSON: what differs, before and after"),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False, comment="the record's value, byte for byte"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("action_id"),
        comment="From where in the journal other rules were in force, append-only.",
    )
