"""When the newest start or stop of a schedule was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("schedules", sa.Column("switched_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("schedules", "switched_at")
