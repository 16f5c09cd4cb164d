"""The ledger, the recipients' directory, the governor and campaigns, with the bus's attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.migrations import create_attempts, drop_attempts

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _recipients()
    _ledger()
    _campaigns()
    op.create_table(
        "governor",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("tat", _TIME, nullable=False),
        sa.Column("paused_until", _TIME),
        sa.Column("paused_at", _TIME),
    )
    create_attempts(op)


def _recipients() -> None:
    op.create_table(
        "recipients",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("announced", sa.Integer, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("telegram_chat_id", sa.BigInteger),
        sa.Column("bot", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("time_zone", sa.Text),
        sa.Column("role", sa.Text),
        sa.Column("opted_out", sa.Boolean, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(
        "recipients_unannounced", "recipients", ["user_id"], postgresql_where=sa.text("announced < version")
    )
    op.create_table(
        "push_subscriptions",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column(
            "user_id", sa.Uuid, sa.ForeignKey("recipients.user_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("p256dh", sa.Text, nullable=False),
        sa.Column("auth", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("last_success_at", _TIME),
    )
    op.create_index("push_subscriptions_user", "push_subscriptions", ["user_id"])
    op.create_table(
        "suppressions",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "migrated_chats",
        sa.Column("bot", sa.Text, primary_key=True),
        sa.Column("chat_id", sa.BigInteger, primary_key=True),
        sa.Column("new_chat_id", sa.BigInteger, nullable=False),
        sa.Column("migrated_at", _TIME, nullable=False, server_default=sa.func.now()),
    )


def _ledger() -> None:
    op.create_table(
        "promo_cancellations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("schedule_id", sa.Uuid, nullable=False),
        sa.Column("promo_id", sa.Text),
        sa.Column("up_to", _TIME, nullable=False),
    )
    op.create_index("promo_cancellations_schedule", "promo_cancellations", ["schedule_id", "up_to"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column("template", sa.Text),
        sa.Column("campaign_id", sa.Uuid),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("lane IN ('transactional', 'promo', 'campaign')", name="messages_lane"),
    )
    op.create_index(
        "messages_campaign", "messages", ["campaign_id"], postgresql_where=sa.text("campaign_id IS NOT NULL")
    )
    _deliveries()


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("message_id", sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("lane_rank", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("greylists", sa.Integer, nullable=False, server_default="0"),
        sa.Column("resent", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("lease_until", _TIME),
        sa.Column("reason", sa.Text),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("bot", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.text("true")),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'sent', 'failed', 'suppressed', 'ambiguous')",
            name="deliveries_state",
        ),
        sa.CheckConstraint("channel IN ('telegram', 'email', 'push')", name="deliveries_channel"),
    )
    op.create_index("deliveries_message", "deliveries", ["message_id", "position"])
    for name, columns, where in (
        ("due", ["lane_rank", "due_at"], "state = 'pending'"),
        ("leased", ["lease_until"], "state = 'sending'"),
        ("unannounced", ["updated_at"], "NOT announced"),
    ):
        op.create_index(f"deliveries_{name}", "deliveries", columns, postgresql_where=sa.text(where))
    op.create_table(
        "delivery_history",
        sa.Column(
            "delivery_id", sa.Uuid, sa.ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text),
        sa.Column("provider_message_id", sa.Text),
        sa.Column("at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
    )


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("announced", sa.Integer, nullable=False),
        sa.Column("channels", ARRAY(sa.Text), nullable=False),
        sa.Column("bot", sa.Text),
        sa.Column("template", sa.Text),
        sa.Column("body", JSONB),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("intended", sa.Integer, nullable=False),
        sa.Column("expanded", sa.Integer, nullable=False, server_default="0"),
        sa.Column("checksum", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("status IN ('running', 'paused', 'cancelled', 'done')", name="campaigns_status"),
    )
    op.create_table(
        "campaign_recipients",
        sa.Column(
            "campaign_id", sa.Uuid, sa.ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Uuid),
        sa.Column("address", JSONB),
        sa.Column("variables", JSONB, nullable=False),
    )


def downgrade() -> None:
    drop_attempts(op)
    for table in (
        "governor", "campaign_recipients", "campaigns", "delivery_history", "deliveries", "messages",
        "promo_cancellations", "migrated_chats", "suppressions", "push_subscriptions", "recipients",
    ):  # fmt: skip
        op.drop_table(table)
