"""A flood of updates into a gateway that is killed again and again: one row and one effect each."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from shared import ids
from shared.events import update_id_of
from shared.record.auditing import Audit, audit
from tests.journeys.conftest import World, start, stop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("updates"), pytest.mark.timeout(5400)]

UPDATES = int(os.environ.get("FLOOD_UPDATES", "100000"))
PEOPLE = 500
FIRST = 5_000_000
KILLS = 3
AT_ONCE = 48
SENT_AGAIN = 0.05
KINDS = (
    ("press", 66), ("command", 6), ("edit", 10), ("post", 6), ("join", 4), ("malformed", 4), ("other", 4),
)  # fmt: skip


def made(kind: str, number: int, chance: random.Random) -> dict[str, Any]:
    """Make an update of a kind."""
    user = 20_000 + chance.randrange(PEOPLE)
    person = {"id": user, "is_bot": False, "first_name": "Ann", "language_code": "en"}
    private = {"id": user, "type": "private"}
    group = {"id": -1_002_000_000_000 - user, "type": "supergroup", "title": "x"}
    message = {"message_id": number, "date": 1, "chat": private, "from": person, "text": "/help"}
    if kind == "press":
        data = f"p1.premium.{ids.to_short(ids.derived('delivery', number))}"
        query = {"id": str(number), "from": person, "chat_instance": "1", "data": data}
        return {"callback_query": query | {"message": {"message_id": 1, "date": 1, "chat": group}}}
    if kind == "join":
        status = chance.choice(["member", "left", "administrator"])
        changed = {"chat": group, "from": person, "date": number, "new_chat_member": {"status": status}}
        return {"my_chat_member": changed}
    if kind == "malformed":
        parts: list[dict[str, Any]] = [
            {"message": "words"}, {"callback_query": 5}, {"message": {"chat": {"id": "x"}, "text": 7}},
            {"edited_message": None}, {"callback_query": {"id": "1", "data": "p1.x"}},
        ]  # fmt: skip
        return chance.choice(parts)
    return {
        "command": {"message": message},
        "edit": {"edited_message": message | {"edit_date": 2}},
        "post": {"channel_post": message | {"chat": group}},
        "other": {"poll": {"id": str(number)}},
    }[kind]


class Flood:
    """Updates in random order, some of them twice, and what they have to come to."""

    def __init__(self, count: int) -> None:
        chance = random.Random(7)  # noqa: S311 - the same flood every time
        kinds = chance.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS], k=count)
        self.kinds = {FIRST + place: kind for place, kind in enumerate(kinds)}
        self.updates = [
            {"update_id": number, **made(kind, number, chance)} for number, kind in self.kinds.items()
        ]
        self.updates += chance.sample(self.updates, int(count * SENT_AGAIN))
        chance.shuffle(self.updates)

    def numbers(self, kind: str) -> list[int]:
        """Return the ids of the updates of a kind."""
        return [number for number, each in self.kinds.items() if each == kind]


async def deliver(world: World, updates: Sequence[dict[str, Any]], bot_id: int, delivered: list[int]) -> None:
    """Have Telegram deliver updates, many at once."""
    waiting = iter(updates)

    async def work() -> None:
        for update in waiting:
            await world.telegram("/updates", {"bot_id": bot_id, "update": update})
            delivered.append(update["update_id"])

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def kill_now_and_then(world: World, total: int, delivered: list[int]) -> int:
    """Kill the gateway three times, spread over what it takes of the flood; return how often."""
    killed = 0
    while killed < KILLS:
        while len(delivered) - await pending(world) < total * (killed + 1) // (KILLS + 1):
            await asyncio.sleep(0.05)
        await world.ready(300)
        os.kill(world.system.pids["gateway"][0], signal.SIGKILL)
        killed += 1
    return killed


async def test_every_update_has_one_row_and_one_effect(tmp_path: Path) -> None:
    """Updates of all kinds, repeated and in any order, over three kills: none lost, none doubled."""
    flood = Flood(UPDATES)
    running = start(tmp_path / "stack", SEND_LIMITS="off")
    try:
        async with aiohttp.ClientSession() as session:
            world = World(running, session)
            bot_id = int((world.system.bot_token or "").partition(":")[0])
            for user in range(20_000, 20_000 + PEOPLE):
                await world.telegram("/users", {"id": user, "first_name": "Ann"})
                await world.telegram("/chats", {"type": "private", "user_id": user})
            delivered: list[int] = []
            await asyncio.gather(
                deliver(world, flood.updates, bot_id, delivered),
                kill_now_and_then(world, len(flood.updates), delivered),
            )
            await world.ready(300)
            accepted = await taken(world)
            # A press that nobody took within 150 seconds is dropped by Telegram, and nothing else is.
            assert set(flood.kinds) - set(flood.numbers("press")) <= accepted <= set(flood.kinds)
            assert accepted & set(flood.numbers("press"))
            flood.kinds = {number: kind for number, kind in flood.kinds.items() if number in accepted}
            await settled(world, flood, bot_id)
            await check_rows(world, flood, bot_id)
            await check_effects(world, flood, bot_id)
            done = await books(world)
            assert done.balanced, done.as_dict()
    finally:
        assert stop(running) == 0


async def pending(world: World) -> int:
    """Return how many updates Telegram has still to deliver."""
    url = f"{world.system.telegram_api_url}/bot{world.system.bot_token}/getWebhookInfo"
    async with world.session.get(url) as answer:
        return int((await answer.json())["result"]["pending_update_count"])


async def taken(world: World) -> set[int]:
    """Return the ids of the updates that the gateway has taken, once Telegram has none left."""

    async def none_left() -> bool:
        return await pending(world) == 0

    await world.until(none_left, UPDATES * 0.04 + 300)
    found = set()
    async with world.system.bus() as bus:
        cut = await bus.streams.cut()
        for stream, subject in (("UPDATES", "updates.*"), ("CLICKS", "clicks.pressed")):
            async for stored in bus.streams.read(stream, subject, up_to=cut[stream]):
                found.add(int(json.loads(stored.payload).get("update_id") or 0))
    return {number for number in found if number >= FIRST}


async def settled(world: World, flood: Flood, bot_id: int) -> None:
    """Wait until every update has been handled and every reply has been sent."""
    handled = "SELECT count(*) FROM telegram_webhooks WHERE status <> 'received' AND update_id >= $1"

    async def all_handled() -> bool:
        count = int(await world.rows("gateway", handled, FIRST))
        return count == len(flood.kinds) or count + len(await dead_letters(world)) >= len(flood.kinds)

    await world.until(all_handled, UPDATES * 0.04 + 300)

    async def all_sent() -> bool:
        waiting = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"
        known = "SELECT count(*) FROM messages WHERE id = ANY($1::uuid[])"
        replies = await world.rows("senders", known, replies_of(flood, bot_id))
        return replies == len(flood.numbers("command")) and await world.rows("senders", waiting) == 0

    await world.until(all_sent, UPDATES * 0.01 + 300)

    async def all_stored() -> bool:
        stored = await world.rows("clicks", "SELECT count(*) FROM marketing_clicks WHERE source = 'button'")
        return int(stored) >= len(flood.numbers("press"))

    await world.until(all_stored, 300)


async def check_rows(world: World, flood: Flood, bot_id: int) -> None:
    """Every update is in the log once, or is one dead letter."""
    question = "SELECT array_agg(update_id) FROM telegram_webhooks WHERE bot_id = $1 AND update_id >= $2"
    rows = Counter(await world.rows("gateway", question, bot_id, FIRST))
    dead = Counter(await dead_letters(world))
    assert set(rows) | set(dead) == set(flood.kinds)
    assert not set(rows) & set(dead)
    assert set((rows + dead).values()) == {1}


async def check_effects(world: World, flood: Flood, bot_id: int) -> None:
    """Every press is one click, and every command one reply that was sent once."""
    clicks = "SELECT count(*) FROM marketing_clicks WHERE source = 'button'"
    assert await world.rows("clicks", clicks) == len(flood.numbers("press"))
    sent = "SELECT count(*) FROM deliveries WHERE message_id = ANY($1::uuid[]) AND state = 'sent'"
    assert await world.rows("senders", sent, replies_of(flood, bot_id)) == len(flood.numbers("command"))
    private: Counter[int] = Counter()
    since = 0
    while (page := await world.telegram(f"/sent?since={since}&limit=5000"))["sent"]:
        private.update(each["chat_id"] for each in page["sent"] if each["chat_id"] >= 20_000)
        since = page["next"]
    assert private.total() == len(flood.numbers("command"))
    expected = Counter(
        update["message"]["chat"]["id"]
        for update in {each["update_id"]: each for each in flood.updates}.values()
        if flood.kinds.get(update["update_id"]) == "command"
    )
    assert private == expected


def replies_of(flood: Flood, bot_id: int) -> list[UUID]:
    """Return the ids of the replies to the commands."""
    return [ids.derived("reply", update_id_of(bot_id, number)) for number in flood.numbers("command")]


async def dead_letters(world: World) -> list[int]:
    """Return the ids of the updates that are dead letters of gateway."""
    async with world.system.bus() as bus:
        return [
            int(json.loads(letter.payload)["update_id"])
            async for letter in bus.dead_letters.all()
            if letter.durable.startswith("gateway_")
        ]


async def books(world: World) -> Audit:
    """Compare streams and tables of the whole system."""
    async with world.system.bus() as bus:
        return await audit(bus, wait_seconds=300)
