"""Slots: the instants at which a schedule posts, activation + k intervals."""

from dataclasses import dataclass
from datetime import datetime, timedelta

AT_ONCE = 500
"""Slots of one schedule that are decided in one transaction; after a very long outage there are more."""

_TICK = timedelta(microseconds=1)


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
    next_slot: datetime, *, interval: timedelta, validity: timedelta, now: datetime, at_once: int = AT_ONCE
) -> Passed:
    """Say what has come at `now`: the latest slot is due while it is valid, all before it are missed.

    A slot is valid until the next slot or the end of its validity, whichever is first. At most `at_once`
    slots are answered; then the latest is not among them, and none is due.
    """
    if now < next_slot:
        return Passed((), None, None, next_slot)
    count = (now - next_slot) // interval + 1
    slots = [next_slot + k * interval for k in range(min(count, at_once))]
    following = next_slot + len(slots) * interval
    latest = slots[-1]
    until = latest + min(interval, validity)
    if count > at_once or now >= until:
        return Passed(tuple(slots), None, None, following)
    return Passed(tuple(slots[:-1]), latest, until, following)


def activation(now: datetime, *decided: datetime | None) -> datetime:
    """Return the first slot of a new activation: now, but always behind every slot `decided` before.

    A clock that ran ahead may have decided slots of the future; what cancels those must not reach the new.
    """
    return max([now, *(slot + _TICK for slot in decided if slot is not None)])


def first_after(activated_at: datetime, interval: timedelta, after: datetime) -> datetime:
    """Return the first slot of an activation behind `after`: what a changed interval goes on with."""
    if after < activated_at:
        return activated_at
    return activated_at + ((after - activated_at) // interval + 1) * interval
