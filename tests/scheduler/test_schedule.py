"""What a schedule decides when its time has come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.catalogue import Promo
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE, Schedule, Wanted, close, decide, follow
from services.scheduler.domain.timing import Every
from shared.events import PromoDue, SlotSkipped, promo_due_id

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROMOS = [Promo(name, name, f"Get {name}", name, None, f"*{name}*", True, n) for n, name in enumerate("abc")]
WANTED = Wanted("default", Every(4 * HOUR), HOUR, (-1001, 42))
SCHEDULE = Schedule(id=DEFAULT_SCHEDULE, wanted=WANTED, activated_at=START, next_slot=START)


def but(**values: Any) -> Schedule:
    """Return the schedule with something else wanted of it."""
    return replace(SCHEDULE, wanted=replace(WANTED, **values))


def test_activation_posts_at_once() -> None:
    """The first slot is the activation; its post is a snapshot of the promo, for every chat."""
    after, slots = decide(SCHEDULE, PROMOS, START)
    (slot,) = slots
    assert (slot.slot, slot.promo_id, slot.chat_ids, slot.until) == (START, "a", (-1001, 42), START + HOUR)
    assert (after.next_slot, after.last_slot, after.last_run) == (START + 4 * HOUR, START, START)
    events = slot.events()
    assert [event.id for event in events] == [
        promo_due_id(DEFAULT_SCHEDULE, START, chat_id) for chat_id in (-1001, 42)
    ]
    assert all(isinstance(event, PromoDue) and event.text == "*a*" for event in events)
    assert all(isinstance(event, PromoDue) and event.button is not None for event in events)


def test_activation_posts_at_once_also_when_the_clock_went_back() -> None:
    """A slot behind those that a fast clock decided lies in the future and is due all the same, once."""
    after, slots = decide(SCHEDULE, PROMOS, START - HOUR)
    assert [slot.slot for slot in slots] == [START]
    assert decide(after, PROMOS, START - HOUR)[1] == []


def test_a_schedule_posts_from_its_own_set() -> None:
    """A promo outside the schedule's set is never taken."""
    after, (slot,) = decide(but(promo_ids=("c",)), PROMOS, START)
    assert slot.promo_id == "c"
    assert decide(after, PROMOS, START + 4 * HOUR)[1][0].promo_id == "c"


def test_without_chats_nothing_is_posted() -> None:
    """Empty chats skip the slot with a reason and leave the rotation where it was."""
    after, (slot,) = decide(but(chat_ids=()), PROMOS, START)
    assert slot.skipped == "no_chats"
    assert after.turn is None
    (event,) = slot.events()
    assert isinstance(event, SlotSkipped)
    assert event.reason == "no_chats"


def test_without_an_enabled_promo_nothing_is_posted() -> None:
    """A catalogue with nothing enabled skips the slot with a reason."""
    (slot,) = decide(SCHEDULE, [replace(promo, enabled=False) for promo in PROMOS], START)[1]
    assert slot.skipped == "no_promo"


def test_a_missed_slot_does_not_advance_the_rotation() -> None:
    """The promo of a skipped slot is the next slot's."""
    after, _ = decide(SCHEDULE, PROMOS, START)
    _, slots = decide(after, PROMOS, START + 12.5 * HOUR)
    assert [(slot.skipped, slot.promo_id) for slot in slots] == [
        ("missed", None),
        ("missed", None),
        (None, "b"),
    ]


def test_a_stop_skips_what_had_come() -> None:
    """Of an undecided slot nothing is posted after a stop; it is recorded as stopped."""
    after, slots = close(SCHEDULE, START + 8.5 * HOUR)
    assert [slot.skipped for slot in slots] == ["missed", "missed", "stopped"]
    assert after.last_slot == START + 8 * HOUR
    assert after.wanted == WANTED


def test_another_interval_goes_on_from_the_same_activation() -> None:
    """Slots are activation + k intervals, also after the settings change the interval; none is repeated."""
    after, _ = decide(SCHEDULE, PROMOS, START)
    wanted = replace(WANTED, timing=Every(HOUR))
    changed, slots = follow(after, wanted, PROMOS, START + 2.5 * HOUR)
    assert slots == []
    assert changed.next_slot == START + 3 * HOUR


def test_another_interval_first_decides_what_had_come() -> None:
    """Slots that were missed under the old interval are recorded before the new one counts."""
    after, _ = decide(SCHEDULE, PROMOS, START)
    wanted = replace(WANTED, timing=Every(HOUR))
    changed, slots = follow(after, wanted, PROMOS, START + 9.5 * HOUR)
    assert [slot.slot for slot in slots] == [START + 4 * HOUR, START + 8 * HOUR]
    assert changed.next_slot == START + 10 * HOUR


def test_the_first_chats_activate_anew() -> None:
    """A schedule that had nobody to post to posts at once when it gets chats."""
    after, _ = decide(but(chat_ids=()), PROMOS, START)
    now = START + HOUR
    changed, _ = follow(after, replace(WANTED, chat_ids=(7,)), PROMOS, now)
    _, (slot,) = decide(changed, PROMOS, now)
    assert (slot.slot, slot.promo_id, slot.chat_ids) == (now, "a", (7,))


def test_other_chats_of_a_running_schedule_wait_for_the_next_slot() -> None:
    """Changing the chats is no activation."""
    after, _ = decide(SCHEDULE, PROMOS, START)
    changed, slots = follow(after, replace(WANTED, chat_ids=(7,)), PROMOS, START + HOUR)
    assert slots == []
    assert (changed.next_slot, changed.wanted.chat_ids) == (START + 4 * HOUR, (7,))


@given(jumps=st.lists(st.timedeltas(min_value=-2 * HOUR, max_value=9 * HOUR), max_size=12))
def test_whatever_the_clock_does_no_slot_is_repeated_or_lost(jumps: list[timedelta]) -> None:
    """Clock jumps in both directions decide each slot once, in order; each post takes the next promo."""
    schedule, now = SCHEDULE, START
    decided, posted = [], []
    for jump in [timedelta(0), *jumps]:
        now += jump
        schedule, slots = decide(schedule, PROMOS, now)
        decided += [slot.slot for slot in slots]
        posted += [slot.promo_id for slot in slots if slot.skipped is None]
    assert decided == [START + k * 4 * HOUR for k in range(len(decided))]
    assert posted == [PROMOS[n % len(PROMOS)].id for n in range(len(posted))]
    assert schedule.next_slot == START + len(decided) * 4 * HOUR
