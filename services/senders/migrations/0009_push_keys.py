"""Under which key of ours a push subscription has worked."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("push_subscriptions", sa.Column("worked_with", sa.Uuid))


def downgrade() -> None:
    op.drop_column("push_subscriptions", "worked_with")
