"""The recipients' directory: where people are reached, and what must not be sent to them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.senders.domain.requests import Recipient
from shared.database import Database
from shared.events import Channel, PushSubscription
from shared.queries import AddPushSubscription, PutRecipient, RecipientView

_FIELDS = ("email", "telegram_chat_id", "bot", "language", "time_zone", "role", "opted_out")

_PUT = text("""
    INSERT INTO recipients AS known
           (user_id, version, announced, email, telegram_chat_id, bot, language, time_zone, role, opted_out)
    VALUES (:user_id, 1, 0, :email, :telegram_chat_id, :bot, :language, :time_zone, :role,
            coalesce(CAST(:opted_out AS boolean), false))
    ON CONFLICT (user_id) DO UPDATE
    SET version = known.version + 1, updated_at = now(),
        email = coalesce(excluded.email, known.email),
        telegram_chat_id = coalesce(excluded.telegram_chat_id, known.telegram_chat_id),
        bot = coalesce(excluded.bot, known.bot), language = coalesce(excluded.language, known.language),
        time_zone = coalesce(excluded.time_zone, known.time_zone), role = coalesce(excluded.role, known.role),
        opted_out = coalesce(CAST(:opted_out AS boolean), known.opted_out)
    WHERE (known.email, known.telegram_chat_id, known.bot, known.language, known.time_zone, known.role,
           known.opted_out)
          IS DISTINCT FROM
          (coalesce(excluded.email, known.email), coalesce(excluded.telegram_chat_id, known.telegram_chat_id),
           coalesce(excluded.bot, known.bot), coalesce(excluded.language, known.language),
           coalesce(excluded.time_zone, known.time_zone), coalesce(excluded.role, known.role),
           coalesce(CAST(:opted_out AS boolean), known.opted_out))""")

_TOUCH = text("""
    INSERT INTO recipients AS known (user_id, version, announced, opted_out) VALUES (:user_id, 1, 0, false)
    ON CONFLICT (user_id) DO UPDATE SET version = known.version + 1, updated_at = now()""")

_ADD_SUBSCRIPTION = text("""
    INSERT INTO push_subscriptions AS known (endpoint, user_id, p256dh, auth)
    VALUES (:endpoint, :user_id, :p256dh, :auth)
    ON CONFLICT (endpoint) DO UPDATE
    SET user_id = excluded.user_id, p256dh = excluded.p256dh, auth = excluded.auth
    WHERE (known.user_id, known.p256dh, known.auth) IS DISTINCT FROM
          (excluded.user_id, excluded.p256dh, excluded.auth)
    RETURNING endpoint""")

_DELETE_SUBSCRIPTION = text("DELETE FROM push_subscriptions WHERE endpoint = :endpoint RETURNING user_id")
_SUBSCRIPTION_WORKED = text(
    "UPDATE push_subscriptions SET last_success_at = now() WHERE endpoint = :endpoint"
)
_GET = text("SELECT * FROM recipients WHERE user_id = :user_id")
_SUBSCRIPTIONS = text("""
    SELECT endpoint, p256dh, auth FROM push_subscriptions WHERE user_id = :user_id
    ORDER BY created_at, endpoint""")
_UNANNOUNCED = text("""
    SELECT r.*, (SELECT count(*) FROM push_subscriptions s WHERE s.user_id = r.user_id) AS subscriptions
    FROM recipients r WHERE announced < version LIMIT :limit""")
_ANNOUNCED = text("""
    UPDATE recipients SET announced = greatest(announced, :version) WHERE user_id = :user_id""")
_SUPPRESS = text("""
    INSERT INTO suppressions (channel, address, reason) VALUES (:channel, :address, :reason)
    ON CONFLICT (channel, address) DO NOTHING RETURNING address""")
_SUPPRESSED = text("SELECT reason FROM suppressions WHERE channel = :channel AND address = :address")
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
    UPDATE recipients SET telegram_chat_id = :new_chat_id, version = version + 1, updated_at = now()
    WHERE telegram_chat_id = :chat_id""")
_MIGRATED = text("SELECT new_chat_id FROM migrated_chats WHERE bot = :bot AND chat_id = :chat_id")


class Recipients:
    """The directory, in senders' database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, command: PutRecipient) -> None:
        """Create a recipient, or change what is given; what changes nothing makes no new version."""
        fields = {name: getattr(command, name) for name in _FIELDS}
        await self._database.execute(_PUT, user_id=command.user_id, **fields)

    async def add_subscription(self, command: AddPushSubscription) -> None:
        """Add a browser's subscription; an endpoint belongs to one recipient, its newest."""
        async with self._database.begin() as connection:
            await connection.execute(_PUT, {"user_id": command.user_id} | dict.fromkeys(_FIELDS))
            added = await connection.execute(
                _ADD_SUBSCRIPTION, {"user_id": command.user_id, **command.subscription.model_dump()}
            )
            if added.first():
                await connection.execute(_TOUCH, {"user_id": command.user_id})

    async def delete_subscription(self, endpoint: str) -> None:
        """Remove a subscription that has expired."""
        async with self._database.begin() as connection:
            deleted = (await connection.execute(_DELETE_SUBSCRIPTION, {"endpoint": endpoint})).scalar()
            if deleted:
                await connection.execute(_TOUCH, {"user_id": deleted})

    async def subscription_worked(self, endpoint: str) -> None:
        """Note the last success of a subscription."""
        await self._database.execute(_SUBSCRIPTION_WORKED, endpoint=endpoint)

    async def view(self, user_id: UUID) -> RecipientView | None:
        """Return a recipient as others see it, or None."""
        row = await self._database.row(_GET, user_id=user_id)
        if row is None:
            return None
        known: dict[str, Any] = {name: row[name] for name in (*_FIELDS, "user_id", "version")}
        return RecipientView(**known, push_subscriptions=tuple(await self.subscriptions(user_id)))

    async def find(self, user_id: UUID) -> Recipient | None:
        """Return what sending needs of a recipient, or None."""
        row = await self._database.row(_GET, user_id=user_id)
        return Recipient.model_validate(dict(row)) if row else None

    async def subscriptions(self, user_id: UUID) -> list[PushSubscription]:
        """Return a recipient's push subscriptions, oldest first."""
        rows = await self._database.rows(_SUBSCRIPTIONS, user_id=user_id)
        return [PushSubscription(**row) for row in rows]

    async def unannounced(self, limit: int = 100) -> Sequence[RowMapping]:
        """Return recipients whose newest version has not been published, with their `subscriptions`."""
        return await self._database.rows(_UNANNOUNCED, limit=limit)

    async def announced(self, user_id: UUID, version: int) -> None:
        """Note that a version is published."""
        await self._database.execute(_ANNOUNCED, user_id=user_id, version=version)

    async def suppress(self, channel: Channel, address: str, reason: str) -> bool:
        """Put an address on the suppression list; return whether it is new there."""
        return (
            await self._database.value(_SUPPRESS, channel=channel, address=address, reason=reason) is not None
        )

    async def suppressed(self, channel: Channel, address: str) -> str | None:
        """Return why nothing is sent to an address, or None."""
        reason: str | None = await self._database.value(_SUPPRESSED, channel=channel, address=address)
        return reason

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

    async def current_chat(self, bot: str, chat_id: int) -> int:
        """Return the id under which a chat lives now."""
        moved = await self._database.value(_MIGRATED, bot=bot, chat_id=chat_id)
        return chat_id if moved is None else int(moved)
