"""Campaigns that name the sender of their letters."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("sender", sa.Text))


def downgrade() -> None:
    op.drop_column("campaigns", "sender")
