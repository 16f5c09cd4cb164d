"""What a command changes of a schedule's row, in the transaction of the command."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.domain import schedule as domain
from services.scheduler.domain.decision import Cancellation, Slot
from services.scheduler.domain.schedule import Schedule, Wanted, activated, follow
from services.scheduler.store.rows import (
    promos_in,
    schedule_of,
    wanted_columns,
    wanted_of,
    write_cancellations,
    write_decisions,
    write_progress,
)
from services.scheduler.store.tables import cancellations, schedules, slots

Change = Callable[[AsyncConnection, RowMapping, datetime], Awaitable[bool]]


class NotActive(Exception):
    """The schedule is stopped."""


async def start(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
    """Activate a schedule unless it is active."""
    if row["active"]:
        return False
    begun = activated(row["id"], wanted_of(row), now, row["last_slot"], row["cancelled_up_to"])
    await _update(
        connection, row["id"], active=True, activated_at=begun.activated_at, next_slot=begun.next_slot
    )
    return True


async def stop(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
    """Stop a schedule unless it is stopped, and cancel what is unsent."""
    if not row["active"]:
        return False
    after, closed = domain.close(schedule_of(row), now)
    up_to = await _cancel(connection, after, closed, now)
    await _update(
        connection, row["id"], active=False, next_slot=None, paused_until=None, last_slot=after.last_slot,
        cancelled_up_to=up_to,
    )  # fmt: skip
    return True


def unless_newer(change: Change, asked_at: datetime | None) -> Change:
    """Return a start or stop that changes nothing where a later one has been done already.

    A command that was handed over late must not undo what was decided meanwhile. Who does not say when it was
    asked for means now; a clock that is ahead, of those who ask or of this process, stands in nobody's way.
    """

    async def newest(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
        last = row["switched_at"]
        if asked_at is not None and last is not None and asked_at < last <= now:
            return False
        await _update(connection, row["id"], switched_at=min(asked_at or now, now))
        return await change(connection, row, now)

    return newest


async def pause(connection: AsyncConnection, row: RowMapping, now: datetime, until: datetime) -> bool:
    """Let a schedule post nothing before `until`, and cancel what is unsent; raises NotActive."""
    if not row["active"]:
        raise NotActive
    if row["paused_until"] == until:
        return False
    after, closed = domain.pause(schedule_of(row), until, now)
    up_to = await _cancel(connection, after, closed, now)
    await write_progress(connection, [after])
    await _update(connection, row["id"], cancelled_up_to=up_to)
    return True


async def resume(connection: AsyncConnection, row: RowMapping, now: datetime) -> bool:
    """End a pause; raises NotActive."""
    if not row["active"]:
        raise NotActive
    if row["paused_until"] is None:
        return False
    await write_progress(connection, [domain.resume(schedule_of(row), now)])
    return True


async def become(connection: AsyncConnection, row: RowMapping, now: datetime, wanted: Wanted) -> bool:
    """Give a schedule other values; the transaction holds the catalogue."""
    if wanted_of(row) == wanted:
        return False
    if row["active"]:
        after, decided = follow(schedule_of(row), wanted, await promos_in(connection), now)
        await write_decisions(connection, decided)
        await write_progress(connection, [after])
    await _update(connection, row["id"], **wanted_columns(wanted))
    return True


async def behind(connection: AsyncConnection, schedule_id: UUID) -> dict[str, datetime | None]:
    """Return what a schedule of that id had decided and cancelled before: a new one begins behind it."""
    last = select(func.max(slots.c.slot)).where(slots.c.schedule_id == schedule_id)
    cancelled = select(func.max(cancellations.c.up_to)).where(cancellations.c.schedule_id == schedule_id)
    return {
        "last_slot": (await connection.execute(last)).scalar(),
        "cancelled_up_to": (await connection.execute(cancelled)).scalar(),
    }


async def _cancel(
    connection: AsyncConnection, after: Schedule, closed: list[Slot], now: datetime
) -> datetime:
    await write_decisions(connection, closed)
    # Not `now`: the clock may have run ahead when the last slot was decided, or be ahead by now.
    up_to = after.last_slot or now
    await write_cancellations(connection, [Cancellation(after.id, up_to, now)])
    return up_to


async def _update(connection: AsyncConnection, schedule_id: UUID, **values: Any) -> None:
    await connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(**values))
