"""Telling that a user of the API and a Telegram user are one person, and parting them again.

The Telegram user keeps a row that says with whom he is linked, and how he was reached before.
"""

from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.store.directory import SEE, Directory, alone_with, is_new
from shared.ids import user_of_telegram
from shared.queries import LinkUser, UnlinkUser

_ROW = text("SELECT * FROM recipients WHERE user_id = :user_id")
_IS_LINKED_WITH = text("SELECT EXISTS (SELECT 1 FROM recipients WHERE linked_to = :user_id)")
# Consent is united in the stricter sense; what both have of anything else is the user's own.
_MERGE = text("""
    UPDATE recipients main
    SET telegram_id = :telegram_id, version = main.version + 1, updated_at = now(),
        telegram_chat_id = coalesce(person.telegram_chat_id, main.telegram_chat_id, :telegram_id),
        bot = coalesce(person.bot, main.bot), role = coalesce(person.role, main.role),
        email = coalesce(main.email, person.email), language = coalesce(main.language, person.language),
        time_zone = coalesce(main.time_zone, person.time_zone),
        opted_out = main.opted_out OR person.opted_out,
        muted = ARRAY(SELECT DISTINCT unnest(main.muted || person.muted) ORDER BY 1),
        channel_order = coalesce(main.channel_order, person.channel_order),
        quiet_zone = CASE WHEN main.quiet_start IS NULL THEN person.quiet_zone ELSE main.quiet_zone END,
        quiet_start = coalesce(main.quiet_start, person.quiet_start),
        quiet_end = coalesce(main.quiet_end, person.quiet_end)
    FROM recipients person WHERE main.user_id = :user_id AND person.user_id = :person_id""")
_POINT = text("""
    UPDATE recipients SET linked_to = :user_id, version = version + 1, updated_at = now()
    WHERE user_id = :person_id""")
_MOVE_SUBSCRIPTIONS = text("UPDATE push_subscriptions SET user_id = :user_id WHERE user_id = :person_id")
# What was decided meanwhile holds for both of them.
_PART = text("""
    UPDATE recipients person
    SET linked_to = NULL, version = person.version + 1, updated_at = now(), opted_out = main.opted_out,
        muted = main.muted, role = coalesce(main.role, person.role),
        language = coalesce(main.language, person.language),
        time_zone = coalesce(main.time_zone, person.time_zone), channel_order = main.channel_order,
        quiet_start = main.quiet_start, quiet_end = main.quiet_end, quiet_zone = main.quiet_zone,
        telegram_chat_id = main.telegram_chat_id, bot = coalesce(main.bot, person.bot)
    FROM recipients main WHERE person.linked_to = main.user_id AND main.user_id = :user_id""")
_ALONE_AGAIN = text("""
    UPDATE recipients SET telegram_id = NULL, telegram_chat_id = NULL, bot = NULL, role = NULL,
           version = version + 1, updated_at = now()
    WHERE user_id = :user_id AND telegram_id IS NOT NULL RETURNING user_id""")


class AlreadyLinked(Exception):
    """One of the two is linked with somebody else, or has another chat; the text says which."""


class Linking(Directory):
    """The part of the directory that says who is the same person as whom."""

    async def link(self, command: LinkUser) -> None:
        """Make one person of a user and a Telegram user; raises AlreadyLinked."""
        user_id, person_id = command.user_id, user_of_telegram(command.telegram_id)
        async with alone_with(self._database, user_id, person_id) as (connection, _):
            if not await is_new(connection, command):
                return
            for each in (user_id, person_id):
                await connection.execute(SEE, {"user_id": each})
            main, person = await _row(connection, user_id), await _row(connection, person_id)
            if main is None or person is None or person["linked_to"] == user_id:
                return
            await _check(connection, main, person, command.telegram_id)
            parties = {"user_id": user_id, "person_id": person_id}
            await connection.execute(_MERGE, parties | {"telegram_id": command.telegram_id})
            await connection.execute(_MOVE_SUBSCRIPTIONS, parties)
            await connection.execute(_POINT, parties)

    async def unlink(self, command: UnlinkUser) -> bool:
        """Part a user from his Telegram user; False when there is none."""
        parties = {"user_id": command.user_id}
        async with alone_with(self._database, command.user_id) as (connection, _):
            if not await is_new(connection, command):
                return True
            await connection.execute(_PART, parties)
            return (await connection.execute(_ALONE_AGAIN, parties)).first() is not None


async def _row(connection: AsyncConnection, user_id: UUID) -> RowMapping | None:
    return (await connection.execute(_ROW, {"user_id": user_id})).mappings().first()


async def _check(connection: AsyncConnection, main: RowMapping, person: RowMapping, telegram_id: int) -> None:
    if main["user_id"] == person["user_id"]:
        raise AlreadyLinked("this is the Telegram user's own id; link it with a user of your own")
    if main["linked_to"] is not None:
        raise AlreadyLinked("this user is a Telegram user who is linked himself")
    if main["telegram_id"] is not None:
        raise AlreadyLinked("this user is linked with another Telegram user; unlink them first")
    if person["linked_to"] is not None:
        raise AlreadyLinked("the Telegram user is linked with another user; unlink them first")
    if (await connection.execute(_IS_LINKED_WITH, {"user_id": person["user_id"]})).scalar():
        raise AlreadyLinked("the Telegram user is linked with a Telegram user of his own")
    chat_id = person["telegram_chat_id"] or telegram_id
    if main["telegram_chat_id"] not in (None, chat_id):
        raise AlreadyLinked("this user has another telegram_chat_id; clear it first")
