"""Which slots are due, which were missed, and where a schedule goes on."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.slots import Passed, activation, passed
from services.scheduler.domain.timing import Every

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

intervals = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=2))
validities = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3))
instants = st.datetimes(
    min_value=datetime(2026, 2, 28), max_value=datetime(2026, 3, 3), timezones=st.just(UTC)  # noqa: DTZ001 - hypothesis adds the zone
)  # fmt: skip


def come(
    next_slot: datetime, *, interval: timedelta, validity: timedelta, now: datetime, at_once: int = 500
) -> Passed:
    """Say what has come of a schedule of intervals whose first slot was FIRST."""
    timing = Every(interval)
    return passed(
        next_slot, lambda after: timing.following(FIRST, after), validity=validity, now=now, at_once=at_once
    )


def test_nothing_has_come_before_the_next_slot() -> None:
    """Before its time a slot is not decided."""
    found = come(FIRST, interval=4 * HOUR, validity=HOUR, now=FIRST - timedelta(microseconds=1))
    assert found.missed == ()
    assert found.due is None
    assert found.next_slot == FIRST


def test_a_slot_is_due_at_its_instant_until_its_validity_ends() -> None:
    """`until` is the slot plus its validity when the next slot is later."""
    found = come(FIRST, interval=4 * HOUR, validity=HOUR, now=FIRST)
    assert (found.due, found.until, found.next_slot) == (FIRST, FIRST + HOUR, FIRST + 4 * HOUR)


def test_a_slot_is_due_no_longer_than_the_next_one_begins() -> None:
    """`until` is the next slot when that is before the end of the validity."""
    found = come(FIRST, interval=HOUR / 2, validity=HOUR, now=FIRST)
    assert found.until == FIRST + HOUR / 2


def test_after_a_downtime_only_the_latest_slot_is_due() -> None:
    """Every other missed slot is skipped."""
    found = come(FIRST, interval=4 * HOUR, validity=HOUR, now=FIRST + 8.5 * HOUR)
    assert found.missed == (FIRST, FIRST + 4 * HOUR)
    assert found.due == FIRST + 8 * HOUR


def test_after_a_downtime_a_stale_slot_is_missed_too() -> None:
    """The latest missed slot is posted only before its `until`."""
    found = come(FIRST, interval=4 * HOUR, validity=HOUR, now=FIRST + 9 * HOUR)
    assert found.missed == (FIRST, FIRST + 4 * HOUR, FIRST + 8 * HOUR)
    assert found.due is None
    assert found.next_slot == FIRST + 12 * HOUR


@given(interval=intervals, validity=validities, now=instants, at_once=st.integers(1, 50))
def test_repeated_looks_decide_every_slot_once_and_in_order(
    interval: timedelta, validity: timedelta, now: datetime, at_once: int
) -> None:
    """No slot is lost or decided twice, however many come at once; at most the last is due, and not stale."""
    interval = max(interval, timedelta(minutes=10))
    decided: list[datetime] = []
    due: list[datetime] = []
    next_slot = FIRST
    while True:
        found = come(next_slot, interval=interval, validity=validity, now=now, at_once=at_once)
        if found.next_slot == next_slot:
            break
        assert len(found.missed) <= at_once
        decided += found.missed
        if found.due is not None:
            assert found.until is not None
            assert found.due <= now < found.until <= found.due + min(interval, validity)
            decided.append(found.due)
            due.append(found.due)
        next_slot = found.next_slot
    expected = [FIRST + k * interval for k in range(max(0, (now - FIRST) // interval + 1))]
    assert decided == expected
    assert due in ([], expected[-1:])
    assert next_slot > now


@given(now=instants, decided=st.lists(st.none() | instants, max_size=3))
def test_an_activation_is_behind_every_slot_decided_before(
    now: datetime, decided: list[datetime | None]
) -> None:
    """A new activation never repeats a slot, also when the clock went back; otherwise it is now."""
    first = activation(now, *decided)
    slots = [slot for slot in decided if slot is not None]
    assert all(first > slot for slot in slots)
    assert first == now or first - timedelta(microseconds=1) in slots


@given(interval=intervals, after=instants)
def test_a_changed_interval_goes_on_with_the_first_slot_behind(interval: timedelta, after: datetime) -> None:
    """Slots are activation + k intervals; the first behind an instant is less than an interval away."""
    slot = Every(interval).following(FIRST, after)
    assert (slot - FIRST) % interval == timedelta(0)
    assert slot > after
    assert slot == FIRST or slot - interval <= after
