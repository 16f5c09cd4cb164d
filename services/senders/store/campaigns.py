"""Campaigns: their lists, and how far they are expanded into messages."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.policy import LANE_RANK
from shared.database import Database
from shared.events import DEFAULT_CHAIN, Lane
from shared.queries import CreateCampaign

_ADD = text("""
    INSERT INTO campaigns (id, status, version, announced, channels, bot, template, body, expires_at,
                           intended, checksum)
    VALUES (:id, 'running', 1, 0, :channels, :bot, :template, CAST(:body AS jsonb), :expires_at,
            :intended, :checksum)
    ON CONFLICT (id) DO NOTHING RETURNING id""")
_ADD_RECIPIENTS = text("""
    INSERT INTO campaign_recipients (campaign_id, position, user_id, address, variables)
    SELECT :campaign_id, place - 1, user_id, CAST(address AS jsonb), CAST(variables AS jsonb)
    FROM unnest(CAST(:user_ids AS uuid[]), CAST(:addresses AS text[]), CAST(:variables AS text[]))
         WITH ORDINALITY AS item(user_id, address, variables, place)""")
_CHECKSUM = text("SELECT checksum FROM campaigns WHERE id = :id")
# They take turns: one whose channel is busy does not hold up the others.
_TAKE = text("""
    UPDATE campaigns SET looked_at = clock_timestamp()
    WHERE id = (SELECT id FROM campaigns WHERE status = 'running' AND expanded < intended
                ORDER BY looked_at NULLS FIRST, created_at FOR UPDATE SKIP LOCKED LIMIT 1)
    RETURNING *""")
_WAITING = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM deliveries
        WHERE state = 'pending' AND channel = ANY(CAST(:channels AS text[])) AND lane_rank = :rank
          AND due_at < now() + interval '5 minutes' LIMIT :limit) AS waiting""")
_IS_ACCEPTED = text("SELECT EXISTS (SELECT 1 FROM messages WHERE id = :id)")
_CHUNK = text("""
    SELECT * FROM campaign_recipients WHERE campaign_id = :id AND position >= :expanded
    ORDER BY position LIMIT :limit""")
_EXPANDED = text("UPDATE campaigns SET expanded = :expanded WHERE id = :id")
_END = text("""
    UPDATE campaigns c SET status = 'done', version = version + 1
    WHERE status = 'running' AND expanded = intended
      AND (SELECT count(*) FROM messages m WHERE m.campaign_id = c.id) = intended
      AND NOT EXISTS (SELECT 1 FROM messages m JOIN deliveries d ON d.message_id = m.id
                      WHERE m.campaign_id = c.id AND d.state IN ('pending', 'sending'))""")
_UNANNOUNCED = text("SELECT * FROM campaigns WHERE announced < version")
_ANNOUNCED = text("UPDATE campaigns SET announced = greatest(announced, :version) WHERE id = :id")
# A message's state is its best delivery's: sent, else ambiguous, pending, failed, suppressed.
_SUMS = text("""
    SELECT state, count(*) AS messages FROM (
        SELECT (array_agg(CASE d.state WHEN 'sending' THEN 'pending' ELSE d.state END
                ORDER BY array_position(
                    ARRAY['sent', 'ambiguous', 'sending', 'pending', 'failed', 'suppressed'], d.state)))[1]
            AS state
        FROM messages m JOIN deliveries d ON d.message_id = m.id
        WHERE m.campaign_id = :id GROUP BY m.id) AS each
    GROUP BY state""")
_GET = text("SELECT * FROM campaigns WHERE id = :id")


class Campaigns:
    """The campaigns, in senders' database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, command: CreateCampaign) -> bool:
        """Write a campaign and its list down, once; False when one of that id says something else."""
        said = command.model_dump(mode="json", exclude={"campaign_id", "expires_at"})
        checksum = hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
        async with self._database.begin() as connection:
            added = await connection.execute(
                _ADD,
                {
                    "id": command.campaign_id,
                    "channels": [str(channel) for channel in command.channels or DEFAULT_CHAIN],
                    "bot": command.bot,
                    "template": command.template,
                    "body": command.body.model_dump_json() if command.body else None,
                    "expires_at": command.expires_at,
                    "intended": len(command.recipients),
                    "checksum": checksum,
                },
            )
            if added.first():
                await connection.execute(_ADD_RECIPIENTS, _list(command))
            kept = (await connection.execute(_CHECKSUM, {"id": command.campaign_id})).scalar()
            return bool(kept == checksum)

    @asynccontextmanager
    async def expanding(self, limit: int) -> AsyncIterator["Expansion | None"]:
        """Take a campaign that is to be expanded, keeping other replicas off it while the context lasts."""
        async with self._database.begin() as connection:
            row = (await connection.execute(_TAKE)).mappings().first()
            if row is None:
                yield None
                return
            parameters = {"id": row["id"], "expanded": row["expanded"], "limit": limit}
            chunk = (await connection.execute(_CHUNK, parameters)).mappings().all()
            yield Expansion(connection, row, chunk)

    async def end(self) -> None:
        """Mark campaigns done of which every message has ended."""
        await self._database.execute(_END)

    async def get(self, campaign_id: UUID) -> tuple[RowMapping, dict[str, int]] | None:
        """Return a campaign and its messages by state, or None."""
        row = await self._database.row(_GET, id=campaign_id)
        if row is None:
            return None
        sums = await self._database.rows(_SUMS, id=campaign_id)
        return row, {each["state"]: each["messages"] for each in sums}

    async def unannounced(self) -> Sequence[RowMapping]:
        """Return campaigns whose newest version has not been published."""
        return await self._database.rows(_UNANNOUNCED)

    async def announced(self, campaign_id: UUID, version: int) -> None:
        """Note that a version is published."""
        await self._database.execute(_ANNOUNCED, id=campaign_id, version=version)


class Expansion:
    """A campaign that is being expanded: its row, and the next part of its list."""

    def __init__(
        self, connection: AsyncConnection, campaign: RowMapping, chunk: Sequence[RowMapping]
    ) -> None:
        self._connection = connection
        self.campaign = campaign
        self.chunk = chunk

    async def waiting(self, limit: int) -> int:
        """Return how many campaign messages wait on this one's channels, counted up to a limit."""
        parameters = {
            "channels": self.campaign["channels"], "rank": LANE_RANK[Lane.CAMPAIGN], "limit": limit,
        }  # fmt: skip
        return int((await self._connection.execute(_WAITING, parameters)).scalar_one())

    async def is_accepted(self, message_id: UUID) -> bool:
        """Say whether the ledger knows a message that was published before."""
        return bool((await self._connection.execute(_IS_ACCEPTED, {"id": message_id})).scalar_one())

    async def done(self) -> None:
        """Note that the part is in the stream; not noted, it is published again under the same ids."""
        expanded = self.campaign["expanded"] + len(self.chunk)
        await self._connection.execute(_EXPANDED, {"id": self.campaign["id"], "expanded": expanded})


def _list(command: CreateCampaign) -> dict[str, object]:
    recipients = command.recipients
    return {
        "campaign_id": command.campaign_id,
        "user_ids": [recipient.user_id for recipient in recipients],
        "addresses": [each.address.model_dump_json() if each.address else None for each in recipients],
        "variables": [orjson.dumps(recipient.variables).decode() for recipient in recipients],
    }
