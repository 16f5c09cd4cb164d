"""When a schedule posts: every so often from its activation, or at the times of a cron expression.

Intervals are elapsed time and know no daylight saving. Cron times are local times of a zone, and follow the
rules of Debian's cron where the zone's clocks change: a fixed time that does not exist comes at the end of
the gap; a fixed time that happens twice comes once, at its first; what runs every hour or minute (`*` in
these fields) follows the hours as they pass.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The next time of an expression that has none any more."""
TICK = timedelta(microseconds=1)
_FOLD = timedelta(hours=3)
"""More than any clock is ever set back."""


class BadTiming(ValueError):
    """An expression or a zone that means nothing; the message says why, for its author."""


@dataclass(frozen=True)
class Every:
    """Activation + k intervals; the first slot comes at once."""

    interval: timedelta

    def first(self, now: datetime) -> datetime:
        """Return the first slot of an activation at `now`."""
        return now

    def following(self, activated_at: datetime, after: datetime) -> datetime:
        """Return the first slot of an activation behind an instant."""
        if after < activated_at:
            return activated_at
        return activated_at + ((after - activated_at) // self.interval + 1) * self.interval


@dataclass(frozen=True)
class Cron:
    """The times of a cron expression of five fields, in a zone; nothing comes at once."""

    expression: str
    zone: str

    def first(self, now: datetime) -> datetime:
        """Return the first slot of an activation at `now`, which may be `now` itself."""
        return self.following(now, now - TICK)

    def following(self, activated_at: datetime, after: datetime) -> datetime:
        """Return the first time behind an instant, and not before the activation."""
        behind = max(after, activated_at - TICK)
        times = CronSim(self.expression, behind.astimezone(ZoneInfo(self.zone)))
        if times.fixup_tz is not None:
            # Fixed times are sought by the local clock, which may just have shown this hour already.
            times = CronSim(self.expression, (behind - _FOLD).astimezone(ZoneInfo(self.zone)))
        return next((found for found in map(_utc, times) if found > behind), NEVER)


Timing = Every | Cron


def checked_cron(expression: str, zone: str, now: datetime) -> Cron:
    """Return a cron timing that has a time after `now`; raises BadTiming."""
    check_zone(zone)
    if len(expression.split()) != 5:
        raise BadTiming("expected five fields: minute hour day-of-month month day-of-week")
    timing = Cron(" ".join(expression.split()), zone)
    try:
        first = timing.following(now, now)
    except CronSimError as error:
        raise BadTiming(f"{error} in '{timing.expression}'") from None
    if first == NEVER:
        raise BadTiming(f"'{timing.expression}' never comes")
    return timing


def check_zone(zone: str) -> None:
    """Raise BadTiming for what is no time zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadTiming("expected a time zone, such as Europe/Madrid") from None


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)
