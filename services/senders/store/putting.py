"""Putting people into the directory: one by one, or many whom the bots have met in one statement."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.store.directory import (
    FIRST_VERSION,
    GET,
    Directory,
    alone_with,
    is_forgotten_since,
    is_new,
    key_of,
    wait_for_all,
)
from services.senders.store.suppressions import LIFT_UNSUBSCRIBED, spellings
from shared import telemetry
from shared.database import is_conflict, is_locked, is_refused, is_unavailable
from shared.events import Channel
from shared.queries import Introduction, PutRecipient

PATIENCE = "300ms"
"""For how long an introduction waits for somebody who is being changed: others wait with it."""
CROWD_PATIENCE = "1s"
"""For how long a crowd does: for the same crowd, told of by another replica, it is worth it."""
Taken = Literal["taken", "busy", "wrong"]
"""What became of an introduction: a busy one may be taken later, a wrong one never."""

log = telemetry.logger(__name__)

_QUIET = ("quiet_start", "quiet_end", "quiet_zone")
PLAIN = ("email", "telegram_chat_id", "bot", "language", "time_zone", "role", "channel_order")
_FIELDS = (*PLAIN, *_QUIET)
_CASTS = {"channel_order": "text[]", "quiet_start": "time", "quiet_end": "time", "telegram_chat_id": "bigint"}

_GIVEN = {name: f"CAST(:{name} AS {_CASTS.get(name, 'text')})" for name in _FIELDS}
# Of quiet hours all three parts are given, or none.
_NEW = {
    name: f"CASE WHEN '{name}' = ANY(CAST(:clear AS text[])) THEN NULL ELSE {given} END"
    for name, given in (
        *((name, f"coalesce({_GIVEN[name]}, known.{name})") for name in PLAIN),
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

# What waits for the end of a quiet time is asked again when quiet hours change.
_WAKE = text("""
    WITH asleep AS (
        SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.message_id
        WHERE d.state = 'pending' AND d.reason = 'quiet_hours'
          AND m.user_id IN (SELECT user_id FROM recipients WHERE user_id = :user_id OR linked_to = :user_id)
        ORDER BY d.id FOR NO KEY UPDATE OF d)
    UPDATE deliveries d SET due_at = now() FROM asleep WHERE d.id = asleep.id""")

# Only who has a row of their own, or none: a linked Telegram user's is another's, who is to be held too.
# Nothing but a version follows from what an introduction says.
_INTRODUCE = text("""
    WITH asked AS MATERIALIZED (
        SELECT asked.*
        FROM unnest(CAST(:user_ids AS uuid[]), CAST(:keys AS uuid[]), CAST(:chat_ids AS bigint[]),
                    CAST(:bots AS text[]), CAST(:languages AS text[]), CAST(:roles AS text[]),
                    CAST(:seen_at AS timestamptz[]))
             AS asked (user_id, key, telegram_chat_id, bot, language, role, at)
        WHERE NOT EXISTS (SELECT FROM recipients r
                          WHERE r.user_id = asked.user_id AND r.linked_to IS NOT NULL)),
    done AS (
        INSERT INTO commands_done (id)
        SELECT key FROM asked
        WHERE NOT EXISTS (SELECT FROM forgotten_recipients f
                          WHERE f.user_id = asked.user_id AND f.forgotten_at >= asked.at)
        ON CONFLICT (id) DO NOTHING RETURNING id),
    put AS (
        INSERT INTO recipients AS known (user_id, version, announced, opted_out, telegram_chat_id, bot,
                                         language, role)
        SELECT user_id, 1 + coalesce(f.version, 0), 0, false, telegram_chat_id, bot, language, role
        FROM asked JOIN done ON done.id = asked.key LEFT JOIN forgotten_recipients f USING (user_id)
        ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET version = known.version + 1, updated_at = now(),
            telegram_chat_id = coalesce(excluded.telegram_chat_id, known.telegram_chat_id),
            bot = coalesce(excluded.bot, known.bot), language = coalesce(excluded.language, known.language),
            role = coalesce(excluded.role, known.role)
        WHERE (known.telegram_chat_id, known.bot, known.language, known.role) IS DISTINCT FROM
              (coalesce(excluded.telegram_chat_id, known.telegram_chat_id),
               coalesce(excluded.bot, known.bot), coalesce(excluded.language, known.language),
               coalesce(excluded.role, known.role)))
    SELECT user_id FROM asked""")


class Putting(Directory):
    """The part of the directory that people are put into."""

    async def put(self, command: PutRecipient, patience: str | None = None) -> bool:
        """Create a recipient, or change what is given, once; what changes nothing makes no new version.

        Return False for somebody who was forgotten after the command's cause; `patience` is `alone_with`'s.
        """
        alone = alone_with(self._database, command.user_id, patience=patience)
        async with alone as (connection, user_id):
            if await is_forgotten_since(connection, command.at, command.user_id, user_id):
                return False
            if not await is_new(connection, command):
                return True
            before = (await connection.execute(GET, {"user_id": user_id})).mappings().first()
            await connection.execute(_PUT, _parameters(command) | {"user_id": user_id})
            if before is not None:
                await _follow(connection, command, before)
            return True

    async def introduce(self, people: Sequence[Introduction]) -> list[Taken]:
        """Put many people, as if one by one; say of each what became of it, in their order.

        Whoever is linked, or comes a second time, is put alone, and so is everybody when the statement fails.
        """
        commands = [PutRecipient.model_validate(each.model_dump()) for each in people]
        # The first of two that name the same person: the other one is put after it.
        first = {command.user_id: command for command in reversed(commands)}
        put = {id(first[user_id]) for user_id in await self._put_simple(first)}
        return ["taken" if id(each) in put else await self._put_alone(each) for each in commands]

    async def _put_simple(self, people: Mapping[UUID, PutRecipient]) -> Sequence[UUID]:
        """Put whom nobody is linked with, in one statement; return who they were."""
        each = [people[user_id] for user_id in sorted(people)]
        try:
            async with self._database.begin() as connection:
                await wait_for_all(connection, people, CROWD_PATIENCE)
                found = await connection.execute(_INTRODUCE, {
                    "user_ids": [command.user_id for command in each],
                    "keys": [key_of(command) for command in each],
                    "chat_ids": [command.telegram_chat_id for command in each],
                    "bots": [command.bot for command in each],
                    "languages": [command.language for command in each],
                    "roles": [command.role for command in each],
                    "seen_at": [command.at for command in each],
                })  # fmt: skip
                return found.scalars().all()
        except DBAPIError as error:
            if is_unavailable(error):
                raise
            log.info("introduced_one_by_one", people=len(people), error=type(error.orig).__name__)
            return ()

    async def _put_alone(self, command: PutRecipient) -> Taken:
        try:
            await self.put(command, PATIENCE)
        except DBAPIError as error:
            if is_locked(error) or is_conflict(error):
                return "busy"
            if is_refused(error):
                return "wrong"
            raise
        return "taken"


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
        **{name: getattr(command, name) for name in PLAIN},
        "channel_order": None if order is None else [str(each) for each in order],
        "muted": None if muted is None else sorted({str(each) for each in muted}),
        "opted_out": command.opted_out,
        "quiet": quiet is not None,
        **dict(zip(_QUIET, (quiet.start, quiet.end, quiet.zone) if quiet else (None,) * 3, strict=True)),
        "clear": sorted(cleared),
    }
