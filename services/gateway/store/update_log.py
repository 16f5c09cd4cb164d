"""The update log: what came in from Telegram, and what was done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import Database
from shared.events import RecipientForgotten, UpdateHandled
from shared.record.forgetting import add_forgotten
from shared.record.trimmed import look_into_trimmed

Status = Literal["received", "handled", "ignored", "refused", "failed", "expired"]

_ADD = text("""
    INSERT INTO telegram_webhooks
           (bot_id, update_id, bot, kind, user_id, chat_id, status, text, received_at, update)
    SELECT bot_id, update_id, bot, kind, CASE WHEN f.user_id IS NULL THEN line.user_id END,
           CASE WHEN f.user_id IS NULL OR chat_id < 0 THEN chat_id END, status,
           CASE WHEN f.user_id IS NULL THEN text END, received_at,
           CASE WHEN f.user_id IS NULL THEN CAST(update AS jsonb) END
    FROM unnest(
        CAST(:bot_ids AS bigint[]), CAST(:update_ids AS bigint[]), CAST(:bots AS text[]),
        CAST(:kinds AS text[]), CAST(:user_ids AS uuid[]), CAST(:chat_ids AS bigint[]),
        CAST(:statuses AS text[]), CAST(:texts AS text[]), CAST(:received_at AS timestamptz[]),
        CAST(:updates AS text[])
    ) AS line (bot_id, update_id, bot, kind, user_id, chat_id, status, text, received_at, update)
    LEFT JOIN forgotten_users AS f ON f.user_id = line.user_id AND line.received_at <= f.forgotten_at
    ORDER BY 1, 2
    ON CONFLICT (bot_id, update_id) DO NOTHING""")
_ADD_NEW = text(f"{_ADD.text} RETURNING bot_id, update_id")

_SETTLED = text("""
    SELECT line.bot_id, line.update_id FROM telegram_webhooks AS line
    JOIN unnest(CAST(:bot_ids AS bigint[]), CAST(:update_ids AS bigint[])) AS asked (bot_id, update_id)
      ON line.bot_id = asked.bot_id AND line.update_id = asked.update_id
    WHERE line.status <> 'received'""")

_SETTLE = text("""
    UPDATE telegram_webhooks AS line
    SET status = done.status, command = done.command, error = done.error,
        handling_seconds = done.handling_seconds
    FROM unnest(
        CAST(:bot_ids AS bigint[]), CAST(:update_ids AS bigint[]), CAST(:statuses AS text[]),
        CAST(:commands AS text[]), CAST(:errors AS text[]), CAST(:seconds AS float[])
    ) AS done (bot_id, update_id, status, command, error, handling_seconds)
    WHERE line.bot_id = done.bot_id AND line.update_id = done.update_id AND line.status = 'received'""")

_COUNT = text("""
    SELECT status, count(*) AS updates FROM telegram_webhooks WHERE received_at >= :since GROUP BY status""")

# In the order of their keys, here and below, so that two who change many lines cannot wait for each other.
_PURGE, _PURGE_TRIMMED = (
    text(f"""
    WITH old AS (
        SELECT bot_id, update_id FROM {table}
        WHERE (text IS NOT NULL OR update IS NOT NULL) AND received_at < :before
        ORDER BY received_at LIMIT 10000),
    held AS (
        SELECT bot_id, update_id FROM {table} AS line JOIN old USING (bot_id, update_id)
        ORDER BY bot_id, update_id FOR NO KEY UPDATE OF line)
    UPDATE {table} AS line SET text = NULL, update = NULL
    FROM held WHERE line.bot_id = held.bot_id AND line.update_id = held.update_id""")  # noqa: S608 - names of tables
    for table in ("telegram_webhooks", "trimmed.telegram_webhooks")
)

_FORGET_USER = text("""
    WITH theirs AS (
        SELECT bot_id, update_id FROM telegram_webhooks WHERE user_id = :user_id AND received_at <= :at
        ORDER BY bot_id, update_id FOR NO KEY UPDATE)
    UPDATE telegram_webhooks AS line
    SET user_id = NULL, chat_id = CASE WHEN chat_id < 0 THEN chat_id END, text = NULL, update = NULL
    FROM theirs WHERE line.bot_id = theirs.bot_id AND line.update_id = theirs.update_id""")

_FORGET_LIKE = """
    UPDATE telegram_webhooks SET text = NULL, update = NULL
    WHERE (text IS NOT NULL OR update IS NOT NULL) AND received_at < coalesce(
        (SELECT min(received_at) FROM {table} WHERE text IS NOT NULL OR update IS NOT NULL),
        (SELECT max(received_at) + interval '1 microsecond' FROM {table}), '-infinity')"""


@dataclass(frozen=True)
class Logged:
    """A line of the log."""

    bot_id: int
    update_id: int
    bot: str
    kind: str
    user_id: UUID | None
    chat_id: int | None
    text: str | None
    status: Status
    received_at: datetime
    update: Mapping[str, Any] | None = None
    """The update itself, to tell of it again."""

    @property
    def key(self) -> tuple[int, int]:
        """Bot and update: what there is one line of."""
        return self.bot_id, self.update_id


class UpdateLog:
    """The update log, in gateway's database; `keeps_text` says whether people's words are kept at all."""

    def __init__(self, database: Database, *, keeps_text: bool = True) -> None:
        self._database = database
        self._keeps_text = keeps_text

    async def add(self, lines: Sequence[Logged]) -> None:
        """Write down what came in, once per bot and update."""
        if lines:
            await self._database.execute(_ADD, **self._columns(lines))

    async def add_new(self, lines: Sequence[Logged]) -> set[tuple[int, int]]:
        """Write down what came in, and return bot and update of what was not there yet."""
        rows = await self._database.rows(_ADD_NEW, **self._columns(lines))
        return {(row["bot_id"], row["update_id"]) for row in rows}

    def _columns(self, lines: Sequence[Logged]) -> dict[str, list[Any]]:
        return {
            "bot_ids": [line.bot_id for line in lines],
            "update_ids": [line.update_id for line in lines],
            "bots": [line.bot for line in lines],
            "kinds": [line.kind for line in lines],
            "user_ids": [line.user_id for line in lines],
            "chat_ids": [line.chat_id for line in lines],
            "statuses": [line.status for line in lines],
            "texts": [line.text if self._keeps_text else None for line in lines],
            "received_at": [line.received_at for line in lines],
            "updates": [
                # Integers beyond 64 bits are JSON too, and strangers send them.
                to_json(line.update, inf_nan_mode="null").decode()
                if line.update is not None and self._keeps_text
                else None
                for line in lines
            ],
        }

    async def settled_among(self, lines: Sequence[Logged]) -> set[tuple[int, int]]:
        """Return bot and update of those updates of which everything was done that they ask for."""
        rows = await self._database.rows(
            _SETTLED,
            bot_ids=[line.bot_id for line in lines],
            update_ids=[line.update_id for line in lines],
        )
        return {(row["bot_id"], row["update_id"]) for row in rows}

    async def settle(self, done: Sequence[UpdateHandled]) -> None:
        """Write down what was done with updates: what was told of each first."""
        first = {(each.bot_id, each.update_id): each for each in reversed(done)}
        done = [first[key] for key in sorted(first)]
        await self._database.execute(
            _SETTLE,
            bot_ids=[each.bot_id for each in done],
            update_ids=[each.update_id for each in done],
            statuses=[each.status for each in done],
            commands=[each.command for each in done],
            errors=[each.error for each in done],
            seconds=[each.handling_seconds for each in done],
        )

    async def count_since(self, since: datetime) -> dict[str, int]:
        """Count what came in since a time, by status."""
        rows = await self._database.rows(_COUNT, since=since)
        return {row["status"]: row["updates"] for row in rows}

    async def forget(self, forgotten: RecipientForgotten) -> None:
        """Make somebody's updates nobody's, trimmed ones too, and those still to come from before."""
        async with self._database.begin() as connection:
            await _forget(connection, forgotten)
            await look_into_trimmed(connection)
            await _forget(connection, forgotten)

    async def forget_like(self, table: str) -> None:
        """Forget what people wrote as far back as another update log has forgotten it."""
        await self._database.execute(text(_FORGET_LIKE.format(table=table)))

    async def purge_texts(self, before: datetime) -> int:
        """Forget what people wrote before a time, up to 10,000 lines; return how many.

        What trimmed updates said comes after the log itself: it has to know as much.
        """
        return await self._database.execute(_PURGE, before=before) or await self._database.execute(
            _PURGE_TRIMMED, before=before
        )


async def _forget(connection: AsyncConnection, forgotten: RecipientForgotten) -> None:
    await add_forgotten(connection, forgotten)
    await connection.execute(_FORGET_USER, {"user_id": forgotten.user_id, "at": forgotten.at})
