"""Slots: decided once, written down before anything is published, and announced until it is certain."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_, update

from services.scheduler.domain.decision import Slot, Stop
from services.scheduler.domain.schedule import decide
from services.scheduler.store.rows import promos_in, schedule_of, slot_of, write_decisions, write_progress
from services.scheduler.store.tables import schedules, slots
from shared.database import Database

AT_MOST = 100
"""Rows that one replica takes at a time; the others take the next."""


class Slots:
    """Decides due slots and knows which decisions the world may not have heard of."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
            taken = [schedule_of(row) for row in (await connection.execute(due)).mappings()]
            if not taken:
                return []
            promos = await promos_in(connection)
            decisions = [decide(each, promos, now) for each in taken]
            decided = [slot for _, its_slots in decisions for slot in its_slots]
            await write_decisions(connection, decided)
            await write_progress(connection, [after for after, _ in decisions])
            return decided

    async def next_due(self) -> datetime | None:
        """Return when the next slot of any schedule comes, or None while all are stopped."""
        rows = await self._database.rows(
            select(func.min(schedules.c.next_slot).label("next_slot")).where(schedules.c.active)
        )
        next_slot: datetime | None = rows[0]["next_slot"]
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
                keys = [(slot.schedule_id, slot.slot) for slot in held]
                await connection.execute(
                    update(slots)
                    .where(tuple_(slots.c.schedule_id, slots.c.slot).in_(keys))
                    .values(announced_at=func.now())
                )

    @asynccontextmanager
    async def unannounced_stops(self) -> AsyncIterator[Sequence[Stop]]:
        """Hold up to `AT_MOST` stops that are not announced yet, like `unannounced`."""
        schedule = schedules.c
        statement = (
            select(schedule.id, schedule.cancelled_up_to, schedule.stopped_at)
            .where(schedule.stopped_at.is_not(None), schedule.stop_announced_at.is_(None))
            .order_by(schedule.stopped_at)
            .limit(AT_MOST)
            .with_for_update(skip_locked=True)
        )
        async with self._database.begin() as connection:
            held = [Stop(*row) for row in await connection.execute(statement)]
            yield held
            if held:
                await connection.execute(
                    update(schedules)
                    .where(schedule.id.in_([stop.schedule_id for stop in held]))
                    .values(stop_announced_at=func.now())
                )
