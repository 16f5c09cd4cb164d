"""Schedules by command: made, edited, paused, removed; and what they would post."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.scheduler import api
from services.scheduler.clock import Clock
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Schedules
from shared.bus import Refusal
from shared.events import PromoCancelled, PromoDue, SlotSkipped, schedule_id_of
from shared.queries import (
    CreateSchedule,
    DeleteSchedule,
    EditSchedule,
    GetSchedule,
    PauseSchedule,
    Plan,
    PlanSlots,
    ScheduleIn,
    ScheduleView,
)
from tests.scheduler.conftest import HOUR, INTERVAL, START, TEXTS, WANTED, World, nothing

EVENING = schedule_id_of("evening")
CHANNEL = -1001999999999


async def resolve(bot: str, chat: str) -> int:
    """Answer as senders would."""
    if chat != "@news":
        raise Refusal(404, "Unknown chat", f"{chat}: Bad Request: chat not found")
    return CHANNEL if bot == "default" else CHANNEL - 1


async def create(schedules: Schedules, cause: UUID | None = None, **given: Any) -> ScheduleView:
    """Make the schedule `evening`."""
    command = CreateSchedule(
        cause=cause or uuid4(), schedule_name="evening", schedule=ScheduleIn.model_validate(given)
    )
    return await api.create_schedule(command, schedules, resolve, START)


async def edit(schedules: Schedules, schedule_id: UUID | None, world: World, **given: Any) -> ScheduleView:
    """Edit a schedule."""
    command = EditSchedule(cause=uuid4(), schedule_id=schedule_id, schedule=ScheduleIn.model_validate(given))
    return await api.edit_schedule(command, schedules, resolve, world.now, nothing)


async def refusal_of(act: Callable[[], Any]) -> Refusal:
    """Return the refusal that something ends in."""
    with pytest.raises(Refusal) as refused:
        await act()
    return refused.value


async def test_a_cron_schedule_posts_at_its_times_only(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """It is made stopped, with chats kept by id; started it waits for its time; its promos are its own."""
    made = await create(
        settled, cron="0 20 * * *", time_zone="Europe/Madrid", chats=("@news", "42", 42),
        promo_ids=("analytics", "vip_support"),
    )  # fmt: skip
    assert (made.id, made.status, made.chat_ids) == (EVENING, "not_scheduled", (CHANNEL, 42))
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START)
    started = await settled.start(EVENING, uuid4(), START)
    eight = START.replace(hour=19)
    assert (started.schedule.status, started.schedule.next_run) == ("scheduled", eight)
    for at in (START, eight - timedelta(seconds=1), eight, eight + timedelta(days=1)):
        world.now = at
        await clock.tick()
    assert [(due.slot, due.chat_id, due.promo_id) for due in world.of(PromoDue)] == [
        (eight, CHANNEL, "analytics"), (eight, 42, "analytics"),
        (eight + timedelta(days=1), CHANNEL, "vip_support"), (eight + timedelta(days=1), 42, "vip_support"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "status", "field"),
    [
        ({"cron": "61 * * * *"}, 422, "cron"),
        ({"cron": "0 0 * * *", "time_zone": "Mars"}, 422, "time_zone"),
        ({"cron": "0 0 * * *", "interval_seconds": 60}, 422, "cron"),
        ({"chats": ["nowhere"]}, 422, "chats"),
        ({"chats": ["0"]}, 422, "chats"),
        ({"chats": ["@nobody"]}, 404, None),
        ({"promo_ids": ["nope"]}, 422, "promo_ids"),
        ({"promo_ids": ["vip_support"], "all_promos": True}, 422, "all_promos"),
    ],
)
async def test_nonsense_is_refused(
    settled: Schedules, given: dict[str, Any], status: int, field: str | None
) -> None:
    """What makes no sense is refused by name, when it is saved, and nothing is made of it."""
    refusal = await refusal_of(lambda: create(settled, **given))
    assert refusal.status == status
    assert [each["field"] for each in refusal.extra.get("errors", [])] == ([field] if field else [])
    assert len(await settled.views()) == 1


async def test_names_are_taken_once_and_commands_done_once(settled: Schedules) -> None:
    """The same command again is answered again; another one for the same name is refused."""
    cause = uuid4()
    assert await create(settled, cause) == await create(settled, cause)
    assert (await refusal_of(lambda: create(settled))).status == 409
    unknown = GetSchedule(schedule_id=UUID(int=5))
    assert (await refusal_of(lambda: api.get_schedule(unknown, settled))).status == 404


async def test_the_same_command_side_by_side_is_done_once(settled: Schedules) -> None:
    """A command that is repeated while the first one runs gets the same answer: no 409, and no 404."""
    for _ in range(30):
        made, removed = uuid4(), uuid4()
        views = await asyncio.gather(*(create(settled, made) for _ in range(4)))
        assert {view.id for view in views} == {EVENING}
        await asyncio.gather(*(settled.delete(EVENING, removed, START) for _ in range(4)))
        assert [view.id for view in await settled.views()] == [DEFAULT_SCHEDULE]


async def test_an_edit_of_the_default_schedule_ends_the_settings(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """What somebody has edited no longer follows the environment; what is not given stays as it is."""
    await clock.tick()
    world.now = START + HOUR
    edited = await edit(settled, None, world, interval_seconds=7200, chats=["@news"], bot="second")
    assert (edited.edited, edited.interval_seconds, edited.chat_ids) == (True, 7200, (CHANNEL - 1,))
    assert (edited.next_run, edited.validity_seconds) == (START + 2 * HOUR, 3600)
    assert await settled.settle_default(WANTED, TEXTS, world.now) == "edited"
    back = await edit(settled, None, world, cron="30 13 * * *")
    assert (back.interval_seconds, back.cron, back.next_run) == (None, "30 13 * * *", START + 1.5 * HOUR)


async def test_a_pause_cancels_and_posts_nothing_until_its_end(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """A pause keeps the schedule's grid: it goes on with the first slot behind its end, and can end early."""
    await clock.tick()
    until = START + 9 * HOUR
    command = PauseSchedule(cause=uuid4(), until=until)
    paused = await api.pause_schedule(command, settled, START + HOUR, nothing)
    assert (paused.schedule.status, paused.schedule.next_run) == ("paused", START + 12 * HOUR)
    for hours in (1, 4, 9, 12):
        world.now = START + hours * HOUR
        await clock.tick()
    assert [each.up_to for each in world.of(PromoCancelled)] == [START]
    assert {due.slot for due in world.of(PromoDue)} == {START, START + 12 * HOUR}
    assert world.of(SlotSkipped) == []
    again = PauseSchedule(cause=uuid4(), until=START + 100 * HOUR)
    await api.pause_schedule(again, settled, world.now, nothing)
    resumed = await api.pause_schedule(PauseSchedule(cause=uuid4()), settled, world.now, nothing)
    assert (resumed.schedule.status, resumed.schedule.next_run) == ("scheduled", START + 16 * HOUR)
    past = PauseSchedule(cause=uuid4(), until=START)
    assert (await refusal_of(lambda: api.pause_schedule(past, settled, world.now, nothing))).status == 422
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), world.now)
    late = PauseSchedule(cause=uuid4(), until=START + 200 * HOUR)
    assert (await refusal_of(lambda: api.pause_schedule(late, settled, world.now, nothing))).status == 409


async def test_a_removed_schedule_is_cancelled_and_a_new_one_begins_behind_it(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """Removing cancels what is unsent; a new one of the name repeats no slot and is not cancelled with it."""
    await create(settled, interval_seconds=3600, chats=[7])
    await settled.start(EVENING, uuid4(), START)
    await clock.tick()
    command = DeleteSchedule(cause=uuid4(), schedule_id=EVENING)
    for _ in range(2):
        await api.delete_schedule(command, settled, START, nothing)
    await create(settled, interval_seconds=3600, chats=[7])
    await settled.start(EVENING, uuid4(), START)
    await clock.tick()
    (cancelled,) = world.of(PromoCancelled)
    slots = sorted(due.slot for due in world.of(PromoDue) if due.schedule_id == EVENING)
    assert (cancelled.up_to, len(slots)) == (slots[0], 2)
    assert slots[1] > cancelled.up_to
    default = DeleteSchedule(cause=uuid4(), schedule_id=DEFAULT_SCHEDULE)
    assert (await refusal_of(lambda: api.delete_schedule(default, settled, START, nothing))).status == 409


async def plan(schedules: Schedules, world: World, **asked: Any) -> Plan:
    """Ask what would be posted."""
    return await api.plan_slots(PlanSlots(**asked), schedules, world.now)


async def test_a_dry_run_says_what_will_be_posted(settled: Schedules, clock: Clock, world: World) -> None:
    """What is foreseen is what is then posted: slots, promos, texts and ends; nothing is decided by it."""
    await clock.tick()
    foreseen = await plan(settled, world, until=START + timedelta(days=2))
    assert len(foreseen.items) == 11
    assert foreseen.complete
    assert foreseen.items[0].plain == "💎 Copy Trading"
    for post in foreseen.items:
        world.now = post.slot
        await clock.tick()
    posted = {due.slot: due for due in world.of(PromoDue) if due.slot > START}
    assert [(post.slot, post.promo_id, post.text, post.until) for post in foreseen.items] == [
        (slot, due.promo_id, due.text, due.until) for slot, due in sorted(posted.items())
    ]


async def test_a_dry_run_of_several_and_of_a_stopped_one(settled: Schedules, world: World) -> None:
    """Schedules are merged by time; a stopped one is taken as if it were started now, and it is said."""
    await create(settled, cron="0 14 * * *", chats=[7])
    assumed = await plan(settled, world, schedule_id=EVENING, limit=2)
    assert (assumed.assumed_start, assumed.complete) == (START, False)
    assert [post.slot for post in assumed.items] == [START + 2 * HOUR, START + 26 * HOUR]
    await settled.start(EVENING, uuid4(), START)
    both = await plan(settled, world, until=START + INTERVAL + HOUR)
    assert [(post.schedule, post.slot) for post in both.items] == [
        ("default", START), ("evening", START + 2 * HOUR), ("default", START + INTERVAL),
    ]  # fmt: skip
