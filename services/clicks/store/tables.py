"""The tables of clicks; `migrations/` makes a database match them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import attempts_table
from shared.record.forgetting import forgotten_table

metadata = MetaData()

marketing_clicks = Table(
    "marketing_clicks",
    metadata,
    Column("id", Uuid, primary_key=True),  # the event's id: a press delivered twice is one row
    Column("user_id", Uuid),  # null for a link in a channel
    Column("promo_id", Text),  # by delivery, else by payload, else the payload; null for a campaign's link
    Column("cta_text", Text),
    Column("chat_id", BigInteger),
    Column("message_id", BigInteger),
    Column("source", Text, nullable=False),
    Column("metadata", JSONB),
    Column("clicked_at", DateTime(timezone=True), nullable=False),
    Column("bot", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("delivery_id", Uuid),  # as the press names it
    Column("bot_id", BigInteger),  # with the next two, what it takes to tell of the press again
    Column("update_id", BigInteger),
    Column("telegram_id", BigInteger),
    CheckConstraint("source IN ('button', 'deep_link', 'redirect')", name="marketing_clicks_source"),
    Index("marketing_clicks_user", "user_id", "clicked_at", "id"),
    Index("marketing_clicks_promo", "promo_id", "clicked_at", "id"),
    Index("marketing_clicks_user_promo", "user_id", "promo_id", "clicked_at", "id"),
    Index("marketing_clicks_time", "clicked_at", "id"),
    Index("marketing_clicks_payload", "payload", "clicked_at"),
    Index("marketing_clicks_delivery", "delivery_id"),
)

posts = Table(
    "posts",
    metadata,
    Column("id", Uuid, primary_key=True),  # the event's id; a delivery settled twice has two rows
    Column("delivery_id", Uuid, nullable=False),
    Column("promo_id", Text, nullable=False),
    Column("payload", Text),
    Column("bot", Text),
    Column("chat_id", BigInteger),
    Column("message_id", BigInteger),
    Column("schedule_id", Uuid, nullable=False),
    Column("slot", DateTime(timezone=True), nullable=False),
    Column("posted_at", DateTime(timezone=True), nullable=False),
    Index("posts_delivery", "delivery_id", "posted_at", "id"),
    Index("posts_payload", "payload", "posted_at", "id"),
    Index("posts_promo", "promo_id", "posted_at", "delivery_id"),
    Index("posts_schedule", "schedule_id", "posted_at", "delivery_id"),
    Index("posts_time", "posted_at", "delivery_id"),
    Index("posts_private", "chat_id", postgresql_where=text("chat_id > 0")),
)

click_annotations = Table(
    "click_annotations",
    metadata,
    Column("id", Uuid, primary_key=True),  # the event's id
    Column("click_id", Uuid, nullable=False),  # may come before its press, when both are told again
    Column("at", DateTime(timezone=True), nullable=False),
    Column("metadata", JSONB, nullable=False),
    Index("click_annotations_click", "click_id", "at", "id"),
)

forgotten_users = forgotten_table(metadata)

bus_attempts = attempts_table(metadata)
