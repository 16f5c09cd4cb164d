"""Schedules: made, edited, started and stopped by command, shown to others, the default one by settings."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, array, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.scheduler.domain.catalogue import SHIPPED, Promo
from services.scheduler.domain.schedule import DEFAULT_NAME, DEFAULT_SCHEDULE, Schedule, Wanted, activated
from services.scheduler.store import changes, commands
from services.scheduler.store.changes import Change
from services.scheduler.store.rows import (
    lock_catalogue,
    promos_in,
    schedule_of,
    turn_of,
    wanted_columns,
    wanted_of,
)
from services.scheduler.store.tables import promos, schedules
from shared.database import Database
from shared.events import schedule_id_of
from shared.queries import ScheduleChanged, ScheduleView


class UnknownSchedule(Exception):
    """There is no schedule of that id."""


class ScheduleExists(Exception):
    """There is a schedule of that name."""


class UnknownPromos(Exception):
    """A set names promos that the catalogue does not have; the message names them."""


class Schedules:
    """The schedules there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, schedule_id: UUID, cause: UUID, now: datetime, asked_at: datetime | None = None
    ) -> ScheduleChanged:
        """Activate a schedule unless it is active; an interval's first slot comes at once.

        Nothing changes where a start or stop that was asked for after `asked_at` has been done.
        """
        change = changes.unless_newer(changes.start, asked_at)
        return await self._once("start", schedule_id, cause, now, change)

    async def stop(
        self, schedule_id: UUID, cause: UUID, now: datetime, asked_at: datetime | None = None
    ) -> ScheduleChanged:
        """Stop a schedule unless it is stopped, and write down what that cancels; see `start`."""
        change = changes.unless_newer(changes.stop, asked_at)
        return await self._once("stop", schedule_id, cause, now, change)

    async def pause(
        self, schedule_id: UUID, until: datetime | None, cause: UUID, now: datetime
    ) -> ScheduleChanged:
        """Let a schedule post nothing before `until`, or end its pause; raises NotActive."""
        change: Change = changes.resume if until is None else partial(changes.pause, until=until)
        return await self._once("pause", schedule_id, cause, now, change)

    async def edit(
        self, schedule_id: UUID, rewrite: Callable[[Wanted], Wanted], cause: UUID, now: datetime
    ) -> ScheduleChanged:
        """Give a schedule the values that `rewrite` makes of its own; raises UnknownPromos."""

        async def change(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
            before = wanted_of(row)
            wanted = rewrite(before)
            if wanted.promo_ids != before.promo_ids:
                await _check_promos(connection, wanted)
            changed = await changes.become(connection, row, now, wanted)
            await connection.execute(
                update(schedules).where(schedules.c.id == schedule_id).values(edited_at=now)
            )
            return changed

        return await self._once("edit", schedule_id, cause, now, change)

    async def create(self, name: str, wanted: Wanted, cause: UUID, now: datetime) -> ScheduleView:
        """Add a schedule, stopped; raises ScheduleExists and UnknownPromos."""
        schedule_id = schedule_id_of(name)
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            if await commands.known(connection, "create", str(schedule_id), cause) is None:
                await _check_promos(connection, wanted)
                values = {**wanted_columns(wanted), **await changes.behind(connection, schedule_id)}
                made = await connection.execute(
                    insert(schedules)
                    .values(id=schedule_id, name=name, active=False, edited_at=now, **values)
                    .on_conflict_do_nothing()
                )
                if not made.rowcount:
                    raise ScheduleExists(name)
                await commands.note(connection, "create", str(schedule_id), cause, changed=True, now=now)
            return _view(await _row(connection, schedule_id))

    async def delete(self, schedule_id: UUID, cause: UUID, now: datetime) -> None:
        """Stop a schedule and remove it; what it has decided and posted stays. Raises UnknownSchedule."""
        subject = str(schedule_id)
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            if await commands.known(connection, "delete", subject, cause) is None:
                await changes.stop(connection, await _lock(connection, schedule_id), now)
                await connection.execute(delete(schedules).where(schedules.c.id == schedule_id))
                await commands.note(connection, "delete", subject, cause, changed=True, now=now)

    async def views(self) -> list[ScheduleView]:
        """Return every schedule as others see it, the default one first."""
        first = schedules.c.id != DEFAULT_SCHEDULE
        return [_view(row) for row in await self._database.rows(_VIEWS.order_by(first, schedules.c.name))]

    async def view(self, schedule_id: UUID) -> ScheduleView:
        """Return a schedule as others see it; raises UnknownSchedule."""
        row = await self._database.row(_VIEWS.where(schedules.c.id == schedule_id))
        if row is None:
            raise UnknownSchedule(schedule_id)
        return _view(row)

    async def forecast(
        self, schedule_id: UUID | None, now: datetime
    ) -> tuple[dict[UUID, str], list[Schedule], list[Promo]]:
        """Return names, schedules and catalogue as they go on: of all that are active, or of one.

        One that is stopped is returned as if it were started now; raises UnknownSchedule.
        """
        which = schedules.c.active if schedule_id is None else schedules.c.id == schedule_id
        async with self._database.begin() as connection:
            rows = (await connection.execute(select(schedules).where(which))).mappings().all()
            if schedule_id is not None and not rows:
                raise UnknownSchedule(schedule_id)
            going = [schedule_of(row) if row["active"] else _as_started(row, now) for row in rows]
            return {row["id"]: row["name"] for row in rows}, going, await promos_in(connection)

    async def settle_default(
        self, wanted: Wanted, texts: Mapping[str, str], now: datetime
    ) -> Literal["created", "followed", "edited"]:
        """Create the default schedule, with the shipped promos, on first run; then keep it to its settings.

        `texts` are the promos' texts by template. Once somebody has edited the schedule, it is left alone.
        """
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            if await _create_default(connection, wanted, now):
                await _add_shipped(connection, texts)
                return "created"
            row = await _lock(connection, DEFAULT_SCHEDULE)
            if row["edited_at"] is not None:
                return "edited"
            await changes.become(connection, row, now, wanted)
            return "followed"

    async def _once(
        self, command: str, schedule_id: UUID, cause: UUID, now: datetime, change: Change
    ) -> ScheduleChanged:
        subject = str(schedule_id)
        async with self._database.begin() as connection:
            await lock_catalogue(connection, shared=True)
            row = await _lock(connection, schedule_id)
            changed = await commands.known(connection, command, subject, cause)
            if changed is None:
                changed = await change(connection, row, now)
                await commands.note(connection, command, subject, cause, changed=changed, now=now)
            return ScheduleChanged(changed=changed, schedule=_view(await _row(connection, schedule_id)))


_ENABLED = (
    select(func.coalesce(func.array_agg(aggregate_order_by(promos.c.id, promos.c.position, promos.c.id)),
                         array([], type_=Text)))
    .where(promos.c.enabled)
    .scalar_subquery()
)  # fmt: skip

_STATUS = case(
    (~schedules.c.active, "not_scheduled"),
    (schedules.c.paused_until.is_not(None), "paused"),
    else_="scheduled",
)

_VIEWS = select(
    schedules.c.id, schedules.c.name, schedules.c.active, schedules.c.bot, schedules.c.interval_seconds,
    schedules.c.cron, schedules.c.validity_seconds, schedules.c.time_zone, schedules.c.chat_ids,
    func.coalesce(schedules.c.promo_ids, _ENABLED).label("promo_ids"),
    schedules.c.promo_ids.is_(None).label("all_promos"), schedules.c.activated_at, schedules.c.last_run,
    schedules.c.next_slot.label("next_run"), schedules.c.paused_until, _STATUS.label("status"),
    schedules.c.edited_at.is_not(None).label("edited"),
)  # fmt: skip


def _view(row: RowMapping) -> ScheduleView:
    return ScheduleView.model_validate(dict(row))


def _as_started(row: RowMapping, now: datetime) -> Schedule:
    begun = activated(row["id"], wanted_of(row), now, row["last_slot"], row["cancelled_up_to"])
    return Schedule(begun.id, begun.wanted, begun.activated_at, begun.next_slot, turn=turn_of(row))


async def _row(connection: AsyncConnection, schedule_id: UUID) -> RowMapping:
    return (await connection.execute(_VIEWS.where(schedules.c.id == schedule_id))).mappings().one()


async def _lock(connection: AsyncConnection, schedule_id: UUID) -> RowMapping:
    statement = select(schedules).where(schedules.c.id == schedule_id).with_for_update()
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise UnknownSchedule(schedule_id)
    return row


async def _check_promos(connection: AsyncConnection, wanted: Wanted) -> None:
    known = {promo.id for promo in await promos_in(connection)}
    if unknown := [each for each in wanted.promo_ids or () if each not in known]:
        raise UnknownPromos(", ".join(unknown))


async def _create_default(connection: AsyncConnection, wanted: Wanted, now: datetime) -> bool:
    statement = (
        insert(schedules)
        .values(
            id=DEFAULT_SCHEDULE, name=DEFAULT_NAME, active=True, activated_at=now, next_slot=now,
            **wanted_columns(wanted),
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
