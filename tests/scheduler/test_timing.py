"""Cron times over changes of clocks, as Debian's cron has them; intervals know none."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.timing import TICK, BadTiming, Cron, Every, checked_cron

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def times(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Return the next local times of an expression behind a local time, with their offsets."""
    at = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = []
    for _ in range(count):
        at = Cron(expression, zone).following(NOW, at)
        found.append(f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %z}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Madrid skips 02:00-03:00 on March 29th: a fixed time in it comes at the end of the gap, once.
        ("30 2 * * *", "Europe/Madrid", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0,30 2 * * *", "Europe/Madrid", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("0 * * * *", "Europe/Madrid", "2026-03-29T00:30", ["29 01:00 +0100", "29 03:00 +0200"]),
        # It has 02:00-03:00 twice on October 25th: a fixed time in it comes once, an hourly one every hour.
        ("30 2 * * *", "Europe/Madrid", "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("30 * * * *", "Europe/Madrid", "2026-10-25T02:10", ["25 02:30 +0200", "25 02:30 +0100"]),
        # Adelaide: half an hour off, changed by an hour. Lord Howe: changed by half an hour.
        ("30 2 * * *", "Australia/Adelaide", "2026-10-03T12:00", ["04 03:00 +1030", "05 02:30 +1030"]),
        ("30 2 * * *", "Australia/Adelaide", "2026-04-04T12:00", ["05 02:30 +1030", "06 02:30 +0930"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["04 02:30 +1100", "05 02:15 +1100"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["05 01:45 +1100", "06 01:45 +1030"]),
        ("0 9 * * 1-5", "Asia/Kolkata", "2026-04-03T12:00", ["06 09:00 +0530", "07 09:00 +0530"]),
        ("0 0 29 2 *", "UTC", "2026-04-03T12:00", ["29 00:00 +0000"]),
    ],
)
def test_changes_of_clocks(expression: str, zone: str, after: str, expected: list[str]) -> None:
    """A local time that does not exist comes at the gap's end; one that happens twice comes once."""
    assert times(expression, zone, after, len(expected)) == expected


zones = st.sampled_from(
    ["Europe/Madrid", "Australia/Lord_Howe", "Australia/Adelaide", "America/St_Johns", "UTC"]
)
expressions = st.sampled_from(["30 2 * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 */2 * * *", "45 1 * * 0"])
instants = st.datetimes(
    min_value=datetime(2026, 1, 1), max_value=datetime(2027, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001 - hypothesis adds the zone
)  # fmt: skip


@given(expression=expressions, zone=zones, at=instants, later=st.timedeltas(TICK, timedelta(hours=30)))
def test_times_rise_and_none_is_passed_over(
    expression: str, zone: str, at: datetime, later: timedelta
) -> None:
    """Whoever asks from whatever instant finds the same times: each later than asked, none twice or lost."""
    timing = Cron(expression, zone)
    found = [timing.following(NOW, at)]
    while found[-1] <= at + later:
        found.append(timing.following(NOW, found[-1]))
    assert all(before < after for before, after in pairwise([at, *found]))
    assert timing.following(NOW, at + later) == found[-1]


def test_an_interval_is_elapsed_time() -> None:
    """Every 24 hours is every 24 hours, whatever local clocks do on the way."""
    start = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Madrid")).astimezone(UTC)
    day = Every(timedelta(hours=24))
    assert day.first(start) == start
    assert f"{day.following(start, start).astimezone(ZoneInfo('Europe/Madrid')):%d %H:%M}" == "29 13:00"


def test_a_cron_schedule_begins_at_its_next_time() -> None:
    """Nothing comes at once, but a time that is right now does."""
    timing = Cron("0 9 * * *", "UTC")
    assert timing.first(NOW) == NOW.replace(hour=9)
    assert timing.first(NOW.replace(hour=9)) == NOW.replace(hour=9)


@pytest.mark.parametrize(
    ("expression", "zone", "words"),
    [
        ("61 * * * *", "UTC", "Bad minute in '61 * * * *'"),
        ("* * * *", "UTC", "expected five fields"),
        ("* * * * * *", "UTC", "expected five fields"),
        ("@daily", "UTC", "expected five fields"),
        ("0 0 30 2 *", "UTC", "Bad day-of-month"),
        ("0 0 * * *", "Mars/Olympus", "expected a time zone"),
        ("0 0 * * *", "../../etc/passwd", "expected a time zone"),
        ("0 0 * * *", "", "expected a time zone"),
    ],
)
def test_nonsense_is_refused(expression: str, zone: str, words: str) -> None:
    """An expression or zone that means nothing, or never comes, is refused with what is wrong with it."""
    with pytest.raises(BadTiming, match=words.replace("*", r"\*")):
        checked_cron(expression, zone, NOW)
