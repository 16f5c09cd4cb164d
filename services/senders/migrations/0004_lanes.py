"""Lanes: the turn of a first attempt, and messages that are cancelled before they come."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("queue", sa.Uuid))
    op.add_column("deliveries", sa.Column("sequence", sa.BigInteger))
    op.create_index(
        "deliveries_queue", "deliveries", ["queue", "sequence"],
        postgresql_where=sa.text("queue IS NOT NULL"),
    )  # fmt: skip
    cancelled_at = sa.Column(
        "cancelled_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
    )
    op.create_table("message_cancellations", sa.Column("message_id", sa.Uuid, primary_key=True), cancelled_at)


def downgrade() -> None:
    op.drop_table("message_cancellations")
    op.drop_index("deliveries_queue", "deliveries")
    op.drop_column("deliveries", "sequence")
    op.drop_column("deliveries", "queue")
