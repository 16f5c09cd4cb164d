"""The recipients' directory: where people are reached, and how they want to be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.requests import Recipient
from services.senders.store.browsers import Browsers
from services.senders.store.chats import Chats
from services.senders.store.directory import FIRST_VERSION, ITSELF, alone_with, is_forgotten_since, is_new
from services.senders.store.erasing import Erasing
from services.senders.store.linking import Linking
from services.senders.store.suppressions import LIFT_UNSUBSCRIBED, Suppressions, quiet_hours, spellings
from shared.database import Database
from shared.events import Channel, PushSubscription
from shared.gathering import Lookup
from shared.queries import ListRecipients, PutRecipient, RecipientView

_QUIET = ("quiet_start", "quiet_end", "quiet_zone")
_PLAIN = ("email", "telegram_chat_id", "bot", "language", "time_zone", "role", "channel_order")
_FIELDS = (*_PLAIN, *_QUIET)
_SHOWN = (*_PLAIN, "user_id", "version", "opted_out", "muted", "telegram_id", "created_at", "updated_at")
_CASTS = {"channel_order": "text[]", "quiet_start": "time", "quiet_end": "time", "telegram_chat_id": "bigint"}

_GIVEN = {name: f"CAST(:{name} AS {_CASTS.get(name, 'text')})" for name in _FIELDS}
# Of quiet hours all three parts are given, or none.
_NEW = {
    name: f"CASE WHEN '{name}' = ANY(CAST(:clear AS text[])) THEN NULL ELSE {given} END"
    for name, given in (
        *((name, f"coalesce({_GIVEN[name]}, known.{name})") for name in _PLAIN),
        *((name, f"CASE WHEN :quiet THEN {_GIVEN[name]} ELSE known.{name} END") for name in _QUIET),
    )
} | {
    "opted_out": "coalesce(CAST(:opted_out AS boolean), known.opted_out)",
    "muted": "coalesce(CAST(:muted AS text[]), known.muted)",
}
_PUT = text(f"""
    INSERT INTO recipients AS known (user_id, version, announced, opted_out, muted, {", ".join(_FIELDS)})
    VALUES (:user_id, {FIRST_VERSION}, 0,
            coalesce(CAST(:opted_out AS boolean), false), coalesce(CAST(:muted AS text[]), '{{}}'),
            {", ".join(_GIVEN.values())})
    ON CONFLICT (user_id) DO UPDATE
    SET version = known.version + 1, updated_at = now(), ({", ".join(_NEW)}) = ROW({", ".join(_NEW.values())})
    WHERE ({", ".join(f"known.{name}" for name in _NEW)}) IS DISTINCT FROM ({", ".join(_NEW.values())})""")  # noqa: S608 - constants

_GET = text(f"SELECT * FROM recipients WHERE user_id = {ITSELF}")  # noqa: S608 - a constant
_ORDER = text(f"SELECT channel_order FROM recipients WHERE user_id = {ITSELF}")  # noqa: S608 - a constant
_FIND = text("""
    SELECT place, r.* FROM unnest(CAST(:user_ids AS uuid[])) WITH ORDINALITY AS asked(user_id, place)
    LEFT JOIN recipients known ON known.user_id = asked.user_id
    JOIN recipients r ON r.user_id = coalesce(known.linked_to, asked.user_id)""")
_LIST = text("""
    SELECT r.*, ARRAY(SELECT json_build_object('endpoint', endpoint, 'p256dh', p256dh, 'auth', auth)
                      FROM push_subscriptions s WHERE s.user_id = r.user_id
                      ORDER BY s.created_at, s.endpoint) AS subscriptions
    FROM recipients r
    WHERE linked_to IS NULL
      AND (CAST(:role AS text) IS NULL OR role = :role)
      AND (CAST(:language AS text) IS NULL OR language = :language)
      AND (CAST(:email AS text) IS NULL OR lower(email) = :email)
      AND (CAST(:telegram_chat_id AS bigint) IS NULL OR telegram_chat_id = :telegram_chat_id)
      AND (CAST(:at AS timestamptz) IS NULL OR (created_at, user_id) < (:at, CAST(:id AS uuid)))
    ORDER BY created_at DESC, user_id DESC LIMIT :limit""")
_UNANNOUNCED = text("""
    SELECT r.*, (SELECT count(*) FROM push_subscriptions s WHERE s.user_id = r.user_id) AS subscriptions
    FROM recipients r WHERE announced < version LIMIT :limit""")
# Who is locked is being changed, or noted by another replica: they are told again.
_ANNOUNCED = text("""
    WITH told AS (
        SELECT known.user_id, told.version
        FROM unnest(CAST(:user_ids AS uuid[]), CAST(:versions AS bigint[])) AS told (user_id, version)
        JOIN recipients AS known USING (user_id)
        ORDER BY known.user_id FOR NO KEY UPDATE OF known SKIP LOCKED)
    UPDATE recipients AS known SET announced = greatest(announced, told.version) FROM told
    WHERE known.user_id = told.user_id
    RETURNING known.user_id""")
_ANY_TO_TELL = text("""
    SELECT EXISTS (SELECT 1 FROM recipients WHERE announced < version)
        OR EXISTS (SELECT 1 FROM forgotten_recipients WHERE NOT announced)
        OR EXISTS (SELECT 1 FROM chats_told WHERE NOT announced)
        OR EXISTS (SELECT 1 FROM migrated_chats WHERE NOT announced)""")

# What waits for the end of a quiet time is asked again when quiet hours change.
_WAKE = text("""
    WITH asleep AS (
        SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.message_id
        WHERE d.state = 'pending' AND d.reason = 'quiet_hours'
          AND m.user_id IN (SELECT user_id FROM recipients WHERE user_id = :user_id OR linked_to = :user_id)
        ORDER BY d.id FOR NO KEY UPDATE OF d)
    UPDATE deliveries d SET due_at = now() FROM asleep WHERE d.id = asleep.id""")


class Recipients(Browsers, Chats, Suppressions, Linking, Erasing):
    """The directory, in senders' database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._finding = Lookup("recipient", database, _FIND, "user_ids")

    async def put(self, command: PutRecipient) -> bool:
        """Create a recipient, or change what is given, once; what changes nothing makes no new version.

        Return False for somebody who was forgotten after the command's cause.
        """
        async with alone_with(self._database, command.user_id) as (connection, user_id):
            if await is_forgotten_since(connection, command.at, command.user_id, user_id):
                return False
            if not await is_new(connection, command):
                return True
            before = (await connection.execute(_GET, {"user_id": user_id})).mappings().first()
            await connection.execute(_PUT, _parameters(command) | {"user_id": user_id})
            if before is not None:
                await _follow(connection, command, before)
            return True

    async def view(self, user_id: UUID) -> RecipientView | None:
        """Return a recipient as others see it, or None."""
        row = await self._database.row(_GET, user_id=user_id)
        return None if row is None else _view(row, await self.subscriptions(user_id))

    async def list_recipients(
        self, query: ListRecipients, limit: int, before: tuple[datetime, UUID] | None
    ) -> list[RecipientView]:
        """Return recipients, newest first; `before` is time and id."""
        at, key = before or (None, None)
        rows = await self._database.rows(
            _LIST, role=query.role, language=query.language, email=query.email and query.email.lower(),
            telegram_chat_id=query.telegram_chat_id, at=at, id=key, limit=limit,
        )  # fmt: skip
        return [
            _view(row, [PushSubscription.model_validate(each) for each in row["subscriptions"]])
            for row in rows
        ]

    async def find(self, user_id: UUID) -> Recipient | None:
        """Return what sending needs of a recipient, or None."""
        row = await self._finding.row(user_id)
        return Recipient.model_validate(dict(row) | {"quiet_hours": quiet_hours(row)}) if row else None

    async def order_of(self, user_id: UUID) -> list[Channel]:
        """Return in which order somebody wants to be reached; empty where they have said nothing."""
        order = await self._database.value(_ORDER, user_id=user_id)
        return [Channel(each) for each in order or ()]

    async def is_to_tell(self) -> bool:
        """Say whether anything is new of recipients, of the forgotten, or of chats."""
        return bool(await self._database.value(_ANY_TO_TELL))

    async def unannounced(self, limit: int) -> Sequence[RowMapping]:
        """Return recipients whose newest version has not been published, with their `subscriptions`."""
        return await self._database.rows(_UNANNOUNCED, limit=limit)

    async def announced(self, told: Sequence[RowMapping]) -> int:
        """Note that these versions are published; return of how many it could be noted."""
        noted = await self._database.rows(
            _ANNOUNCED,
            user_ids=[row["user_id"] for row in told],
            versions=[row["version"] for row in told],
        )
        return len(noted)


async def _follow(connection: AsyncConnection, command: PutRecipient, before: Mapping[Any, Any]) -> None:
    """Do what follows from a change of consent."""
    if before["opted_out"] and command.opted_out is False:
        emails = [each for each in (before["email"], command.email) if each]
        addresses = [spelling for each in emails for spelling in spellings(Channel.EMAIL, each)]
        await connection.execute(LIFT_UNSUBSCRIBED, {"addresses": addresses})
    if command.quiet_hours or command.time_zone or {"quiet_hours", "time_zone"} & set(command.clear):
        await connection.execute(_WAKE, {"user_id": before["user_id"]})


def _parameters(command: PutRecipient) -> dict[str, Any]:
    quiet = command.quiet_hours
    cleared = {*command.clear} - {"quiet_hours"} | (set(_QUIET) if "quiet_hours" in command.clear else set())
    order, muted = command.channel_order, command.muted
    return {
        **{name: getattr(command, name) for name in _PLAIN},
        "channel_order": None if order is None else [str(each) for each in order],
        "muted": None if muted is None else sorted({str(each) for each in muted}),
        "opted_out": command.opted_out,
        "quiet": quiet is not None,
        **dict(zip(_QUIET, (quiet.start, quiet.end, quiet.zone) if quiet else (None,) * 3, strict=True)),
        "clear": sorted(cleared),
    }


def _view(row: Mapping[Any, Any], subscriptions: Sequence[PushSubscription]) -> RecipientView:
    known: dict[str, Any] = {name: row[name] for name in _SHOWN} | {
        "channel_order": row["channel_order"] or (),
        "quiet_hours": quiet_hours(row),
        "push_subscriptions": tuple(subscriptions),
    }
    return RecipientView.model_validate(known)
