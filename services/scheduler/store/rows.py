"""Reads rows of scheduler's tables as what the domain decides on, and writes its decisions down."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import RowMapping, Select, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Cancellation, Slot
from services.scheduler.domain.rotation import Turn
from services.scheduler.domain.schedule import Schedule, Wanted
from services.scheduler.domain.timing import Cron, Every, Timing
from services.scheduler.store.tables import cancellations, promos
from shared.events import Button

# Who decides slots, or gives a schedule promos, holds it shared; who changes the catalogue, for itself: a
# promo that is disabled is disabled before a decision or behind it, never beside it.
_CATALOGUE_LOCK = 0x63617461  # "cata"
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared({_CATALOGUE_LOCK})")
_LOCK = text(f"SELECT pg_advisory_xact_lock({_CATALOGUE_LOCK})")

_WRITE_SLOTS = text("""
INSERT INTO slots (schedule_id, slot, decided_at, bot, chat_ids, promo_id, payload, text, button, until,
                   skipped)
SELECT schedule_id, slot, decided_at, bot, ARRAY(SELECT CAST(jsonb_array_elements_text(chat_ids) AS bigint)),
       promo_id, payload, text, button, until, skipped
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS decided (
    schedule_id uuid, slot timestamptz, decided_at timestamptz, bot text, chat_ids jsonb, promo_id text,
    payload text, text text, button jsonb, until timestamptz, skipped text)
ON CONFLICT DO NOTHING
""")

_WRITE_PROGRESS = text("""
UPDATE schedules
SET activated_at = after.activated_at, next_slot = after.next_slot, last_slot = after.last_slot,
    last_run = after.last_run, last_promo_id = after.last_promo_id,
    last_promo_position = after.last_promo_position, paused_until = after.paused_until
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS after (
    id uuid, activated_at timestamptz, next_slot timestamptz, last_slot timestamptz, last_run timestamptz,
    last_promo_id text, last_promo_position int, paused_until timestamptz)
WHERE schedules.id = after.id
""")


async def lock_catalogue(connection: AsyncConnection, *, shared: bool) -> None:
    """Keep the catalogue as it is, or to oneself, until the transaction ends; taken before any row."""
    await connection.execute(_LOCK_SHARED if shared else _LOCK)


def wanted_of(row: RowMapping) -> Wanted:
    """Read what is wanted of a schedule."""
    return Wanted(
        bot=row["bot"],
        timing=_timing(row),
        validity=timedelta(seconds=row["validity_seconds"]),
        chat_ids=tuple(row["chat_ids"]),
        promo_ids=None if row["promo_ids"] is None else tuple(row["promo_ids"]),
        zone=row["time_zone"],
    )


def wanted_columns(wanted: Wanted) -> dict[str, Any]:
    """Return what is wanted of a schedule as columns."""
    timing = wanted.timing
    return {
        "bot": wanted.bot,
        "interval_seconds": timing.interval.total_seconds() if isinstance(timing, Every) else None,
        "cron": timing.expression if isinstance(timing, Cron) else None,
        "time_zone": wanted.zone,
        "validity_seconds": wanted.validity.total_seconds(),
        "chat_ids": list(wanted.chat_ids),
        "promo_ids": None if wanted.promo_ids is None else list(wanted.promo_ids),
    }


def schedule_of(row: RowMapping) -> Schedule:
    """Read an active schedule."""
    return Schedule(
        id=row["id"],
        wanted=wanted_of(row),
        activated_at=row["activated_at"],
        next_slot=row["next_slot"],
        last_slot=row["last_slot"],
        last_run=row["last_run"],
        turn=turn_of(row),
        paused_until=row["paused_until"],
    )


def turn_of(row: RowMapping) -> Turn | None:
    """Read whose turn it was last."""
    return Turn(row["last_promo_id"], row["last_promo_position"]) if row["last_promo_id"] else None


def slot_of(row: RowMapping) -> Slot:
    """Read a decided slot."""
    columns = {name: value for name, value in row.items() if name != "announced_at"}
    button = None if columns["button"] is None else Button.model_validate(columns["button"])
    return Slot(**columns | {"button": button, "chat_ids": tuple(columns["chat_ids"])})


def cancellation_of(row: RowMapping) -> Cancellation:
    """Read a cancellation."""
    return Cancellation(row["schedule_id"], row["up_to"], row["at"], row["reason"], row["promo_id"])


def select_promos() -> Select[Any]:
    """Return the question for what is posted of the catalogue, in its order."""
    promo = promos.c
    return select(
        promo.id,
        promo.title,
        promo.cta_text,
        promo.payload,
        promo.url,
        promo.text,
        promo.enabled,
        promo.position,
    ).order_by(promo.position, promo.id)


async def promos_in(connection: AsyncConnection) -> list[Promo]:
    """Read the catalogue as this transaction sees it."""
    return [Promo(**row) for row in (await connection.execute(select_promos())).mappings()]


async def write_decisions(connection: AsyncConnection, decided: Sequence[Slot]) -> None:
    """Write decisions down; a slot that has one keeps it."""
    if decided:
        rows = [
            {**vars(slot), "button": None if slot.button is None else slot.button.model_dump()}
            for slot in decided
        ]
        await connection.execute(_WRITE_SLOTS, {"rows": _json(rows)})


async def write_progress(connection: AsyncConnection, after: Sequence[Schedule]) -> None:
    """Write down how far schedules have come, and whose turn it was."""
    rows = [
        {
            "id": schedule.id,
            "activated_at": schedule.activated_at,
            "next_slot": schedule.next_slot,
            "last_slot": schedule.last_slot,
            "last_run": schedule.last_run,
            "last_promo_id": schedule.turn.promo_id if schedule.turn else None,
            "last_promo_position": schedule.turn.position if schedule.turn else None,
            "paused_until": schedule.paused_until,
        }
        for schedule in after
    ]
    await connection.execute(_WRITE_PROGRESS, {"rows": _json(rows)})


async def write_cancellations(connection: AsyncConnection, cancelled: Sequence[Cancellation]) -> None:
    """Write down what is to be cancelled; the clock announces it."""
    if cancelled:
        rows = [asdict(each) | {"id": each.id} for each in cancelled]
        await connection.execute(insert(cancellations).on_conflict_do_nothing(), rows)


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows, default=str).decode()


def _timing(row: RowMapping) -> Timing:
    if row["cron"] is not None:
        return Cron(row["cron"], row["time_zone"])
    return Every(timedelta(seconds=row["interval_seconds"]))
