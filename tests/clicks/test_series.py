"""Where the hours and days of a time zone begin."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.clicks.domain import TooMany, starts

MADRID = ZoneInfo("Europe/Madrid")


def at(text: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lengths(found: list[datetime]) -> list[float]:
    """Return how many hours lie between each start and the next."""
    instants = [each.astimezone(UTC) for each in found]
    return [(after - before) / timedelta(hours=1) for before, after in pairwise(instants)]


def test_days_have_the_hours_that_the_clock_gives_them() -> None:
    """The day on which summer time begins has 23 hours, the one on which it ends 25."""
    spring = starts(at("2026-03-28T12:00"), at("2026-03-31T00:00"), "day", MADRID)
    assert spring[0] == at("2026-03-27T23:00")
    assert lengths(spring) == [24, 23, 24]
    assert lengths(starts(at("2026-10-24T12:00"), at("2026-10-27T00:00"), "day", MADRID)) == [24, 25, 24]


def test_an_hour_that_happens_twice_is_two_points() -> None:
    """Hours are instants: the one that the clock shows twice is not summed up into one."""
    found = starts(at("2026-10-25T00:10"), at("2026-10-25T02:30"), "hour", MADRID)
    assert [each.strftime("%H %z") for each in found] == ["02 +0200", "02 +0100", "03 +0100"]


def test_hours_of_a_zone_at_the_half_hour_begin_where_its_clock_says() -> None:
    """In Kolkata an hour begins at half past of UTC."""
    found = starts(at("2026-01-01T00:00"), at("2026-01-01T02:00"), "hour", ZoneInfo("Asia/Kolkata"))
    assert [each.strftime("%H:%M") for each in found] == ["05:00", "06:00", "07:00"]
    assert found[0] == at("2025-12-31T23:30")


def test_a_midnight_that_does_not_exist_is_the_moment_after() -> None:
    """In Cairo summer time begins at midnight: the day begins at one o'clock."""
    found = starts(at("2026-04-23T12:00"), at("2026-04-25T12:00"), "day", ZoneInfo("Africa/Cairo"))
    assert [each.strftime("%d %H:%M") for each in found] == ["23 00:00", "24 01:00", "25 00:00"]


def test_an_endless_series_is_refused() -> None:
    """A span that nobody reads is refused instead of computed, and so is one that runs backwards."""
    with pytest.raises(TooMany, match="2000"):
        starts(at("2000-01-01T00:00"), at("2026-01-01T00:00"), "hour", MADRID)
    with pytest.raises(ValueError, match="until"):
        starts(at("2026-01-01T00:00"), at("2026-01-01T00:00"), "hour", MADRID)


@given(
    minute=st.integers(15_778_080, 35_238_240),
    hours=st.integers(1, 1500),
    by=st.sampled_from(["hour", "day"]),
    zone=st.sampled_from(
        ["UTC", "Europe/Madrid", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Pacific/Apia"]
    ),
)
def test_points_cover_the_span_in_order(
    minute: int, hours: int, by: Literal["hour", "day"], zone: str
) -> None:
    """Whatever the zone does, points rise, the first is not after `since`, and none is far from the next."""
    begin = datetime.fromtimestamp(60 * minute, UTC)
    end = begin + timedelta(hours=hours)
    found = starts(begin, end, by, ZoneInfo(zone))
    assert found[0] <= begin
    assert found[-1] < end
    longest = 2 if by == "hour" else 48.5
    assert all(0 < length <= longest for length in lengths([*found, end]))
