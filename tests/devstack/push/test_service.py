"""The push service, met by pywebpush, which knows nothing of us."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import http_ece  # type: ignore[import-untyped]  # it ships no types
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.push import PushService, base64url

Subscribe = Callable[..., Awaitable[dict[str, Any]]]
Send = Callable[..., Awaitable[requests.Response]]
Token = Callable[..., str]


async def test_a_push_arrives_decrypted(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """A push is answered 201 with a Location, and what the browser gets can be read."""
    subscription = await subscribe(user="ann")
    headers = {"Urgency": "high", "Topic": "trade-7"}
    before = time.time()
    response = await send(subscription, json.dumps({"title": "Grüße ✅"}), ttl=60, headers=headers)
    assert (response.status_code, response.headers["TTL"]) == (201, "60")
    [message] = (await (await http.get(f"{push.control_url}/messages")).json())["messages"]
    assert response.headers["Location"] == f"{push.url}/messages/{message['id']}"
    assert message["json"] == {"title": "Grüße ✅"}
    assert json.loads(message["text"]) == message["json"]
    assert (message["ttl"], message["urgency"], message["topic"]) == (60, "high", "trade-7")
    assert (message["subscription"], message["user"]) == (subscription["id"], "ann")
    assert before <= message["time"] <= time.time()
    assert message["monotonic"] <= time.monotonic()


async def test_what_is_not_json_is_shown_as_text(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """A payload need not be JSON; messages can be asked for by subscription."""
    ann, bob = await subscribe(), await subscribe()
    await send(ann, "for ann")
    await send(bob, "for bob")
    answer = await http.get(f"{push.control_url}/messages", params={"subscription": bob["id"]})
    [message] = (await answer.json())["messages"]
    assert (message["text"], message["json"]) == ("for bob", None)


async def test_an_expired_subscription_is_gone_and_an_unknown_one_not_found(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """410 after it expired, 404 where there was none, at the service as at its control API."""
    subscription = await subscribe()
    await http.post(f"{push.control_url}/subscriptions/{subscription['id']}/expire")
    assert (await send(subscription)).status_code == 410
    unknown = {**subscription, "endpoint": f"{push.url}/push/nobody"}
    assert (await send(unknown)).status_code == 404
    assert (await http.post(f"{push.control_url}/subscriptions/nobody/expire")).status == 404


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"TTL": "soon"}, "TTL"),
        ({"TTL": "-1"}, "TTL"),
        ({"Urgency": "panic"}, "Urgency"),
        ({"Topic": "a" * 33}, "Topic"),
        ({"Topic": "a b"}, "Topic"),
        ({"Content-Encoding": "aesgcm"}, "Content-Encoding"),
    ],
)
async def test_headers_are_checked(
    http: aiohttp.ClientSession, subscribe: Subscribe, token: Token, headers: dict[str, str], why: str
) -> None:
    """A malformed TTL, Urgency or Topic, or another encoding, gets 400."""
    endpoint = (await subscribe())["endpoint"]
    good = token()
    sent = {"Authorization": good, "TTL": "60", "Content-Encoding": "aes128gcm", **headers}
    answer = await http.post(endpoint, headers=sent, data=b"x")
    assert answer.status == 400
    assert why in (await answer.json())["error"]


async def test_a_body_for_somebody_else_does_not_open(
    http: aiohttp.ClientSession, subscribe: Subscribe, send: Send, token: Token
) -> None:
    """A message encrypted for another browser, or cut short, gets 400."""
    ann, bob = await subscribe(), await subscribe()
    assert (await send({**ann, "endpoint": bob["endpoint"]})).status_code == 400
    good = token()
    headers = {"Authorization": good, "TTL": "60", "Content-Encoding": "aes128gcm"}
    body: bytes = http_ece.encrypt(
        b"hello",
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=base64url.decode(ann["p256dh"]),
        auth_secret=base64url.decode(ann["auth"]),
    )
    assert [
        (await http.post(ann["endpoint"], headers=headers, data=part)).status
        for part in (body[:-1], body[:50], b"", body)
    ] == [400, 400, 400, 201]


async def test_the_limit_of_a_body_is_4096_bytes(push: PushService, subscribe: Subscribe, send: Send) -> None:
    """3993 bytes of payload fit, one more gets 413."""
    subscription = await subscribe()
    assert (await send(subscription, "x" * 3993)).status_code == 201
    assert push.memory.messages[0].size == 4096
    assert (await send(subscription, "x" * 3994)).status_code == 413


async def test_the_control_api_lists_itself(push: PushService, http: aiohttp.ClientSession) -> None:
    """`GET /` names every control with what it does."""
    listing = await (await http.get(push.control_url)).json()
    paths = {(each["method"], each["path"]) for each in listing["controls"]}
    assert {("POST", "/subscriptions"), ("GET", "/messages"), ("POST", "/faults")} <= paths
    assert all(each["does"] for each in listing["controls"])
