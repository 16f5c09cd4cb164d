"""What callers are told while something is away, and what happens afterwards."""

import asyncio
from typing import Any

from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.events import ButtonClicked, MessageRequested

DATA = f"p1.premium.{ids.to_short(ids.derived('delivery', 1))}"


async def test_the_broker_is_away(gateway: Any) -> None:
    """An update that cannot be written is 503 within five seconds or so; repeated later it has its effect."""
    await gateway.nats.kill()
    started = asyncio.get_running_loop().time()
    requests = [
        gateway.hook(gateway.press(1, DATA)),
        gateway.call("POST", "/messages", json={"address": {"email": "a@b.c"}, "channel": "email",
                                                "body": {"text": "x"}}),
        gateway.call("GET", "/promos"),
        gateway.call("GET", "/dead-letters", role=KeyRole.OWNER),
        gateway.call("DELETE", "/dead-letters/1", role=KeyRole.OWNER),
        gateway.call("POST", "/dead-letters/replay", role=KeyRole.OWNER, json={"all": True}),
        gateway.call("GET", "/audit", role=KeyRole.OWNER),
    ]  # fmt: skip
    answers = await asyncio.gather(*requests)
    assert {status for status, _ in answers} == {503}
    assert asyncio.get_running_loop().time() - started < 30
    await gateway.nats.restart()
    async with asyncio.timeout(60):
        while (await gateway.hook(gateway.press(1, DATA)))[0] != 200:
            await asyncio.sleep(0.2)
    assert len(await gateway.eventually(ButtonClicked)) == 1


async def test_the_database_is_away(gateway: Any) -> None:
    """Presses are taken without the database; what needs it is 503, and is done when it is back."""
    await gateway.wire.cut()
    assert (await gateway.hook(gateway.message(1, "/start")))[0] == 200
    assert (await gateway.hook(gateway.press(2, DATA)))[0] == 200
    status, problem = await gateway.call("GET", "/promos")
    assert (status, problem["title"]) == (503, "Service unavailable")
    async with gateway.http.get(f"{gateway.url}/readyz") as response:
        assert "database" in (await response.json())["missing"]
    await gateway.wire.mend()
    assert (await gateway.logged(1))["status"] == "handled"
    assert (await gateway.logged(2))["status"] == "handled"
    assert len(await gateway.eventually(MessageRequested)) == 1


async def test_a_service_that_does_not_answer(gateway: Any) -> None:
    """Silence is 503 with a problem document, never an empty list."""
    status, problem = await gateway.call("GET", "/clicks/stats")
    assert status == 503
    assert "no clicks is there" in problem["detail"]
    assert (await gateway.call("GET", "/status", role=KeyRole.OWNER))[0] == 503
