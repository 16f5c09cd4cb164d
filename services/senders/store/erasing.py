"""Forgetting somebody: what is theirs goes, what the ledger counts stays, and is nobody's.

The ledger's rows get a pseudonym that nobody can trace back, so that its sums stay right. What names the
person by an address of theirs is looked for afterwards, by the rounds: it takes a search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.store.directory import Directory, alone_with, is_new
from services.senders.store.lists import DIGEST
from services.senders.store.stripping import strip
from services.senders.store.suppressions import spellings
from shared.events import Channel
from shared.queries import ForgetRecipient

_PERSON = text("""
    SELECT user_id, version, email, telegram_chat_id FROM recipients
    WHERE user_id = :user_id OR linked_to = :user_id""")
_ADD = text("""
    INSERT INTO forgotten_recipients AS known (user_id, version, addresses)
    VALUES (:user_id, 1 + :version, CAST(:addresses AS jsonb))
    ON CONFLICT (user_id) DO UPDATE
    SET version = greatest(known.version + 1, excluded.version), forgotten_at = now(), announced = false,
        addresses = excluded.addresses
    RETURNING user_id""")
_DELETE = text("DELETE FROM recipients WHERE user_id = ANY(CAST(:user_ids AS uuid[]))")
_DELETE_CHATS = text("DELETE FROM chats_told WHERE chat_id = ANY(CAST(:chat_ids AS bigint[]))")
# Telegram itself keeps a block; a mailbox that bounced or was unsubscribed is known by its hash from now on.
_DELETE_CHAT_SUPPRESSIONS = text("""
    DELETE FROM suppressions WHERE id IN (
        SELECT id FROM suppressions
        WHERE channel = 'telegram' AND substring(address FROM ':(-?[0-9]+)$') = ANY(CAST(:chats AS text[]))
        ORDER BY channel, address, origin FOR UPDATE)""")
_HASH_SUPPRESSIONS = text("""
    INSERT INTO suppressions (channel, address, origin, reason, created_at)
    SELECT channel, :hashed, origin, reason, created_at FROM suppressions
    WHERE channel = 'email' AND address = :email
    ON CONFLICT (channel, address, origin) DO NOTHING""")
_DELETE_SUPPRESSIONS = text("DELETE FROM suppressions WHERE channel = 'email' AND address = :email")

_OF_USERS = text("""
    SELECT id FROM messages WHERE user_id = ANY(CAST(:user_ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE""")
_OF_ADDRESSES = text("""
    SELECT id FROM messages
    WHERE id IN (
        SELECT id FROM messages
        WHERE length(request -> 'address' ->> 'email') <= 320
          AND lower(request -> 'address' ->> 'email') = ANY(CAST(:emails AS text[]))
        UNION ALL
        SELECT id FROM messages
        WHERE length(request -> 'address' ->> 'telegram_chat_id') <= 18
          AND CAST(request -> 'address' ->> 'telegram_chat_id' AS bigint)
              = ANY(CAST(:chat_ids AS bigint[])))
    ORDER BY id FOR NO KEY UPDATE""")
_DROP_PLACES = text("""
    DELETE FROM campaign_reached WHERE key IN (
        SELECT r.key FROM campaign_reached r
        JOIN deliveries d ON d.id = r.delivery_id JOIN messages m ON m.id = d.message_id
        WHERE r.forgotten AND NOT EXISTS (
            SELECT 1 FROM campaigns c
            WHERE c.id = m.campaign_id AND c.status NOT IN ('done', 'cancelled', 'failed'))
        ORDER BY r.key FOR UPDATE OF r)""")
_LISTED = """
    SELECT campaign_id, position FROM campaign_recipients WHERE user_id = ANY(CAST(:user_ids AS uuid[]))
    UNION
    SELECT campaign_id, position FROM campaign_recipients
    WHERE length(address ->> 'email') <= 320 AND lower(address ->> 'email') = ANY(CAST(:emails AS text[]))
    UNION
    SELECT campaign_id, position FROM campaign_recipients
    WHERE length(address ->> 'telegram_chat_id') <= 18
      AND CAST(address ->> 'telegram_chat_id' AS bigint) = ANY(CAST(:chat_ids AS bigint[]))"""
_LOCK_LISTS = text(f"""
    SELECT id FROM campaigns WHERE id IN (SELECT campaign_id FROM ({_LISTED}) AS listed)
    ORDER BY id FOR UPDATE""")  # noqa: S608 - a constant
# A list's sum follows its entries, so that what is left of the list can still be believed.
_STRIP_LISTS = text(f"""
    WITH theirs AS (
        SELECT campaign_id AS campaign, position AS place, CAST({DIGEST} AS numeric) AS was
        FROM campaign_recipients JOIN ({_LISTED}) AS listed USING (campaign_id, position)),
    stripped AS (
        UPDATE campaign_recipients
        SET key = gen_random_uuid(), user_id = :nobody, address = NULL, variables = '{{}}'
        FROM theirs WHERE (campaign_id, position) = (campaign, place)
        RETURNING campaign_id, {DIGEST} - was AS change)
    UPDATE campaigns c SET list_sum = c.list_sum + s.change, version = c.version + 1
    FROM (SELECT campaign_id, sum(change) AS change FROM stripped GROUP BY campaign_id) s
    WHERE c.id = s.campaign_id""")  # noqa: S608 - constants
_UNTOLD = text("SELECT * FROM forgotten_recipients WHERE NOT announced LIMIT 100")
_TOLD = text("""
    UPDATE forgotten_recipients SET announced = true WHERE user_id = :user_id AND version = :version""")
_UNSWEPT = text("""
    SELECT user_id, version, addresses FROM forgotten_recipients
    WHERE addresses IS NOT NULL LIMIT 1 FOR UPDATE SKIP LOCKED""")
_SWEPT = text(
    "UPDATE forgotten_recipients SET addresses = NULL WHERE user_id = :user_id AND version = :version"
)
# What was requested before they were forgotten, and came to the ledger after it.
_LATE = text("""
    SELECT m.id FROM messages m JOIN forgotten_recipients f ON f.user_id = m.user_id
    WHERE CAST(m.request ->> 'requested_at' AS timestamptz) <= f.forgotten_at
       OR (SELECT c.created_at FROM campaigns c WHERE c.id = m.campaign_id) <= f.forgotten_at
    ORDER BY m.id LIMIT 1000 FOR NO KEY UPDATE OF m""")


@dataclass(frozen=True)
class Known:
    """By what somebody is known: ids, mailboxes (lower case), private chats."""

    user_ids: tuple[UUID, ...]
    emails: tuple[str, ...] = ()
    chat_ids: tuple[int, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """As parameters of a statement."""
        return {
            "user_ids": [*self.user_ids],
            "emails": [*self.emails],
            "chat_ids": [*self.chat_ids],
            "chats": [str(chat_id) for chat_id in self.chat_ids],
        }


class Erasing(Directory):
    """The part of the directory that forgets."""

    async def forget(self, command: ForgetRecipient, nobody: UUID) -> tuple[tuple[UUID, ...], int]:
        """Forget somebody, linked or not; return the ids that they were known by, and how many messages.

        `nobody` is the pseudonym of what stays, made up for the occasion.
        """
        async with alone_with(self._database, command.user_id) as (connection, main):
            rows = (await connection.execute(_PERSON, {"user_id": main})).mappings().all()
            known = _known(rows, main, command.user_id, emails=command.emails)
            if not await is_new(connection, command):
                return known.user_ids, 0
            await _add(connection, rows, known)
            await connection.execute(_DELETE, known.parameters)
            await _forget_addresses(connection, known)
            found = (await connection.execute(_OF_USERS, known.parameters)).scalars().all()
            await strip(connection, found, nobody)
            return known.user_ids, len(found)

    async def sweep(self, nobody: UUID) -> bool:
        """Look for one forgotten person's addresses in the ledger and in lists; False when none is left."""
        async with self._database.begin() as connection:
            row = (await connection.execute(_UNSWEPT)).mappings().first()
            if row is None:
                return False
            kept = row["addresses"]
            known = Known((row["user_id"],), tuple(kept["emails"]), tuple(kept["chat_ids"]))
            found = (await connection.execute(_OF_ADDRESSES, known.parameters)).scalars().all()
            await strip(connection, found, nobody)
            await connection.execute(_LOCK_LISTS, known.parameters)
            await connection.execute(_STRIP_LISTS, known.parameters | {"nobody": nobody})
            await connection.execute(_SWEPT, {"user_id": row["user_id"], "version": row["version"]})
            return True

    async def strip_late(self, nobody: UUID) -> None:
        """Strip what was requested for somebody before they were forgotten, and came in after it.

        What ended campaigns have reached of the forgotten goes too.
        """
        async with self._database.begin() as connection:
            await connection.execute(_DROP_PLACES)
            await strip(connection, (await connection.execute(_LATE)).scalars().all(), nobody)

    async def untold_forgotten(self) -> Sequence[RowMapping]:
        """Return who was forgotten and nobody has been told."""
        return await self._database.rows(_UNTOLD)

    async def forgotten_announced(self, user_id: UUID, version: int) -> None:
        """Note that the others have been told."""
        await self._database.execute(_TOLD, user_id=user_id, version=version)


def _known(rows: Sequence[RowMapping], *user_ids: UUID, emails: Sequence[str] = ()) -> Known:
    # Groups are nobody's: what was said there stays.
    return Known(
        tuple(dict.fromkeys([*user_ids, *(row["user_id"] for row in rows)])),
        tuple(sorted({email.casefold() for email in (*emails, *(row["email"] for row in rows)) if email})),
        tuple({chat for row in rows if (chat := row["telegram_chat_id"]) is not None and chat > 0}),
    )


async def _add(connection: AsyncConnection, rows: Sequence[RowMapping], known: Known) -> None:
    versions = {row["user_id"]: row["version"] for row in rows}
    addresses = orjson.dumps({"emails": known.emails, "chat_ids": known.chat_ids}).decode()
    for user_id in known.user_ids:
        entry = {"user_id": user_id, "version": versions.get(user_id, 0), "addresses": addresses}
        await connection.execute(_ADD, entry)


async def _forget_addresses(connection: AsyncConnection, known: Known) -> None:
    await connection.execute(_DELETE_CHATS, known.parameters)
    await connection.execute(_DELETE_CHAT_SUPPRESSIONS, known.parameters)
    for email in known.emails:
        _, hashed = spellings(Channel.EMAIL, email)
        await connection.execute(_HASH_SUPPRESSIONS, {"email": email, "hashed": hashed})
        await connection.execute(_DELETE_SUPPRESSIONS, {"email": email})
