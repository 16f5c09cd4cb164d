"""A schedule, and what it decides when its time has come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Reason, Slot
from services.scheduler.domain.rotation import Turn, next_promo
from services.scheduler.domain.slots import activation, passed
from services.scheduler.domain.timing import TICK, Timing
from shared.events import schedule_id_of

DEFAULT_NAME = "default"
DEFAULT_SCHEDULE = schedule_id_of(DEFAULT_NAME)
"""The id of the schedule that every installation has."""


@dataclass(frozen=True)
class Wanted:
    """What people, or settings, want of a schedule; `promo_ids` None means the whole catalogue.

    `zone` is for reports; a cron timing has its own, the same.
    """

    bot: str
    timing: Timing
    validity: timedelta
    chat_ids: tuple[int, ...]
    promo_ids: tuple[str, ...] | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class Schedule:
    """An active schedule; `last_slot` is the last one decided, `paused_until` the end of a pause."""

    id: UUID
    wanted: Wanted
    activated_at: datetime
    next_slot: datetime
    last_slot: datetime | None = None
    last_run: datetime | None = None
    turn: Turn | None = None
    paused_until: datetime | None = None

    def following(self, after: datetime) -> datetime:
        """Return the first slot behind an instant."""
        return self.wanted.timing.following(self.activated_at, after)


def activated(schedule_id: UUID, wanted: Wanted, now: datetime, *decided: datetime | None) -> Schedule:
    """Return a schedule as it is when it is activated at `now`, behind every slot `decided` before."""
    start = activation(now, *decided)
    return Schedule(schedule_id, wanted, start, wanted.timing.first(start))


def decide(schedule: Schedule, promos: Sequence[Promo], now: datetime) -> tuple[Schedule, list[Slot]]:
    """Decide every slot that has come at `now`; return the schedule as it goes on, and the decisions.

    A first slot that is the activation itself has come at once, whatever the clock says. A skipped slot does
    not advance the rotation.
    """
    at = max(now, schedule.activated_at) if schedule.next_slot == schedule.activated_at else now
    come = passed(schedule.next_slot, schedule.following, validity=schedule.wanted.validity, now=at)
    slots = [_slot(schedule, missed, now, "missed") for missed in come.missed]
    after = replace(schedule, next_slot=come.next_slot)
    if come.due is not None:
        after, latest = _take_turn(after, promos, _slot(schedule, come.due, now), come.until)
        slots.append(latest)
    if not slots:
        return after, slots
    return replace(after, last_slot=slots[-1].slot, paused_until=None), slots


def close(schedule: Schedule, now: datetime) -> tuple[Schedule, list[Slot]]:
    """Decide what had come when the schedule was stopped: nothing of it is posted."""
    silent = replace(schedule, wanted=replace(schedule.wanted, chat_ids=()))
    after, slots = _decide_all(silent, (), now)
    closed = [replace(slot, skipped="missed" if slot.skipped == "missed" else "stopped") for slot in slots]
    return replace(after, wanted=schedule.wanted), closed


def pause(schedule: Schedule, until: datetime, now: datetime) -> tuple[Schedule, list[Slot]]:
    """Let a schedule go on with its first slot from `until` on; what had come by now is not posted."""
    after, slots = close(schedule, now)
    behind = max(until - TICK, after.last_slot or until - TICK)
    return replace(after, next_slot=after.following(behind), paused_until=until), slots


def resume(schedule: Schedule, now: datetime) -> Schedule:
    """Let a paused schedule go on with its next slot."""
    behind = max(now, schedule.last_slot or now)
    return replace(schedule, next_slot=schedule.following(behind), paused_until=None)


def follow(
    schedule: Schedule, wanted: Wanted, promos: Sequence[Promo], now: datetime
) -> tuple[Schedule, list[Slot]]:
    """Give a schedule other values; return it as it goes on, and what had to be decided before.

    Another timing counts from the same activation, behind what has come by now and behind a pause. A schedule
    of intervals that has posted nothing yet because it had no chats is activated anew when it gets some.
    """
    had, changed = schedule.wanted, replace(schedule, wanted=replace(wanted, timing=schedule.wanted.timing))
    if wanted.chat_ids and not had.chat_ids and schedule.last_run is None and schedule.paused_until is None:
        after, slots = close(changed, now)
        anew = activated(schedule.id, wanted, now, after.last_slot)
        return replace(anew, last_slot=after.last_slot, turn=after.turn), slots
    if wanted.timing == had.timing:
        return changed, []
    after, slots = _decide_all(changed, promos, now)
    after = replace(after, wanted=wanted)
    behind = max(now, after.last_slot or now, (after.paused_until or now) - TICK)
    return replace(after, next_slot=after.following(behind)), slots


def caught_up(schedule: Schedule, told: Sequence[Slot], promos: Sequence[Promo]) -> Schedule:
    """Return a schedule behind slots that it is known to have decided: its own memory may be older."""
    last = max(slot.slot for slot in told)
    after = replace(schedule, last_slot=max(last, schedule.last_slot or last))
    if schedule.next_slot <= last:
        after = replace(after, next_slot=schedule.following(last))
    shown = max((slot for slot in told if slot.promo_id), key=lambda slot: slot.slot, default=None)
    if shown is None or shown.promo_id is None or shown.slot <= (schedule.last_run or shown.slot - TICK):
        return after
    places = {promo.id: promo.position for promo in promos}
    return replace(after, last_run=shown.slot, turn=Turn(shown.promo_id, places.get(shown.promo_id, 0)))


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
    if not schedule.wanted.chat_ids:
        return schedule, replace(slot, skipped="no_chats")
    chosen = schedule.wanted.promo_ids
    promo = next_promo([each for each in promos if chosen is None or each.id in chosen], schedule.turn)
    if promo is None:
        return schedule, replace(slot, skipped="no_promo")
    after = replace(schedule, turn=Turn(promo.id, promo.position), last_run=slot.slot)
    return after, slot.showing(promo, schedule.wanted.chat_ids, until)


def _slot(schedule: Schedule, slot: datetime, now: datetime, skipped: Reason | None = None) -> Slot:
    return Slot(schedule.id, slot, now, schedule.wanted.bot, skipped=skipped)
