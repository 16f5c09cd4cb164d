"""Forgetting somebody: a private chat has the number of its person, and may be where promos go."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import Database
from shared.events import RecipientForgotten
from shared.ids import owner_of
from shared.record.forgetting import add_forgotten
from shared.record.trimmed import look_into_trimmed

# The people behind numbers cannot be told by SQL; there are few private chats among those of promos.
_LOGGED = text("SELECT DISTINCT chat_id FROM promo_log_chats WHERE chat_id > 0")
# Whoever was made a target afterwards has come back, and stays.
_KNOWN = text("""
    SELECT DISTINCT chat_id FROM (
        SELECT unnest(chat_ids) AS chat_id FROM schedules WHERE edited_at IS NULL OR edited_at <= :at
        UNION SELECT unnest(chat_ids) FROM slots WHERE decided_at <= :at) AS known
    WHERE chat_id > 0""")
# That a post was intended, and what became of it, stays on record.
_FORGET_LOGGED = text("""
    WITH theirs AS (
        SELECT id FROM promo_log_chats
        WHERE chat_id = ANY(CAST(:chat_ids AS bigint[])) AND coalesce(due_at, slot) <= :at
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE promo_log_chats AS log SET chat_id = NULL, provider_message_id = NULL
    FROM theirs WHERE log.id = theirs.id""")
_FORGET_TARGETS = (
    text("""
    WITH theirs AS (
        SELECT id FROM schedules
        WHERE :chat_id = ANY(chat_ids) AND (edited_at IS NULL OR edited_at <= :at)
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE schedules SET chat_ids = array_remove(chat_ids, :chat_id)
    FROM theirs WHERE schedules.id = theirs.id"""),
    text("""
    UPDATE slots SET chat_ids = array_remove(chat_ids, :chat_id)
    WHERE :chat_id = ANY(chat_ids) AND decided_at <= :at"""),
)


class Forgetting:
    """What scheduler forgets, in its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def logged(self, forgotten: RecipientForgotten) -> None:
        """Make somebody's lines of the promo log nobody's, trimmed ones too, and those still to come."""
        async with self._database.begin() as connection:
            await _forget(connection, forgotten)
            await look_into_trimmed(connection)
            await _forget(connection, forgotten)

    async def targets(self, forgotten: RecipientForgotten) -> None:
        """Post to somebody no more, unless they were chosen since, and forget that it was done before."""
        rows = await self._database.rows(_KNOWN, at=forgotten.at)
        for chat_id in _theirs(forgotten, [row["chat_id"] for row in rows]):
            async with self._database.begin() as connection:
                for statement in _FORGET_TARGETS:
                    await connection.execute(statement, {"chat_id": chat_id, "at": forgotten.at})


async def _forget(connection: AsyncConnection, forgotten: RecipientForgotten) -> None:
    await add_forgotten(connection, forgotten)
    known = (await connection.execute(_LOGGED)).scalars().all()
    if chat_ids := _theirs(forgotten, known):
        await connection.execute(_FORGET_LOGGED, {"chat_ids": chat_ids, "at": forgotten.at})


def _theirs(forgotten: RecipientForgotten, chat_ids: Sequence[int]) -> list[int]:
    return [chat_id for chat_id in chat_ids if owner_of(chat_id) == forgotten.user_id]
