"""Traces that outlast a wait, unforeseen failures that are counted, campaigns that take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("trace", sa.Text))
    op.add_column("deliveries", sa.Column("faults", sa.Integer, nullable=False, server_default="0"))
    op.add_column("campaigns", sa.Column("looked_at", sa.DateTime(timezone=True)))
    op.create_index(
        "governor_paused", "governor", ["paused_at"], postgresql_where=sa.text("paused_at IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("governor_paused", "governor")
    op.drop_column("campaigns", "looked_at")
    op.drop_column("deliveries", "faults")
    op.drop_column("messages", "trace")
