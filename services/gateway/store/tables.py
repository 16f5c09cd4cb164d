"""The tables of gateway; `migrations/` makes a database match them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import attempts_table
from shared.record.forgetting import forgotten_table

metadata = MetaData()

telegram_users = Table(
    "telegram_users",
    metadata,
    Column("id", Uuid, primary_key=True),  # user_of_telegram(telegram_id)
    Column("telegram_id", BigInteger, nullable=False),
    Column("username", Text),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text),
    Column("language", Text),  # as Telegram tells it
    Column("chosen_language", Text),  # as they chose it, which counts before it
    Column("chat_id", BigInteger),  # the private chat, once there is one
    Column("bot", Text),  # whose private chat it is
    Column("role", Text, nullable=False, server_default="public"),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("cause", Uuid, nullable=False),  # the event that changed the row last
    Column("announced", Boolean, nullable=False, server_default=text("false")),  # senders knows this state
    Column("announced_role", Text),  # what senders was told last, settings' owners counted
    Column("told_menu", Text),  # digest of the commands that Telegram was last told to show them
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    # Compared when a statement ends: by then it is settled who of several that insert the same was faster.
    UniqueConstraint(
        "telegram_id", name="telegram_users_telegram_id", deferrable=True, initially="IMMEDIATE"
    ),
    CheckConstraint("role IN ('public', 'subscriber', 'admin', 'owner')", name="telegram_users_role"),
    Index("telegram_users_unannounced", "id", postgresql_where=text("NOT announced")),
    Index("telegram_users_told_menu", "id", postgresql_where=text("told_menu IS NOT NULL")),
    Index("telegram_users_username", func.lower(text("username"))),
    Index("telegram_users_roles", "role", postgresql_where=text("role <> 'public'")),
    Index("telegram_users_told_owners", "id", postgresql_where=text("announced_role = 'owner'")),
)

# Of two wishes about the same thing the later one counts, whichever is handled last.
telegram_user_changes = Table(
    "telegram_user_changes",
    metadata,
    Column("user_id", Uuid, ForeignKey("telegram_users.id", ondelete="CASCADE"), primary_key=True),
    Column("what", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),  # of the update that asked for it
    Column("update_id", BigInteger, nullable=False),
    CheckConstraint(
        "what IN ('role', 'active', 'language', 'news', 'muted', 'quiet_hours', 'time_zone')",
        name="telegram_user_changes_what",
    ),
)

telegram_webhooks = Table(
    "telegram_webhooks",
    metadata,
    Column("bot_id", BigInteger, primary_key=True, autoincrement=False),
    Column("update_id", BigInteger, primary_key=True, autoincrement=False),
    Column("bot", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("user_id", Uuid),
    Column("chat_id", BigInteger),
    Column("command", Text),
    Column("status", Text, nullable=False),
    Column("error", Text),  # an error's id, never its text
    Column("text", Text),  # kept for UPDATE_TEXT_DAYS
    Column("update", JSONB),  # likewise: what it takes to tell of it again
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("handling_seconds", Float),
    CheckConstraint(
        "status IN ('received', 'handled', 'ignored', 'refused', 'failed', 'expired')",
        name="telegram_webhooks_status",
    ),
    Index("telegram_webhooks_time", "received_at"),
    Index("telegram_webhooks_user", "user_id", "received_at"),
    Index(
        "telegram_webhooks_text",
        "received_at",
        postgresql_where=text("text IS NOT NULL OR update IS NOT NULL"),
    ),
)

telegram_guides = Table(
    "telegram_guides",
    metadata,
    Column("id", Text, primary_key=True),  # a slug; it appears in callback data
    Column("category", Text, nullable=False),
    Column("difficulty", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),  # MarkdownV2 that has been checked
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("position", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("id ~ '^[a-z0-9_]{1,32}$'", name="telegram_guides_id"),
    CheckConstraint(
        "category IN ('trading', 'technical', 'risk', 'psychology', 'automation', 'platform')",
        name="telegram_guides_category",
    ),
    CheckConstraint(
        "difficulty IN ('beginner', 'intermediate', 'advanced')", name="telegram_guides_difficulty"
    ),
    Index("telegram_guides_order", "position", "id"),
)

telegram_user_guide_collections = Table(
    "telegram_user_guide_collections",
    metadata,
    Column("user_id", Uuid, ForeignKey("telegram_users.id", ondelete="CASCADE"), primary_key=True),
    Column("guide_id", Text, ForeignKey("telegram_guides.id", ondelete="CASCADE"), primary_key=True),
    Column("saved_at", DateTime(timezone=True)),
    Column("read_at", DateTime(timezone=True)),
    Column("views", Integer, nullable=False, server_default=text("0")),
    Column("last_view", Uuid),  # the event of the last view: handled again, it is no other view
    CheckConstraint("views >= 0", name="telegram_user_guide_collections_views"),
    Index("telegram_user_guide_collections_guide", "guide_id"),
)

telegram_commands = Table(
    "telegram_commands",
    metadata,
    Column("bot", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("category", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("role IN ('public', 'subscriber', 'admin', 'owner')", name="telegram_commands_role"),
)

telegram_broadcasts = Table(
    "telegram_broadcasts",
    metadata,
    Column("id", Uuid, primary_key=True),  # its campaign's id too
    Column("text", Text, nullable=False),  # MarkdownV2 that has been checked
    Column("audience", Text, nullable=False),
    Column("cta_text", Text),
    Column("cta_url", Text),
    Column("bot", Text),
    Column("status", Text, nullable=False, server_default="draft"),  # as it is wanted
    Column("reason", Text),
    Column("scheduled_at", DateTime(timezone=True)),
    Column("time_zone", Text),  # in which it was scheduled
    Column("told", Boolean, nullable=False, server_default=text("true")),  # senders knows what is wanted
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("audience IN ('all', 'subscribers', 'admins')", name="telegram_broadcasts_audience"),
    CheckConstraint(
        "status IN ('draft', 'scheduled', 'sending', 'sent', 'failed', 'cancelled')",
        name="telegram_broadcasts_status",
    ),
    CheckConstraint("num_nonnulls(cta_text, cta_url) <> 1", name="telegram_broadcasts_cta"),
    Index("telegram_broadcasts_time", "created_at", "id"),
    Index("telegram_broadcasts_untold", "updated_at", postgresql_where=text("NOT told")),
)

campaign_progress = Table(
    "campaign_progress",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),  # of the event that told of it
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("intended", Integer, nullable=False),
    Column("sent", Integer),
    Column("failed", Integer),
    Column("suppressed", Integer),
    Column("ambiguous", Integer),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("sha256", name="api_keys_sha256"),
    CheckConstraint("role IN ('service', 'admin', 'owner')", name="api_keys_role"),
)

# Unlogged: written to by every call; after a crash of the database every bucket is full.
api_key_rates = Table(
    "api_key_rates",
    metadata,
    Column("api_key_id", Uuid, ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("full_at", DateTime(timezone=True), nullable=False),
    prefixes=["UNLOGGED"],
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("api_key_id", Uuid, ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("response", JSONB),  # null until everything is published
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("idempotency_keys_time", "created_at"),
)

forgotten_users = forgotten_table(metadata)

bus_attempts = attempts_table(metadata)
