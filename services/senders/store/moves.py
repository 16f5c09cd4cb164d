"""What happens to campaigns: started, due, held, resumed, cancelled, swept, ended."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from services.senders.domain.campaigns import VALID
from services.senders.store.lists import Lists
from services.senders.store.sums import SUMS

SWEPT_AT_ONCE = 500
FOLDED_AT_ONCE = 20_000

_VALID = f"interval '{VALID.total_seconds():.0f} seconds'"
START = text(f"""
    UPDATE campaigns SET version = version + 1, listing = audience IS NOT NULL,
           predicted_seconds = coalesce(:predicted_seconds, predicted_seconds),
           status = CASE WHEN CAST(:scheduled_at AS timestamptz) > now() THEN 'scheduled' ELSE 'running' END,
           scheduled_at = :scheduled_at,
           started_at = CASE WHEN CAST(:scheduled_at AS timestamptz) > now() THEN NULL ELSE now() END,
           running_since = CASE WHEN CAST(:scheduled_at AS timestamptz) > now() THEN NULL ELSE now() END,
           expires_at = coalesce(expires_at, greatest(CAST(:scheduled_at AS timestamptz), now()) + {_VALID})
    WHERE id = :id AND status = 'draft' RETURNING id""")  # noqa: S608 - a constant
# Held past its day it is not begun: what would be sent is no longer wanted.
_BEGIN_DUE = text("""
    UPDATE campaigns SET version = version + 1,
           status = CASE WHEN expires_at <= now() THEN 'failed' ELSE 'running' END,
           reason = CASE WHEN expires_at <= now() THEN 'expired' END,
           ended_at = CASE WHEN expires_at <= now() THEN now() END,
           started_at = CASE WHEN expires_at <= now() THEN NULL ELSE now() END,
           running_since = CASE WHEN expires_at <= now() THEN NULL ELSE now() END
    WHERE id IN (SELECT id FROM campaigns WHERE status = 'scheduled' AND scheduled_at <= now()
                 ORDER BY id FOR NO KEY UPDATE)""")
_STOPPED_CLOCK = """
    active_seconds = active_seconds
        + coalesce(CAST(extract(epoch FROM now() - running_since) AS float8), 0), running_since = NULL"""
_PAUSE = text(f"""
    UPDATE campaigns SET status = 'paused', version = version + 1, {_STOPPED_CLOCK}
    WHERE id = :id AND status IN ('running', 'scheduled') RETURNING id""")  # noqa: S608 - a constant
_RESUME = text("""
    UPDATE campaigns SET version = version + 1,
           status = CASE WHEN started_at IS NULL AND scheduled_at > now() THEN 'scheduled' ELSE 'running' END,
           started_at = CASE WHEN scheduled_at > now() THEN started_at ELSE coalesce(started_at, now()) END,
           running_since = CASE WHEN started_at IS NULL AND scheduled_at > now() THEN NULL ELSE now() END
    WHERE id = :id AND status = 'paused' RETURNING id""")
_CANCEL = text(f"""
    UPDATE campaigns SET status = 'cancelled', version = version + 1, sweeping = true, ended_at = now(),
           {_STOPPED_CLOCK}
    WHERE id = :id AND status IN ('draft', 'scheduled', 'running', 'paused') RETURNING id""")  # noqa: S608 - a constant
_FREE_HELD = text("""
    WITH held AS (
        SELECT d.id FROM deliveries d
        JOIN messages m ON m.id = d.message_id JOIN campaigns c ON c.id = m.campaign_id
        WHERE d.state = 'pending' AND d.reason = 'campaign_paused' AND c.status <> 'paused'
        ORDER BY d.id FOR NO KEY UPDATE OF d)
    UPDATE deliveries d SET due_at = now(), reason = NULL FROM held WHERE d.id = held.id""")
_SWEEPING = text("SELECT id FROM campaigns WHERE sweeping ORDER BY ended_at LIMIT 1")
# What waits to be sent once more may have arrived: it can be left at that, not unsent.
_SWEEP = text("""
    WITH gone AS (
        SELECT d.id FROM deliveries d JOIN messages m ON m.id = d.message_id
        WHERE d.state = 'pending' AND d.lane_rank = 2 AND m.campaign_id = :id
        LIMIT :limit FOR UPDATE OF d SKIP LOCKED),
    ended AS (
        UPDATE deliveries d SET state = CASE WHEN resent THEN 'ambiguous' ELSE 'suppressed' END,
               reason = 'cancelled', queue = NULL, announced = false, updated_at = now()
        FROM gone WHERE d.id = gone.id RETURNING d.id, d.attempt, d.state),
    noted AS (
        INSERT INTO delivery_history (delivery_id, attempt, state, reason)
        SELECT id, attempt, state, 'cancelled' FROM ended
        ON CONFLICT (delivery_id, attempt, state) DO NOTHING)
    SELECT id FROM ended""")
_SWEPT = text("UPDATE campaigns SET sweeping = false WHERE id = :id")
# What changes of a campaign that is over is told again: a press settles a doubt, a sweep ends what waited.
_FOLD = text("""
    WITH taken AS (
        DELETE FROM campaign_tallies WHERE id IN (
            SELECT id FROM campaign_tallies ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING campaign_id, was, is_now),
    changes AS (
        SELECT campaign_id, state, sum(change) AS change FROM (
            SELECT campaign_id, is_now AS state, 1 AS change FROM taken WHERE is_now IS NOT NULL
            UNION ALL SELECT campaign_id, was, -1 FROM taken WHERE was IS NOT NULL) AS each
        GROUP BY campaign_id, state),
    told_again AS (
        UPDATE campaigns SET version = version + 1
        WHERE status IN ('done', 'cancelled', 'failed')
          AND id IN (SELECT id FROM campaigns
                     WHERE id IN (SELECT campaign_id FROM changes WHERE change <> 0)
                     ORDER BY id FOR NO KEY UPDATE))
    INSERT INTO campaign_sums AS known (campaign_id, state, messages)
    SELECT campaign_id, state, change FROM changes ORDER BY campaign_id, state
    ON CONFLICT (campaign_id, state) DO UPDATE SET messages = known.messages + excluded.messages""")
# Over: its list is in the ledger and every message has ended; or it is late, and the rest of it stays out.
_END = text(f"""
    WITH running AS (
        SELECT c.id, c.intended + c.joined AS length, sent + ambiguous AS reached, failed,
               sent + failed + suppressed + ambiguous AS ended,
               NOT c.listing AND c.expanded = c.intended AS out,
               sums.pending = 0 AND c.expires_at <= now() AS late
        FROM campaigns c CROSS JOIN LATERAL ({SUMS}) AS sums WHERE c.status = 'running'),
    over AS MATERIALIZED (
        SELECT id, reached = 0 AND (failed > 0 OR NOT out OR length = 0) AS nobody,
               CASE WHEN NOT out THEN 'expired' WHEN length = 0 THEN 'empty'
                    WHEN reached = 0 AND failed > 0 THEN 'nobody_reached' END AS reason
        FROM running WHERE out AND ended >= length OR late AND NOT out)
    UPDATE campaigns SET version = version + 1, ended_at = now(), {_STOPPED_CLOCK}, reason = over.reason,
           status = CASE WHEN over.nobody THEN 'failed' ELSE 'done' END
    FROM over WHERE campaigns.id = over.id AND campaigns.status = 'running'
      AND campaigns.id IN (SELECT id FROM campaigns WHERE id IN (SELECT id FROM over)
                           ORDER BY id FOR NO KEY UPDATE)""")  # noqa: S608 - constants

_ANY_TO_MOVE = text("""
    SELECT EXISTS (SELECT 1 FROM campaigns
                   WHERE status = 'running' OR sweeping OR announced < version
                      OR status = 'scheduled' AND scheduled_at <= now())
           OR EXISTS (SELECT 1 FROM campaign_tallies)
           OR EXISTS (SELECT 1 FROM deliveries WHERE state = 'pending' AND reason = 'campaign_paused')""")


class Moves(Lists):
    """The part of the campaigns that moves them from status to status."""

    async def start(
        self, campaign_id: UUID, *, scheduled_at: datetime | None, predicted_seconds: float | None
    ) -> bool:
        """Start a draft, now or at a time; False when it is none."""
        return await self._move(
            START, campaign_id, scheduled_at=scheduled_at, predicted_seconds=predicted_seconds
        )

    async def pause(self, campaign_id: UUID) -> bool:
        """Hold a campaign; False when it neither runs nor is to run."""
        return await self._move(_PAUSE, campaign_id)

    async def resume(self, campaign_id: UUID) -> bool:
        """Let a held campaign go on; False when it is not held."""
        return await self._move(_RESUME, campaign_id)

    async def cancel(self, campaign_id: UUID) -> bool:
        """End a campaign; False when it has ended."""
        return await self._move(_CANCEL, campaign_id)

    async def is_to_move(self) -> bool:
        """Say whether there is anything to begin, let go, sweep, sum up, end or tell."""
        return bool(await self._database.value(_ANY_TO_MOVE))

    async def begin_due(self) -> None:
        """Begin campaigns whose time has come."""
        await self._database.execute(_BEGIN_DUE)

    async def free_held(self) -> None:
        """Make due what was held of campaigns that are paused no more."""
        await self._database.execute(_FREE_HELD)

    async def sweep(self) -> list[UUID]:
        """Suppress what waits of a cancelled campaign; return deliveries that ended, none when all have."""
        campaign_id = await self._database.value(_SWEEPING)
        if campaign_id is None:
            return []
        rows = await self._database.rows(_SWEEP, id=campaign_id, limit=SWEPT_AT_ONCE)
        if not rows:
            await self._database.execute(_SWEPT, id=campaign_id)
        return [row["id"] for row in rows]

    async def fold(self) -> None:
        """Take changes into the sums."""
        await self._database.execute(_FOLD, limit=FOLDED_AT_ONCE)

    async def end(self) -> None:
        """End campaigns of which every message has ended, or whose time is over."""
        await self._database.execute(_END)

    async def _move(self, statement: TextClause, campaign_id: UUID, **parameters: Any) -> bool:
        is_moved = await self._database.value(statement, id=campaign_id, **parameters) is not None
        self.moved.ring()
        return is_moved
