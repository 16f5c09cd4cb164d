"""Deliveries in doubt, found without a search."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "deliveries_doubtful", "deliveries", ["updated_at", "id"],
        postgresql_where=sa.text("state = 'ambiguous'"),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("deliveries_doubtful", "deliveries")
