"""The tables of scheduler; `migrations/` makes a database match them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import attempts_table
from shared.record.forgetting import forgotten_table

metadata = MetaData()

promos = Table(
    "promos",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("cta_text", Text, nullable=False),
    Column("payload", Text, unique=True),
    Column("url", Text),
    Column("template", Text),  # its text is rendered from this template; null when it was written by hand
    Column("text", Text, nullable=False),  # MarkdownV2 that has been checked
    Column("enabled", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("format", Text, nullable=False, server_default="plain"),
    Column("variables", JSONB, nullable=False, server_default="{}"),  # of the template, beside its title
    CheckConstraint("format IN ('plain', 'markdown_v2')", name="promos_format"),
    CheckConstraint("url ~ '^https://'", name="promos_url"),
    CheckConstraint("id ~ '^[a-z0-9_]{1,64}$'", name="promos_id"),
    CheckConstraint("payload ~ '^[A-Za-z0-9_-]{1,32}$'", name="promos_payload"),
    CheckConstraint("num_nonnulls(payload, url) = 1", name="promos_target"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # the id is derived from it
    Column("bot", Text, nullable=False),
    Column("interval_seconds", Float),
    Column("cron", Text),
    Column("validity_seconds", Float, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("chat_ids", ARRAY(BigInteger), nullable=False),
    Column("promo_ids", ARRAY(Text)),  # null: the whole catalogue
    Column("active", Boolean, nullable=False),
    Column("activated_at", DateTime(timezone=True)),
    Column("next_slot", DateTime(timezone=True)),  # the first slot that is not decided; null while stopped
    Column("last_slot", DateTime(timezone=True)),  # the last slot that was decided
    Column("last_run", DateTime(timezone=True)),  # the last slot that was posted
    Column("last_promo_id", Text),  # the rotation: whose turn it was, and where it stood
    Column("last_promo_position", Integer),
    Column("paused_until", DateTime(timezone=True)),  # null from the first slot behind it on
    Column("cancelled_up_to", DateTime(timezone=True)),
    Column("edited_at", DateTime(timezone=True)),  # null: the default schedule still follows the settings
    Column("switched_at", DateTime(timezone=True)),  # when its newest start or stop was asked for
    CheckConstraint("num_nonnulls(interval_seconds, cron) = 1", name="schedules_timing"),
    CheckConstraint("interval_seconds > 0", name="schedules_interval"),
    CheckConstraint("validity_seconds > 0", name="schedules_validity"),
    CheckConstraint("active = (next_slot IS NOT NULL)", name="schedules_active"),
    Index("schedules_due", "next_slot", postgresql_where=text("active")),
    Index("schedules_activated", "id", postgresql_where=text("active AND next_slot = activated_at")),
)

commands = Table(
    "commands",
    metadata,
    Column("cause", Uuid, primary_key=True),
    Column("command", Text, primary_key=True),
    Column("subject", Text, primary_key=True),  # the schedule or promo that it was about
    Column("changed", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("id", Uuid, primary_key=True),  # of its event
    Column("schedule_id", Uuid, nullable=False),
    Column("promo_id", Text),  # null: whatever the schedule posts
    Column("up_to", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("announced_at", DateTime(timezone=True)),  # null: what it says may not be on the stream yet
    CheckConstraint("reason IN ('stopped', 'disabled')", name="cancellations_reason"),
    Index("cancellations_to_announce", "at", postgresql_where=text("announced_at IS NULL")),
    Index("cancellations_schedule", "schedule_id", "up_to"),
)

slots = Table(
    "slots",
    metadata,
    Column("schedule_id", Uuid, primary_key=True),
    Column("slot", DateTime(timezone=True), primary_key=True),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("bot", Text, nullable=False),
    Column("chat_ids", ARRAY(BigInteger), nullable=False),
    Column("promo_id", Text),
    Column("payload", Text),
    Column("text", Text),
    Column("button", JSONB),
    Column("until", DateTime(timezone=True)),
    Column("skipped", Text),
    Column("announced_at", DateTime(timezone=True)),  # null: what it says may not be on the stream yet
    CheckConstraint("(skipped IS NULL) = (promo_id IS NOT NULL)", name="slots_decision"),
    CheckConstraint("skipped IN ('missed', 'no_promo', 'no_chats', 'stopped')", name="slots_skipped"),
    Index("slots_promo", "promo_id", "until", postgresql_where=text("promo_id IS NOT NULL")),
    Index("slots_to_announce", "decided_at", postgresql_where=text("announced_at IS NULL")),
)

promo_log_chats = Table(
    "promo_log_chats",
    metadata,
    Column("id", Uuid, primary_key=True),  # the PromoDue's id, which is the message's; or the SlotSkipped's
    Column("schedule_id", Uuid, nullable=False),
    Column("slot", DateTime(timezone=True), nullable=False),
    Column("promo_id", Text),
    Column("chat_id", BigInteger),  # null: the slot was skipped
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("outcome_id", Uuid),
    Column("provider_message_id", Text),
    Column("reason", Text),
    Column("due_at", DateTime(timezone=True)),  # when the slot was decided; null until its PromoDue is read
    CheckConstraint(
        "state IN ('pending', 'sent', 'failed', 'suppressed', 'ambiguous', 'skipped')",
        name="promo_log_chats_state",
    ),
    Index("promo_log_chats_slot", "slot", "schedule_id", "promo_id"),
    Index("promo_log_chats_promo", "promo_id", "slot"),
)

forgotten_users = forgotten_table(metadata)

bus_attempts = attempts_table(metadata)
