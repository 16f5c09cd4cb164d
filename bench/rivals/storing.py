"""The tables of the rivals, and how an update gets into them: an asyncpg pool and one INSERT."""

from typing import Any

TABLE = """
CREATE TABLE IF NOT EXISTS presses (
    update_id bigint PRIMARY KEY, user_id bigint NOT NULL, chat_id bigint, message_id bigint,
    data text NOT NULL, pressed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS updates (
    update_id bigint PRIMARY KEY, user_id bigint, chat_id bigint, text text,
    received_at timestamptz NOT NULL DEFAULT now()
)"""
PRESS = """
INSERT INTO presses (update_id, user_id, chat_id, message_id, data) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (update_id) DO NOTHING"""

UPDATE = """
INSERT INTO updates (update_id, user_id, chat_id, text) VALUES ($1, $2, $3, $4)
ON CONFLICT (update_id) DO NOTHING"""


async def note(pool: Any, update_id: int, part: Any) -> None:
    """Store an update that is no press; `part` is its message, or the like, as either library shows it."""
    await pool.execute(UPDATE, update_id, part.from_user.id, part.chat.id, getattr(part, "text", None))


async def store(pool: Any, update_id: int, query: Any) -> None:
    """Store a press; `query` is the callback query as either library shows it."""
    message = query.message
    user = getattr(query, "from_user")  # noqa: B009 - both libraries call it so
    await pool.execute(PRESS, update_id, user.id, message.chat.id, message.message_id, query.data)
