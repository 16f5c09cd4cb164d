"""What the next slots would post, if nothing but time went on."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.decision import Slot
from services.scheduler.domain.schedule import Schedule, decide
from services.scheduler.domain.timing import NEVER


def forecast(
    schedules: Sequence[Schedule], promos: Sequence[Promo], now: datetime, until: datetime | None = None
) -> Iterator[Slot]:
    """Yield the slots of all schedules in the order of their times, each as it would be decided on time."""
    ahead = [_slots(each, promos, now) for each in schedules]
    slots = heapq.merge(*ahead, key=lambda slot: (slot.slot, slot.schedule_id))
    return takewhile(lambda slot: until is None or slot.slot < until, slots)


def _slots(schedule: Schedule, promos: Sequence[Promo], now: datetime) -> Iterator[Slot]:
    while schedule.next_slot < NEVER:
        # On time, or now, when it has come already: what is late by then would be skipped.
        schedule, slots = decide(schedule, promos, max(schedule.next_slot, now))
        yield from slots
