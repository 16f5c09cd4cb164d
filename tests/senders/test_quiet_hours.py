"""Quiet hours by the clocks on the wall: nights that skip a time, repeat one, or lie half an hour askew."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.senders.domain.quiet import quiet_until
from shared.events import QuietHours

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Apia", "Pacific/Chatham",
)  # fmt: skip
SECOND = timedelta(seconds=1)
clocks = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
moments = st.integers(0, 24 * 366 * 60 * 60).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[str, datetime]:
    """Return a zone, and a moment within a day of one at which its clocks are set."""
    zone = draw(st.sampled_from([each for each in ZONES if each in CHANGES]))
    change = draw(st.sampled_from(CHANGES[zone]))
    return zone, change + timedelta(minutes=draw(st.integers(-1500, 1500)))


def changes_of(zone: ZoneInfo) -> list[datetime]:
    """Return the hours before which the clocks of a zone are set, in two years."""
    first = (datetime(2011, 11, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    hours = [begin + timedelta(hours=each) for begin in first for each in range(24 * 366)]
    offsets = [each.astimezone(zone).utcoffset() for each in hours]
    return [
        hour
        for hour, offset, before in zip(hours[1:], offsets[1:], offsets, strict=False)
        if offset != before
    ]


CHANGES = {zone: found for zone in ZONES if (found := changes_of(ZoneInfo(zone)))}


def is_within(quiet: QuietHours, wall: time) -> bool:
    """Say whether a clock shows a quiet time."""
    if quiet.start < quiet.end:
        return quiet.start <= wall < quiet.end
    return wall >= quiet.start or wall < quiet.end


@given(where=near_a_change() | st.tuples(st.sampled_from(ZONES), moments), start=clocks, end=clocks)
def test_quiet_is_what_the_clocks_show(where: tuple[str, datetime], start: time, end: time) -> None:
    """What a clock shows as quiet is quiet; the end comes, is no quiet time, and is not a second early."""
    name, now = where
    assume(start != end)
    zone, quiet = ZoneInfo(name), QuietHours(start=start, end=end, zone=name)
    until = quiet_until(quiet, now)

    shown = now.astimezone(zone).time()
    if until is None:
        assert not is_within(quiet, shown)
        return
    assert now < until <= now + timedelta(days=8)
    assert not is_within(quiet, until.astimezone(zone).time()) or until > now + timedelta(days=6)
    assert quiet_until(quiet, until - SECOND) == until
    # More than the clock shows is quiet only where an hour happens twice.
    if not is_within(quiet, shown):
        offsets = {(now + timedelta(hours=each)).astimezone(zone).utcoffset() for each in range(-26, 27)}
        assert len(offsets) > 1


@pytest.mark.parametrize(
    ("zone", "quiet", "now", "until"),
    [
        # 02:30 does not exist: the clocks go from 02:00 to 03:00 at 01:00 UTC.
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
        # 02:30 happens twice, at 00:30 and at 01:30 UTC: the night lasts until the second.
        ("Europe/Berlin", ("22:00", "02:30"), "2026-10-25T00:45Z", "2026-10-25T01:30Z"),
        # A start that happens twice: quiet from the first, 00:30 UTC, on.
        ("Europe/Berlin", ("02:30", "08:00"), "2026-10-25T01:00Z", "2026-10-25T07:00Z"),
        # A start that is skipped: quiet from the skip on.
        ("Europe/Berlin", ("02:30", "08:00"), "2026-03-29T01:00Z", "2026-03-29T06:00Z"),
        # Half hours, and a change by half an hour.
        ("Asia/Kolkata", ("22:00", "07:00"), "2026-01-10T20:00Z", "2026-01-11T01:30Z"),
        ("Australia/Lord_Howe", ("22:00", "02:15"), "2026-10-03T15:20Z", "2026-10-03T15:30Z"),
        # A whole day that was skipped: Samoa went from the 29th to the 31st.
        ("Pacific/Apia", ("22:00", "07:00"), "2011-12-30T09:00Z", "2011-12-30T17:00Z"),
        # By day, and not now.
        ("UTC", ("12:00", "14:00"), "2026-01-10T13:00Z", "2026-01-10T14:00Z"),
        ("UTC", ("12:00", "14:00"), "2026-01-10T14:00Z", None),
    ],
)
def test_nights_that_are_not_like_others(
    zone: str, quiet: tuple[str, str], now: str, until: str | None
) -> None:
    """A skipped time is the moment of the skip, a repeated one ends with its second time."""
    hours = QuietHours(start=time.fromisoformat(quiet[0]), end=time.fromisoformat(quiet[1]), zone=zone)

    assert quiet_until(hours, datetime.fromisoformat(now)) == (until and datetime.fromisoformat(until))


def test_whose_zone_it_is() -> None:
    """Without a zone of their own quiet hours go by the recipient's, else by UTC; an unknown one is UTC."""
    hours = QuietHours(start=time(22), end=time(7))
    now = datetime(2026, 1, 10, 6, 30, tzinfo=UTC)

    assert quiet_until(hours, now) == datetime(2026, 1, 10, 7, tzinfo=UTC)
    assert quiet_until(hours, now, "Europe/Berlin") is None
    assert quiet_until(hours, now, "Mars/Olympus") == datetime(2026, 1, 10, 7, tzinfo=UTC)
