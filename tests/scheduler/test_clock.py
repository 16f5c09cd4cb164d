"""The clock: each slot is decided once and announced for certain, whatever happens."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.scheduler.clock import Clock
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Schedules, Slots
from shared import tasks
from shared.database import Database
from shared.events import PromoCancelled, PromoDue, SlotSkipped
from tests.scheduler.conftest import HOUR, INTERVAL, START, WANTED, World


async def test_a_tick_posts_to_every_chat(settled: Schedules, clock: Clock, world: World) -> None:
    """One PromoDue per chat: a snapshot of text, button and deadline; then sleep till the next slot."""
    assert await clock.tick() == 1.0
    due = world.of(PromoDue)
    assert [event.chat_id for event in due] == list(WANTED.chat_ids)
    for event in due:
        assert event.button is not None
        assert (event.promo_id, event.payload, event.button.payload) == (
            "premium_signals",
            "premium",
            "premium",
        )
        assert (event.slot, event.until, event.bot) == (START, START + HOUR, "default")
    await clock.tick()
    assert len(world.events) == 2


async def test_the_clock_sleeps_no_longer_than_to_the_next_slot(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """Near a slot the sleep ends with it; far from one it is a second, for the wall clock may jump."""
    await clock.tick()
    world.now = START + 4 * HOUR - timedelta(seconds=0.25)
    assert await clock.tick() == pytest.approx(0.25)


async def test_slots_rotate_through_the_catalogue(settled: Schedules, clock: Clock, world: World) -> None:
    """Interval after interval the next promo is posted, and after the last the first."""
    for n in range(6):
        world.now = START + n * INTERVAL
        await clock.tick()
    promos = [due.promo_id for due in world.of(PromoDue)[::2]]
    assert promos == [
        "premium_signals", "copy_trading", "analytics", "vip_support", "premium_signals", "copy_trading",
    ]  # fmt: skip


async def test_rotation_survives_a_catalogue_edit(
    settled: Schedules, clock: Clock, world: World, database: Database
) -> None:
    """Disabling and reordering between slots takes nobody's turn twice and restarts nothing."""
    await clock.tick()
    await database.execute(text("UPDATE promos SET enabled = false WHERE id = 'copy_trading'"))
    for n in (1, 2):
        world.now = START + n * INTERVAL
        await clock.tick()
    await database.execute(text("UPDATE promos SET enabled = true, position = 9 WHERE id = 'copy_trading'"))
    world.now = START + 3 * INTERVAL
    await clock.tick()
    promos = [due.promo_id for due in world.of(PromoDue)[::2]]
    assert promos == ["premium_signals", "analytics", "vip_support", "copy_trading"]


async def test_a_restart_after_a_long_outage_skips_and_goes_on(
    settled: Schedules, slots: Slots, world: World
) -> None:
    """Missed slots are recorded, however many; only the latest is posted, while it is valid."""
    await Clock(slots, world.publish, lambda: world.now).tick()
    world.now = START + 1200 * INTERVAL + HOUR / 2
    await Clock(slots, world.publish, lambda: world.now).tick()
    assert Counter(event.reason for event in world.of(SlotSkipped)) == {"missed": 1199}
    assert world.of(PromoDue)[-1].slot == START + 1200 * INTERVAL
    assert world.of(PromoDue)[-1].promo_id == "copy_trading"


async def test_a_jumping_clock_posts_each_slot_once(settled: Schedules, clock: Clock, world: World) -> None:
    """A slot that a fast clock fired early is not fired again when the clock is right."""
    for hours in (0, 4, 3, 4, 2, 4.5, 8, 7, 8.5):
        world.now = START + hours * HOUR
        await clock.tick()
    assert [due.slot for due in world.of(PromoDue)[::2]] == [START + n * 4 * HOUR for n in range(3)]
    assert len(world.events) == len(world.of(PromoDue))


async def test_two_clocks_decide_each_slot_once(settled: Schedules, slots: Slots, database: Database) -> None:
    """Replicas over one database post each (schedule, slot, chat) once, for a hundred schedules at once."""
    await database.execute(
        text("""
        INSERT INTO schedules (id, name, bot, interval_seconds, validity_seconds, time_zone, chat_ids,
                               active, activated_at, next_slot)
        SELECT gen_random_uuid(), gen_random_uuid(), bot, interval_seconds, validity_seconds, time_zone,
               chat_ids, active, activated_at, next_slot
        FROM schedules, generate_series(1, 249)""")
    )
    world = World()
    clocks = [Clock(slots, world.publish, lambda: world.now) for _ in range(3)]
    for n in range(3):
        world.now = START + n * INTERVAL
        await asyncio.gather(*(clock.tick() for clock in clocks))
    assert max(Counter(event.id for event in world.events).values()) == 1
    assert len(world.events) == 3 * 250 * 2


async def test_a_schedule_in_another_replica_s_hands_is_left_to_it(
    settled: Schedules, clock: Clock, world: World, database: Database
) -> None:
    """A replica neither waits for a schedule that another one decides or stops, nor decides beside it."""
    async with database.begin() as other, asyncio.timeout(60):
        await other.execute(text("SELECT FROM schedules FOR UPDATE"))
        await clock.tick()
        assert world.events == []
        await other.execute(text("UPDATE schedules SET active = false, next_slot = NULL"))
    await clock.tick()
    assert world.events == []


async def test_a_decision_in_another_replica_s_hands_is_announced_by_it(
    settled: Schedules, clock: Clock, world: World, database: Database
) -> None:
    """A replica announces what nobody else is announcing, and takes it over when that one is gone."""
    world.fails = 1
    with pytest.raises(ConnectionResetError):
        await clock.tick()
    world.events.clear()
    async with database.begin() as other, asyncio.timeout(60):
        await other.execute(text("SELECT FROM slots FOR UPDATE"))
        await clock.tick()
        assert world.events == []
    await clock.tick()
    assert len(world.of(PromoDue)) == 2


async def test_a_crash_between_commit_and_publish_is_repaired(
    settled: Schedules, slots: Slots, clock: Clock, world: World, database: Database
) -> None:
    """What was decided is announced by whoever comes next, with the same ids and the promo decided then."""
    world.fails = 1
    with pytest.raises(ConnectionResetError):
        await clock.tick()
    await database.execute(text("UPDATE promos SET text = 'edited', enabled = id = 'vip_support'"))
    world.now = START + HOUR / 2
    await Clock(slots, world.publish, lambda: world.now).tick()
    due = world.of(PromoDue)
    assert len(due) == 2
    for event in due:
        assert (event.slot, event.promo_id, event.at) == (START, "premium_signals", START)
        assert event.text != "edited"


async def test_a_crash_before_a_stop_is_announced_is_repaired(
    settled: Schedules, clock: Clock, world: World
) -> None:
    """A stop is announced in the end, also when the schedule has been started again meanwhile."""
    await clock.tick()
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START + HOUR)
    world.fails = 1
    with pytest.raises(ConnectionResetError):
        await clock.tick()
    await settled.start(DEFAULT_SCHEDULE, uuid4(), START + 2 * HOUR)
    world.now = START + 2 * HOUR
    await clock.tick()
    assert [event.up_to for event in world.of(PromoCancelled)] == [START]
    assert {event.slot for event in world.of(PromoDue)} == {START, START + 2 * HOUR}


async def test_an_outage_ends_in_the_post(settled: Schedules, clock: Clock, world: World) -> None:
    """While the broker is away the clock keeps trying; it does not end, and posts once it is back."""
    world.fails = 1
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(60):
        while len(world.of(PromoDue)) < 2:
            await asyncio.sleep(0.02)
    await tasks.cancel(running)
    assert {event.slot for event in world.of(PromoDue)} == {START}


async def test_the_unforeseen_ends_the_clock(settled: Schedules, clock: Clock, database: Database) -> None:
    """An error that is no outage is not slept over: the process ends and is seen to."""
    await database.execute(text("DROP TABLE slots CASCADE"))
    with pytest.raises(Exception, match="slots"):
        async with asyncio.timeout(60):
            await clock.run()


async def test_a_start_wakes_the_clock(
    settled: Schedules, clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A woken clock posts at once, not at the end of its sleep."""
    monkeypatch.setattr("services.scheduler.clock.LONGEST_SLEEP_SECONDS", 120.0)
    await settled.stop(DEFAULT_SCHEDULE, uuid4(), START)
    running = asyncio.create_task(clock.run())
    await asyncio.sleep(0.3)
    await settled.start(DEFAULT_SCHEDULE, uuid4(), START)
    clock.wake()
    async with asyncio.timeout(60):
        while not world.of(PromoDue):
            await asyncio.sleep(0.01)
    await tasks.cancel(running)
