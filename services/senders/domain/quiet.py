"""Quiet hours: until when somebody is not to be disturbed, by the clocks on their wall.

A quiet time begins when the clocks first show its start and is over when they last show its end: an hour
that happens twice is quiet both times. A time that clocks skip is the moment at which they skip it.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.events import QuietHours

_DAY = timedelta(days=1)
_LONGEST_DAYS = 7
"""Quiet times that meet each other are waited through, but not for longer than this."""


def quiet_until(quiet: QuietHours, now: datetime, time_zone: str | None = None) -> datetime | None:
    """Return when the quiet time that it is ends, or None when it is none; `time_zone` is the recipient's."""
    zone = _zone(quiet.zone or time_zone)
    until: datetime | None = None
    for _ in range(_LONGEST_DAYS):
        found = _end_of_one(quiet, until or now, zone)
        if found is None:
            break
        until = found
    return until


def _end_of_one(quiet: QuietHours, now: datetime, zone: tzinfo) -> datetime | None:
    today = now.astimezone(zone).date()
    overnight = _DAY if quiet.end < quiet.start else timedelta(0)
    for day in (today - _DAY, today, today + _DAY):
        begins = _moment(day, quiet.start, zone, last=False)
        ends = _moment(day + overnight, quiet.end, zone, last=True)
        if begins <= now < ends:
            return ends
    return None


def _moment(day: date, clock: time, zone: tzinfo, *, last: bool) -> datetime:
    """Return when the clocks of a zone show a time on a day: for the first time, or for the last."""
    shown = datetime.combine(day, clock, zone)
    early, late = sorted(shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None, fold=0) == shown.replace(tzinfo=None):
        return late if last else early
    # Nobody's clock shows it: they are set forward between these two.
    before = early.astimezone(zone).utcoffset()
    return _first(early, late, lambda moment: moment.astimezone(zone).utcoffset() != before)


def _first(before: datetime, after: datetime, is_so: Callable[[datetime], bool]) -> datetime:
    """Return the first second at which something is so that is not so before it, and is after it."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        before, after = (before, middle) if is_so(middle) else (middle, after)
    return after


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
