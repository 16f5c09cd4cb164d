"""The load presses as Telegram would, counts what is answered, and hides no refusal."""

import asyncio
from collections import Counter

import orjson
import pytest
from aiohttp import web

from bench.load import Load, is_whole, press
from bench.updates import PAYLOAD, Presses
from services.gateway.domain.updates import press_of, update_id_in

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_every_body_is_a_press_of_its_own() -> None:
    """What is measured is the way of a press on a promo's button, with a new update each time."""
    updates = [orjson.loads(body) for body in Presses().bodies(10, 3)]

    assert [update_id_in(update) for update in updates] == [10, 11, 12]
    for update in updates:
        found = press_of(update)
        assert found is not None
        assert found.payload == PAYLOAD
        assert found.cta_text == "Get premium signals 🚀"


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (LENGTH[:-3], False),
        (LENGTH + b"ab", False),
        (LENGTH + b"abc", True),
        (CHUNKS + b"3\r\nabc\r\n", False),
        (CHUNKS + b"3\r\nabc\r\n0\r\n\r\n", True),
    ],
)
def test_an_answer_counts_when_it_is_whole(answer: bytes, whole: bool) -> None:
    """The next press does not go out before the last one is answered."""
    assert is_whole(answer) is whole


async def test_presses_are_counted_and_refusals_too() -> None:
    """Every update is sent once, one at a time on each connection, and what is refused is no success."""
    seen: Counter[int] = Counter()
    at_once = most = 0

    async def receive(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        update_id = (await request.json())["update_id"]
        seen[update_id] += 1
        await asyncio.sleep(0.001)
        at_once -= 1
        return web.Response(status=200 if update_id % 10 else 503)

    app = web.Application()
    app.router.add_post("/webhook", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        load = Load(
            host="127.0.0.1", port=runner.addresses[0][1], path="/webhook", secret="s", first_update=1,
            connections=4, warm_seconds=0, seconds=30, at_most=200,
        )  # fmt: skip
        answered = await press(load)
    finally:
        await runner.cleanup()

    assert seen == Counter(range(1, 201))
    assert most <= 4
    assert (answered.answers, answered.all_answers, answered.refused) == (180, 200, 20)
    assert 0 < answered.p50_ms <= answered.p99_ms
