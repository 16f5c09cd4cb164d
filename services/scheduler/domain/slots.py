"""Slots: the instants at which a schedule posts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.scheduler.domain.timing import TICK

AT_ONCE = 500
"""Slots of one schedule that are decided in one transaction; after a very long outage there are more."""


@dataclass(frozen=True)
class Passed:
    """What has come since a schedule was last looked at.

    `missed` are the slots that can only be recorded as skipped; `due`, when there is one, is posted before
    `until`. `next_slot` is the first slot that is not decided yet.
    """

    missed: tuple[datetime, ...]
    due: datetime | None
    until: datetime | None
    next_slot: datetime


def passed(
    next_slot: datetime,
    following: Callable[[datetime], datetime],
    *,
    validity: timedelta,
    now: datetime,
    at_once: int = AT_ONCE,
) -> Passed:
    """Say what has come at `now`: the latest slot is due while it is valid, all before it are missed.

    `following` gives the first slot behind an instant. A slot is valid until the next slot or the end of its
    validity, whichever is first. At most `at_once` slots are answered; when more have come, none is due.
    """
    slots: list[datetime] = []
    while next_slot <= now and len(slots) < at_once:
        slots.append(next_slot)
        next_slot = following(next_slot)
    if not slots:
        return Passed((), None, None, next_slot)
    latest = slots[-1]
    until = min(next_slot, latest + validity)
    if now >= until:
        return Passed(tuple(slots), None, None, next_slot)
    return Passed(tuple(slots[:-1]), latest, until, next_slot)


def activation(now: datetime, *decided: datetime | None) -> datetime:
    """Return the instant of a new activation: now, but always behind every slot `decided` before.

    A clock that ran ahead may have decided slots of the future; what cancels those must not reach the new.
    """
    return max([now, *(slot + TICK for slot in decided if slot is not None)])
