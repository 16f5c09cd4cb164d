"""Posts in private chats, found by their chat: it is somebody's, and goes with whoever is forgotten."""

import sqlalchemy as sa
from alembic import op

from shared.ids import user_of_telegram

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMAS = ("public", "trimmed")
_FORGET = """
    UPDATE {schema}.posts SET chat_id = NULL, message_id = NULL
    WHERE chat_id = :chat_id AND posted_at <= (
        SELECT forgotten_at FROM public.forgotten_users WHERE user_id = :user_id)"""


def upgrade() -> None:
    for schema in SCHEMAS:
        op.create_index(
            "posts_private", "posts", ["chat_id"], schema=schema, postgresql_where=sa.text("chat_id > 0")
        )
        known = sa.text(f"SELECT DISTINCT chat_id FROM {schema}.posts WHERE chat_id > 0")  # noqa: S608 - a constant
        for chat_id in op.get_bind().execute(known).scalars().all():
            person = {"chat_id": chat_id, "user_id": user_of_telegram(chat_id)}
            op.get_bind().execute(sa.text(_FORGET.format(schema=schema)), person)


def downgrade() -> None:
    for schema in SCHEMAS:
        op.drop_index("posts_private", "posts", schema=schema)
