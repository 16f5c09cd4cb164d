"""What every part of the directory shares: its database, commands that work once, and who is who."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import Database
from shared.events import Value
from shared.ids import derived
from shared.queries import Query

_ONCE = text("INSERT INTO commands_done (id) VALUES (:id) ON CONFLICT (id) DO NOTHING RETURNING id")
_FORGET_COMMANDS = text("DELETE FROM commands_done WHERE done_at < now() - interval '7 days'")
# Whoever changes somebody keeps others off them, also while there is no row to lock.
_ALONE = text("""
    WITH moment AS MATERIALIZED (
        SELECT set_config('lock_timeout',
                          coalesce(CAST(:patience AS text), current_setting('lock_timeout')), true))
    SELECT pg_advisory_xact_lock(hashtextextended(CAST(user_id AS text), 0))
    FROM moment, unnest(CAST(:user_ids AS uuid[])) AS asked (user_id)""")
_IS_FORGOTTEN_SINCE = text("""
    SELECT EXISTS (SELECT 1 FROM forgotten_recipients
                   WHERE user_id = ANY(CAST(:user_ids AS uuid[])) AND forgotten_at >= :at)""")

ITSELF = "coalesce((SELECT linked_to FROM recipients WHERE user_id = :user_id), :user_id)"
GET = text(f"SELECT * FROM recipients WHERE user_id = {ITSELF}")  # noqa: S608 - a constant
_KNOWN_AS = text("""
    SELECT known.user_id, known.linked_to
    FROM (SELECT unnest(CAST(:user_ids AS uuid[])) AS user_id
          UNION SELECT user_id FROM push_subscriptions WHERE endpoint = :endpoint) AS asked
    LEFT JOIN recipients itself ON itself.user_id = asked.user_id
    JOIN recipients known ON known.user_id = coalesce(itself.linked_to, asked.user_id)
                          OR known.linked_to = coalesce(itself.linked_to, asked.user_id)""")

# Who comes back after being forgotten is somebody new, with versions above those that were told before.
FIRST_VERSION = "1 + coalesce((SELECT version FROM forgotten_recipients WHERE user_id = :user_id), 0)"
SEE = text(f"""
    INSERT INTO recipients (user_id, version, announced, opted_out)
    VALUES (:user_id, {FIRST_VERSION}, 0, false)
    ON CONFLICT (user_id) DO NOTHING""")  # noqa: S608 - a constant
# Whoever has been forgotten meanwhile does not come back by it.
TOUCH = text("UPDATE recipients SET version = version + 1, updated_at = now() WHERE user_id = :user_id")


class Directory:
    """A part of the recipients' directory, in senders' database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget_commands(self) -> None:
        """Forget commands that nobody repeats any more."""
        await self._database.execute(_FORGET_COMMANDS)


async def is_new(connection: AsyncConnection, command: Query[Any]) -> bool:
    """Note a command as done, with what it changes; False when it was before, by the same cause."""
    return (await connection.execute(_ONCE, {"id": key_of(command)})).first() is not None


def key_of(command: Query[Any]) -> UUID:
    """Return what a command is known by once it is done."""
    done: Value = command
    # One cause comes about once: when it did is no part of what it asks for.
    return derived("command", command.name, done.model_dump_json(exclude={"at"}))


@asynccontextmanager
async def alone_with(
    database: Database, *user_ids: UUID, endpoint: str | None = None, patience: str | None = None
) -> AsyncIterator[tuple[AsyncConnection, UUID]]:
    """Open a transaction that no other command about these people runs beside, whatever ids it names them by.

    With an `endpoint`, none about whoever has that browser either. With `patience`, no lock is waited for
    longer than that: the error `is_locked`.
    Yields the connection, and the id that the first one's row has: of a linked Telegram user, the one that he
    is linked with. Where somebody has more ids than were held, it waits anew for all of them: in one order,
    or two would wait for each other.
    """
    held = {*user_ids}
    while True:
        async with database.begin() as connection:
            await wait_for_all(connection, held, patience)
            asked = {"user_ids": [*user_ids], "endpoint": endpoint}
            rows = (await connection.execute(_KNOWN_AS, asked)).mappings().all()
            linked = {row["user_id"]: row["linked_to"] for row in rows}
            if linked.keys() <= held:
                yield connection, linked.get(user_ids[0]) or user_ids[0]
                return
        held = {*user_ids, *linked}


async def wait_for_all(connection: AsyncConnection, user_ids: Collection[UUID], patience: str | None) -> None:
    """Keep all other commands off people, by these ids alone, until the transaction ends.

    They are waited for in one order, so that no two commands wait for each other in a circle; where there is
    `patience`, for none longer than that.
    """
    await connection.execute(_ALONE, {"user_ids": sorted(user_ids), "patience": patience})


async def is_forgotten_since(connection: AsyncConnection, at: datetime | None, *user_ids: UUID) -> bool:
    """Say whether somebody was forgotten after a command's cause came about, where that is known."""
    if at is None:
        return False
    asked = {"user_ids": [*user_ids], "at": at}
    return bool((await connection.execute(_IS_FORGOTTEN_SINCE, asked)).scalar())
