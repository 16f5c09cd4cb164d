"""getUpdates: long polling, confirmation, conflicts, allowed kinds."""

import asyncio
import time
from typing import Any


async def _say(street: Any, text: str, **fields: Any) -> int:
    told = await street.control("POST", "/send", chat_id=42, text=text, **fields)
    number: int = told["update_id"]
    return number


async def test_ids_follow_each_other_over_all_kinds(street: Any) -> None:
    """One sequence numbers messages, presses and membership alike, from somewhere above two million."""
    first = await _say(street, "one")
    number = await street.post()
    press = await street.control("POST", "/press", chat_id=42, message_id=number, wait=0)
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    updates = await street.result("getUpdates")
    assert first > 2_000_000
    assert press["update_id"] == first + 1
    assert [update["update_id"] for update in updates] == [first, first + 1, first + 2]


async def test_offset_confirms_everything_below(street: Any) -> None:
    """Updates come again until a greater offset confirms them; a negative one keeps only the last."""
    ids = [await _say(street, text) for text in "abcde"]
    assert [u["update_id"] for u in await street.result("getUpdates", limit=2)] == ids[:2]
    assert [u["update_id"] for u in await street.result("getUpdates", offset=ids[2])] == ids[2:]
    assert [u["update_id"] for u in await street.result("getUpdates", offset=-1)] == ids[4:]
    assert (await street.result("getWebhookInfo"))["pending_update_count"] == 1


async def test_poll_waits_for_an_update(street: Any) -> None:
    """A long poll is answered when something happens, and not before."""
    poll = asyncio.create_task(street.result("getUpdates", timeout=50))
    await street.polled()
    assert not poll.done()
    await _say(street, "now")
    (update,) = await asyncio.wait_for(poll, 60)
    assert update["message"]["text"] == "now"


async def test_poll_ends_empty_after_its_timeout(street: Any) -> None:
    """An empty poll takes its time-out, so that a client that polls again at once does not spin."""
    started = time.monotonic()
    assert await street.result("getUpdates", timeout=1) == []
    assert time.monotonic() - started >= 0.9


async def test_newer_poll_ends_the_older(street: Any) -> None:
    """Two polls at once are a conflict, told to the older one."""
    older = asyncio.create_task(street.call("getUpdates", timeout=50))
    await street.polled()
    newer = asyncio.create_task(street.call("getUpdates", timeout=50))
    told = await asyncio.wait_for(older, 60)
    assert (told["error_code"], told["description"]) == (
        409,
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    )
    await _say(street, "x")
    assert len((await asyncio.wait_for(newer, 60))["result"]) == 1


async def test_webhook_and_polling_exclude_each_other(street: Any, receiver: Any) -> None:
    """Setting a webhook ends the running poll, and polling is refused until it is deleted."""
    poll = asyncio.create_task(street.call("getUpdates", timeout=50))
    await street.polled()
    await street.result("setWebhook", url=receiver.url)
    assert (await poll)["description"] == "Conflict: terminated by setWebhook request"
    code, told = await street.refusal("getUpdates")
    assert code == 409
    assert told == (
        "Conflict: can't use getUpdates method while webhook is active;"
        " use deleteWebhook to delete the webhook first"
    )
    await street.result("deleteWebhook")
    await street.result("getUpdates")


async def test_allowed_updates_are_remembered(street: Any) -> None:
    """The kinds once asked for stay until others are; an empty list means the default."""
    await street.result("getUpdates", allowed_updates=["callback_query", "nonsense"])
    await _say(street, "unwanted")
    assert await street.result("getUpdates", offset=1, timeout=0) == []
    assert (await street.result("getWebhookInfo"))["allowed_updates"] == ["callback_query"]
    await street.result("getUpdates", offset=2, allowed_updates=[])
    await _say(street, "wanted")
    assert len(await street.result("getUpdates", offset=3)) == 1


async def test_updates_expire(street: Any) -> None:
    """A press waits for 150 s and a message for a day; then nobody hears of them."""
    number = await street.post()
    await street.control("POST", "/press", chat_id=42, message_id=number, wait=0)
    await _say(street, "stays")
    await street.control("POST", "/clock", advance=151)
    assert ["message" in u for u in await street.result("getUpdates")] == [True]
    await street.control("POST", "/clock", advance=86_400)
    assert await street.result("getUpdates", offset=7) == []


async def test_commands_and_links_in_a_text_are_marked(street: Any) -> None:
    """An inbound text has its entities detected, with offsets in UTF-16 units."""
    await _say(street, "/start-marketing 🚀 #tag @someone x@y.com")
    (update,) = await street.result("getUpdates")
    found = [(e["type"], e["offset"], e["length"]) for e in update["message"]["entities"]]
    assert found == [("bot_command", 0, 6), ("hashtag", 20, 4), ("mention", 25, 8), ("email", 34, 7)]


async def test_own_messages_never_come_back(street: Any) -> None:
    """What the bot sends is no update to it."""
    await street.post()
    assert await street.result("getUpdates") == []


async def test_any_update_can_be_handed_over(street: Any) -> None:
    """Updates may be repeated, out of order, of unknown kinds, and not even objects."""
    for update in ({"update_id": 9, "strange": {"a": 1}}, {"update_id": 9}, {"update_id": 3}, [1], "x"):
        await street.control("POST", "/updates", update=update)
    assert await street.result("getUpdates") == [
        {"update_id": 9, "strange": {"a": 1}},
        {"update_id": 9},
        {"update_id": 3},
        [1],
        "x",
    ]
    assert await street.result("getUpdates", offset=10) == []
