"""Dead letters over the API: seen by admins, read, replayed and discarded by owners."""

import asyncio
from typing import Any

import nats

from services.gateway.domain.roles import KeyRole

BROKEN = b'{"broken'


async def test_dead_letters(gateway: Any) -> None:
    """What could not be parsed is listed without its words, shown with them, tried again or given up."""
    client = await nats.connect(gateway.nats.url)
    for _ in range(3):
        await client.jetstream().publish("messages.transactional.email", BROKEN)
    await client.close()
    async with asyncio.timeout(20):
        while await gateway.bus.dead_letters.count() < 3:
            await asyncio.sleep(0.05)
    path = "/dead-letters"
    status, page = await gateway.call("GET", f"{path}?limit=2&reason=unparsable", role=KeyRole.ADMIN)
    assert (status, len(page["items"])) == (200, 2)
    status, rest = await gateway.call("GET", f"{path}?cursor={page['cursor']}", role=KeyRole.ADMIN)
    assert (len(rest["items"]), rest["cursor"]) == (1, None)
    assert "broken" not in str([item["error"] for item in page["items"]])
    first, second, third = (item["number"] for item in page["items"] + rest["items"])
    status, whole = await gateway.call("GET", f"{path}/{first}", role=KeyRole.OWNER)
    assert (status, whole["payload"], whole["expired"]) == (200, BROKEN.decode(), False)

    status, done = await gateway.call("DELETE", f"{path}/{first}", role=KeyRole.OWNER)
    assert (status, done["numbers"]) == (200, [first])
    assert (await gateway.call("DELETE", f"{path}/{first}", role=KeyRole.OWNER))[0] == 404
    for wrong in ({}, {"numbers": [first, second]}, {"reason": "boredom"}, {"numbers": ["x"]}):
        assert (await gateway.call("POST", f"{path}/replay", role=KeyRole.OWNER, json=wrong))[0] == 422
    body = {"numbers": [second]}
    status, done = await gateway.call("POST", f"{path}/replay", role=KeyRole.OWNER, json=body)
    assert (status, done) == (200, {"numbers": [second], "expired": [], "more": False})
    async with asyncio.timeout(20):
        # It dies again: a new letter, in its second life.
        while await gateway.bus.dead_letters.count() < 2:
            await asyncio.sleep(0.05)
    letters = [each async for each in gateway.bus.dead_letters.all()]
    assert [each.replay for each in letters] == [0, 1]
    body = {"durable": letters[0].durable}
    status, done = await gateway.call("POST", f"{path}/discard", role=KeyRole.OWNER, json=body)
    assert (status, done["numbers"]) == (200, [third, letters[1].number])
    assert await gateway.bus.dead_letters.count() == 0
