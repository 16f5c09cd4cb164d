"""What the tests of the push service share: an application server that uses pywebpush."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import requests
from py_vapid import Vapid02, jwt  # type: ignore[import-untyped]  # it ships no types
from pywebpush import WebPushException, webpush  # type: ignore[import-untyped]  # it ships no types

from devstack.push import PushService, base64url, encryption

Json = dict[str, Any]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session to the control API."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def push() -> AsyncIterator[PushService]:
    """Open a push service."""
    async with PushService.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def vapid() -> Vapid02:
    """Make an application server's key pair."""
    made = Vapid02()
    made.generate_keys()
    return made


@pytest.fixture
def subscribe(push: PushService, http: aiohttp.ClientSession) -> Callable[..., Awaitable[Json]]:
    """Make a subscription, as a browser would."""

    async def make(**wanted: str) -> Json:
        answer = await http.post(f"{push.control_url}/subscriptions", json=wanted)
        assert answer.status == 201
        made: Json = await answer.json()
        return made

    return make


@pytest.fixture
def send(vapid: Vapid02) -> Callable[..., Awaitable[requests.Response]]:
    """Push a text with pywebpush; returns the response, of whatever status."""
    own = vapid

    def talk(subscription: Json, text: str, vapid: Vapid02, claims: Json, **rest: Any) -> object:
        keys = {name: subscription[name] for name in ("p256dh", "auth")}
        info = {"endpoint": subscription["endpoint"], "keys": keys}
        claims = {"sub": "mailto:ops@example.org", **claims}
        try:
            return webpush(info, text, vapid_private_key=vapid, vapid_claims=claims, timeout=5, **rest)
        except WebPushException as error:
            return error.response

    async def push(
        subscription: Json,
        text: str = "hello",
        *,
        vapid: Vapid02 = own,
        claims: Json | None = None,
        **rest: Any,
    ) -> requests.Response:
        response = await asyncio.to_thread(talk, subscription, text, vapid, claims or {}, **rest)
        assert isinstance(response, requests.Response)
        return response

    return push


@pytest.fixture
def token(vapid: Vapid02, push: PushService) -> Callable[..., str]:
    """Return an Authorization header as RFC 8292 says, with some claims changed."""

    def sign(changes: Json | None = None, algorithm: str = "ES256") -> str:
        good = {"aud": push.url, "exp": int(time.time()) + 60, "sub": "mailto:ops@example.org"}
        signed: str = jwt.sign({**good, **(changes or {})}, vapid.private_key)
        if algorithm != "ES256":
            header = base64url.encode(json.dumps({"alg": algorithm}).encode())
            signed = ".".join([header, *signed.split(".")[1:]])
        return f"vapid t={signed},k={base64url.encode(encryption.point(vapid.public_key))}"

    return sign
