"""An ordered stop of senders ends what it has begun."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from carillon.up.outside import post
from shared.bus import Bus
from shared.events import Address, Body, Channel, Lane, MessageRequested
from tests.senders.deaths.conftest import Street

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deaths")]


@pytest.mark.parametrize("put_off", [False, True])
async def test_a_send_that_runs_is_waited_for(street: Street, put_off: bool) -> None:
    """Told to stop while the provider thinks, senders waits for the answer: first attempt or later one."""
    text, now = f"slow {put_off}", datetime.now(UTC)
    request = MessageRequested(
        id=uuid4(), at=now, lane=Lane.CAMPAIGN, channels=(Channel.TELEGRAM,), body=Body(text=text),
        address=Address(telegram_chat_id=1001), expires_at=now + timedelta(hours=1),
        not_before=now + timedelta(seconds=1) if put_off else None,
    )  # fmt: skip
    url = str(street.stack.outside.telegram_control_url)
    await post(url, "/faults", {"kind": "hidden_wait", "method": "sendMessage", "seconds": 3})
    async with street.senders(TELEGRAM_TIMEOUT_SECONDS="10", SEND_LEASE_SECONDS="15") as stopping:
        async with Bus.open(street.stack.outside.nats_url, service="tests") as bus:
            await bus.publish(request)
        await street.until("SELECT state FROM deliveries WHERE message_id = $1", "sending", request.id)
        stopping.terminate()
        assert await asyncio.wait_for(stopping.wait(), 60) == 0

    state, attempt = await street.value(
        "SELECT ARRAY[state, attempt::text] FROM deliveries WHERE message_id = $1", request.id
    )
    assert (state, attempt) == ("sent", "1")
    assert await street.texts(text) == [1001]
