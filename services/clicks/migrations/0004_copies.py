"""What it takes to tell of a press again, when its stream has lost it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("bot_id", "update_id", "telegram_id"):
        op.add_column("marketing_clicks", sa.Column(name, sa.BigInteger))


def downgrade() -> None:
    for name in ("telegram_id", "update_id", "bot_id"):
        op.drop_column("marketing_clicks", name)
