"""What became known of presses later, and the order in which posts are listed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "click_annotations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("click_id", sa.Uuid, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metadata", JSONB, nullable=False),
    )
    op.create_index("click_annotations_click", "click_annotations", ["click_id", "at", "id"])
    op.drop_index("posts_promo")
    op.create_index("posts_promo", "posts", ["promo_id", "posted_at", "delivery_id"])
    op.create_index("posts_schedule", "posts", ["schedule_id", "posted_at", "delivery_id"])
    op.create_index("posts_time", "posts", ["posted_at", "delivery_id"])


def downgrade() -> None:
    op.drop_index("posts_time")
    op.drop_index("posts_schedule")
    op.drop_index("posts_promo")
    op.create_index("posts_promo", "posts", ["promo_id", "posted_at"])
    op.drop_table("click_annotations")
