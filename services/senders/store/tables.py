"""The tables of senders; `migrations/` makes a database match them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Time,
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
    Column("muted", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("channel_order", ARRAY(Text)),
    Column("quiet_start", Time),
    Column("quiet_end", Time),
    Column("quiet_zone", Text),
    Column("telegram_id", BigInteger, unique=True),  # the Telegram user who is linked with this one
    Column(
        "linked_to", Uuid, ForeignKey("recipients.user_id", ondelete="CASCADE")
    ),  # who that one is linked with
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    Column("updated_at", _TIME, nullable=False, server_default=func.now()),
    Index("recipients_unannounced", "user_id", postgresql_where=text("announced < version")),
    Index("recipients_listed", "created_at", "user_id", postgresql_where=text("linked_to IS NULL")),
    Index("recipients_email", text("lower(email)"), postgresql_where=text("email IS NOT NULL")),
    Index(
        "recipients_telegram_chat", "telegram_chat_id", postgresql_where=text("telegram_chat_id IS NOT NULL")
    ),
    Index("recipients_linked_to", "linked_to", postgresql_where=text("linked_to IS NOT NULL")),
)

forgotten_recipients = Table(
    "forgotten_recipients",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("forgotten_at", _TIME, nullable=False, server_default=func.now()),
    Column("announced", Boolean, nullable=False, server_default=text("false")),
    Column("addresses", JSONB),  # what is still to be looked for in the ledger; null once it is done
    Index("forgotten_recipients_unannounced", "user_id", postgresql_where=text("NOT announced")),
    Index("forgotten_recipients_unswept", "user_id", postgresql_where=text("addresses IS NOT NULL")),
)

commands_done = Table(
    "commands_done",
    metadata,
    Column("id", Uuid, primary_key=True),  # derived from the command, whole
    Column("done_at", _TIME, nullable=False, server_default=func.now()),
    Index("commands_done_at", "done_at"),
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
    Column("worked_with", Uuid),  # under which key of ours its last success was
    Column("refused_at", _TIME),  # when it first refused our key since
    Index("push_subscriptions_user", "user_id"),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Uuid, nullable=False, unique=True, server_default=func.gen_random_uuid()),
    Column("channel", Text, primary_key=True),
    Column("address", Text, primary_key=True),  # `<bot>:<chat>`, an e-mail address, or the hash of one
    Column("origin", Text, primary_key=True),
    Column("reason", Text, nullable=False),  # opted_out holds back campaigns, any other everything
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    CheckConstraint(
        "origin IN ('bounce', 'provider', 'block', 'unsubscribe', 'operator')", name="suppressions_origin"
    ),
    Index("suppressions_listed", "created_at", "id"),
)

chats_told = Table(
    "chats_told",
    metadata,
    Column("bot", Text, primary_key=True),
    Column("chat_id", BigInteger, primary_key=True),
    Column("change", Text, nullable=False),
    Column("told_at", _TIME, nullable=False),  # the update's date, with its place among the bot's updates
    Column("place", BigInteger, nullable=False),
    Column("cause", Uuid, nullable=False),
    Column("announced", Boolean, nullable=False, server_default=text("false")),
    Index("chats_told_unannounced", "bot", "chat_id", postgresql_where=text("NOT announced")),
    CheckConstraint("change IN ('blocked', 'unblocked', 'kicked', 'added')", name="chats_told_change"),
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
    Index("messages_user", "user_id", postgresql_where=text("user_id IS NOT NULL")),
    Index(
        "messages_email",
        text("lower((request -> 'address') ->> 'email')"),
        postgresql_where=text("length(request -> 'address' ->> 'email') <= 320"),
    ),
    Index(
        "messages_telegram_chat",
        text("((request -> 'address') ->> 'telegram_chat_id')::bigint"),
        postgresql_where=text("length(request -> 'address' ->> 'telegram_chat_id') <= 18"),
    ),
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
    Index(
        "deliveries_held",
        "message_id",
        postgresql_where=text("state = 'pending' AND reason = 'campaign_paused'"),
    ),
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
    Column("reason", Text),  # why it failed
    Column("version", Integer, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("title", Text),
    Column("channels", ARRAY(Text), nullable=False),
    Column("bot", Text),
    Column("sender", Text),  # whose letters they are
    Column("template", Text),
    Column("body", JSONB),
    Column("variables", JSONB, nullable=False, server_default="{}"),  # everybody's
    Column("audience", JSONB),
    Column("owner", Uuid),
    Column("expires_at", _TIME),  # null until it is started
    Column("intended", Integer, nullable=False),  # how long its list is
    Column("joined", Integer, nullable=False, server_default="0"),  # others' messages that name it
    Column("duplicates", Integer, nullable=False, server_default="0"),
    Column("list_sum", Numeric, nullable=False, server_default="0"),  # over the digests of its entries
    Column("listing", Boolean, nullable=False, server_default=text("false")),  # its audience is being listed
    Column("listed_to", Uuid),
    Column("expanded", Integer, nullable=False, server_default="0"),
    Column("looked_at", _TIME),  # when a round last asked whether it is to be expanded
    Column("leased_until", _TIME),  # until when others leave its expansion alone
    Column("sweeping", Boolean, nullable=False, server_default=text("false")),  # cancelled, not yet swept
    Column("checksum", Text, nullable=False),  # of the command that made it
    Column("created_at", _TIME, nullable=False, server_default=func.now()),
    Column("scheduled_at", _TIME),
    Column("started_at", _TIME),
    Column("ended_at", _TIME),
    Column("running_since", _TIME),
    Column("active_seconds", Float, nullable=False, server_default="0"),  # before `running_since`
    Column("predicted_seconds", Float),
    CheckConstraint(
        "status IN ('draft', 'scheduled', 'running', 'paused', 'done', 'cancelled', 'failed')",
        name="campaigns_status",
    ),
    Index("campaigns_newest", "created_at", "id"),
    Index("campaigns_running", "looked_at", postgresql_where=text("status = 'running'")),
)

campaign_recipients = Table(
    "campaign_recipients",
    metadata,
    Column("campaign_id", Uuid, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("key", Uuid),  # the same for the same recipient
    Column("user_id", Uuid),
    Column("address", JSONB),
    Column("variables", JSONB, nullable=False),
    Index("campaign_recipients_key", "campaign_id", "key", unique=True),
    Index("campaign_recipients_user", "user_id", postgresql_where=text("user_id IS NOT NULL")),
    Index(
        "campaign_recipients_email",
        text("lower(address ->> 'email')"),
        postgresql_where=text("length(address ->> 'email') <= 320"),
    ),
    Index(
        "campaign_recipients_telegram_chat",
        text("CAST(address ->> 'telegram_chat_id' AS bigint)"),
        postgresql_where=text("length(address ->> 'telegram_chat_id') <= 18"),
    ),
)

# Which delivery of a campaign's list an address belongs to: claimed before it is sent to.
campaign_reached = Table(
    "campaign_reached",
    metadata,
    Column("key", Uuid, primary_key=True),  # derived from the campaign, the channel and the address
    Column("delivery_id", Uuid, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("forgotten", Boolean, nullable=False, server_default=text("false")),  # to go with the campaign
    Index("campaign_reached_delivery", "delivery_id"),
    Index("campaign_reached_forgotten", "key", postgresql_where=text("forgotten")),
)

campaign_parts = Table(
    "campaign_parts",
    metadata,
    Column("campaign_id", Uuid, ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("reply", JSONB, nullable=False),
)

# What has ended, by state: the sums, and the changes that are not yet in them, which a trigger writes.
campaign_sums = Table(
    "campaign_sums",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("messages", Integer, nullable=False),
)

campaign_tallies = Table(
    "campaign_tallies",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("campaign_id", Uuid, nullable=False),
    Column("was", Text),
    Column("is_now", Text),
)

bus_attempts = attempts_table(metadata)
