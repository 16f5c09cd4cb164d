"""Broadcasts as people want them, and what senders tells of every campaign."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.gateway.domain.broadcasts import Broadcast, Draft, Status
from shared.database import Database
from shared.events import CampaignChanged

# What senders has told goes before what is wanted, but for a wish to cancel that it has not heard yet.
_VIEW = """
    SELECT * FROM (
        SELECT broadcast.id, text, audience, cta_text, cta_url, bot, scheduled_at, time_zone, created_at,
            updated_at,
            CASE WHEN campaign.status = 'done' THEN 'sent'
                 WHEN campaign.status IN ('failed', 'cancelled') THEN campaign.status
                 WHEN broadcast.status IN ('failed', 'cancelled') THEN broadcast.status
                 WHEN campaign.status IN ('running', 'paused') THEN 'sending'
                 ELSE broadcast.status END AS status,
            coalesce(campaign.reason, broadcast.reason) AS reason,
            campaign.intended AS recipients, campaign.sent, campaign.failed, campaign.suppressed,
            campaign.ambiguous
        FROM telegram_broadcasts AS broadcast
        LEFT JOIN campaign_progress AS campaign ON campaign.campaign_id = broadcast.id
    ) AS broadcast"""

_FIND = text(f"{_VIEW} WHERE id = :id")

_LIST = text(f"""{_VIEW}
    WHERE (CAST(:status AS text) IS NULL OR status = :status)
      AND (CAST(:before_at AS timestamptz) IS NULL
           OR (created_at, id) < (:before_at, CAST(:before_id AS uuid)))
    ORDER BY created_at DESC, id DESC LIMIT :limit""")

_CREATE = text("""
    INSERT INTO telegram_broadcasts (id, text, audience, cta_text, cta_url, bot)
    VALUES (:id, :text, :audience, :cta_text, :cta_url, :bot) ON CONFLICT (id) DO NOTHING""")

_CHANGE = text("""
    UPDATE telegram_broadcasts
    SET text = :text, audience = :audience, cta_text = :cta_text, cta_url = :cta_url, bot = :bot,
        updated_at = now()
    WHERE id = :id AND status = 'draft'""")

_SEND = text("""
    UPDATE telegram_broadcasts
    SET status = CASE WHEN CAST(:scheduled_at AS timestamptz) IS NULL THEN 'sending' ELSE 'scheduled' END,
        scheduled_at = :scheduled_at, time_zone = :time_zone, told = false, updated_at = now()
    WHERE id = :id AND status = 'draft'""")

_CANCEL = text("""
    UPDATE telegram_broadcasts SET status = 'cancelled', told = status = 'draft', updated_at = now()
    WHERE id = :id AND status IN ('draft', 'scheduled', 'sending')""")

_FAIL = text("""
    UPDATE telegram_broadcasts SET status = 'failed', reason = :reason, told = true, updated_at = now()
    WHERE id = :id AND status IN ('scheduled', 'sending')""")

_UNTOLD = text("""
    SELECT id, status, updated_at < now() - interval '1 minute' AS settled
    FROM telegram_broadcasts WHERE NOT told ORDER BY updated_at LIMIT 50""")

_TOLD = text("""
    UPDATE telegram_broadcasts SET told = true
    WHERE id = :id AND (status = 'cancelled') = :cancelled""")

_PROGRESS = text("""
    INSERT INTO campaign_progress AS known
        (campaign_id, version, status, reason, intended, sent, failed, suppressed, ambiguous)
    VALUES (:campaign_id, :version, :status, :reason, :intended, :sent, :failed, :suppressed, :ambiguous)
    ON CONFLICT (campaign_id) DO UPDATE
    SET version = excluded.version, status = excluded.status, reason = excluded.reason,
        intended = excluded.intended, sent = excluded.sent, failed = excluded.failed,
        suppressed = excluded.suppressed, ambiguous = excluded.ambiguous
    WHERE known.version < excluded.version""")


class Broadcasts:
    """Broadcasts, in gateway's database; `changed` is set when senders has something to be told."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changed = asyncio.Event()

    async def create(self, broadcast_id: UUID, draft: Draft) -> None:
        """Write a draft down; the same id twice is one draft."""
        await self._database.execute(_CREATE, id=broadcast_id, **asdict(draft))

    async def change(self, broadcast_id: UUID, draft: Draft) -> bool:
        """Change a draft; False where there is none, or it is one no longer."""
        return await self._database.execute(_CHANGE, id=broadcast_id, **asdict(draft)) > 0

    async def send(self, broadcast_id: UUID, scheduled_at: datetime | None, time_zone: str | None) -> bool:
        """Let a draft be sent, now or at a time; False where there is none, or it is one no longer."""
        sent = await self._database.execute(
            _SEND, id=broadcast_id, scheduled_at=scheduled_at, time_zone=time_zone
        )
        self.changed.set()
        return sent > 0

    async def cancel(self, broadcast_id: UUID) -> bool:
        """End a broadcast; False where there is none, or it has ended by itself."""
        cancelled = await self._database.execute(_CANCEL, id=broadcast_id)
        self.changed.set()
        return cancelled > 0

    async def fail(self, broadcast_id: UUID, reason: str) -> None:
        """End a broadcast that senders refuses; `reason` is a word of a bounded set."""
        await self._database.execute(_FAIL, id=broadcast_id, reason=reason)

    async def find(self, broadcast_id: UUID) -> Broadcast | None:
        """Return a broadcast, or None."""
        row = await self._database.row(_FIND, id=broadcast_id)
        return _read(row) if row else None

    async def page(
        self, limit: int, *, status: Status | None = None, before: tuple[datetime, UUID] | None = None
    ) -> list[Broadcast]:
        """Return broadcasts, newest first, behind a place."""
        before_at, before_id = before or (None, None)
        rows = await self._database.rows(
            _LIST, limit=limit, status=status, before_at=before_at, before_id=before_id
        )
        return [_read(row) for row in rows]

    async def untold(self) -> Sequence[tuple[UUID, bool, bool]]:
        """Return what senders does not know: id, whether it is cancelled, whether that is a minute ago."""
        rows = await self._database.rows(_UNTOLD)
        return [(row["id"], row["status"] == "cancelled", row["settled"]) for row in rows]

    async def told(self, broadcast_id: UUID, *, cancelled: bool) -> None:
        """Remember that senders knows a broadcast, unless it was cancelled meanwhile."""
        await self._database.execute(_TOLD, id=broadcast_id, cancelled=cancelled)

    async def progress(self, event: CampaignChanged) -> None:
        """Keep what senders tells of a campaign, in whatever order it comes."""
        fields = event.model_dump(exclude={"id", "at", "checksum"})
        await self._database.execute(_PROGRESS, **fields)


def _read(row: RowMapping) -> Broadcast:
    fields = dict(row)
    draft = {name: fields.pop(name) for name in ("text", "audience", "cta_text", "cta_url", "bot")}
    return Broadcast(draft=Draft(**draft), **fields)
