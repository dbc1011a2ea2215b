"""The log a database belongs to."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """One table, empty: the next sink writes its row."""
    op.create_table(
        "log_identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("topic_prefix", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="Which log the offsets are of; written once, by the first sink.",
    )
