"""Browsers that take push messages: an endpoint belongs to one recipient, its newest."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.store.directory import (
    ITSELF,
    SEE,
    TOUCH,
    Directory,
    alone_with,
    is_forgotten_since,
    is_new,
)
from shared.database import Database
from shared.events import PushSubscription
from shared.gathering import Gathering, Lookup
from shared.ids import derived
from shared.queries import AddPushSubscription, DeletePushSubscription, PushSubscriptionView

# Whoever holds a link may add as many as he likes; each of them is one more call for every push.
MOST_SUBSCRIPTIONS = 20
"""Browsers of one person; the newest are kept."""
_FORGET_OLDEST = text("""
    DELETE FROM push_subscriptions
    WHERE user_id = :user_id AND endpoint NOT IN (
        SELECT endpoint FROM push_subscriptions WHERE user_id = :user_id
        ORDER BY created_at DESC, endpoint LIMIT :most)""")
_ADD_SUBSCRIPTION = text("""
    INSERT INTO push_subscriptions AS known (endpoint, user_id, p256dh, auth)
    VALUES (:endpoint, :user_id, :p256dh, :auth)
    ON CONFLICT (endpoint) DO UPDATE
    SET user_id = excluded.user_id, p256dh = excluded.p256dh, auth = excluded.auth, refused_at = NULL
    WHERE (known.user_id, known.p256dh, known.auth) IS DISTINCT FROM
          (excluded.user_id, excluded.p256dh, excluded.auth)
    RETURNING endpoint""")
_OWNER = text("SELECT user_id FROM push_subscriptions WHERE endpoint = :endpoint AND user_id <> :user_id")
_DELETE_SUBSCRIPTION = text("DELETE FROM push_subscriptions WHERE endpoint = :endpoint RETURNING user_id")
# What a crash of the server forgets of this is told by the next success: it needs no fsync. Nor is one worth
# waiting for that somebody else has locked: it changes hands, or goes with who is forgotten.
_SUBSCRIPTIONS_WORKED = text("""
    WITH moment AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
    noted AS (
        SELECT s.endpoint, worked.key
        FROM unnest(CAST(:endpoints AS text[]), CAST(:keys AS uuid[])) AS worked(endpoint, key)
        JOIN push_subscriptions s USING (endpoint)
        ORDER BY s.endpoint FOR NO KEY UPDATE OF s SKIP LOCKED)
    UPDATE push_subscriptions s SET last_success_at = now(), worked_with = noted.key, refused_at = NULL
    FROM noted, moment WHERE s.endpoint = noted.endpoint""")
# It never worked with the key of today, while others of its push service do. What they did before the service
# was last paused proves nothing: the key may have been taken from us since. Nor does one refusal: the service
# may have had a bad moment. What worked when nobody noted the key may have worked with this one.
_REFUSED = text("""
    WITH proof AS (
        SELECT max(other.last_success_at) AS at FROM push_subscriptions other
        WHERE other.worked_with = :key AND other.endpoint <> :endpoint
          AND starts_with(other.endpoint, :origin)
          AND other.last_success_at > now() - interval '1 day'
          AND NOT EXISTS (SELECT 1 FROM governor g
                          WHERE g.key = :service AND g.paused_at >= other.last_success_at)),
    refused AS (
        UPDATE push_subscriptions SET refused_at = coalesce(refused_at, now()) WHERE endpoint = :endpoint
        RETURNING refused_at)
    SELECT CASE WHEN proof.at IS NULL OR s.worked_with = :key
                     OR (s.worked_with IS NULL AND s.last_success_at IS NOT NULL) THEN 'stop'
                WHEN proof.at > s.refused_at THEN 'foreign'
                WHEN s.refused_at < now() - make_interval(secs => :patience) THEN 'stop'
                ELSE 'wait' END
    FROM proof, refused, push_subscriptions s WHERE s.endpoint = :endpoint""")
Verdict = Literal["stop", "wait", "foreign"]
"""What a refusal of our key means: for all, not known yet, or that the subscription is another key's."""
_FIND = text("""
    SELECT place, s.* FROM unnest(CAST(:user_ids AS uuid[])) WITH ORDINALITY AS asked(user_id, place)
    LEFT JOIN recipients known ON known.user_id = asked.user_id
    JOIN push_subscriptions s ON s.user_id = coalesce(known.linked_to, asked.user_id)
    ORDER BY place, s.created_at, s.endpoint""")
_SUBSCRIPTIONS = text(f"""
    SELECT * FROM push_subscriptions WHERE user_id = {ITSELF} ORDER BY created_at, endpoint""")  # noqa: S608 - a constant


class Browsers(Directory):
    """The part of the directory that knows push subscriptions."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._finding_browsers = Lookup("subscriptions", database, _FIND, "user_ids")
        self._noting_success = Gathering("subscription worked", self._worked, _endpoint)

    async def add_subscription(self, command: AddPushSubscription) -> bool:
        """Add a browser's subscription; an endpoint belongs to one recipient, its newest.

        Return False for somebody who was forgotten after the command's cause.
        """
        endpoint = command.subscription.endpoint
        # Off the browser too: of two who get it at once, the second one takes it from the first.
        whose = (command.user_id, subscription_id(endpoint))
        async with alone_with(self._database, *whose, endpoint=endpoint) as (connection, user_id):
            if await is_forgotten_since(connection, command.at, command.user_id, user_id):
                return False
            if not await is_new(connection, command):
                return True
            owner = {"endpoint": endpoint, "user_id": user_id}
            before = (await connection.execute(_OWNER, owner)).scalar()
            await connection.execute(SEE, {"user_id": user_id})
            added = await connection.execute(
                _ADD_SUBSCRIPTION, {"user_id": user_id, **command.subscription.model_dump()}
            )
            await connection.execute(_FORGET_OLDEST, {"user_id": user_id, "most": MOST_SUBSCRIPTIONS})
            if added.first():
                # In one order, or two who take each other's browsers wait for each other.
                for each in sorted(filter(None, (user_id, before))):
                    await connection.execute(TOUCH, {"user_id": each})
            return True

    async def remove_subscription(self, command: DeletePushSubscription) -> bool:
        """Take a subscription from its recipient; False when he has none such."""
        async with alone_with(self._database, command.user_id) as (connection, _):
            if not await is_new(connection, command):
                return True
            owned = {"user_id": command.user_id}
            rows = (await connection.execute(_SUBSCRIPTIONS, owned)).mappings().all()
            wanted = [
                row["endpoint"] for row in rows
                if row["endpoint"] == command.endpoint
                or subscription_id(row["endpoint"]) == command.subscription_id
            ]  # fmt: skip
            for endpoint in wanted:
                await _delete(connection, endpoint)
            return bool(wanted)

    async def delete_subscription(self, endpoint: str) -> None:
        """Remove a subscription that has expired."""
        browser = subscription_id(endpoint)
        async with alone_with(self._database, browser, endpoint=endpoint) as (connection, _):
            await _delete(connection, endpoint)

    async def subscription_worked(self, endpoint: str, key: UUID) -> None:
        """Note the last success of a subscription, under this key of ours."""
        await self._noting_success.one((endpoint, key))

    async def refused_our_key(self, endpoint: str, key: UUID, service: str, patience: float) -> Verdict:
        """Note that a subscription refuses our key; say what follows, of all we know.

        It is foreign when it refuses again after others took the key meanwhile. Where none did for `patience`
        seconds the key itself is in doubt. `service` is the governor's key for its push service.
        """
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}/"
        verdict: Verdict | None = await self._database.value(
            _REFUSED, endpoint=endpoint, key=key, origin=origin, service=service, patience=patience
        )
        return verdict or "foreign"  # somebody else deleted it meanwhile

    async def subscriptions(self, user_id: UUID) -> list[PushSubscription]:
        """Return a recipient's push subscriptions, oldest first."""
        rows = await self._finding_browsers.rows(user_id)
        return [PushSubscription.model_validate(dict(row)) for row in rows]

    async def list_subscriptions(self, user_id: UUID) -> list[PushSubscriptionView]:
        """Return a recipient's browsers as he may see them, oldest first."""
        rows = await self._database.rows(_SUBSCRIPTIONS, user_id=user_id)
        return [
            PushSubscriptionView.model_validate({"id": subscription_id(row["endpoint"]), **row})
            for row in rows
        ]

    async def _worked(self, successes: Sequence[tuple[str, UUID]]) -> list[None]:
        endpoints, keys = zip(*sorted(successes), strict=True)
        await self._database.execute(_SUBSCRIPTIONS_WORKED, endpoints=list(endpoints), keys=list(keys))
        return [None] * len(successes)


def subscription_id(endpoint: str) -> UUID:
    """Return the id of a subscription, by which it can be named without saying its endpoint."""
    return derived("push subscription", endpoint)


def _endpoint(success: tuple[str, UUID]) -> str:
    return success[0]


async def _delete(connection: AsyncConnection, endpoint: str) -> None:
    deleted = (await connection.execute(_DELETE_SUBSCRIPTION, {"endpoint": endpoint})).scalar()
    if deleted:
        await connection.execute(TOUCH, {"user_id": deleted})
