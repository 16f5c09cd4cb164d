"""The row of a press as it arrives: many go to the database as one array of them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TYPE pressed AS (
            id uuid, user_id uuid, cta_text text, chat_id bigint, message_id bigint, source text,
            metadata text, clicked_at timestamptz, bot text, payload text, delivery_id uuid, bot_id bigint,
            update_id bigint, telegram_id bigint
        )""")


def downgrade() -> None:
    op.execute("DROP TYPE pressed")
