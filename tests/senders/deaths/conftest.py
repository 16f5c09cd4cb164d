"""A whole stack but for senders, which each test starts and kills as it likes."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from carillon.audit import audit
from carillon.up.outside import get, post
from carillon.up.running import Options, Stack, running
from shared.bus import Bus
from shared.record.auditing import Audit
from tests.conftest import Background
from tests.servers import service_process

SETTINGS = {
    "ACK_WAIT_SECONDS": "2", "SEND_LEASE_SECONDS": "3", "SEND_HOLD_SECONDS": "1",
    "TELEGRAM_TIMEOUT_SECONDS": "2", "PROMO_CHAT_IDS": "[]",
}  # fmt: skip


@dataclass
class Street:
    """The stack, as the tests see it from another loop."""

    background: Background[Stack]

    @property
    def stack(self) -> Stack:
        return self.background.value

    @asynccontextmanager
    async def senders(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run senders as a process of its own."""
        world = self.stack.outside
        environment = {
            **SETTINGS, "PATH": os.environ["PATH"], "NATS_URL": world.nats_url,
            "SENDERS_DATABASE_URL": world.database_urls["senders"],
            "TELEGRAM_API_URL": str(world.telegram_api_url), "TELEGRAM_BOT_TOKEN": str(world.bot_token),
            **settings,
        }  # fmt: skip
        log = self.stack.options.folder / "senders.log"
        async with service_process("senders", environment, log) as process:
            yield process

    async def value(self, question: str, *values: Any) -> Any:
        """Ask senders' database for one value."""
        connection = await asyncpg.connect(self.stack.outside.database_urls["senders"])
        try:
            return await connection.fetchval(question, *values)
        finally:
            await connection.close()

    async def until(self, question: str, wanted: Any, *values: Any, seconds: float = 60.0) -> None:
        """Wait until senders' database answers a question so."""
        async with asyncio.timeout(seconds):
            while await self.value(question, *values) != wanted:
                await asyncio.sleep(0.1)

    async def texts(self, text: str) -> list[int]:
        """Return the chats in which Telegram took a text."""
        sent = (await get(str(self.stack.outside.telegram_control_url), "/sent"))["sent"]
        return [each["chat_id"] for each in sent if each["text"] == text]

    async def people(self, first: int, count: int) -> range:
        """Make private chats; return their ids."""
        url = str(self.stack.outside.telegram_control_url)
        people = range(first, first + count)
        await post(url, "/flood", {"enabled": False})
        for person in people:
            await post(url, "/chats", {"type": "private", "user_id": person})
        return people

    async def books(self) -> Audit:
        """Audit the whole stack."""
        async with Bus.open(self.stack.outside.nats_url, service="tests") as bus:
            return await audit(self.stack.system, bus)


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Run the stack without senders."""
    options = Options(
        tmp_path_factory.mktemp("deaths") / "stack", ephemeral=True, settings=SETTINGS,
        replicas={"senders": 0}, given={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    background = Background(lambda: running(options, lambda _: None))
    yield Street(background)
    background.close()
