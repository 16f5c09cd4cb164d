"""What the bus tests share: a prepared broker, a record of attempts, and a bus per test."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from nats.aio.client import Client

from shared import topology
from shared.bus import Begun, Bus
from shared.bus.dead_letters import STREAM as DEAD_LETTERS
from shared.events import ButtonClicked
from tests.servers import AnyNats

RETRIES = (0.05, 0.1)


@dataclass
class MemoryAttempts:
    """A record of attempts in memory, with a switch for an outage."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    away: bool = False

    def _row(self, durable: str, key: str) -> list[int]:
        if self.away:
            raise ConnectionRefusedError
        return self.rows.setdefault(f"{durable}/{key}", [0, 0])

    async def begin(self, durable: str, key: str) -> Begun:
        row = self._row(durable, key)
        before = Begun(*row)
        row[0] += 1
        return before

    async def fail(self, durable: str, key: str, error: str) -> int:
        row = self._row(durable, key)
        row[1] += 1
        row[0] = max(row)
        return row[1]

    async def undo(self, durable: str, key: str) -> None:
        row = self._row(durable, key)
        row[0] = max(row[0] - 1, row[1])

    async def forget(self, durable: str, key: str) -> None:
        if self.away:
            raise ConnectionRefusedError
        self.rows.pop(f"{durable}/{key}", None)

    async def reachable(self) -> bool:
        return not self.away


@pytest.fixture
def broker(prepared_nats: AnyNats) -> AnyNats:
    """A nats-server of its own, with the whole topology and a short ack wait."""
    return prepared_nats


@pytest.fixture
def attempts() -> MemoryAttempts:
    """A record of attempts."""
    return MemoryAttempts()


@pytest.fixture
async def bus(broker: AnyNats) -> AsyncIterator[Bus]:
    """A bus on the broker, with short retries."""
    async with Bus.open(broker.url, service="tests", retry_seconds=RETRIES) as opened:
        yield opened


@pytest.fixture
async def client(broker: AnyNats) -> AsyncIterator[Client]:
    """A bare client, to look at the broker with other eyes."""
    bare = Client()
    await bare.connect(broker.url)
    yield bare
    await bare.close()


@asynccontextmanager
async def narrowed(name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> AsyncIterator[None]:
    """Give a durable another concurrency or batch for a test."""
    narrowed_durables = tuple(
        dataclasses.replace(each, **changes) if each.name == name else each for each in topology.DURABLES
    )
    monkeypatch.setattr(topology, "DURABLES", narrowed_durables)
    yield


def click(number: int = 0, **fields: Any) -> ButtonClicked:
    """Make a press."""
    defaults: dict[str, Any] = {
        "id": uuid4(), "at": datetime.now(UTC), "payload": f"p{number}", "bot": "default", "bot_id": 1,
    }  # fmt: skip
    return ButtonClicked(**(defaults | fields))


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def settled(client: Client, durable: str, letters: int = 0) -> None:
    """Wait until a durable of the presses has nothing left, and so many letters are dead."""
    stream = client.jetstream()
    async with asyncio.timeout(60):
        while True:
            info = await stream.consumer_info("CLICKS", durable)
            dead = (await stream.stream_info(DEAD_LETTERS)).state.messages
            if (info.num_pending, info.num_ack_pending, dead) == (0, 0, letters):
                return
            await asyncio.sleep(0.02)


def ids(events: list[ButtonClicked]) -> list[UUID]:
    """Return the ids of events."""
    return [event.id for event in events]
