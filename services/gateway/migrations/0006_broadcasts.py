"""Broadcasts, and what senders tells of campaigns."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "telegram_broadcasts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("cta_text", sa.Text),
        sa.Column("cta_url", sa.Text),
        sa.Column("bot", sa.Text),
        sa.Column("status", sa.Text, nullable=False, server_default="draft"),
        sa.Column("reason", sa.Text),
        sa.Column("scheduled_at", TIME),
        sa.Column("time_zone", sa.Text),
        sa.Column("told", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("created_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint(
            "audience IN ('all', 'subscribers', 'admins')", name="telegram_broadcasts_audience"
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'sending', 'sent', 'failed', 'cancelled')",
            name="telegram_broadcasts_status",
        ),
        sa.CheckConstraint("num_nonnulls(cta_text, cta_url) <> 1", name="telegram_broadcasts_cta"),
    )
    op.create_index("telegram_broadcasts_time", "telegram_broadcasts", ["created_at", "id"])
    op.create_index(
        "telegram_broadcasts_untold", "telegram_broadcasts", ["updated_at"],
        postgresql_where=sa.text("NOT told"),
    )  # fmt: skip
    op.create_table(
        "campaign_progress",
        sa.Column("campaign_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("intended", sa.Integer, nullable=False),
        sa.Column("sent", sa.Integer),
        sa.Column("failed", sa.Integer),
        sa.Column("suppressed", sa.Integer),
        sa.Column("ambiguous", sa.Integer),
    )


def downgrade() -> None:
    op.drop_table("campaign_progress")
    op.drop_table("telegram_broadcasts")
