"""Chats: where they live on under another id, and what Telegram told of a bot in them."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, text

from services.senders.store.directory import Directory
from services.senders.store.suppressions import SUPPRESS
from shared.database import Database
from shared.events import Channel
from shared.gathering import Lookup
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
_TELL = text("""
    INSERT INTO chats_told AS known (bot, chat_id, change, told_at, place, cause)
    VALUES (:bot, :chat_id, :change, :at, :order, :cause)
    ON CONFLICT (bot, chat_id) DO UPDATE
    SET change = excluded.change, told_at = excluded.told_at, place = excluded.place, cause = excluded.cause,
        announced = false
    WHERE (known.told_at, known.place) < (excluded.told_at, excluded.place)
    RETURNING change""")
_LIFT = text("""
    DELETE FROM suppressions WHERE id IN (
        SELECT id FROM suppressions
        WHERE channel = 'telegram' AND address = :address AND origin IN ('block', 'provider')
        ORDER BY channel, address, origin FOR UPDATE)""")
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


class Chats(Directory):
    """The part of the directory that knows of chats, people's and groups'."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._finding_chats = Lookup("chat", database, _FOUND, "bots", "chat_ids", "campaigns")

    async def tell_chat(self, command: TellChat) -> bool:
        """Take what Telegram told of a chat, unless something newer is known; return whether it was news."""
        address = f"{command.bot}:{command.chat_id}"
        async with self._database.begin() as connection:
            newest = await connection.execute(_TELL, command.model_dump())
            if newest.first() is None:
                return False
            if command.change in ("unblocked", "added"):
                await connection.execute(_LIFT, {"address": address})
            else:
                entry = {"channel": Channel.TELEGRAM, "address": address, "origin": "block"}
                await connection.execute(SUPPRESS, entry | {"reason": command.change})
            return True

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
