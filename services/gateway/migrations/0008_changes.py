"""When people's wishes about themselves and others were uttered, so that no older one undoes a newer one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "telegram_user_changes",
        sa.Column(
            "user_id", sa.Uuid, sa.ForeignKey("telegram_users.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("what", sa.Text, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_id", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "what IN ('role', 'active', 'language', 'news', 'muted', 'quiet_hours', 'time_zone')",
            name="telegram_user_changes_what",
        ),
    )


def downgrade() -> None:
    op.drop_table("telegram_user_changes")
