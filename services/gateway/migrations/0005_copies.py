"""What it takes to tell of an update again, when its stream has lost it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("telegram_webhooks", sa.Column("update", JSONB))
    _index("text IS NOT NULL OR update IS NOT NULL")


def downgrade() -> None:
    _index("text IS NOT NULL")
    op.drop_column("telegram_webhooks", "update")


def _index(where: str) -> None:
    op.drop_index("telegram_webhooks_text", "telegram_webhooks")
    op.create_index(
        "telegram_webhooks_text", "telegram_webhooks", ["received_at"], postgresql_where=sa.text(where)
    )
