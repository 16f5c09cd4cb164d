"""Addresses that nothing is sent to, and why."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.senders.domain.requests import Recipient
from services.senders.store.directory import Directory, is_new
from shared.database import Database
from shared.events import Channel, QuietHours
from shared.gathering import Lookup
from shared.queries import AddSuppression, LiftSuppression, TellBounce, UnsubscribeRecipient

SUPPRESS = text("""
    INSERT INTO suppressions (channel, address, origin, reason) VALUES (:channel, :address, :origin, :reason)
    ON CONFLICT (channel, address, origin) DO UPDATE SET reason = excluded.reason
    RETURNING *, xmax = 0 AS is_new""")
# What holds back everything comes before what holds back campaigns only.
_SUPPRESSED = text("""
    SELECT place, found.reason
    FROM unnest(CAST(:channels AS text[]), CAST(:addresses AS text[]), CAST(:hashes AS text[]),
                CAST(:campaigns AS boolean[])) WITH ORDINALITY
         AS asked(channel, address, hash, is_campaign, place)
    CROSS JOIN LATERAL (
        SELECT reason FROM suppressions s
        WHERE s.channel = asked.channel AND s.address IN (asked.address, asked.hash)
          AND (reason <> 'opted_out' OR asked.is_campaign)
        ORDER BY reason = 'opted_out' LIMIT 1) AS found""")
_LIST = text("""
    SELECT * FROM suppressions
    WHERE (CAST(:channel AS text) IS NULL OR channel = :channel)
      AND (CAST(:origin AS text) IS NULL OR origin = :origin)
      AND (CAST(:addresses AS text[]) IS NULL OR address = ANY(CAST(:addresses AS text[])))
      AND (CAST(:at AS timestamptz) IS NULL OR (created_at, id) < (:at, CAST(:id AS uuid)))
    ORDER BY created_at DESC, id DESC LIMIT :limit""")
_ENTRY = text("""
    SELECT * FROM suppressions WHERE (channel, address, origin) = (:channel, :address, :origin)""")
_LIFT = text("DELETE FROM suppressions WHERE id = :id RETURNING *")
# In one order, wherever several entries are changed.
LIFT_UNSUBSCRIBED = text("""
    DELETE FROM suppressions WHERE id IN (
        SELECT id FROM suppressions
        WHERE channel = 'email' AND address = ANY(CAST(:addresses AS text[])) AND origin = 'unsubscribe'
        ORDER BY channel, address, origin FOR UPDATE)""")
_WENT_TO = text("""
    SELECT coalesce(r.linked_to, m.user_id) AS user_id, m.request -> 'address' ->> 'email' AS direct
    FROM deliveries d JOIN messages m ON m.id = d.message_id LEFT JOIN recipients r ON r.user_id = m.user_id
    WHERE d.id = :id""")
_OPT_OUT = text("""
    UPDATE recipients SET opted_out = true, version = version + (NOT opted_out)::int,
           updated_at = CASE WHEN opted_out THEN updated_at ELSE now() END
    WHERE user_id = :user_id RETURNING email""")
# Of whom an address is; only who wishes something is asked for.
_AT_HOME = text("""
    SELECT place, r.opted_out, r.quiet_start, r.quiet_end, r.quiet_zone, r.time_zone
    FROM unnest(CAST(:emails AS text[]), CAST(:chat_ids AS bigint[])) WITH ORDINALITY
         AS asked(email, chat_id, place)
    CROSS JOIN LATERAL (
        SELECT * FROM recipients WHERE lower(email) = asked.email
        UNION ALL
        SELECT * FROM recipients WHERE telegram_chat_id = asked.chat_id) AS r
    WHERE r.linked_to IS NULL AND (r.opted_out OR r.quiet_start IS NOT NULL)""")


class Suppressions(Directory):
    """The part of the directory that says where nothing is sent to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        asked = ("channels", "addresses", "hashes", "campaigns")
        self._suppressing = Lookup("suppression", database, _SUPPRESSED, *asked)
        self._at_home = Lookup("wishes", database, _AT_HOME, "emails", "chat_ids")

    async def suppress(self, channel: Channel, address: str, reason: str, origin: str = "provider") -> bool:
        """Put an address on the suppression list; return whether it is new there."""
        row = await self._database.row(
            SUPPRESS, channel=channel, address=address, origin=origin, reason=reason
        )
        return row is not None and bool(row["is_new"])

    async def suppressed(self, channel: Channel, address: str, *, is_campaign: bool = False) -> str | None:
        """Return why nothing (no campaign, where it is one) is sent to an address, or None."""
        plain, hashed = (*spellings(channel, address), None)[:2]
        row = await self._suppressing.row(channel, plain, hashed, is_campaign)
        return None if row is None else str(row["reason"])

    async def living_at(self, email: str | None, chat_id: int | None) -> list[Recipient]:
        """Return what those at these addresses wish who have opted out, or have quiet hours."""
        rows = await self._at_home.rows(email and email.casefold(), chat_id)
        return [
            Recipient(opted_out=row["opted_out"], time_zone=row["time_zone"], quiet_hours=quiet_hours(row))
            for row in rows
        ]

    async def list_suppressions(
        self,
        limit: int,
        *,
        channel: str | None = None,
        origin: str | None = None,
        address: str | None = None,
        before: tuple[datetime, UUID] | None = None,
    ) -> Sequence[RowMapping]:
        """Return what is on the list, newest first; `before` is time and id."""
        at, key = before or (None, None)
        addresses = None if address is None else sorted({*spellings(Channel.EMAIL, address), address})
        return await self._database.rows(
            _LIST, channel=channel, origin=origin, addresses=addresses, at=at, id=key, limit=limit
        )

    async def add_suppression(self, command: AddSuppression) -> RowMapping | None:
        """Put an address on the list by hand; None when this command has done so, and it was lifted since."""
        address = spellings(command.channel, command.address)[0]
        entry = {"channel": command.channel, "address": address, "origin": "operator"}
        async with self._database.begin() as connection:
            if await is_new(connection, command):
                await connection.execute(SUPPRESS, entry | {"reason": command.reason})
            return (await connection.execute(_ENTRY, entry)).mappings().first()

    async def lift_suppression(self, command: LiftSuppression) -> RowMapping | None:
        """Take an address off the list; return what was there."""
        return await self._database.row(_LIFT, id=command.suppression_id)

    async def bounced(self, command: TellBounce) -> None:
        """Suppress an address that a letter came back from, or a complaint."""
        entry = {"channel": Channel.EMAIL, "address": command.email.casefold(), "origin": "bounce"}
        reason = "complained" if command.kind == "complaint" else "bounced"
        async with self._database.begin() as connection:
            if await is_new(connection, command):
                await connection.execute(SUPPRESS, entry | {"reason": reason})

    async def unsubscribe(self, command: UnsubscribeRecipient) -> bool:
        """Opt out whom a delivery went to, and suppress the address for campaigns; False for no delivery."""
        async with self._database.begin() as connection:
            found = (await connection.execute(_WENT_TO, {"id": command.delivery_id})).mappings().first()
            if found is None:
                return False
            opted = (await connection.execute(_OPT_OUT, {"user_id": found["user_id"]})).scalar()
            for address in sorted({each.casefold() for each in (found["direct"], opted) if each}):
                entry = {"channel": Channel.EMAIL, "address": address, "origin": "unsubscribe"}
                await connection.execute(SUPPRESS, entry | {"reason": "opted_out"})
            return True


def quiet_hours(row: Mapping[Any, Any]) -> QuietHours | None:
    """Return the quiet hours in a recipient's row."""
    if row["quiet_start"] is None or row["quiet_end"] is None:
        return None
    return QuietHours(start=row["quiet_start"], end=row["quiet_end"], zone=row["quiet_zone"])


def spellings(channel: Channel, address: str) -> list[str]:
    """Return how an address may be on the list: as it is, or as the hash that forgetting leaves of it."""
    if channel is not Channel.EMAIL:
        return [address]
    folded = address.casefold()
    return [folded, f"sha256:{hashlib.sha256(folded.encode()).hexdigest()}"]
