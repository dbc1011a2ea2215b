"""Purged results, where chains begin behind them, and legal holds."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Two tables, empty, and a column of results that those there are leave empty."""
    op.create_table(
        "chain_starts",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.Integer(), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False, comment="that the chain had by then"),
        sa.Column("last_row", sa.Integer(), nullable=False, comment="the id of the last of them; 0: another database"),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="Where a chain begins whose first rows were purged; a published checkpoint says the same.",
    )
    op.create_table(
        "legal_holds",
        sa.Column("hold_id", sa.Text(), nullable=False),
        sa.Column("trade_id", sa.Text(), nullable=True),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", sa.Text(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("hold_id"),
        comment="What no purge may take while it is not released.",
    )
    op.add_column(
        "result_history",
        sa.Column("content_sha256", sa.Text(), nullable=True, comment="of a purged result, whose text is empty"),
    )
