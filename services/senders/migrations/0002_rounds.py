"""Rounds per channel, and moved chats that are told again after a crash."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'pending'")


def upgrade() -> None:
    announced = sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.text("false"))
    op.add_column("migrated_chats", announced)
    op.drop_index("deliveries_due", "deliveries")
    op.create_index(
        "deliveries_due", "deliveries", ["channel", "lane_rank", "due_at"], postgresql_where=_WAITING
    )


def downgrade() -> None:
    op.drop_index("deliveries_due", "deliveries")
    op.create_index("deliveries_due", "deliveries", ["lane_rank", "due_at"], postgresql_where=_WAITING)
    op.drop_column("migrated_chats", "announced")
