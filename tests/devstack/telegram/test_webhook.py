"""Webhooks: registration, delivery, retries, replies in the body."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from devstack.telegram import Conditions, Telegram

SECRET = "s3cret_Token"


def _answering(status: int, **headers: str) -> Any:
    """Return a receiver's behaviour: fail once in that way, then succeed."""
    failures = [web.Response(status=status, headers=headers)]

    async def respond(_: dict[str, Any]) -> web.Response:
        return failures.pop() if failures else web.Response()

    return respond


async def _say(street: Any, text: str, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = await street.control("POST", "/send", **{"chat_id": 42, "text": text, **fields})
    return told


async def test_delivery_looks_as_telegrams(street: Any, receiver: Any) -> None:
    """A POST with exactly application/json, the secret when one is set, no User-Agent, one update."""
    await street.result("setWebhook", url=receiver.url, secret_token=SECRET)
    told = await _say(street, "hello", wait=30)
    assert told["delivered"] is True
    (request, body) = receiver.got[0]
    assert request.method == "POST"
    assert request.path_qs == "/hook?x=1"
    assert request.headers.getall("Content-Type") == ["application/json"]
    assert request.headers["X-Telegram-Bot-Api-Secret-Token"] == SECRET
    assert "User-Agent" not in request.headers
    assert json.loads(body)["update_id"] == told["update_id"]
    assert (await street.result("getWebhookInfo"))["pending_update_count"] == 0


async def test_without_a_secret_no_header_is_sent(street: Any, receiver: Any) -> None:
    """The secret's header is there only when a secret was given."""
    await street.result("setWebhook", url=receiver.url)
    await _say(street, "hello", wait=30)
    assert "X-Telegram-Bot-Api-Secret-Token" not in receiver.got[0][0].headers


@pytest.mark.parametrize("status", [301, 400, 403, 404, 410, 500, 503])
async def test_anything_but_2xx_is_repeated(street: Any, receiver: Any, status: int) -> None:
    """A failed update comes again at once the first time, the same to the same place; the failure is told."""
    receiver.respond = _answering(status, Location="/elsewhere")
    await street.result("setWebhook", url=receiver.url)
    assert (await _say(street, "again", wait=0.8))["delivered"]
    first, second = receiver.updates
    assert first == second
    assert [request.path for request, _ in receiver.got] == ["/hook", "/hook"]
    info = await street.result("getWebhookInfo")
    assert info["last_error_message"].startswith(f"Wrong response from the webhook: {status} ")
    assert info["last_error_date"] > 0


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_success(street: Any, receiver: Any, status: int) -> None:
    """An update that was taken does not come again."""
    receiver.respond = _answering(status)
    await street.result("setWebhook", url=receiver.url)
    assert (await _say(street, "once", wait=30))["delivered"]
    await _say(street, "next", wait=30)
    assert len(receiver.updates) == 2


async def test_retries_wait_longer_and_longer(street: Any, receiver: Any) -> None:
    """Retries come after 0, 2, 4 and 8 s: not earlier, and then."""
    street.clock.stop()

    async def respond(_: dict[str, Any]) -> web.Response:
        return web.Response(status=500)

    receiver.respond = respond
    await street.result("setWebhook", url=receiver.url)
    await _say(street, "again")
    await receiver.wait_for(2)
    for count, seconds in ((2, 2), (3, 4), (4, 8)):
        await street.control("POST", "/clock", advance=seconds - 0.5)
        await asyncio.sleep(0.05)
        assert len(receiver.got) == count
        await street.control("POST", "/clock", advance=0.5)
        await receiver.wait_for(count + 1)


async def test_retry_after_is_honoured(street: Any, receiver: Any) -> None:
    """A Retry-After header of the receiver replaces the usual wait, the first one too."""
    street.clock.stop()
    receiver.respond = _answering(503, **{"Retry-After": "30"})
    await street.result("setWebhook", url=receiver.url)
    await _say(street, "later")
    await receiver.wait_for(1)
    await street.control("POST", "/clock", advance=29)
    await asyncio.sleep(0.05)
    assert len(receiver.got) == 1
    await street.control("POST", "/clock", advance=2)
    await receiver.wait_for(2)


async def test_failing_update_holds_back_its_lane_only(street: Any, receiver: Any) -> None:
    """One chat's updates stay in order behind a failing one; other chats, and presses, go on."""

    async def respond(update: dict[str, Any]) -> web.Response:
        is_poison = update.get("message", {}).get("text") == "poison"
        return web.Response(status=500 if is_poison else 200)

    receiver.respond = respond
    other = await street.chat("private", user_id=43)
    await street.result("setWebhook", url=receiver.url)
    await _say(street, "poison")
    await receiver.wait_for(2)
    await _say(street, "behind")
    assert (await _say(street, "elsewhere", chat_id=other, wait=30))["delivered"]
    number = await street.post()
    assert (await street.control("POST", "/press", chat_id=42, message_id=number, wait=30))["delivered"]
    texts = [update["message"]["text"] for update in receiver.updates if "message" in update]
    assert "behind" not in texts


async def test_chats_are_served_side_by_side(street: Any, receiver: Any) -> None:
    """Updates of several chats are under way at once, but of one chat one by one, up to max_connections."""
    under_way, most = 0, 0

    async def respond(_: dict[str, Any]) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.2)
        under_way -= 1
        return web.Response()

    receiver.respond = respond
    chats = [await street.chat("private", user_id=100 + n) for n in range(6)]
    await street.result("setWebhook", url=receiver.url, max_connections=3)
    for chat in chats:
        for text in ("first", "second"):
            await _say(street, text, chat_id=chat)
    await receiver.wait_for(12)
    assert most == 3
    for chat in chats:
        told = [u["message"] for u in receiver.updates if u["message"]["chat"]["id"] == chat]
        assert [message["text"] for message in told] == ["first", "second"]


async def test_slow_receiver_times_out(receiver: Any) -> None:
    """No answer in time is a failure like any other, and told as such."""

    async def respond(_: dict[str, Any]) -> web.Response:
        await asyncio.sleep(60 if len(receiver.got) == 1 else 0)
        return web.Response()

    receiver.respond = respond
    async with Telegram.open(webhook_timeout=2) as telegram, aiohttp.ClientSession() as http:
        control, api = telegram.control_url, f"{telegram.api_url}/bot1:a"
        await http.post(f"{control}/bots", json={"token": "1:a", "username": "slow_bot"})
        await http.post(f"{control}/chats", json={"type": "private", "user_id": 42})
        await http.post(f"{api}/setWebhook", json={"url": receiver.url})
        await http.post(f"{control}/send", json={"chat_id": 42, "text": "x", "wait": 30})
        async with http.get(f"{api}/getWebhookInfo") as response:
            info = (await response.json())["result"]
    assert info["last_error_message"] == "Read timeout expired"
    assert len(receiver.got) == 2


async def test_refused_connection_is_told(street: Any) -> None:
    """A webhook nobody listens at is accepted; the failure shows in getWebhookInfo."""
    told = await street.call("setWebhook", url="http://127.0.0.1:9/")
    assert told["description"] == "Webhook was set"
    await _say(street, "x")
    async with asyncio.timeout(60):
        while "last_error_message" not in (info := await street.result("getWebhookInfo")):
            await asyncio.sleep(0.02)
    assert info["last_error_message"] == "Connection refused"
    assert info["pending_update_count"] == 1


ANSWER = {"method": "answerCallbackQuery", "text": "Thanks 🚀"}


@pytest.mark.parametrize("encoding", ["json", "form", "multipart"])
async def test_method_in_the_answers_body_is_performed(street: Any, receiver: Any, encoding: str) -> None:
    """A receiver may answer a press in the webhook's response, in each of the three encodings."""

    async def respond(update: dict[str, Any]) -> web.Response:
        fields = {**ANSWER, "callback_query_id": update["callback_query"]["id"]}
        if encoding == "json":
            return web.json_response(fields)
        form = aiohttp.FormData(fields, default_to_multipart=encoding == "multipart")()
        body = await form.as_bytes()
        return web.Response(body=body, headers={"Content-Type": form.headers["Content-Type"]})

    receiver.respond = respond
    number = await street.post()
    await street.result("setWebhook", url=receiver.url)
    told = await street.control("POST", "/press", chat_id=42, message_id=number, wait=30)
    assert (told["answered"]["text"], told["answered"]["via"]) == ("Thanks 🚀", "webhook")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"not json", "application/json"),
        (b'{"method": "getMe"}', "application/json"),
        (b'{"method": "deleteWebhook"}', "application/json"),
        (b'{"method": "setWebhook", "url": ""}', "application/json"),
        (b'{"method": "sendMessage"}', "text/plain"),
        (b"method=\xff", "application/x-www-form-urlencoded"),
        (b"x", "multipart/form-data"),
        (b"--b\r\n\r\nx", "multipart/form-data; boundary=b"),
    ],
)
async def test_other_bodies_mean_nothing(street: Any, receiver: Any, body: bytes, content_type: str) -> None:
    """What is not a method, or one that may not be called so, is ignored; the update counts as taken."""

    async def respond(_: dict[str, Any]) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": content_type})

    receiver.respond = respond
    await street.result("setWebhook", url=receiver.url)
    assert (await _say(street, "x", wait=30))["delivered"]
    calls = (await street.control("GET", "/calls"))["calls"]
    assert [call["method"] for call in calls] == ["setWebhook"]


async def test_replies_meet_the_same_limits(street: Any, receiver: Any) -> None:
    """A reply in the body counts for flood control like a call."""

    async def respond(_: dict[str, Any]) -> web.Response:
        return web.json_response({"method": "sendMessage", "chat_id": 42, "text": "re"})

    receiver.respond = respond
    await street.result("setWebhook", url=receiver.url)
    for text in "abcde":
        await _say(street, text, wait=30)
    counters = await street.control("GET", "/counters")
    assert counters["methods"]["sendMessage"] == {"200": 3, "429": 2}


async def test_gone_for_23_hours_removes_the_webhook(street: Any, receiver: Any) -> None:
    """A receiver that says 410 for 23 hours is given up."""

    async def respond(_: dict[str, Any]) -> web.Response:
        return web.Response(status=410)

    receiver.respond = respond
    await street.result("setWebhook", url=receiver.url)
    await _say(street, "x")
    await receiver.wait_for(2)
    await street.control("POST", "/clock", advance=22 * 3600)
    await receiver.wait_for(3)
    assert (await street.result("getWebhookInfo"))["url"] == receiver.url
    await street.control("POST", "/clock", advance=3600 + 60)
    await receiver.wait_for(4)
    assert (await street.result("getWebhookInfo"))["url"] == ""
    assert len(await street.result("getUpdates")) == 1


async def test_what_waited_is_delivered_or_dropped(street: Any, receiver: Any) -> None:
    """Updates from before the webhook are delivered to it, unless they are to be dropped."""
    await _say(street, "early")
    await street.result("setWebhook", url=receiver.url)
    (update,) = await receiver.wait_for(1)
    assert update["message"]["text"] == "early"
    assert (await street.call("deleteWebhook"))["description"] == "Webhook was deleted"
    assert (await street.call("deleteWebhook"))["description"] == "Webhook is already deleted"
    await _say(street, "dropped")
    await street.control("POST", "/clock", advance=2)
    await street.result("setWebhook", url=receiver.url, drop_pending_updates=True)
    await _say(street, "kept", wait=30)
    assert receiver.updates[-1]["message"]["text"] == "kept"
    assert len(receiver.updates) == 2


async def test_set_webhook_tells_what_it_did(street: Any, receiver: Any) -> None:
    """Identical settings are already set, once a second is the limit, and an empty URL deletes."""
    told = await street.call("setWebhook", url=receiver.url)
    assert told["description"] == "Webhook was set"
    told = await street.call("setWebhook", url=receiver.url)
    assert (told["error_code"], told["parameters"]) == (429, {"retry_after": 1})
    await street.control("POST", "/clock", advance=1)
    told = await street.call("setWebhook", url=receiver.url)
    assert told["description"] == "Webhook is already set"
    assert (await street.call("setWebhook", url=""))["description"] == "Webhook was deleted"


@pytest.mark.parametrize(
    ("secret", "description"),
    [("x" * 257, "secret token is too long"), ("a b", "secret token contains unallowed characters")],
)
async def test_bad_secret_is_refused(street: Any, receiver: Any, secret: str, description: str) -> None:
    """A secret has 1 to 256 characters of A-Z a-z 0-9 _ -."""
    told = await street.refusal("setWebhook", url=receiver.url, secret_token=secret)
    assert told == (400, f"Bad Request: {description}")


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("http://example.com/", "bad webhook: An HTTPS URL must be provided for webhook"),
        ("https://127.0.0.1:8080/", "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ("https://127.0.0.1/", "bad webhook: IP address 127.0.0.1 is reserved"),
        ("https://10.0.0.1:8443/", "bad webhook: IP address 10.0.0.1 is reserved"),
        ("nonsense", "invalid webhook URL specified"),
        ("https://x:99999/", "invalid webhook URL specified"),
    ],
)
async def test_public_server_demands_https_port_and_address(url: str, description: str) -> None:
    """Without `local` the webhook's address is checked as the public server does."""
    conditions = Conditions(local=False)
    async with Telegram.open(conditions=conditions) as telegram, aiohttp.ClientSession() as http:
        telegram.cloud.add_bot("1:a", "strict_bot")
        async with http.post(f"{telegram.api_url}/bot1:a/setWebhook", json={"url": url}) as response:
            told = await response.json()
    assert told["description"] == f"Bad Request: {description}"


async def test_refused_url_leaves_no_webhook(street: Any, receiver: Any) -> None:
    """Replacing a webhook deletes the old one first, even if the new one is refused."""
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/clock", advance=1)
    await street.refusal("setWebhook", url="nonsense")
    assert await street.result("getWebhookInfo") == {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": 0,
    }


async def test_press_nobody_takes_is_given_up(street: Any, receiver: Any) -> None:
    """A press is repeated until the next attempt would come after its 150 s, then it is dropped."""

    async def respond(update: dict[str, Any]) -> web.Response:
        return web.Response(status=500 if "callback_query" in update else 200)

    receiver.respond = respond
    number = await street.post()
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/press", chat_id=42, message_id=number, wait=0)
    await receiver.wait_for(2)
    await street.control("POST", "/clock", advance=147)
    await receiver.wait_for(3)
    told = await street.control("POST", "/send", chat_id=42, text="x", wait=30)
    assert told["delivered"]
    info = await street.result("getWebhookInfo")
    assert info["pending_update_count"] == 0
    assert len([update for update in receiver.updates if "callback_query" in update]) == 3


async def test_connection_closed_without_an_answer_is_a_failure(street: Any, receiver: Any) -> None:
    """A receiver that dies in mid-request gets the update again."""

    async def respond(_: dict[str, Any]) -> web.Response:
        if len(receiver.got) == 1:
            receiver.got[0][0].transport.abort()
        return web.Response()

    receiver.respond = respond
    await street.result("setWebhook", url=receiver.url)
    assert (await _say(street, "x", wait=30))["delivered"]
    assert len(receiver.got) == 2
    assert (await street.result("getWebhookInfo"))["last_error_message"] == "Connection closed"


async def test_malformed_update_is_delivered_as_it_stands(street: Any, receiver: Any) -> None:
    """A raw body reaches the receiver byte for byte."""
    await street.result("setWebhook", url=receiver.url)
    await street.control("POST", "/updates", raw='{"update_id": oops', wait=30)
    assert receiver.got[0][1] == b'{"update_id": oops'
