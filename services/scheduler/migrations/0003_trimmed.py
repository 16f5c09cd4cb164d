"""What is left of events that are trimmed from the streams."""

from alembic import op

from shared.migrations import create_trimmed, drop_trimmed

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_trimmed(op, "promo_log_chats")


def downgrade() -> None:
    drop_trimmed(op)
