"""A schedule, and what it decides when its time has come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Reason, Slot
from services.scheduler.domain.rotation import Turn, next_promo
from services.scheduler.domain.slots import activation, first_after, passed
from shared import ids

DEFAULT_SCHEDULE = ids.derived("schedule", "default")
"""The id of the schedule that every installation has."""


@dataclass(frozen=True)
class Schedule:
    """An active schedule; `promo_ids` None means the whole catalogue, `last_slot` the last one decided."""

    id: UUID
    bot: str
    interval: timedelta
    validity: timedelta
    chat_ids: tuple[int, ...]
    promo_ids: tuple[str, ...] | None
    activated_at: datetime
    next_slot: datetime
    last_slot: datetime | None = None
    last_run: datetime | None = None
    turn: Turn | None = None


@dataclass(frozen=True)
class Wanted:
    """The values that settings give the default schedule."""

    bot: str
    interval: timedelta
    validity: timedelta
    chat_ids: tuple[int, ...]


def decide(schedule: Schedule, promos: Sequence[Promo], now: datetime) -> tuple[Schedule, list[Slot]]:
    """Decide every slot that has come at `now`; return the schedule as it goes on, and the decisions.

    The first slot of an activation has come at once, whatever the clock says. A skipped slot does not
    advance the rotation.
    """
    at = max(now, schedule.activated_at) if schedule.next_slot == schedule.activated_at else now
    come = passed(schedule.next_slot, interval=schedule.interval, validity=schedule.validity, now=at)
    slots = [_slot(schedule, missed, now, "missed") for missed in come.missed]
    after = replace(schedule, next_slot=come.next_slot)
    if come.due is not None:
        after, latest = _take_turn(after, promos, _slot(schedule, come.due, now), come.until)
        slots.append(latest)
    return (replace(after, last_slot=slots[-1].slot) if slots else after), slots


def close(schedule: Schedule, now: datetime) -> tuple[Schedule, list[Slot]]:
    """Decide what had come when the schedule was stopped: nothing of it is posted."""
    after, slots = _decide_all(replace(schedule, chat_ids=()), (), now)
    closed = [replace(slot, skipped="missed" if slot.skipped == "missed" else "stopped") for slot in slots]
    return replace(after, chat_ids=schedule.chat_ids), closed


def follow(
    schedule: Schedule, wanted: Wanted, promos: Sequence[Promo], now: datetime
) -> tuple[Schedule, list[Slot]]:
    """Give a schedule other values; return it as it goes on, and what had to be decided before.

    Another interval counts from the same activation, behind what has come by now. A schedule that has
    posted nothing yet because it had no chats is activated anew when it gets some.
    """
    changed = replace(schedule, bot=wanted.bot, validity=wanted.validity, chat_ids=wanted.chat_ids)
    if wanted.chat_ids and not schedule.chat_ids and schedule.last_run is None:
        after, slots = close(changed, now)
        start = activation(now, after.last_slot)
        return replace(after, interval=wanted.interval, activated_at=start, next_slot=start), slots
    if wanted.interval == schedule.interval:
        return changed, []
    after, slots = _decide_all(changed, promos, now)
    come = max(now, after.last_slot or now)
    following = first_after(schedule.activated_at, wanted.interval, come)
    return replace(after, interval=wanted.interval, next_slot=following), slots


def _decide_all(schedule: Schedule, promos: Sequence[Promo], now: datetime) -> tuple[Schedule, list[Slot]]:
    after, slots = decide(schedule, promos, now)
    decided = list(slots)
    while slots:
        after, slots = decide(after, promos, now)
        decided += slots
    return after, decided


def _take_turn(
    schedule: Schedule, promos: Sequence[Promo], slot: Slot, until: datetime | None
) -> tuple[Schedule, Slot]:
    if not schedule.chat_ids:
        return schedule, replace(slot, skipped="no_chats")
    chosen = schedule.promo_ids
    promo = next_promo([each for each in promos if chosen is None or each.id in chosen], schedule.turn)
    if promo is None:
        return schedule, replace(slot, skipped="no_promo")
    after = replace(schedule, turn=Turn(promo.id, promo.position), last_run=slot.slot)
    return after, slot.showing(promo, schedule.chat_ids, until)


def _slot(schedule: Schedule, slot: datetime, now: datetime, skipped: Reason | None = None) -> Slot:
    return Slot(schedule.id, slot, now, schedule.bot, skipped=skipped)
