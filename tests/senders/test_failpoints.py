"""What the death of senders leaves behind, at every place of an attempt, in a whole stack."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import asyncpg
import pytest

from carillon.audit import audit
from carillon.up.outside import get
from carillon.up.running import Options, Stack, running
from devstack.servers import free_port
from shared.bus import Bus
from shared.events import Address, Body, Channel, Lane, MessageRequested
from shared.failpoints import Failpoint
from tests.conftest import Background

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("failpoints")]

SETTINGS = {
    "ACK_WAIT_SECONDS": "2", "SEND_LEASE_SECONDS": "1.5", "SEND_HOLD_SECONDS": "1",
    "TELEGRAM_TIMEOUT_SECONDS": "1", "PROMO_CHAT_IDS": "[]",
}  # fmt: skip
PERSON = 1001
ONCE = ("sent", 1)
ENDS: Mapping[tuple[str, Lane], tuple[str, int]] = {
    ("before_claim", Lane.TRANSACTIONAL): ONCE,
    ("before_claim", Lane.CAMPAIGN): ONCE,
    ("after_claim", Lane.TRANSACTIONAL): ONCE,
    ("after_claim", Lane.CAMPAIGN): ("ambiguous", 0),
    ("after_call", Lane.TRANSACTIONAL): ("sent", 2),
    ("after_call", Lane.CAMPAIGN): ("ambiguous", 1),
    ("after_answer", Lane.TRANSACTIONAL): ("sent", 2),
    ("after_answer", Lane.CAMPAIGN): ("ambiguous", 1),
    ("before_outcome", Lane.TRANSACTIONAL): ONCE,
    ("before_outcome", Lane.CAMPAIGN): ONCE,
    ("before_ack", Lane.TRANSACTIONAL): ONCE,
    ("before_ack", Lane.CAMPAIGN): ONCE,
}
"""How a message ends whose sender died there, and how often the provider took it."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background[Stack]]:
    """A stack without senders."""
    options = Options(
        tmp_path_factory.mktemp("failpoints") / "stack", ephemeral=True, settings=SETTINGS,
        replicas={"senders": 0}, given={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    background = Background(lambda: running(options, lambda _: None))
    yield background
    background.close()


@asynccontextmanager
async def senders(stack: Stack, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run senders as a process of its own."""
    world = stack.outside
    environment = {
        **SETTINGS, "PATH": os.environ["PATH"], "NATS_URL": world.nats_url,
        "SENDERS_DATABASE_URL": world.database_urls["senders"],
        "TELEGRAM_API_URL": str(world.telegram_api_url), "TELEGRAM_BOT_TOKEN": str(world.bot_token),
        "LISTEN": f"127.0.0.1:{free_port()}", **settings,
    }  # fmt: skip
    with (Path(stack.options.folder) / "senders.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.senders", env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ended(stack: Stack, message_id: UUID) -> str:
    """Wait until a message has ended; return its state."""
    connection = await asyncpg.connect(stack.outside.database_urls["senders"])
    try:
        async with asyncio.timeout(30):
            while True:
                question = "SELECT state FROM deliveries WHERE message_id = $1"
                state = await connection.fetchval(question, message_id)
                if state not in (None, "pending", "sending"):
                    return str(state)
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


def test_every_place_is_visited() -> None:
    """There is a case for each lane at each place that has a name."""
    lanes = (Lane.TRANSACTIONAL, Lane.CAMPAIGN)
    assert set(ENDS) == {(name, lane) for name in get_args(Failpoint) for lane in lanes}


@pytest.mark.parametrize(("point", "lane"), ENDS, ids=str)
async def test_a_death_loses_and_doubles_nothing(house: Background[Stack], point: str, lane: Lane) -> None:
    """Whoever dies there leaves a message that another process ends as its lane demands, and true books."""
    stack, text = house.value, f"{point} {lane}"
    now = datetime.now(UTC)
    request = MessageRequested(
        id=uuid4(), at=now, lane=lane, channels=(Channel.TELEGRAM,), body=Body(text=text),
        address=Address(telegram_chat_id=PERSON), expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    async with Bus.open(stack.outside.nats_url, service="tests") as bus:
        async with senders(stack, SENDERS_FAILPOINT=point) as dying:
            await bus.publish(request)
            assert await asyncio.wait_for(dying.wait(), 30) == -9
        async with senders(stack):
            state = await ended(stack, request.id)
            books = await audit(stack.system, bus)
    assert (state, times_sent(house, text)) == ENDS[point, lane]
    assert books.balanced, [line for line in books.lines if line.difference] + books.late
    assert books.lost == []


def times_sent(house: Background[Stack], text: str) -> int:
    """Return how often Telegram took a text."""

    async def count() -> int:
        sent: list[dict[str, Any]] = (await get(str(house.value.outside.telegram_control_url), "/sent"))[
            "sent"
        ]
        return sum(each["text"] == text for each in sent)

    found: int = house.run(count())
    return found
