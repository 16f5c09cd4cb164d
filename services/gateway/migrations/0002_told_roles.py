"""What senders was told of each person's role, so that owners can be made and unmade by settings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEX = "telegram_users_told_owners"


def upgrade() -> None:
    op.add_column("telegram_users", sa.Column("announced_role", sa.Text))
    op.create_index(INDEX, "telegram_users", ["id"], postgresql_where=sa.text("announced_role = 'owner'"))


def downgrade() -> None:
    op.drop_index(INDEX, "telegram_users")
    op.drop_column("telegram_users", "announced_role")
