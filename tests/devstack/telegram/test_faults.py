"""Faults on demand: each does what it says, as often as it says, where it says."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web


async def _sent(street: Any) -> int:
    count: int = (await street.control("GET", "/counters"))["messages"]
    return count


async def _fault(street: Any, kind: str, **fields: Any) -> None:
    await street.control("POST", "/faults", kind=kind, method="sendMessage", **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "status", "description", "effect"),
    [
        ("status_before", {}, 500, "Internal Server Error", 0),
        ("status_before", {"status": 502}, 502, "Bad Gateway", 0),
        ("status_after", {"status": 504}, 504, "Gateway Timeout", 1),
        ("retry_after", {"seconds": 7}, 429, "Too Many Requests: retry after 7", 0),
        ("revoked", {}, 401, "Unauthorized", 0),
        ("not_found", {}, 404, "Not Found", 0),
    ],
)
async def test_answered_faults(
    street: Any, kind: str, fields: dict[str, Any], status: int, description: str, effect: int
) -> None:
    """A fault with an answer says so in Telegram's form, with or without the effect, and once."""
    await _fault(street, kind, **fields)
    assert await street.refusal("sendMessage", chat_id=42, text="x") == (status, description)
    assert await _sent(street) == effect
    await street.result("sendMessage", chat_id=42, text="x")


@pytest.mark.parametrize(("kind", "effect"), [("reset_before", 0), ("reset_after", 1)])
async def test_reset_connection(street: Any, kind: str, effect: int) -> None:
    """A reset connection looks the same to the client before and after the effect."""
    await _fault(street, kind)
    with pytest.raises(aiohttp.ClientConnectionError):
        await street.call("sendMessage", chat_id=42, text="x")
    assert await _sent(street) == effect
    (call,) = (await street.control("GET", "/calls"))["calls"]
    assert (call["status"], call["fault"]) == (0, kind)


@pytest.mark.parametrize(("kind", "effect"), [("html_502", 0), ("html_502_after", 1)])
async def test_html_answer(street: Any, kind: str, effect: int) -> None:
    """A proxy's error page is not JSON."""
    await _fault(street, kind)
    url = f"{street.telegram.api_url}/bot{street.token}/sendMessage"
    async with street.http.post(url, json={"chat_id": 42, "text": "x"}) as response:
        assert response.status == 502
        assert response.content_type == "text/html"
        assert (await response.text()).startswith("<html>")
    assert await _sent(street) == effect


@pytest.mark.parametrize(("kind", "effect_meanwhile"), [("slow", 1), ("hidden_wait", 0)])
async def test_delayed_answers_succeed(street: Any, kind: str, effect_meanwhile: int) -> None:
    """A slow answer follows its effect; a hidden wait delays the effect too; both succeed."""
    await _fault(street, kind, seconds=60)
    sending = asyncio.create_task(street.result("sendMessage", chat_id=42, text="x"))
    await street.struck()
    await asyncio.sleep(0.1)
    assert await _sent(street) == effect_meanwhile
    assert not sending.done()
    street.clock.advance(60)
    await sending
    assert await _sent(street) == 1


@pytest.mark.parametrize("kind", ["slow", "hidden_wait", "late_success"])
async def test_message_is_there_though_the_client_gave_up(street: Any, kind: str) -> None:
    """A client that times out has its message delivered all the same: a blind retry would double it."""
    await _fault(street, kind, seconds=60)
    sending = asyncio.create_task(street.call("sendMessage", chat_id=42, text="x"))
    await street.struck()
    sending.cancel()
    await asyncio.wait([sending])
    street.clock.advance(60)
    async with asyncio.timeout(60):
        while await _sent(street) == 0:
            await asyncio.sleep(0.01)
    assert await _sent(street) == 1


async def test_late_success_never_answers(street: Any) -> None:
    """Even the most patient client gets no answer, though the message is there."""
    await _fault(street, "late_success", seconds=0.1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await street.call("sendMessage", chat_id=42, text="x")
    assert await _sent(street) == 1


async def test_migrate_in_the_middle_of_a_broadcast(street: Any) -> None:
    """A group that becomes a supergroup between two sends refuses the second with its new number."""
    group = await street.chat("group")
    await street.result("sendMessage", chat_id=group, text="x")
    await _fault(street, "migrate", chat_id=group)
    told = await street.call("sendMessage", chat_id=group, text="x")
    assert told["description"] == "Bad Request: group chat was upgraded to a supergroup chat"
    await street.result("sendMessage", chat_id=told["parameters"]["migrate_to_chat_id"], text="x")


async def test_faults_strike_only_what_they_name(street: Any) -> None:
    """A fault for a method and chat leaves other methods and chats alone, and counts its strikes."""
    group = await street.chat("group")
    await _fault(street, "status_before", chat_id=42, times=2)
    await street.result("getMe")
    await street.result("sendMessage", chat_id=group, text="x")
    for _ in range(2):
        await street.refusal("sendMessage", chat_id=42, text="x")
    await street.result("sendMessage", chat_id=42, text="x")
    assert (await street.control("GET", "/faults"))["faults"] == []


async def test_faults_last_until_they_are_cleared(street: Any) -> None:
    """A fault without a count strikes until it, or all, are cleared."""
    await _fault(street, "status_before", times=None)
    await _fault(street, "revoked", times=None)
    for _ in range(5):
        assert (await street.refusal("sendMessage", chat_id=42, text="x"))[0] == 500
    first = (await street.control("GET", "/faults"))["faults"][0]
    assert first["struck"] == 5
    await street.control("DELETE", "/faults", id=first["id"])
    assert (await street.refusal("sendMessage", chat_id=42, text="x"))[0] == 401
    await street.control("DELETE", "/faults")
    await street.result("sendMessage", chat_id=42, text="x")


async def test_duplicate_delivery_drops_the_answer(street: Any, receiver: Any) -> None:
    """The receiver's answer is dropped and the same update comes again: its reply counts once."""

    async def respond(update: dict[str, Any]) -> web.Response:
        query_id = update["callback_query"]["id"]
        return web.json_response({"method": "answerCallbackQuery", "callback_query_id": query_id})

    receiver.respond = respond
    number = await street.post()
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/faults", kind="duplicate_delivery")
    told = await street.control("POST", "/press", chat_id=42, message_id=number, wait=30)
    assert told["answered"] is not None
    first, second = receiver.updates
    assert first == second
    assert len((await street.control("GET", "/answers"))["answers"]) == 1


async def test_refused_webhook_is_tried_again(street: Any, receiver: Any) -> None:
    """A receiver that counts as away is not asked, and gets the update when it is back."""
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/faults", kind="refuse_webhook")
    told = await street.control("POST", "/send", chat_id=42, text="x", wait=30)
    assert told["delivered"]
    assert len(receiver.got) == 1
    assert (await street.result("getWebhookInfo"))["last_error_message"] == "Connection refused"


async def test_delayed_update_is_overtaken(street: Any, receiver: Any) -> None:
    """An update that is held arrives after a later one of another lane."""
    number = await street.post()
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/faults", kind="delay_webhook", seconds=60)
    first = await street.control("POST", "/send", chat_id=42, text="x")
    second = await street.control("POST", "/press", chat_id=42, message_id=number, wait=0)
    await receiver.wait_for(1)
    street.clock.advance(60)
    updates = await receiver.wait_for(2)
    assert [u["update_id"] for u in updates] == [second["update_id"], first["update_id"]]
