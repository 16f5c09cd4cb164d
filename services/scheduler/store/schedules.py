"""Schedules: started and stopped by command, shown to others, and the default one kept to its settings."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, array, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.scheduler.domain.catalogue import SHIPPED
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE, Wanted, close, follow
from services.scheduler.domain.slots import activation
from services.scheduler.store.rows import promos_in, schedule_of, write_decisions, write_progress
from services.scheduler.store.tables import promos, schedule_commands, schedules
from shared.database import Database
from shared.queries import ScheduleChanged, ScheduleView

Change = Callable[[AsyncConnection, RowMapping, datetime], Awaitable[bool]]


class UnknownSchedule(Exception):
    """There is no schedule of that id."""


class Schedules:
    """The schedules there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, schedule_id: UUID, cause: UUID, now: datetime) -> ScheduleChanged:
        """Activate a schedule unless it is active; its first slot comes at once."""
        return await self._once("start", schedule_id, cause, now, _start)

    async def stop(self, schedule_id: UUID, cause: UUID, now: datetime) -> ScheduleChanged:
        """Stop a schedule unless it is stopped, and write down what that cancels."""
        return await self._once("stop", schedule_id, cause, now, _stop)

    async def views(self) -> list[ScheduleView]:
        """Return every schedule as others see it."""
        return [_view(row) for row in await self._database.rows(_VIEWS.order_by(schedules.c.id))]

    async def settle_default(
        self, wanted: Wanted, texts: Mapping[str, str], now: datetime
    ) -> Literal["created", "followed", "edited"]:
        """Create the default schedule, with the shipped promos, on first run; then keep it to its settings.

        `texts` are the promos' texts by template. Once somebody has edited the schedule, it is left alone.
        """
        async with self._database.begin() as connection:
            if await _create_default(connection, wanted, now):
                await _add_shipped(connection, texts)
                return "created"
            row = await _lock(connection, DEFAULT_SCHEDULE)
            if row["edited_at"] is not None:
                return "edited"
            await _follow_settings(connection, row, wanted, now)
            return "followed"

    async def _once(
        self, command: str, schedule_id: UUID, cause: UUID, now: datetime, change: Change
    ) -> ScheduleChanged:
        key = {"cause": cause, "command": command, "schedule_id": schedule_id}
        async with self._database.begin() as connection:
            row = await _lock(connection, schedule_id)
            known = select(schedule_commands.c.changed).filter_by(**key)
            changed = (await connection.execute(known)).scalar_one_or_none()
            if changed is None:
                changed = await change(connection, row, now)
                await connection.execute(insert(schedule_commands).values(**key, changed=changed, at=now))
            view = (await connection.execute(_VIEWS.where(schedules.c.id == schedule_id))).mappings().one()
            return ScheduleChanged(changed=changed, schedule=_view(view))


_ENABLED = (
    select(func.coalesce(func.array_agg(aggregate_order_by(promos.c.id, promos.c.position, promos.c.id)),
                         array([], type_=Text)))
    .where(promos.c.enabled)
    .scalar_subquery()
)  # fmt: skip

_VIEWS = select(
    schedules.c.id, schedules.c.active, schedules.c.bot, schedules.c.interval_seconds, schedules.c.time_zone,
    schedules.c.chat_ids, func.coalesce(schedules.c.promo_ids, _ENABLED).label("promo_ids"),
    schedules.c.activated_at, schedules.c.last_run, schedules.c.next_slot.label("next_run"),
)  # fmt: skip


def _view(row: RowMapping) -> ScheduleView:
    return ScheduleView.model_validate(dict(row))


async def _lock(connection: AsyncConnection, schedule_id: UUID) -> RowMapping:
    statement = select(schedules).where(schedules.c.id == schedule_id).with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise UnknownSchedule(schedule_id)
    return row


async def _start(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
    if row["active"]:
        return False
    first = activation(now, row["last_slot"], row["cancelled_up_to"])
    await connection.execute(
        update(schedules)
        .where(schedules.c.id == row["id"])
        .values(active=True, activated_at=first, next_slot=first)
    )
    return True


async def _stop(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
    if not row["active"]:
        return False
    after, closed = close(schedule_of(row), now)
    await write_decisions(connection, closed)
    await connection.execute(
        update(schedules)
        .where(schedules.c.id == row["id"])
        .values(
            active=False, next_slot=None, last_slot=after.last_slot, stopped_at=now,
            # Not `now`: the clock may have run ahead when the last slot was decided, or be ahead by now.
            cancelled_up_to=after.last_slot or now, stop_announced_at=None,
        )
    )  # fmt: skip
    return True


async def _create_default(connection: AsyncConnection, wanted: Wanted, now: datetime) -> bool:
    statement = (
        insert(schedules)
        .values(
            id=DEFAULT_SCHEDULE, time_zone="UTC", active=True, activated_at=now, next_slot=now,
            **_columns(wanted),
        )
        .on_conflict_do_nothing()
        .returning(schedules.c.id)
    )  # fmt: skip
    return (await connection.execute(statement)).scalar_one_or_none() is not None


async def _add_shipped(connection: AsyncConnection, texts: Mapping[str, str]) -> None:
    rows = [
        {
            "id": promo.id, "title": promo.title, "cta_text": promo.cta_text, "payload": promo.payload,
            "template": promo.id, "text": texts[promo.id], "enabled": True, "position": promo.position,
        }
        for promo in SHIPPED
    ]  # fmt: skip
    await connection.execute(insert(promos).on_conflict_do_nothing(), rows)


async def _follow_settings(
    connection: AsyncConnection, row: RowMapping, wanted: Wanted, now: datetime
) -> None:
    if row["active"]:
        after, decided = follow(schedule_of(row), wanted, await promos_in(connection), now)
        await write_decisions(connection, decided)
        await write_progress(connection, [after])
    await connection.execute(update(schedules).where(schedules.c.id == row["id"]).values(**_columns(wanted)))


def _columns(wanted: Wanted) -> dict[str, object]:
    return {
        "bot": wanted.bot,
        "interval_seconds": wanted.interval.total_seconds(),
        "validity_seconds": wanted.validity.total_seconds(),
        "chat_ids": list(wanted.chat_ids),
    }
