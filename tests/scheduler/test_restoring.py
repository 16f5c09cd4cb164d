"""A database that is older than the streams: what was decided since is learned, and not decided again."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
from sqlalchemy import text

from services.scheduler.clock import Clock, catch_up
from services.scheduler.store import Schedules, Slots
from shared.bus import Bus
from shared.database import Database
from shared.events import Event, PromoDue
from tests.scheduler.conftest import INTERVAL, START, TEXTS, WANTED
from tests.servers import AnyNats

FreshDatabase = Callable[[str], Awaitable[str]]


async def test_a_backup_older_than_the_broker_remembers_decides_nothing_again(
    prepared_nats: AnyNats, fresh_database: FreshDatabase
) -> None:
    """Slots told since the backup keep their promo, the rotation goes on behind them, and none is repeated.

    The broker drops no repeat here: every event that is published is one more on the stream.
    """
    wanted = replace(WANTED, validity=INTERVAL)
    times = 0
    original, backup = await fresh_database("scheduler"), await fresh_database("scheduler")
    async with Bus.open(prepared_nats.url, service="tests") as bus:

        async def publish(event: Event) -> None:
            nonlocal times
            times += 1
            await bus.publish(event, again=f"beyond the window {times}")

        async with Database.open(original) as database, Database.open(backup) as restored:
            for each in (database, restored):
                await Schedules(each).settle_default(wanted, TEXTS, START)
                await catch_up(Slots(each), bus.streams)
                # The backup was made after the first slot.
                await Clock(Slots(each), publish if each is database else _nowhere, lambda: START).tick()
            now = START + INTERVAL
            await Clock(Slots(database), publish, lambda: now).tick()
            before = times

            await restored.execute(text("UPDATE promos SET enabled = id = 'vip_support'"))
            for _ in range(2):
                await catch_up(Slots(restored), bus.streams)
            await Clock(Slots(restored), publish, lambda: now).tick()
            repeated = times - before
            await restored.execute(text("UPDATE promos SET enabled = true"))
            now = START + 2 * INTERVAL
            await Clock(Slots(restored), publish, lambda: now).tick()
        cut = await bus.streams.cut()
        told = [
            PromoDue.model_validate_json(each.payload)
            async for each in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"])
        ]
    connection = await asyncpg.connect(backup)
    kept = await connection.fetch("SELECT promo_id, chat_ids, announced_at FROM slots ORDER BY slot")
    await connection.close()

    assert repeated == 0
    assert [due.promo_id for due in told[:: len(WANTED.chat_ids)]] == [
        "premium_signals", "copy_trading", "analytics",
    ]  # fmt: skip
    assert [row["promo_id"] for row in kept] == ["premium_signals", "copy_trading", "analytics"]
    assert all(tuple(row["chat_ids"]) == WANTED.chat_ids and row["announced_at"] for row in kept)


async def _nowhere(event: Event) -> None:
    """Tell nobody: the original has told it."""
