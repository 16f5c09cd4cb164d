"""Where a campaign has been shown: each address once, whoever of its list it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "campaign_reached",
        sa.Column("key", sa.Uuid, primary_key=True),
        sa.Column("delivery_id", sa.Uuid, sa.ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
        sa.Column("forgotten", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_index("campaign_reached_delivery", "campaign_reached", ["delivery_id"])
    op.create_index(
        "campaign_reached_forgotten", "campaign_reached", ["key"], postgresql_where=sa.text("forgotten")
    )


def downgrade() -> None:
    op.drop_table("campaign_reached")
