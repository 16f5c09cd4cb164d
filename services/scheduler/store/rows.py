"""Reads rows of scheduler's tables as what the domain decides on, and writes its decisions down."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Slot
from services.scheduler.domain.rotation import Turn
from services.scheduler.domain.schedule import Schedule
from services.scheduler.store.tables import promos, schedules, slots
from shared.events import Button


def schedule_of(row: RowMapping) -> Schedule:
    """Read an active schedule."""
    turn = Turn(row["last_promo_id"], row["last_promo_position"]) if row["last_promo_id"] else None
    return Schedule(
        id=row["id"],
        bot=row["bot"],
        interval=timedelta(seconds=row["interval_seconds"]),
        validity=timedelta(seconds=row["validity_seconds"]),
        chat_ids=tuple(row["chat_ids"]),
        promo_ids=None if row["promo_ids"] is None else tuple(row["promo_ids"]),
        activated_at=row["activated_at"],
        next_slot=row["next_slot"],
        last_slot=row["last_slot"],
        last_run=row["last_run"],
        turn=turn,
    )


def slot_of(row: RowMapping) -> Slot:
    """Read a decided slot."""
    columns = {name: value for name, value in row.items() if name != "announced_at"}
    button = None if columns["button"] is None else Button.model_validate(columns["button"])
    return Slot(**columns | {"button": button, "chat_ids": tuple(columns["chat_ids"])})


async def promos_in(connection: AsyncConnection) -> list[Promo]:
    """Read the catalogue as this transaction sees it."""
    statement = select(promos).order_by(promos.c.position, promos.c.id)
    rows = (await connection.execute(statement)).mappings()
    return [Promo(**{name: value for name, value in row.items() if name != "template"}) for row in rows]


async def write_decisions(connection: AsyncConnection, decided: Sequence[Slot]) -> None:
    """Write decisions down; a slot that has one keeps it."""
    if decided:
        rows = [asdict(slot) | {"button": slot.button and slot.button.model_dump()} for slot in decided]
        await connection.execute(insert(slots).on_conflict_do_nothing(), rows)


async def write_progress(connection: AsyncConnection, after: Sequence[Schedule]) -> None:
    """Write down how far schedules have come, and whose turn it was."""
    rows = [
        {
            "schedule": schedule.id,
            "activated_at": schedule.activated_at,
            "next_slot": schedule.next_slot,
            "last_slot": schedule.last_slot,
            "last_run": schedule.last_run,
            "last_promo_id": schedule.turn.promo_id if schedule.turn else None,
            "last_promo_position": schedule.turn.position if schedule.turn else None,
        }
        for schedule in after
    ]
    await connection.execute(update(schedules).where(schedules.c.id == bindparam("schedule")), rows)
