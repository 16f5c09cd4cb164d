"""The hours and days of a time zone, as the instants at which they begin."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

MOST_POINTS = 2_000
HOUR = timedelta(hours=1)


class TooMany(ValueError):
    """A series of more points than anybody reads."""


def starts(since: datetime, until: datetime, by: Literal["hour", "day"], zone: ZoneInfo) -> list[datetime]:
    """Return when each hour or day begins, in the zone, from the one that `since` lies in to before `until`.

    A day on which the clock is set has 23 or 25 hours, each an instant of its own; a midnight that the clock
    leaps over is the moment after the leap. Raises ValueError where `until` is not after `since`, and
    TooMany beyond 2,000 points.
    """
    if until <= since:
        raise ValueError("until is not after since")
    found: list[datetime] = []
    begin: Callable[[datetime, ZoneInfo], Iterator[datetime]] = _hours if by == "hour" else _days
    for start in begin(since, zone):
        if start >= until:
            break
        if len(found) == MOST_POINTS:
            raise TooMany(f"more than {MOST_POINTS} points")
        found.append(start.astimezone(zone))
    return found


def _hours(since: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    start = _full_hour(since.astimezone(UTC), zone)
    while True:
        yield start
        # An hour at whose end the clock was set by half an hour ends with the next full one.
        following = _full_hour(start + HOUR, zone)
        start = following if following > start else _full_hour(start + 2 * HOUR, zone)


def _full_hour(at: datetime, zone: ZoneInfo) -> datetime:
    shown = at.astimezone(zone)
    return at - timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)


def _days(since: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    day: date = since.astimezone(zone).date()
    while True:
        yield datetime.combine(day, time.min, zone).astimezone(UTC)
        day += timedelta(days=1)
