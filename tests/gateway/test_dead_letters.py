"""Dead letters over the API: seen by admins, read, replayed and discarded by owners."""

import asyncio
from collections.abc import Sequence
from typing import Any

import nats
import pytest

from services.gateway.api import dead_letters
from services.gateway.domain.roles import KeyRole
from shared.bus import DeadLetter
from tests.gateway.conftest import OWNER
from tests.gateway.test_redelivery import come_again

BROKEN = b'{"broken'
NOTHING = {"numbers": [], "expired": [], "erased": [], "more": False, "cursor": None}


async def publish(gateway: Any, subject: str, *payloads: bytes, **headers: str) -> None:
    """Publish what no service of ours would."""
    client = await nats.connect(gateway.nats.url)
    for payload in payloads:
        await client.jetstream().publish(subject, payload, headers=headers or None)
    await client.close()


async def dead(gateway: Any, lives: Sequence[int]) -> list[DeadLetter]:
    """Wait until the open dead letters are as many as named, and in these lives; return them."""
    async with asyncio.timeout(60):
        while True:
            letters = [each async for each in gateway.bus.dead_letters.all()]
            if [each.replay for each in letters] == list(lives):
                return letters
            await asyncio.sleep(0.05)


async def test_dead_letters(gateway: Any) -> None:
    """What could not be parsed is listed without its words, shown with them, tried again or given up."""
    await publish(gateway, "messages.transactional.email", BROKEN, BROKEN, BROKEN)
    await dead(gateway, [0, 0, 0])
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
    assert (status, done) == (200, NOTHING | {"numbers": [second]})
    # It dies again: a new letter, in its second life.
    letters = await dead(gateway, [0, 1])
    body = {"durable": letters[0].durable}
    status, done = await gateway.call("POST", f"{path}/discard", role=KeyRole.OWNER, json=body)
    assert (status, done["numbers"]) == (200, [third, letters[1].number])
    assert await gateway.bus.dead_letters.count() == 0


async def test_what_dies_again_is_not_replayed_twice(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, a replay of all takes each letter once, though every one dies again at once."""
    monkeypatch.setattr(dead_letters, "AT_ONCE", 2)
    await publish(gateway, "messages.transactional.email", *[BROKEN] * 5)
    numbers = [each.number for each in await dead(gateway, [0] * 5)]
    body: dict[str, Any] = {"all": True}
    found: list[int] = []
    pages = 0
    while body:
        status, done = await gateway.call("POST", "/dead-letters/replay", role=KeyRole.OWNER, json=body)
        assert (status, done["more"]) == (200, done["cursor"] is not None)
        found += done["numbers"]
        pages += 1
        await asyncio.sleep(0.2)
        body = {"all": True, "cursor": done["cursor"]} if done["more"] else {}
    assert (found, pages) == (numbers, 3)
    await dead(gateway, [1] * 5)


async def test_a_command_that_comes_again_replays_nothing_twice(gateway: Any) -> None:
    """`/dlq replay all`, handled again after a crash, leaves alone what has died again since."""
    await publish(gateway, "messages.transactional.email", BROKEN, BROKEN)
    await dead(gateway, [0, 0])
    await gateway.hook(gateway.message(1, "/dlq replay all", user=OWNER))
    await gateway.logged(1)
    await dead(gateway, [1, 1])
    await come_again(gateway, 1)
    await asyncio.sleep(0.3)
    await dead(gateway, [1, 1])


async def test_an_erased_original_hides_no_other_letter(gateway: Any) -> None:
    """A letter whose payload lay in a stream that has it no longer is listed, and can only be discarded."""
    headers = {"Carillon-Body-Left-Behind": "1", "Carillon-Origin": "UPDATES:4711", "Carillon-Durable": "x"}
    await publish(gateway, "dlq.gateway_updates", b"", **headers)
    await publish(gateway, "messages.transactional.email", BROKEN)
    lost, other = await dead(gateway, [0, 0])
    path = "/dead-letters"
    _, page = await gateway.call("GET", path, role=KeyRole.ADMIN)
    assert [(each["number"], each["erased"]) for each in page["items"]] == [
        (lost.number, True), (other.number, False),
    ]  # fmt: skip
    assert (await gateway.call("GET", f"{path}/{lost.number}", role=KeyRole.OWNER))[1]["payload"] == ""
    assert (await gateway.call("POST", f"{path}/{lost.number}/replay", role=KeyRole.OWNER))[0] == 409
    _, done = await gateway.call("POST", f"{path}/replay", role=KeyRole.OWNER, json={"all": True})
    assert done == NOTHING | {"numbers": [other.number], "erased": [lost.number]}
    assert (await gateway.call("DELETE", f"{path}/{lost.number}", role=KeyRole.OWNER))[0] == 200
