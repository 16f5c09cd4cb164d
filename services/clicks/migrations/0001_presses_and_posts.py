"""Presses and posts, with the bus's attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import create_attempts, drop_attempts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "marketing_clicks",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid),
        sa.Column("promo_id", sa.Text, nullable=False),
        sa.Column("cta_text", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("metadata", JSONB),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bot", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("delivery_id", sa.Uuid),
        sa.CheckConstraint("source IN ('button', 'deep_link', 'redirect')", name="marketing_clicks_source"),
    )
    for name, columns in (
        ("user", ["user_id", "clicked_at", "id"]),
        ("promo", ["promo_id", "clicked_at", "id"]),
        ("user_promo", ["user_id", "promo_id", "clicked_at", "id"]),
        ("time", ["clicked_at", "id"]),
        ("payload", ["payload", "clicked_at"]),
        ("delivery", ["delivery_id"]),
    ):
        op.create_index(f"marketing_clicks_{name}", "marketing_clicks", columns)
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("delivery_id", sa.Uuid, nullable=False),
        sa.Column("promo_id", sa.Text, nullable=False),
        sa.Column("payload", sa.Text),
        sa.Column("bot", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("schedule_id", sa.Uuid, nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("posts_delivery", "posts", ["delivery_id", "posted_at", "id"])
    op.create_index("posts_payload", "posts", ["payload", "posted_at", "id"])
    op.create_index("posts_promo", "posts", ["promo_id", "posted_at"])
    create_attempts(op)


def downgrade() -> None:
    drop_attempts(op)
    op.drop_table("posts")
    op.drop_table("marketing_clicks")
