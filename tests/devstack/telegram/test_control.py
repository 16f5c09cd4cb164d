"""The control API: what it documents, remembers, refuses and forgets."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from devstack.telegram import Telegram, control


async def test_routes_are_listed_and_documented(street: Any) -> None:
    """GET / lists every route with what it does, and the module's table names each."""
    listed = await street.control("GET", "/")
    assert listed["api_url"] == street.telegram.api_url
    for route in listed["routes"]:
        assert route["does"].endswith(".")
        assert f"{route['method']} {route['path']}" in (control.__doc__ or "")
    assert len(listed["routes"]) == len(control.ROUTES)


async def test_sends_tell_when_they_arrived_and_took_effect(street: Any) -> None:
    """A send is remembered by both clocks, with text and buttons as they were, whatever is edited later."""
    before = time.time()
    number = await street.post(text="*Deal*", parse_mode="MarkdownV2")
    await street.result("editMessageText", chat_id=42, message_id=number, text="Changed")
    (sent,) = (await street.control("GET", "/sent"))["sent"]
    assert (sent["text"], sent["message_id"], sent["bot_id"]) == ("Deal", number, 123456)
    assert sent["entities"] == [{"type": "bold", "offset": 0, "length": 4}]
    assert sent["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "p1.premium.x"
    assert before <= sent["arrived_at"] <= sent["took_effect_at"] <= time.time()
    assert sent["arrived_monotonic"] <= sent["took_effect_monotonic"] <= time.monotonic()
    (message,) = (await street.control("GET", "/chats/42/messages"))["messages"]
    assert message["text"] == "Changed"


async def test_records_are_read_from_where_one_was(street: Any) -> None:
    """`since` and `limit` page through the records, and chats and methods can be picked."""
    await street.control("POST", "/flood", enabled=False)
    group = await street.chat("group")
    for chat in (42, group, 42, group, 42):
        await street.result("sendMessage", chat_id=chat, text="x")
    page = await street.control("GET", "/sent?limit=2")
    assert [each["n"] for each in page["sent"]] == [1, 2]
    rest = await street.control("GET", f"/sent?since={page['next']}")
    assert [each["n"] for each in rest["sent"]] == [3, 4, 5]
    assert (await street.control("GET", f"/sent?since={rest['next']}"))["sent"] == []
    picked = await street.control("GET", f"/sent?chat_id={group}")
    assert [each["n"] for each in picked["sent"]] == [2, 4]
    await street.result("getMe")
    (call,) = (await street.control("GET", "/calls?method=getme"))["calls"]
    assert (call["method"], call["status"], call["bot_id"]) == ("getMe", 200, 123456)


async def test_counters_count_by_method_and_result(street: Any) -> None:
    """Calls are counted by method and status, messages by chat, unknown methods under one name."""
    await street.result("sendMessage", chat_id=42, text="x")
    await street.refusal("sendMessage", chat_id=1, text="x")
    for name in ("oddOne", "oddTwo"):
        await street.call(name)
    counters = await street.control("GET", "/counters")
    assert counters["methods"] == {"sendMessage": {"200": 1, "400": 1}, "unknown": {"404": 2}}
    assert counters["messages_by_chat"] == {"42": 1}


async def test_memory_is_bounded() -> None:
    """Of records and messages only the last ones are kept, while totals go on."""
    async with Telegram.open(keep=10) as telegram, aiohttp.ClientSession() as http:
        telegram.cloud.flood.change(type(telegram.cloud.flood.rules)(enabled=False))
        telegram.cloud.add_bot("1:a", "busy_bot")
        await http.post(f"{telegram.control_url}/chats", json={"type": "private", "user_id": 42})
        for n in range(25):
            await http.post(f"{telegram.api_url}/bot1:a/sendMessage", json={"chat_id": 42, "text": str(n)})
        async with http.get(f"{telegram.control_url}/sent") as response:
            told = await response.json()
        async with http.get(f"{telegram.control_url}/chats/42/messages") as response:
            messages = (await response.json())["messages"]
    assert [each["n"] for each in told["sent"]] == list(range(16, 26))
    assert told["next"] == 25
    assert [message["text"] for message in messages] == [str(n) for n in range(15, 25)]


@pytest.mark.parametrize(
    ("path", "fields", "status", "names"),
    [
        ("/bots", {"token": "nonsense", "username": "x"}, 400, "token"),
        ("/bots", {"username": "x"}, 400, "token"),
        ("/chats", {"type": "club"}, 400, "type"),
        ("/chats", {"type": "group", "id": 5}, 400, "ids"),
        ("/chats/42/flags", {"sleepy": True}, 400, "sleepy"),
        ("/chats/7/flags", {"kicked": True}, 404, "chat 7"),
        ("/press", {"chat_id": 42, "message_id": 1}, 404, "message 1"),
        ("/send", {"chat_id": 42, "user_id": 7, "text": "x"}, 404, "user 7"),
        ("/faults", {"kind": "earthquake"}, 400, "kind"),
        ("/clock", {"advance": -1}, 400, "advance"),
        ("/nowhere", {}, 404, "route"),
    ],
)
async def test_wrong_requests_are_told_what_is_wrong(
    street: Any, path: str, fields: dict[str, Any], status: int, names: str
) -> None:
    """A request that makes no sense is refused, naming the field or the thing."""
    assert names in (await street.control("POST", path, expect=status, **fields))["error"]


async def test_making_twice_is_making_once(street: Any) -> None:
    """A bot, user or chat made again is the one that is there."""
    await street.result("sendMessage", chat_id=42, text="x")
    await street.control("POST", "/bots", token=street.token, username="carillon_bot")
    await street.chat("private", user_id=42)
    await street.control("POST", "/users", id=42, first_name="Anna")
    assert len((await street.control("GET", "/bots"))["bots"]) == 1
    chat = await street.control("GET", "/chats/42")
    assert (chat["messages"], chat["first_name"]) == (1, "Anna")


async def test_revoked_token_is_unauthorized(street: Any) -> None:
    """A revoked token is refused until it is given back."""
    await street.control("POST", "/bots/123456/revoke")
    assert await street.refusal("getMe") == (401, "Unauthorized")
    await street.control("POST", "/bots/123456/revoke", revoked=False)
    await street.result("getMe")


async def test_reset_forgets_and_can_empty_the_world(street: Any, receiver: Any) -> None:
    """A reset forgets records, faults and limits' counts, and on request all that exists."""
    for _ in range(3):
        await street.result("sendMessage", chat_id=42, text="x")
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/faults", kind="revoked", times=None)
    await street.control("POST", "/reset")
    await street.result("sendMessage", chat_id=42, text="x")
    assert (await street.control("GET", "/counters"))["messages"] == 1
    await street.control("POST", "/reset", world=True)
    assert (await street.control("GET", "/bots"))["bots"] == []
    assert await street.refusal("getMe") == (401, "Unauthorized")


async def test_leaving_ends_long_polls() -> None:
    """A simulator that stops does not wait for the poll that waits."""
    async with aiohttp.ClientSession() as http:
        async with Telegram.open() as telegram:
            bot = telegram.cloud.add_bot("1:a", "patient_bot")
            url = f"{telegram.api_url}/bot1:a/getUpdates?timeout=50"

            async def poll() -> None:
                async with http.get(url) as response:
                    await response.read()

            polling = asyncio.create_task(poll())
            while bot.updates.listener is None:
                await asyncio.sleep(0.01)
            started = time.monotonic()
        await asyncio.gather(polling, return_exceptions=True)
        assert time.monotonic() - started < 30
