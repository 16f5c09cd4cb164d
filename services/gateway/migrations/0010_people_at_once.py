"""People whom several replicas meet at once: Telegram ids are compared when a statement ends.

A statement that says what to do on a conflict of ids may meet the same person's Telegram id before, and fail;
what is deferrable is compared at its end, when it is settled who was faster.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NAME, TABLE, COLUMNS = "telegram_users_telegram_id", "telegram_users", ["telegram_id"]


def upgrade() -> None:
    op.drop_constraint(NAME, TABLE)
    op.create_unique_constraint(NAME, TABLE, COLUMNS, deferrable=True, initially="IMMEDIATE")


def downgrade() -> None:
    op.drop_constraint(NAME, TABLE)
    op.create_unique_constraint(NAME, TABLE, COLUMNS)
