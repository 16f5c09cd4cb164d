"""Campaigns: what they say, how far they are, and what has been told of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.senders.domain.campaigns import checksum, fingerprint
from services.senders.store.expansions import CHUNK, LEASE_SECONDS, TAKE, Expansion
from services.senders.store.moves import START, Moves
from services.senders.store.sums import SUMS
from shared.events import DEFAULT_CHAIN
from shared.queries import CreateCampaign, ListedRecipient

_ADD = text("""
    INSERT INTO campaigns (id, status, version, announced, title, channels, bot, sender, template, body,
                           variables, audience, owner, expires_at, intended, checksum)
    VALUES (:id, 'draft', 1, 0, :title, :channels, :bot, :sender, :template, CAST(:body AS jsonb),
            CAST(:variables AS jsonb), CAST(:audience AS jsonb), :owner, :expires_at, 0, :checksum)
    ON CONFLICT (id) DO NOTHING RETURNING id""")
_CHECKSUM = text("SELECT checksum FROM campaigns WHERE id = :id")
_VIEW = f"SELECT c.*, sums.* FROM campaigns c CROSS JOIN LATERAL ({SUMS}) AS sums"  # noqa: S608 - constants
_GET = text(f"{_VIEW} WHERE c.id = :id")
_PAGE = text(f"""
    {_VIEW} WHERE (CAST(:status AS text) IS NULL OR c.status = :status)
      AND (CAST(:at AS timestamptz) IS NULL OR (c.created_at, c.id) < (:at, CAST(:key AS uuid)))
    ORDER BY c.created_at DESC, c.id DESC LIMIT :limit""")
_UNANNOUNCED = text(f"{_VIEW} WHERE c.announced < c.version ORDER BY c.created_at LIMIT 100")
_SOME = text(f"{_VIEW} WHERE c.id = ANY(CAST(:ids AS uuid[]))")
_ANNOUNCED = text("UPDATE campaigns SET announced = greatest(announced, :version) WHERE id = :id")


class Campaigns(Moves):
    """The campaigns, in senders' database."""

    async def add(self, command: CreateCampaign, *, predicted_seconds: float | None = None) -> bool:
        """Write a campaign and its list down, once, and start it unless it is a draft.

        Return False when one of that id says something else.
        """
        said = fingerprint(command)
        async with self._database.begin() as connection:
            added = await connection.execute(_ADD, _row(command) | {"checksum": said})
            if added.first():
                if command.recipients:
                    campaign = await self._locked(connection, command.campaign_id)
                    await self._append(connection, campaign, _listed(command))
                if not command.draft:
                    start = {"id": command.campaign_id, "scheduled_at": command.scheduled_at}
                    await connection.execute(START, start | {"predicted_seconds": predicted_seconds})
            kept = (await connection.execute(_CHECKSUM, {"id": command.campaign_id})).scalar()
        self.moved.ring()
        return bool(kept == said)

    async def expanding(self, limit: int) -> Expansion | None:
        """Take a campaign that is to be expanded, keeping other replicas off it for a moment."""
        row = await self._database.row(TAKE, lease=LEASE_SECONDS)
        if row is None:
            return None
        chunk = await self._database.rows(CHUNK, id=row["id"], expanded=row["expanded"], limit=limit)
        return Expansion(self._database, row, chunk)

    async def get(self, campaign_id: UUID) -> Mapping[Any, Any] | None:
        """Return a campaign with its sums, or None."""
        row = await self._database.row(_GET, id=campaign_id)
        return _summed(row) if row else None

    async def page(
        self, limit: int, *, status: str | None = None, before: tuple[datetime, UUID] | None = None
    ) -> list[Mapping[Any, Any]]:
        """Return campaigns with their sums, newest first; `before` is time and id."""
        at, key = before or (None, None)
        rows = await self._database.rows(_PAGE, status=status, at=at, key=key, limit=limit)
        return [_summed(row) for row in rows]

    async def unannounced(self) -> Sequence[Mapping[Any, Any]]:
        """Return campaigns whose newest version has not been published."""
        return _as_told(await self._database.rows(_UNANNOUNCED))

    async def announced(self, campaign_id: UUID, version: int) -> None:
        """Note that a version is published."""
        await self._database.execute(_ANNOUNCED, id=campaign_id, version=version)


async def told_campaigns(
    connection: AsyncConnection, campaign_ids: Sequence[UUID]
) -> Sequence[Mapping[Any, Any]]:
    """Return campaigns as they are told of."""
    return _as_told((await connection.execute(_SOME, {"ids": list(campaign_ids)})).mappings().all())


def _as_told(rows: Sequence[RowMapping]) -> list[Mapping[Any, Any]]:
    return [{**row, "checksum": checksum(row)} for row in map(_summed, rows)]


def _row(command: CreateCampaign) -> dict[str, Any]:
    return {
        "id": command.campaign_id,
        "title": command.title,
        "channels": [str(channel) for channel in command.channels or DEFAULT_CHAIN],
        "bot": command.bot,
        "sender": command.sender,
        "template": command.template,
        "body": command.body.model_dump_json() if command.body else None,
        "variables": orjson.dumps(command.variables).decode(),
        "audience": command.audience.model_dump_json() if command.audience else None,
        "owner": command.owner,
        "expires_at": command.expires_at,
    }


def _listed(command: CreateCampaign) -> tuple[ListedRecipient, ...]:
    return tuple(
        ListedRecipient.model_construct(line=line, **dict(each))
        for line, each in enumerate(command.recipients)
    )


def _summed(row: RowMapping) -> Mapping[Any, Any]:
    """Return a campaign with sums that come to its length: what will never be a message is suppressed."""
    known = dict(row)
    length = row["intended"] + row["joined"]
    ended = row["sent"] + row["failed"] + row["suppressed"] + row["ambiguous"]
    rest = max(0, length - ended)
    known["pending"] = rest if row["pending"] is None else min(row["pending"], rest)
    if row["status"] in ("done", "cancelled", "failed"):
        known["suppressed"] += rest - known["pending"]
    else:
        known["pending"] = rest
    known["length"] = length
    return known
