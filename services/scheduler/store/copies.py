"""What scheduler can tell again of what the streams have said: the slots that it decided, or cancelled."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.store.rows import cancellation_of, slot_of
from services.scheduler.store.tables import cancellations, slots
from shared.events import Event
from shared.record.reconciling import Copies

_ANNOUNCED = select(slots).where(slots.c.announced_at.is_not(None))


def _keys(row: RowMapping) -> Iterable[tuple[str, str]]:
    for event in slot_of(row).events():
        yield str(event.id), f"{row['schedule_id']} {row['slot'].isoformat()}"


async def _events(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    keys = [(UUID(schedule), datetime.fromisoformat(at)) for schedule, at in (ref.split(" ") for ref in refs)]
    found = await connection.execute(select(slots).where(tuple_(slots.c.schedule_id, slots.c.slot).in_(keys)))
    return [event for row in found.mappings() for event in slot_of(row).events()]


def _id(row: RowMapping) -> Iterable[tuple[str, str]]:
    yield str(row["id"]), str(row["id"])


async def _cancelled(connection: AsyncConnection, refs: Sequence[str]) -> list[Event]:
    rows = select(cancellations).where(cancellations.c.id.in_([UUID(ref) for ref in refs]))
    return [cancellation_of(row).event() for row in (await connection.execute(rows)).mappings()]


COPIES = (
    Copies("PROMOS", ("promos.due",), _ANNOUNCED.where(slots.c.skipped.is_(None)), _keys, _events),
    Copies("PROMOS", ("promos.skipped",), _ANNOUNCED.where(slots.c.skipped.is_not(None)), _keys, _events),
    Copies(
        "PROMOS",
        ("promos.cancelled",),
        select(cancellations.c.id).where(cancellations.c.announced_at.is_not(None)),
        _id,
        _cancelled,
    ),
)
