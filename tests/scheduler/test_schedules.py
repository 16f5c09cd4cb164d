"""Schedules: created by settings, started and stopped by command."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.scheduler import api
from services.scheduler.clock import Clock
from services.scheduler.domain.catalogue import SHIPPED
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.domain.timing import Every
from services.scheduler.store import Catalogue, Schedules
from shared.bus import Refusal
from shared.database import Database
from shared.events import PromoCancelled, PromoDue, SlotSkipped
from shared.queries import StartSchedule, StopSchedule
from tests.scheduler.conftest import HOUR, START, TEXTS, WANTED, World, nothing


async def test_the_first_run_ships_four_promos(settled: Schedules, catalogue: Catalogue) -> None:
    """The catalogue starts with the four defaults, enabled, with their payloads, in order."""
    assert [(promo.id, promo.payload, promo.enabled) for promo in await catalogue.promos()] == [
        ("premium_signals", "premium", True),
        ("copy_trading", "copytrading", True),
        ("analytics", "analytics", True),
        ("vip_support", "vip", True),
    ]


async def test_a_later_start_of_the_process_is_no_first_run(
    settled: Schedules, catalogue: Catalogue, database: Database, clock: Clock, world: World
) -> None:
    """A restart neither posts at once nor brings back what was deleted."""
    await clock.tick()
    await database.execute(text("DELETE FROM promos WHERE id = 'analytics'"))
    assert await settled.settle_default(WANTED, TEXTS, START + HOUR) == "followed"
    world.now = START + HOUR
    await clock.tick()
    assert len(await catalogue.promos()) == 3
    assert len({event.slot for event in world.of(PromoDue)}) == 1


async def test_replicas_that_start_together_make_one_schedule(schedules: Schedules) -> None:
    """Three first runs at once are one first run."""
    runs = [schedules.settle_default(WANTED, TEXTS, START) for _ in range(3)]
    assert sorted(await asyncio.gather(*runs)) == ["created", "followed", "followed"]
    (view,) = await schedules.views()
    assert (view.id, view.active, view.next_run) == (DEFAULT_SCHEDULE, True, START)


async def test_the_default_schedule_follows_its_settings(settled: Schedules, clock: Clock) -> None:
    """Other settings hold from the next start of the process."""
    await clock.tick()
    wanted = replace(WANTED, timing=Every(HOUR), chat_ids=(7,))
    await settled.settle_default(wanted, TEXTS, START + 2.5 * HOUR)
    (view,) = await settled.views()
    assert (view.interval_seconds, view.chat_ids, view.next_run) == (3600, (7,), START + 3 * HOUR)


async def test_an_edited_schedule_ignores_the_settings(settled: Schedules, database: Database) -> None:
    """Once somebody has edited the default schedule, settings no longer touch it."""
    await database.execute(text("UPDATE schedules SET edited_at = now()"))
    assert await settled.settle_default(replace(WANTED, chat_ids=()), TEXTS, START) == "edited"
    (view,) = await settled.views()
    assert view.chat_ids == WANTED.chat_ids


async def test_promos_follow_their_templates(
    settled: Schedules, catalogue: Catalogue, database: Database
) -> None:
    """A release with another text is posted with it, but a promo written by hand keeps its own."""
    await database.execute(text("UPDATE promos SET template = NULL WHERE id = 'analytics'"))
    await catalogue.follow_templates(lambda _: "new")
    rows = await database.rows(text("SELECT id, text FROM promos"))
    assert {row["id"] for row in rows if row["text"] == "new"} == {promo.id for promo in SHIPPED} - {
        "analytics"
    }


async def test_status_tells_next_and_last_run(settled: Schedules, clock: Clock) -> None:
    """A schedule shows when it runs next and when it ran last, and no next run while stopped."""
    await clock.tick()
    (view,) = await settled.views()
    assert (view.active, view.last_run, view.next_run) == (True, START, START + 4 * HOUR)
    assert view.promo_ids == tuple(promo.id for promo in SHIPPED)
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + HOUR)
    (view,) = await settled.views()
    assert (view.active, view.last_run, view.next_run) == (False, START, None)


async def test_starting_twice_is_starting_once(settled: Schedules, clock: Clock, world: World) -> None:
    """A schedule that is active stays as it is; nothing is posted again."""
    await clock.tick()
    world.now = START + HOUR
    answer = await settled.start(DEFAULT_SCHEDULE, uuid4(), world.now)
    await clock.tick()
    assert not answer.changed
    assert answer.schedule.next_run == START + 4 * HOUR
    assert len({event.slot for event in world.of(PromoDue)}) == 1


async def test_stopping_twice_is_stopping_once(settled: Schedules, clock: Clock, world: World) -> None:
    """The second stop changes and announces nothing."""
    await clock.tick()
    assert (await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + HOUR)).changed
    assert not (await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + 2 * HOUR)).changed
    await clock.tick()
    assert len(world.of(PromoCancelled)) == 1


async def test_stop_cancels_what_is_unsent(settled: Schedules, clock: Clock, world: World) -> None:
    """A stop cancels up to the last slot that was decided, and posts nothing more."""
    await clock.tick()
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + HOUR)
    world.now = START + 40 * HOUR
    await clock.tick()
    (cancelled,) = world.of(PromoCancelled)
    assert (cancelled.schedule_id, cancelled.up_to, cancelled.reason) == (DEFAULT_SCHEDULE, START, "stopped")
    assert len({event.slot for event in world.of(PromoDue)}) == 1


async def test_every_stop_is_announced(settled: Schedules, clock: Clock, world: World) -> None:
    """A stop after a start cancels the new activation's posts too."""
    for hours in (1, 3):
        world.now = START + hours * HOUR
        await clock.tick()
        await settled.stop(DEFAULT_SCHEDULE, uuid4(), world.now)
        await clock.tick()
        await settled.start(DEFAULT_SCHEDULE, uuid4(), world.now + HOUR)
    assert [event.up_to for event in world.of(PromoCancelled)] == [START, START + 2 * HOUR]


async def test_stop_then_start_posts_at_once(settled: Schedules, clock: Clock, world: World) -> None:
    """A new activation posts the next promo at once; what was cancelled does not reach it."""
    await clock.tick()
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + HOUR)
    await settled.start(DEFAULT_SCHEDULE, uuid4(), START + HOUR)
    world.now = START + HOUR
    await clock.tick()
    assert [(due.slot, due.promo_id) for due in world.of(PromoDue)[::2]] == [
        (START, "premium_signals"),
        (START + HOUR, "copy_trading"),
    ]
    assert all(cancelled.up_to < START + HOUR for cancelled in world.of(PromoCancelled))
    (view,) = await settled.views()
    assert view.next_run == START + 5 * HOUR


async def test_stop_then_start_posts_at_once_after_the_clock_went_back(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """What a fast clock decided does not delay a new activation, and its cancellation does not reach it."""
    await clock.tick()
    world.now = START + 4 * HOUR
    await clock.tick()
    world.now = START + HOUR
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), world.now)
    await settled.start(DEFAULT_SCHEDULE, uuid4(), world.now)
    await clock.tick()
    slots = sorted({due.slot for due in world.of(PromoDue)})
    assert slots == [START, START + 4 * HOUR, START + 4 * HOUR + timedelta(microseconds=1)]
    assert all(cancelled.up_to < slots[-1] for cancelled in world.of(PromoCancelled))


async def test_a_stop_before_the_post_skips_the_slot(settled: Schedules, clock: Clock, world: World) -> None:
    """What had come but was not decided when the schedule was stopped is recorded, not posted."""
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START)
    await clock.tick()
    assert world.of(PromoDue) == []
    assert [event.reason for event in world.of(SlotSkipped)] == ["stopped"]


async def test_a_repeated_command_is_one_command(settled: Schedules) -> None:
    """A start that is delivered again after a stop does not start again; its first answer is repeated."""
    start, stop = uuid4(), uuid4()
    await settled.stop(DEFAULT_SCHEDULE, stop, START)
    assert (await settled.start(DEFAULT_SCHEDULE, start, START)).changed
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START)
    again = await settled.start(DEFAULT_SCHEDULE, start, START)
    assert again.changed
    assert not again.schedule.active


async def test_a_command_that_comes_late_undoes_nothing_newer(settled: Schedules) -> None:
    """A start that was asked for before a stop, and is done after it, changes nothing; nor the other way."""
    older, newer = START + HOUR, START + 2 * HOUR
    now = START + 3 * HOUR

    async def ask(switch: Any, asked_at: datetime | None) -> tuple[bool, bool]:
        answer = await switch(DEFAULT_SCHEDULE, uuid4(), now, asked_at)
        return answer.changed, answer.schedule.active

    assert await ask(settled.stop, newer) == (True, False)
    assert await ask(settled.start, older) == (False, False)
    assert await ask(settled.start, newer) == (True, True)
    assert await ask(settled.stop, older) == (False, True)
    # Who does not say when it was asked for means now, and is as new.
    assert await ask(settled.stop, None) == (True, False)
    assert await ask(settled.start, newer) == (False, False)
    # A clock that is ahead stands in nobody's way.
    assert await ask(settled.start, now + HOUR) == (True, True)
    assert await ask(settled.stop, now) == (True, False)


async def test_commands_wake_the_clock_and_unknown_schedules_are_refused(settled: Schedules) -> None:
    """Without an id the default schedule is meant; an id that no schedule has is a 404."""
    woken = []
    stopped = await api.stop_schedule(StopSchedule(cause=uuid4()), settled, START, lambda: woken.append(1))
    started = await api.start_schedule(StartSchedule(cause=uuid4()), settled, START, lambda: woken.append(1))
    assert (stopped.changed, started.changed, len(woken)) == (True, True, 2)
    with pytest.raises(Refusal) as refused:
        await api.start_schedule(
            StartSchedule(cause=uuid4(), schedule_id=UUID(int=5)), settled, START, nothing
        )
    assert refused.value.status == 404


async def test_first_chats_are_posted_to_at_once(schedules: Schedules, clock: Clock, world: World) -> None:
    """Without chats nothing is posted and nothing breaks; the first that settings name get a post at once."""
    await schedules.settle_default(replace(WANTED, chat_ids=()), TEXTS, START)
    await clock.tick()
    assert [event.reason for event in world.of(SlotSkipped)] == ["no_chats"]
    world.now = START + HOUR
    await schedules.settle_default(WANTED, TEXTS, world.now)
    await clock.tick()
    assert [(due.slot, due.promo_id) for due in world.of(PromoDue)] == [(world.now, "premium_signals")] * 2
