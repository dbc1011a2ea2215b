"""The ledger of offsets, and what people decide about dead letters."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Two tables more, and a column of dead letters that those of before leave empty."""
    op.create_table(
        "ledger",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.Integer(), nullable=False),
        sa.Column("legs", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("control", sa.Integer(), nullable=False),
        sa.Column(
            "skipped",
            sa.Integer(),
            nullable=False,
            comment="gone before they were read: somebody decided to go on",
        ),
        sa.Column("unaccounted", sa.Integer(), nullable=False),
        sa.Column(
            "gaps", sa.Text(), nullable=False, comment="JSON: the unaccounted offsets, [first, the one after the last]"
        ),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="What became of every offset of inputs and journal, from start to next_offset.",
    )
    op.create_table(
        "dead_letter_actions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False, comment="replay or discard"),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False, comment="the first letter of the record"),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=True,
            comment="of a replay: which one of its root, from 1; beyond 3 nothing was sent",
        ),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False, comment="the record's value, byte for byte"),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("action_id"),
        comment="What people decided about dead letters, append-only.",
    )
    op.create_index("dead_letter_actions_by_letter", "dead_letter_actions", ["letter", "offset"], unique=False)
    op.create_index("dead_letter_actions_by_root", "dead_letter_actions", ["root", "deed"], unique=False)
    op.add_column("dead_letters", sa.Column("replay_of", sa.Text(), nullable=True))
