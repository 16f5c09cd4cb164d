"""A clock that jumps, with real scheduler processes under libfaketime."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from devstack.nats import Nats
from devstack.servers import free_port
from shared.bus import Bus
from shared.events import PromoDue
from tests.conftest import FreshDatabase

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
CHATS = "[-1001, 1002]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="faketime is not installed"),
]


@asynccontextmanager
async def _scheduler(broker: Nats, database: str, clock: Path, folder: Path) -> AsyncIterator[None]:
    environment = {
        "PATH": os.environ["PATH"],
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # asyncio's timers run on the monotonic clock, which jumps in no real machine.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NATS_URL": broker.url,
        "SCHEDULER_DATABASE_URL": database,
        "LISTEN": f"127.0.0.1:{free_port()}",
        "PROMO_INTERVAL_HOURS": str(1 / 6),
        "PROMO_CHAT_IDS": CHATS,
    }
    with (folder / "scheduler.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.scheduler", env=environment, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _slots(database: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetch("SELECT schedule_id, slot, skipped FROM slots")
    finally:
        await connection.close()


async def test_jumps_of_an_hour_post_each_slot_once(
    prepared_nats: Nats, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """Forward an hour and back again, for three replicas: every slot is due once per chat, none again."""
    database, clock = await fresh_database("scheduler"), tmp_path / "clock"
    clock.write_text("+0")
    async with _scheduler(prepared_nats, database, clock, tmp_path):
        async with asyncio.timeout(60):
            while not await _slots(database):
                await asyncio.sleep(0.1)
        for jump in ("+3600", "+0", "-3600", "+0"):
            clock.write_text(jump)
            await asyncio.sleep(2.5)
    posted = [row for row in await _slots(database) if row["skipped"] is None]
    due: Counter[tuple[UUID, str, int]] = Counter()
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        cut = await bus.streams.cut()
        async for stored in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"]):
            event = PromoDue.model_validate_json(stored.payload)
            due[event.schedule_id, event.slot.isoformat(), event.chat_id] += 1
    assert len(posted) >= 2  # the first, and the latest that the jump made due
    assert set(due.values()) == {1}
    assert len(due) == 2 * len(posted)
