"""The tables of senders; `migrations/` makes a database match them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import attempts_table

metadata = MetaData()
_TIME = DateTime(timezone=True)

recipients = Table(
    "recipients",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("announced", Integer, nullable=False),  # the version that RecipientChanged told last
    Column("email", Text),
    Column("telegram_chat_id", BigInteger),
    Column("bot", Text),
    Column("language", Text),
    Column("time_zone", Text),
    Column("role", Text),
    Column("opted_out", Boolean, nullable=False),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    Index("recipients_unannounced", "user_id", postgresql_where=text("announced < version")),
)

push_subscriptions = Table(
    "push_subscriptions",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("user_id", Uuid, ForeignKey("recipients.user_id", ondelete="CASCADE"), nullable=False),
    Column("p256dh", Text, nullable=False),
    Column("auth", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    Column("last_success_at", _TIME),
    Index("push_subscriptions_user", "user_id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("address", Text, primary_key=True),  # `<bot>:<chat>`, or an e-mail address
    Column("reason", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
)

migrated_chats = Table(
    "migrated_chats",
    metadata,
    Column("bot", Text, primary_key=True),
    Column("chat_id", BigInteger, primary_key=True),
    Column("new_chat_id", BigInteger, nullable=False),
    Column("migrated_at", _TIME, nullable=False, server_default=func.now()),
    Column("announced", Boolean, nullable=False, server_default=text("false")),
)

promo_cancellations = Table(
    "promo_cancellations",
    metadata,
    Column("id", Uuid, primary_key=True),  # the event's id
    Column("schedule_id", Uuid, nullable=False),
    Column("promo_id", Text),  # null: every promo of the schedule
    Column("up_to", _TIME, nullable=False),
    Index("promo_cancellations_schedule", "schedule_id", "up_to"),
)

message_cancellations = Table(
    "message_cancellations",
    metadata,
    Column("message_id", Uuid, primary_key=True),  # of a message that may be still to come
    Column("cancelled_at", _TIME, nullable=False, server_default=func.now()),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("user_id", Uuid),
    Column("template", Text),
    Column("campaign_id", Uuid),
    Column("request", JSONB, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("trace", Text),  # the traceparent of its request
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    CheckConstraint("lane IN ('transactional', 'promo', 'campaign')", name="messages_lane"),
    Index("messages_campaign", "campaign_id", postgresql_where=text("campaign_id IS NOT NULL")),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),  # delivery_of(message, channel)
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("lane_rank", SmallInteger, nullable=False),
    Column("queue", Uuid),  # the address whose turn it waits for; null once its first attempt is over
    Column("sequence", BigInteger),  # its place in the stream
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("greylists", Integer, nullable=False, server_default="0"),
    Column("faults", Integer, nullable=False, server_default="0"),
    Column("resent", Boolean, nullable=False, server_default=text("false")),
    Column("due_at", _TIME, nullable=False),
    Column("lease_until", _TIME),
    Column("reason", Text),
    Column("provider_message_id", Text),
    Column("bot", Text),
    Column("chat_id", BigInteger),  # where it went, to believe a press about it
    Column("announced", Boolean, nullable=False, server_default=text("true")),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    CheckConstraint(
        "state IN ('pending', 'sending', 'sent', 'failed', 'suppressed', 'ambiguous')",
        name="deliveries_state",
    ),
    CheckConstraint("channel IN ('telegram', 'email', 'push')", name="deliveries_channel"),
    Index("deliveries_message", "message_id", "position"),
    Index("deliveries_due", "channel", "lane_rank", "due_at", postgresql_where=text("state = 'pending'")),
    Index("deliveries_leased", "lease_until", postgresql_where=text("state = 'sending'")),
    Index("deliveries_doubtful", "updated_at", "id", postgresql_where=text("state = 'ambiguous'")),
    Index("deliveries_queue", "queue", "sequence", postgresql_where=text("queue IS NOT NULL")),
    Index("deliveries_unannounced", "updated_at", postgresql_where=text("NOT announced")),
)

delivery_history = Table(
    "delivery_history",
    metadata,
    Column("delivery_id", Uuid, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("reason", Text),
    Column("provider_message_id", Text),
    Column("at", _TIME, nullable=False, server_default=func.clock_timestamp()),
)

governor = Table(
    "governor",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tat", _TIME, nullable=False),
    Column("paused_until", _TIME),
    Column("paused_at", _TIME),
    Index("governor_paused", "paused_at", postgresql_where=text("paused_at IS NOT NULL")),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("channels", ARRAY(Text), nullable=False),
    Column("bot", Text),
    Column("template", Text),
    Column("body", JSONB),
    Column("expires_at", _TIME, nullable=False),
    Column("intended", Integer, nullable=False),
    Column("expanded", Integer, nullable=False, server_default="0"),
    Column("looked_at", _TIME),  # when a round last asked whether it is to be expanded
    Column("checksum", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('running', 'paused', 'cancelled', 'done')", name="campaigns_status"),
)

campaign_recipients = Table(
    "campaign_recipients",
    metadata,
    Column("campaign_id", Uuid, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("user_id", Uuid),
    Column("address", JSONB),
    Column("variables", JSONB, nullable=False),
)

bus_attempts = attempts_table(metadata)
