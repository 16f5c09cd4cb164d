"""What is left of events that are trimmed from the streams."""

from alembic import op

from shared.migrations import create_trimmed, drop_trimmed

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_trimmed(op, "telegram_webhooks", "campaign_progress", "forgotten_users")


def downgrade() -> None:
    drop_trimmed(op)
