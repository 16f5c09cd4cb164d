"""Consent: preferences, links, suppressions with their origin, what was told of chats, and forgetting."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NOW = sa.func.now()
_ORIGINS = "origin IN ('bounce', 'provider', 'block', 'unsubscribe', 'operator')"
_CHANGES = "change IN ('blocked', 'unblocked', 'kicked', 'added')"


def upgrade() -> None:
    _recipients()
    _suppressions()
    op.create_table(
        "chats_told",
        sa.Column("bot", sa.Text, primary_key=True),
        sa.Column("chat_id", sa.BigInteger, primary_key=True),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("told_at", _TIME, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.Uuid, nullable=False),
        sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.CheckConstraint(_CHANGES, name="chats_told_change"),
    )
    op.create_table(
        "forgotten_recipients",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("forgotten_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("addresses", JSONB),
    )
    op.create_table(
        "commands_done",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("done_at", _TIME, nullable=False, server_default=_NOW),
    )
    op.create_index("commands_done_at", "commands_done", ["done_at"])
    for name, table, columns, where in (
        ("messages_user", "messages", ["user_id"], "user_id IS NOT NULL"),
        ("chats_told_unannounced", "chats_told", ["bot", "chat_id"], "NOT announced"),
        ("forgotten_recipients_unannounced", "forgotten_recipients", ["user_id"], "NOT announced"),
        ("forgotten_recipients_unswept", "forgotten_recipients", ["user_id"], "addresses IS NOT NULL"),
    ):
        op.create_index(name, table, columns, postgresql_where=sa.text(where))


def _recipients() -> None:
    for column in (
        sa.Column("muted", ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("channel_order", ARRAY(sa.Text)),
        sa.Column("quiet_start", sa.Time),
        sa.Column("quiet_end", sa.Time),
        sa.Column("quiet_zone", sa.Text),
        sa.Column("telegram_id", sa.BigInteger, unique=True),
        sa.Column("linked_to", sa.Uuid, sa.ForeignKey("recipients.user_id", ondelete="CASCADE")),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
    ):
        op.add_column("recipients", column)
    op.execute("UPDATE recipients SET created_at = updated_at")
    for name, columns, where in (
        ("listed", ["created_at", "user_id"], "linked_to IS NULL"),
        ("email", [sa.text("lower(email)")], "email IS NOT NULL"),
        ("telegram_chat", ["telegram_chat_id"], "telegram_chat_id IS NOT NULL"),
        ("linked_to", ["linked_to"], "linked_to IS NOT NULL"),
    ):
        op.create_index(f"recipients_{name}", "recipients", columns, postgresql_where=sa.text(where))


def _suppressions() -> None:
    new_id = sa.Column("id", sa.Uuid, nullable=False, unique=True, server_default=sa.func.gen_random_uuid())
    op.add_column("suppressions", new_id)
    # What is there by now was learned from providers' answers.
    origin = sa.Column("origin", sa.Text, nullable=False, server_default="provider")
    op.add_column("suppressions", origin)
    op.alter_column("suppressions", "origin", server_default=None)
    op.create_check_constraint("suppressions_origin", "suppressions", _ORIGINS)
    op.drop_constraint("suppressions_pkey", "suppressions")
    op.create_primary_key("suppressions_pkey", "suppressions", ["channel", "address", "origin"])
    op.create_index("suppressions_listed", "suppressions", ["created_at", "id"])


def downgrade() -> None:
    op.drop_index("messages_user", "messages")
    for table in ("commands_done", "forgotten_recipients", "chats_told"):
        op.drop_table(table)
    op.drop_index("suppressions_listed", "suppressions")
    op.execute("""
        DELETE FROM suppressions s USING suppressions other
        WHERE (s.channel, s.address) = (other.channel, other.address) AND s.origin > other.origin""")
    op.drop_constraint("suppressions_pkey", "suppressions")
    op.create_primary_key("suppressions_pkey", "suppressions", ["channel", "address"])
    for column in ("origin", "id"):
        op.drop_column("suppressions", column)
    for name in ("linked_to", "telegram_chat", "email", "listed"):
        op.drop_index(f"recipients_{name}", "recipients")
    op.execute("DELETE FROM recipients WHERE linked_to IS NOT NULL")
    for column in (
        "created_at", "linked_to", "telegram_id", "quiet_zone", "quiet_end", "quiet_start", "channel_order",
        "muted",
    ):  # fmt: skip
        op.drop_column("recipients", column)
