"""Money at stake, the currency of amounts, and breaks that become more urgent with age."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Columns that are empty in the rows there are: their results do not say."""
    for table in ("results", "breaks"):
        op.add_column(table, sa.Column("currency", sa.Text(), nullable=True))
    op.add_column(
        "results",
        sa.Column("at_stake", sa.Text(), nullable=True, comment="what a break is about, in the currency"),
    )
    op.add_column(
        "breaks", sa.Column("at_stake", sa.Text(), nullable=True, comment="the money it is about, in the currency")
    )
    op.add_column("breaks", sa.Column("escalates_at", sa.Text(), nullable=True))
    op.add_column("breaks", sa.Column("escalates_to", sa.Text(), nullable=True, comment="the severity from then on"))
