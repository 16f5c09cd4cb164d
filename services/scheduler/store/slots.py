"""Slots: decided once, written down before anything is published, and announced until it is certain."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Cancellation, Slot
from services.scheduler.domain.schedule import caught_up, decide
from services.scheduler.store.rows import (
    cancellation_of,
    lock_catalogue,
    promos_in,
    schedule_of,
    slot_of,
    write_decisions,
    write_progress,
)
from services.scheduler.store.tables import cancellations, schedules, slots
from shared import failpoints
from shared.database import Database

AT_MOST = 1_000
"""Rows that one replica takes at a time; the others take the next."""

_ANNOUNCED = text("""
UPDATE slots SET announced_at = now()
FROM unnest(CAST(:schedule_ids AS uuid[]), CAST(:slots AS timestamptz[])) AS held (schedule_id, slot)
WHERE slots.schedule_id = held.schedule_id AND slots.slot = held.slot
""")


class Slots:
    """Decides due slots and knows which decisions the world may not have heard of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_decision(self) -> datetime | None:
        """Return when a slot was last decided, as far as this database knows."""
        newest: datetime | None = await self._database.value(select(func.max(slots.c.decided_at)))
        return newest

    async def adopt(self, told: Sequence[Slot]) -> list[Slot]:
        """Take over decisions that are on the stream; return those that this database did not know of."""
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            rows = await connection.execute(select(schedules).order_by(schedules.c.id).with_for_update())
            known = {row["id"]: row for row in rows.mappings()}
            decided = select(slots.c.schedule_id, slots.c.slot).where(
                tuple_(slots.c.schedule_id, slots.c.slot).in_(
                    [(each.schedule_id, each.slot) for each in told]
                )
            )
            there = {(row[0], row[1]) for row in await connection.execute(decided)}
            fresh = [each for each in told if (each.schedule_id, each.slot) not in there]
            if not fresh:
                return []
            await write_decisions(connection, fresh)
            await connection.execute(_ANNOUNCED, _keys(fresh))
            promos = await promos_in(connection)
            for schedule_id, its in _by_schedule(fresh).items():
                if (row := known.get(schedule_id)) is not None:
                    await _catch_up(connection, row, its, promos)
        return fresh

    async def decide_due(self, now: datetime) -> list[Slot]:
        """Decide the slots of up to `AT_MOST` schedules that are due and in no other replica's hands.

        An empty answer means that there was none; ask again until it is.
        """
        schedule = schedules.c
        due = (
            select(schedules)
            .where(
                schedule.active, or_(schedule.next_slot <= now, schedule.next_slot == schedule.activated_at)
            )
            .order_by(schedule.next_slot)
            .limit(AT_MOST)
            .with_for_update(skip_locked=True)
        )
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            taken = [schedule_of(row) for row in (await connection.execute(due)).mappings()]
            if not taken:
                return []
            promos = await promos_in(connection)
            decisions = [decide(each, promos, now) for each in taken]
            decided = [slot for _, its_slots in decisions for slot in its_slots]
            await write_decisions(connection, decided)
            await write_progress(connection, [after for after, _ in decisions])
            failpoints.passing("before_decided")
        failpoints.passing("after_decided")
        return decided

    async def next_due(self) -> datetime | None:
        """Return when the next slot of any schedule comes, or None while all are stopped."""
        next_slot: datetime | None = await self._database.value(
            select(func.min(schedules.c.next_slot)).where(schedules.c.active)
        )
        return next_slot

    @asynccontextmanager
    async def unannounced(self) -> AsyncIterator[Sequence[Slot]]:
        """Hold up to `AT_MOST` decisions that are not announced yet and in no other replica's hands.

        Leaving without an error writes down that they are; a crash in between announces them again.
        """
        statement = (
            select(slots)
            .where(slots.c.announced_at.is_(None))
            .order_by(slots.c.decided_at, slots.c.slot)
            .limit(AT_MOST)
            .with_for_update(skip_locked=True)
        )
        async with self._database.begin() as connection:
            held = [slot_of(row) for row in (await connection.execute(statement)).mappings()]
            yield held
            if held:
                failpoints.passing("before_announced")
                await connection.execute(_ANNOUNCED, _keys(held))
        if held:
            failpoints.passing("after_announced")

    @asynccontextmanager
    async def unannounced_cancellations(self) -> AsyncIterator[Sequence[Cancellation]]:
        """Hold up to `AT_MOST` cancellations that are not announced yet, like `unannounced`."""
        cancelled = cancellations.c
        statement = (
            select(cancellations)
            .where(cancelled.announced_at.is_(None))
            .order_by(cancelled.at)
            .limit(AT_MOST)
            .with_for_update(skip_locked=True)
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            yield [cancellation_of(row) for row in rows]
            if rows:
                held = [row["id"] for row in rows]
                await connection.execute(
                    update(cancellations).where(cancelled.id.in_(held)).values(announced_at=func.now())
                )


def _keys(held: Sequence[Slot]) -> dict[str, list[Any]]:
    return {
        "schedule_ids": [slot.schedule_id for slot in held],
        "slots": [slot.slot for slot in held],
    }


def _by_schedule(told: Sequence[Slot]) -> dict[UUID, list[Slot]]:
    found: dict[UUID, list[Slot]] = {}
    for slot in told:
        found.setdefault(slot.schedule_id, []).append(slot)
    return found


async def _catch_up(
    connection: AsyncConnection, row: RowMapping, told: Sequence[Slot], promos: Sequence[Promo]
) -> None:
    if row["active"]:
        await write_progress(connection, [caught_up(schedule_of(row), told, promos)])
        return
    # One that is stopped only has to begin behind them.
    last = max(slot.slot for slot in told)
    known = schedules.c
    await connection.execute(
        update(schedules).where(known.id == row["id"]).values(last_slot=func.greatest(known.last_slot, last))
    )
