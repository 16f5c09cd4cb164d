"""Links in campaigns' letters are of no promo."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("marketing_clicks", "promo_id", nullable=True)


def downgrade() -> None:
    op.execute("UPDATE marketing_clicks SET promo_id = payload WHERE promo_id IS NULL")
    op.alter_column("marketing_clicks", "promo_id", nullable=False)
