"""The promo log: one row per slot and chat, from PromoDue and outcomes in whatever order they come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import column, select, table, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import Database
from shared.events import Outcome, PromoDue, PromoRef, SlotSkipped
from shared.ids import owner_of
from shared.queries import PromoLogEntry, PromoPosts, PromoPostsList

# A chat of somebody who is forgotten is 0 on the stream, and none here, also where what is older comes later.
# In the order of ids, so that two replicas cannot wait for each other.
_RECORD_DUE = text("""
INSERT INTO promo_log_chats (id, schedule_id, slot, promo_id, chat_id, state, attempt, rank, due_at)
SELECT id, schedule_id, slot, promo_id, CASE WHEN f.user_id IS NULL THEN nullif(chat_id, 0) END,
       'pending', 0, 0, due_at
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:schedule_ids AS uuid[]), CAST(:slots AS timestamptz[]),
    CAST(:promo_ids AS text[]), CAST(:chat_ids AS bigint[]), CAST(:due_at AS timestamptz[]),
    CAST(:owners AS uuid[])
) AS due (id, schedule_id, slot, promo_id, chat_id, due_at, owner)
LEFT JOIN forgotten_users AS f ON f.user_id = due.owner AND due.due_at <= f.forgotten_at
ORDER BY id
ON CONFLICT (id) DO UPDATE
SET promo_id = excluded.promo_id, chat_id = excluded.chat_id, due_at = excluded.due_at
""")

_RECORD_SKIPPED = text("""
INSERT INTO promo_log_chats (id, schedule_id, slot, state, attempt, rank, reason, due_at)
SELECT id, schedule_id, slot, 'skipped', 0, 0, reason, due_at FROM unnest(
    CAST(:ids AS uuid[]), CAST(:schedule_ids AS uuid[]), CAST(:slots AS timestamptz[]),
    CAST(:reasons AS text[]), CAST(:due_at AS timestamptz[])
) AS skipped (id, schedule_id, slot, reason, due_at)
ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING reason
""")

# Sent always wins, otherwise the highest (attempt, rank); the id decides where even these are the same.
_RECORD_OUTCOME = text("""
WITH before AS (SELECT state, due_at FROM promo_log_chats WHERE id = :id),
whose AS (
    SELECT EXISTS (SELECT FROM forgotten_users
                   WHERE user_id = :owner AND forgotten_at >= coalesce((SELECT due_at FROM before), :slot)
           ) AS nobodys
),
stored AS (
    INSERT INTO promo_log_chats AS log (id, schedule_id, slot, promo_id, chat_id, state, attempt, rank,
                                        outcome_id, provider_message_id, reason)
    SELECT CAST(:id AS uuid), CAST(:schedule_id AS uuid), CAST(:slot AS timestamptz),
           CAST(:promo_id AS text), CASE WHEN NOT nobodys THEN CAST(:chat_id AS bigint) END,
           CAST(:state AS text), CAST(:attempt AS int), CAST(:rank AS int), CAST(:outcome_id AS uuid),
           CASE WHEN NOT nobodys THEN CAST(:provider_message_id AS text) END, CAST(:reason AS text)
    FROM whose
    ON CONFLICT (id) DO UPDATE
    SET state = excluded.state, attempt = excluded.attempt, rank = excluded.rank,
        outcome_id = excluded.outcome_id, provider_message_id = excluded.provider_message_id,
        reason = excluded.reason
    WHERE log.outcome_id IS NULL
        OR (excluded.state = 'sent', excluded.attempt, excluded.rank, excluded.outcome_id)
         > (log.state = 'sent', log.attempt, log.rank, log.outcome_id)
    RETURNING state
)
SELECT stored.state = 'sent' AND NOT EXISTS (SELECT FROM before WHERE before.state = 'sent') AS newly_posted,
       EXISTS (SELECT FROM promos WHERE promos.id = :promo_id) AS in_catalogue
FROM stored
""")

_SUMS = text("""
SELECT promo_id, count(DISTINCT (schedule_id, slot)) AS slots, count(*) AS intended,
    count(*) FILTER (WHERE state = 'sent') AS posted,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
    count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous,
    count(*) FILTER (WHERE state = 'pending') AS pending,
    count(DISTINCT chat_id) FILTER (WHERE state = 'sent') AS reach
FROM promo_log_chats
WHERE promo_id IS NOT NULL
    AND (CAST(:promo_id AS text) IS NULL OR promo_id = :promo_id)
    AND (CAST(:since AS timestamptz) IS NULL OR slot >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR slot < :until)
GROUP BY promo_id ORDER BY promo_id
""")

_SKIPPED = text("""
SELECT reason, count(*) AS slots FROM promo_log_chats
WHERE state = 'skipped' AND (CAST(:since AS timestamptz) IS NULL OR slot >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR slot < :until)
GROUP BY reason ORDER BY reason
""")

_COUNTS = ("slots", "intended", "posted", "failed", "suppressed", "ambiguous", "pending", "reach")

_LOGS = table(
    "marketing_promo_logs",
    *(
        column(name)
        for name in (
            "slot", "schedule_id", "promo_id", "intended", "posted", "failed", "suppressed", "ambiguous",
            "pending", "skipped", "created_at",
        )
    ),
    column("chats", JSONB),
)  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """What an outcome changed: whether the chat is posted only now, and whether the promo is ours."""

    newly_posted: bool
    in_catalogue: bool


class PromoLog:
    """What was due, where, and what became of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_due(self, dues: Sequence[PromoDue]) -> None:
        """Record that promos are intended for chats."""
        once = {due.id: due for due in dues}.values()
        await self._database.execute(
            _RECORD_DUE,
            ids=[due.id for due in once],
            schedule_ids=[due.schedule_id for due in once],
            slots=[due.slot for due in once],
            promo_ids=[due.promo_id for due in once],
            chat_ids=[due.chat_id for due in once],
            due_at=[due.at for due in once],
            owners=[owner_of(due.chat_id) for due in once],
        )

    async def record_skipped(self, skipped: Sequence[SlotSkipped]) -> list[str]:
        """Record that slots passed without a post; return the reasons of those of which that is news."""
        rows = await self._database.rows(
            _RECORD_SKIPPED,
            ids=[each.id for each in skipped],
            schedule_ids=[each.schedule_id for each in skipped],
            slots=[each.slot for each in skipped],
            reasons=[each.reason for each in skipped],
            due_at=[each.at for each in skipped],
        )
        return [row["reason"] for row in rows]

    async def record_outcome(self, outcome: Outcome, promo: PromoRef) -> Recorded:
        """Record what became of a post, unless more is known already."""
        row = await self._database.row(
            _RECORD_OUTCOME,
            id=outcome.message_id,
            schedule_id=promo.schedule_id,
            slot=promo.slot,
            promo_id=promo.promo_id,
            chat_id=outcome.chat_id,
            owner=owner_of(outcome.chat_id),
            state=outcome.state.value,
            attempt=outcome.attempt,
            rank=outcome.rank,
            outcome_id=outcome.id,
            provider_message_id=outcome.provider_message_id,
            reason=outcome.reason,
        )
        return Recorded(False, False) if row is None else Recorded(row["newly_posted"], row["in_catalogue"])

    async def sums(
        self, promo_id: str | None, since: datetime | None, until: datetime | None
    ) -> PromoPostsList:
        """Return the sums of a promo (zeros where it was never due), or of all that were."""
        rows = await self._database.rows(_SUMS, promo_id=promo_id, since=since, until=until)
        skipped = await self._database.rows(_SKIPPED, since=since, until=until) if promo_id is None else ()
        items = [PromoPosts.model_validate(dict(row)) for row in rows]
        if promo_id is not None and not items:
            items = [PromoPosts(promo_id=promo_id, **dict.fromkeys(_COUNTS, 0))]
        return PromoPostsList(items=tuple(items), skipped={row["reason"]: row["slots"] for row in skipped})

    async def newest(
        self,
        *,
        promo_id: str | None,
        since: datetime | None,
        until: datetime | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[PromoLogEntry]:
        """Return up to `limit` slots from `since` and before `until`, newest first, behind `before`."""
        log = _LOGS.c
        statement = select(_LOGS).order_by(log.slot.desc(), log.schedule_id.desc()).limit(limit)
        if promo_id is not None:
            statement = statement.where(log.promo_id == promo_id)
        if since is not None:
            statement = statement.where(log.slot >= since)
        if until is not None:
            statement = statement.where(log.slot < until)
        if before is not None:
            statement = statement.where(tuple_(log.slot, log.schedule_id) < before)
        return [PromoLogEntry.model_validate(dict(row)) for row in await self._database.rows(statement)]
