"""Who may push: VAPID (RFC 8292), as the push service checks it."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import requests
from py_vapid import Vapid02  # type: ignore[import-untyped]  # it ships no types

from devstack.push import PushService, base64url, encryption

Json = dict[str, Any]
Subscribe = Callable[..., Awaitable[dict[str, Any]]]
Send = Callable[..., Awaitable[requests.Response]]
Token = Callable[..., str]


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "https://push.example.org"}, "aud"),
        ({"exp": int(time.time()) + 25 * 3600}, "24 hours"),
    ],
)
async def test_claims_that_do_not_hold_are_forbidden(
    push: PushService, subscribe: Subscribe, send: Send, claims: Json, why: str
) -> None:
    """A token for another service, or for too long, gets 403 and nothing is taken."""
    response = await send(await subscribe(), claims=claims)
    assert response.status_code == 403
    assert why in response.json()["error"]
    assert push.memory.messages == []


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"sub": "ops"}, "sub"),
        ({"sub": None}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
    ],
)
async def test_a_hand_made_token_is_checked_too(
    http: aiohttp.ClientSession, subscribe: Subscribe, token: Token, claims: Json, why: str
) -> None:
    """What pywebpush would mend before sending (an old exp, no contact) gets 403 here."""
    headers = {"Authorization": token(claims), "TTL": "60"}
    endpoint = (await subscribe())["endpoint"]
    answer = await http.post(endpoint, headers=headers, data=b"x")
    assert answer.status == 403
    assert why in (await answer.json())["error"]


async def test_credentials_that_cannot_be_read_are_unauthorized(
    http: aiohttp.ClientSession, subscribe: Subscribe, token: Token
) -> None:
    """No Authorization, another scheme, half of it, another algorithm and rubbish all get 401."""
    endpoint = (await subscribe())["endpoint"]
    good = token()
    for wrong in (
        "", "Bearer abc", good.split(",", maxsplit=1)[0], "vapid t=a.b.c,k=abc",
        good.replace("vapid t=", "vapid t=%"), token(algorithm="none"),
    ):  # fmt: skip
        answer = await http.post(endpoint, headers={"Authorization": wrong, "TTL": "60"}, data=b"x")
        assert answer.status == 401, wrong
        assert (await answer.json())["error"]


async def test_a_signature_by_another_key_is_forbidden(
    http: aiohttp.ClientSession, subscribe: Subscribe, token: Token
) -> None:
    """A token signed by one key and presented with another gets 403."""
    other = Vapid02()
    other.generate_keys()
    good = token()
    forged = good.split("k=")[0] + "k=" + base64url.encode(encryption.point(other.public_key))
    endpoint = (await subscribe())["endpoint"]
    answer = await http.post(endpoint, headers={"Authorization": forged, "TTL": "60"}, data=b"x")
    assert (answer.status, (await answer.json())["error"]) == (403, "the token's signature does not hold")


@pytest.mark.parametrize("told", [True, False])
async def test_a_subscription_is_bound_to_one_application_server(
    push: PushService, subscribe: Subscribe, send: Send, vapid: Vapid02, told: bool
) -> None:
    """The key named at subscription, or else the first one used, is the only one that may push."""
    other = Vapid02()
    other.generate_keys()
    key = base64url.encode(encryption.point(vapid.public_key))
    subscription = await subscribe(**({"applicationServerKey": key} if told else {}))
    if not told:
        assert (await send(subscription)).status_code == 201
    assert (await send(subscription, vapid=other)).status_code == 403
    assert (await send(subscription)).status_code == 201


async def test_an_application_server_key_is_checked(push: PushService, http: aiohttp.ClientSession) -> None:
    """A browser cannot subscribe with something that is no key."""
    wanted = {"applicationServerKey": "abc"}
    answer = await http.post(f"{push.control_url}/subscriptions", json=wanted)
    assert answer.status == 400
    assert "applicationServerKey" in (await answer.json())["error"]
