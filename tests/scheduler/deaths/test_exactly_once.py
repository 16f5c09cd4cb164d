"""Exactly one post per slot and chat, counted at the simulated Telegram, whatever happens to scheduler."""

import asyncio
import dataclasses
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

import asyncpg
import nats
import pytest

from carillon.up.outside import get, post
from carillon.up.running import Options, Stack, running
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Schedules
from shared.bus import Bus
from shared.database import Database
from shared.events import PromoDue
from shared.failpoints import SchedulerFailpoint
from tests.conftest import Background
from tests.servers import service_process

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("scheduler deaths"), pytest.mark.timeout(600)]

CHATS = (-1001000000001, -1001000000002)
SETTINGS = {
    "ACK_WAIT_SECONDS": "4", "SEND_LEASE_SECONDS": "4", "SEND_HOLD_SECONDS": "4",
    "TELEGRAM_TIMEOUT_SECONDS": "3", "SEND_LIMITS": "off", "PROMO_CHAT_IDS": str(list(CHATS)),
}  # fmt: skip
SECONDS = 90.0


@dataclass
class Street:
    """A whole stack but for scheduler, which each test starts and kills as it likes."""

    background: Background[Stack]

    @property
    def stack(self) -> Stack:
        return self.background.value

    @property
    def database_url(self) -> str:
        return self.stack.outside.database_urls["scheduler"]

    @asynccontextmanager
    async def scheduler(
        self, database_url: str | None = None, **settings: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run scheduler as a process of its own."""
        environment = {
            **SETTINGS, "PATH": os.environ["PATH"], "NATS_URL": self.stack.outside.nats_url,
            "SCHEDULER_DATABASE_URL": database_url or self.database_url,
            **settings,
        }  # fmt: skip
        log = self.stack.options.folder / "scheduler.log"
        async with service_process("scheduler", environment, log) as process:
            yield process

    async def activate(self) -> None:
        """Stop and start the default schedule: a slot is due at once."""
        async with Database.open(self.database_url, pool_size=1) as database:
            schedules, now = Schedules(database), datetime.now(UTC)
            await schedules.stop(DEFAULT_SCHEDULE, uuid4(), now)
            await schedules.start(DEFAULT_SCHEDULE, uuid4(), now)

    async def copy(self) -> str:
        """Make a backup of scheduler's database as it is now; return its URL."""
        name = f"backup_{uuid4().hex[:8]}"
        admin = await asyncpg.connect(str(self.stack.outside.admin_database_url))
        owner = self.database_url.split("//")[1].split(":")[0]
        source = self.database_url.rsplit("/", 1)[1]
        await admin.execute(f'CREATE DATABASE {name} TEMPLATE "{source}" OWNER "{owner}"')
        await admin.close()
        return f"{self.database_url.rsplit('/', 1)[0]}/{name}"

    async def posts(self) -> Counter[int]:
        """Count what Telegram took, by chat."""
        sent = (await get(str(self.stack.outside.telegram_control_url), "/sent"))["sent"]
        return Counter(each["chat_id"] for each in sent if each["chat_id"] in CHATS)

    async def posted(self, before: Counter[int]) -> Counter[int]:
        """Wait until every chat has another post, and a little longer; return how many each has."""
        async with asyncio.timeout(SECONDS):
            while len(await self.posts() - before) < len(CHATS):
                await asyncio.sleep(0.1)
        await asyncio.sleep(2.0)
        return await self.posts() - before

    async def forget_ids(self) -> None:
        """Let the broker forget what ids it has seen, as it does after an hour."""
        client = await nats.connect(self.stack.outside.nats_url)
        stream = client.jetstream()
        config = (await stream.stream_info("PROMOS")).config
        await stream.update_stream(dataclasses.replace(config, duplicate_window=0.1))
        await asyncio.sleep(1.0)
        await client.close()

    async def stored(self) -> Counter[tuple[str, int]]:
        """Count the PromoDue on the stream, by slot and chat."""
        found: Counter[tuple[str, int]] = Counter()
        async with Bus.open(self.stack.outside.nats_url, service="tests") as bus:
            cut = await bus.streams.cut()
            async for stored in bus.streams.read("PROMOS", "promos.due", up_to=cut["PROMOS"]):
                due = PromoDue.model_validate_json(stored.payload)
                found[due.slot.isoformat(), due.chat_id] += 1
        return found


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Run the stack without scheduler; the default schedule is there, and has posted."""
    options = Options(
        tmp_path_factory.mktemp("scheduler-deaths") / "stack", ephemeral=True, settings=SETTINGS,
        replicas={"scheduler": 0}, given={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    background = Background(lambda: running(options, lambda _: None))
    opened = Street(background)

    async def first() -> None:
        await post(str(opened.stack.outside.telegram_control_url), "/flood", {"enabled": False})
        async with opened.scheduler():
            await opened.posted(Counter())

    asyncio.run(first())
    yield opened
    background.close()


@pytest.mark.parametrize("point", get_args(SchedulerFailpoint))
async def test_a_death_loses_and_doubles_no_post(street: Street, point: str) -> None:
    """Killed at any step between a slot and its posts, and taken over by three: one post in every chat."""
    before = await street.posts()
    await street.activate()
    async with street.scheduler(SCHEDULER_FAILPOINT=point) as dying:
        assert await asyncio.wait_for(dying.wait(), SECONDS) == -9
    async with AsyncExitStack() as replicas:
        for _ in range(3):
            await replicas.enter_async_context(street.scheduler())
        assert await street.posted(before) == Counter(dict.fromkeys(CHATS, 1))
    assert set((await street.stored()).values()) == {1}


async def test_an_older_backup_posts_nothing_again(street: Street) -> None:
    """Restored to before the slot, with other promos, when no id of it is known any more: no second post."""
    await street.activate()
    backup = await street.copy()
    before = await street.posts()
    async with street.scheduler():
        assert await street.posted(before) == Counter(dict.fromkeys(CHATS, 1))
    await street.forget_ids()
    restored = await asyncpg.connect(backup)
    await restored.execute("UPDATE promos SET enabled = (id = 'vip_support'), title = 'Another'")
    async with AsyncExitStack() as replicas:
        for _ in range(3):
            await replicas.enter_async_context(street.scheduler(backup))
        async with asyncio.timeout(SECONDS):
            while await restored.fetchval("SELECT count(*) FROM slots WHERE announced_at IS NULL") or not (
                await restored.fetchval("SELECT next_slot > activated_at FROM schedules")
            ):
                await asyncio.sleep(0.1)
        await asyncio.sleep(2.0)
    await restored.close()
    assert await street.posts() - before == Counter(dict.fromkeys(CHATS, 1))
    assert set((await street.stored()).values()) == {1}
