"""The recipients' directory: where people are reached, and how they want to be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.senders.domain.requests import Recipient
from services.senders.store.browsers import Browsers
from services.senders.store.chats import Chats
from services.senders.store.directory import GET, ITSELF
from services.senders.store.erasing import Erasing
from services.senders.store.linking import Linking
from services.senders.store.putting import PLAIN, Putting
from services.senders.store.suppressions import Suppressions, quiet_hours
from shared.database import Database
from shared.events import Channel, PushSubscription
from shared.gathering import Lookup
from shared.queries import ListRecipients, RecipientView

_SHOWN = (*PLAIN, "user_id", "version", "opted_out", "muted", "telegram_id", "created_at", "updated_at")
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


class Recipients(Browsers, Chats, Suppressions, Linking, Putting, Erasing):
    """The directory, in senders' database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._finding = Lookup("recipient", database, _FIND, "user_ids")

    async def view(self, user_id: UUID) -> RecipientView | None:
        """Return a recipient as others see it, or None."""
        row = await self._database.row(GET, user_id=user_id)
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


def _view(row: Mapping[Any, Any], subscriptions: Sequence[PushSubscription]) -> RecipientView:
    known: dict[str, Any] = {name: row[name] for name in _SHOWN} | {
        "channel_order": row["channel_order"] or (),
        "quiet_hours": quiet_hours(row),
        "push_subscriptions": tuple(subscriptions),
    }
    return RecipientView.model_validate(known)
