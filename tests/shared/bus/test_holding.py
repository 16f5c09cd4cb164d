"""What a consumption holds, and when somebody else may have it: never said to be ours when it may not be."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from shared.bus.client import Client
from shared.bus.envelope import Arrived
from shared.bus.holding import Holding
from tests.servers import AnyNats
from tests.shared.bus.conftest import until

ACK_WAIT_SECONDS = 2.0
ARRIVED = Arrived(b"clicks.x", b"made.up.CLICKS.clicks_presses.1.1.1.1790000000123456789.0", b"", b"")


@pytest.fixture
async def client(broker: AnyNats) -> AsyncIterator[Client]:
    """A client that comes back soon."""
    client = Client()
    await client.connect(broker.url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)  # type: ignore[arg-type]  # seconds
    yield client
    await client.close()


@pytest.fixture
def holding(client: Client) -> Holding:
    """Something that holds a message."""
    holding = Holding(client, ACK_WAIT_SECONDS, lambda: None)
    holding.take(ARRIVED)
    return holding


async def test_what_is_renewed_in_time_is_ours(holding: Holding) -> None:
    """A message is ours for as long as the broker keeps hearing that it is worked on, and no longer."""
    for _ in range(4):
        await asyncio.sleep(ACK_WAIT_SECONDS * 0.35)
        await holding.renew()
        assert not holding.is_stale(ARRIVED)
    await asyncio.sleep(ACK_WAIT_SECONDS * 1.1)
    assert holding.is_stale(ARRIVED)
    await holding.renew()
    assert holding.is_stale(ARRIVED), "somebody else may have it by now, and nobody takes it from them"


async def test_what_the_broker_has_not_heard_is_not_renewed(
    holding: Holding, client: Client, broker: AnyNats
) -> None:
    """While the broker is away nothing is renewed, though the client takes the words; nor is it later."""
    await broker.kill()
    await until(lambda: not client.is_connected)
    await asyncio.sleep(ACK_WAIT_SECONDS * 0.6)
    await holding.renew()
    await asyncio.sleep(ACK_WAIT_SECONDS * 0.6)
    assert holding.is_stale(ARRIVED)
    await broker.restart()
    await until(lambda: client.is_connected)
    await holding.renew()
    assert holding.is_stale(ARRIVED)


async def test_a_broker_that_stands_still_has_not_heard(holding: Holding, broker: AnyNats) -> None:
    """What lies between the two counts for nothing: the broker confirms, or nothing is renewed."""
    if not hasattr(broker, "pid"):
        pytest.skip("the broker is in a container")
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(ACK_WAIT_SECONDS * 0.4)
        await holding.renew()
        await asyncio.sleep(ACK_WAIT_SECONDS * 0.4)
        assert holding.is_stale(ARRIVED)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
