"""Chats: where they live on under another id, and what Telegram told of a bot in them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, text

from services.senders.store.directory import Directory
from shared.database import Database
from shared.gathering import Gathering, Lookup
from shared.queries import TellChat

_MIGRATE = text("""
    INSERT INTO migrated_chats (bot, chat_id, new_chat_id) VALUES (:bot, :chat_id, :new_chat_id)
    ON CONFLICT (bot, chat_id) DO UPDATE
    SET new_chat_id = excluded.new_chat_id, announced = false""")
# A chat that moved before leads to the newest id at once.
_MIGRATE_EARLIER = text("""
    UPDATE migrated_chats SET new_chat_id = :new_chat_id
    WHERE bot = :bot AND new_chat_id = :chat_id AND chat_id <> :new_chat_id""")
_MIGRATIONS = text("SELECT bot, chat_id, new_chat_id FROM migrated_chats WHERE NOT announced LIMIT 100")
_MIGRATION_ANNOUNCED = text("""
    UPDATE migrated_chats SET announced = true
    WHERE bot = :bot AND chat_id = :chat_id AND new_chat_id = :new_chat_id""")
_MOVE_RECIPIENTS = text("""
    WITH there AS (
        SELECT user_id FROM recipients WHERE telegram_chat_id = :chat_id
        ORDER BY user_id FOR NO KEY UPDATE)
    UPDATE recipients r SET telegram_chat_id = :new_chat_id, version = version + 1, updated_at = now()
    FROM there WHERE r.user_id = there.user_id""")
# What holds back everything comes before what holds back campaigns only.
_FOUND = text("""
    SELECT place, coalesce(moved.new_chat_id, asked.chat_id) AS chat_id, held_back.reason
    FROM unnest(CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]), CAST(:campaigns AS boolean[]))
         WITH ORDINALITY AS asked(bot, chat_id, is_campaign, place)
    LEFT JOIN migrated_chats moved USING (bot, chat_id)
    LEFT JOIN LATERAL (
        SELECT reason FROM suppressions s
        WHERE s.channel = 'telegram'
          AND s.address = asked.bot || ':' || coalesce(moved.new_chat_id, asked.chat_id)
          AND (reason <> 'opted_out' OR asked.is_campaign)
        ORDER BY reason = 'opted_out' LIMIT 1) AS held_back ON true""")

# Updates may come twice, and late: the newest counts.
_NEWS = text("""
    SELECT number
    FROM unnest(CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]), CAST(:times AS timestamptz[]),
                CAST(:places AS bigint[]))
         WITH ORDINALITY AS told (bot, chat_id, told_at, place, number)
    LEFT JOIN chats_told AS known USING (bot, chat_id)
    WHERE known.bot IS NULL OR (known.told_at, known.place) < (told.told_at, told.place)""")
_TELL = text("""
    INSERT INTO chats_told AS known (bot, chat_id, change, told_at, place, cause)
    SELECT bot, chat_id, change, told_at, place, cause
    FROM unnest(CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]), CAST(:changes AS text[]),
                CAST(:times AS timestamptz[]), CAST(:places AS bigint[]), CAST(:causes AS uuid[]))
         AS told (bot, chat_id, change, told_at, place, cause)
    ORDER BY bot, chat_id
    ON CONFLICT (bot, chat_id) DO UPDATE
    SET change = excluded.change, told_at = excluded.told_at, place = excluded.place, cause = excluded.cause,
        announced = false
    WHERE (known.told_at, known.place) < (excluded.told_at, excluded.place)
    RETURNING bot, chat_id""")
# Statements of their own: only now, with the chats' rows held, do they see what was told of them before.
_LIFT = text("""
    DELETE FROM suppressions WHERE id IN (
        SELECT id FROM suppressions
        WHERE channel = 'telegram' AND address = ANY(CAST(:addresses AS text[]))
          AND origin IN ('block', 'provider')
        ORDER BY channel, address, origin FOR UPDATE)""")
_SUPPRESS = text("""
    INSERT INTO suppressions (channel, address, origin, reason)
    SELECT 'telegram', address, 'block', reason
    FROM unnest(CAST(:addresses AS text[]), CAST(:reasons AS text[])) AS told (address, reason)
    ORDER BY address
    ON CONFLICT (channel, address, origin) DO UPDATE SET reason = excluded.reason""")
_UNTOLD = text("SELECT * FROM chats_told WHERE NOT announced LIMIT :limit")
# What is locked is being changed, or noted by another replica: it is told again.
_TOLD = text("""
    WITH told AS (
        SELECT known.bot, known.chat_id
        FROM unnest(CAST(:bots AS text[]), CAST(:chat_ids AS bigint[]), CAST(:causes AS uuid[]))
             AS told (bot, chat_id, cause)
        JOIN chats_told AS known USING (bot, chat_id, cause)
        ORDER BY known.bot, known.chat_id FOR NO KEY UPDATE OF known SKIP LOCKED)
    UPDATE chats_told AS known SET announced = true FROM told
    WHERE known.bot = told.bot AND known.chat_id = told.chat_id
    RETURNING known.chat_id""")

_FIELDS = {
    "bots": "bot", "chat_ids": "chat_id", "times": "at", "places": "order", "changes": "change",
    "causes": "cause",
}  # fmt: skip
_LIFTING = ("unblocked", "added")
_PLACED = ("bots", "chat_ids", "times", "places")


class Chats(Directory):
    """The part of the directory that knows of chats, people's and groups'."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._telling = Gathering("chats told", self._tell_chats, _chat_of)
        self._finding_chats = Lookup("chat", database, _FOUND, "bots", "chat_ids", "campaigns")

    async def tell_chat(self, command: TellChat) -> bool:
        """Take what Telegram told of a chat, unless something newer is known; return whether it was news.

        What is told of several chats in the same moment is taken together.
        """
        return await self._telling.one(command)

    async def _tell_chats(self, told: Sequence[TellChat]) -> list[bool]:
        """Take what was told of chats, each of another one; say of each whether it was news."""
        found = await self._database.rows(_NEWS, **_columns(told, *_PLACED))
        news = [told[row["number"] - 1] for row in found]
        if not news:
            return [False for _ in told]
        async with self._database.begin() as connection:
            rows = await connection.execute(_TELL, _columns(news, *_PLACED, "changes", "causes"))
            taken = {(row.bot, row.chat_id) for row in rows}
            changed = [command for command in news if _chat_of(command) in taken]
            if lifted := [_address_of(each) for each in changed if each.change in _LIFTING]:
                await connection.execute(_LIFT, {"addresses": lifted})
            if held_back := [each for each in changed if each.change not in _LIFTING]:
                addresses = [_address_of(each) for each in held_back]
                reasons = [each.change for each in held_back]
                await connection.execute(_SUPPRESS, {"addresses": addresses, "reasons": reasons})
        return [_chat_of(command) in taken for command in told]

    async def untold_chats(self, limit: int) -> Sequence[RowMapping]:
        """Return what is new of chats and has not been published."""
        return await self._database.rows(_UNTOLD, limit=limit)

    async def chats_announced(self, told: Sequence[RowMapping]) -> int:
        """Note that these changes of chats are published; return of how many it could be noted."""
        names = {"bot": "bots", "chat_id": "chat_ids", "cause": "causes"}
        columns = {many: [row[name] for row in told] for name, many in names.items()}
        return len(await self._database.rows(_TOLD, **columns))

    async def migrate(self, bot: str, chat_id: int, new_chat_id: int) -> None:
        """Remember for good that a chat lives on under another id."""
        async with self._database.begin() as connection:
            moved = {"bot": bot, "chat_id": chat_id, "new_chat_id": new_chat_id}
            await connection.execute(_MIGRATE, moved)
            await connection.execute(_MIGRATE_EARLIER, moved)
            await connection.execute(_MOVE_RECIPIENTS, {"chat_id": chat_id, "new_chat_id": new_chat_id})

    async def migrations(self) -> Sequence[RowMapping]:
        """Return chats that have moved, of which nobody has been told."""
        return await self._database.rows(_MIGRATIONS)

    async def migration_announced(self, bot: str, chat_id: int, new_chat_id: int) -> None:
        """Note that a chat's move is published."""
        await self._database.execute(_MIGRATION_ANNOUNCED, bot=bot, chat_id=chat_id, new_chat_id=new_chat_id)

    async def chat_now(self, bot: str, chat_id: int, *, is_campaign: bool = False) -> tuple[int, str | None]:
        """Return the id under which a chat lives now, and why nothing (no campaign) is sent there, if so."""
        found = await self._finding_chats.row(bot, chat_id, is_campaign)
        return (chat_id, None) if found is None else (found["chat_id"], found["reason"])


def _chat_of(command: TellChat) -> tuple[str, int]:
    return command.bot, command.chat_id


def _address_of(command: TellChat) -> str:
    return f"{command.bot}:{command.chat_id}"


def _columns(told: Sequence[TellChat], *names: str) -> dict[str, list[Any]]:
    return {name: [getattr(command, _FIELDS[name]) for command in told] for name in names}
