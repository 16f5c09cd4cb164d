"""People, the update log, published commands, API keys and idempotency keys, with the bus's attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import create_attempts, drop_attempts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ROLES = "role IN ('public', 'subscriber', 'admin', 'owner')"


def upgrade() -> None:
    create_people()
    create_update_log()
    create_keys()
    create_attempts(op)


def create_people() -> None:
    op.create_table(
        "telegram_users",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("telegram_id", sa.BigInteger, nullable=False),
        sa.Column("username", sa.Text),
        sa.Column("first_name", sa.Text, nullable=False),
        sa.Column("last_name", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("bot", sa.Text),
        sa.Column("role", sa.Text, nullable=False, server_default="public"),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("cause", sa.Uuid, nullable=False),
        sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("telegram_id", name="telegram_users_telegram_id"),
        sa.CheckConstraint(ROLES, name="telegram_users_role"),
    )
    op.create_index(
        "telegram_users_unannounced", "telegram_users", ["id"], postgresql_where=sa.text("NOT announced")
    )
    op.create_index(
        "telegram_users_roles", "telegram_users", ["role"], postgresql_where=sa.text("role <> 'public'")
    )


def create_update_log() -> None:
    op.create_table(
        "telegram_webhooks",
        sa.Column("bot_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("update_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("bot", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("command", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handling_seconds", sa.Float),
        sa.CheckConstraint(
            "status IN ('received', 'handled', 'ignored', 'refused', 'failed', 'expired')",
            name="telegram_webhooks_status",
        ),
    )
    op.create_index("telegram_webhooks_time", "telegram_webhooks", ["received_at"])
    op.create_index("telegram_webhooks_user", "telegram_webhooks", ["user_id", "received_at"])
    op.create_index(
        "telegram_webhooks_text",
        "telegram_webhooks",
        ["received_at"],
        postgresql_where=sa.text("text IS NOT NULL"),
    )
    op.create_table(
        "telegram_commands",
        sa.Column("bot", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(ROLES, name="telegram_commands_role"),
    )


def create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("sha256", name="api_keys_sha256"),
        sa.CheckConstraint("role IN ('service', 'admin', 'owner')", name="api_keys_role"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("api_key_id", sa.Uuid, sa.ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("response", JSONB),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("idempotency_keys_time", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    drop_attempts(op)
    op.drop_table("idempotency_keys")
    op.drop_table("api_keys")
    op.drop_table("telegram_commands")
    op.drop_table("telegram_webhooks")
    op.drop_table("telegram_users")
