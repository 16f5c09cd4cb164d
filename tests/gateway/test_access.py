"""Who may call what, and how errors look."""

import asyncio
import secrets
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from services.gateway.api.route import PLACEHOLDER, Route
from services.gateway.api.routes import ROUTES
from services.gateway.app import app
from services.gateway.domain.keys import Rate
from services.gateway.domain.roles import KeyRole
from services.gateway.settings import GatewaySettings
from services.gateway.store import ApiKey, KeyHeld, Keys, TooOften, UnknownKey
from shared import ids
from shared.service import Service
from tests.locks import until_blocked

PATIENCE = 3.0
SOME_ID = str(ids.derived("anybody"))
MATRIX = {
    ("POST", "/messages"): KeyRole.SERVICE,
    ("GET", "/messages"): KeyRole.SERVICE,
    ("GET", "/messages/{message_id}"): KeyRole.SERVICE,
    ("DELETE", "/messages/{message_id}"): KeyRole.SERVICE,
    ("POST", "/messaging/test"): KeyRole.OWNER,
    ("GET", "/recipients"): KeyRole.ADMIN,
    ("GET", "/recipients/{user_id}"): KeyRole.SERVICE,
    ("PUT", "/recipients/{user_id}"): KeyRole.SERVICE,
    ("DELETE", "/recipients/{user_id}"): KeyRole.ADMIN,
    ("POST", "/recipients/{user_id}/telegram"): KeyRole.SERVICE,
    ("DELETE", "/recipients/{user_id}/telegram"): KeyRole.SERVICE,
    ("GET", "/recipients/{user_id}/push-subscriptions"): KeyRole.SERVICE,
    ("POST", "/recipients/{user_id}/push-subscriptions"): KeyRole.SERVICE,
    ("DELETE", "/recipients/{user_id}/push-subscriptions/{subscription_id}"): KeyRole.SERVICE,
    ("GET", "/suppressions"): KeyRole.ADMIN,
    ("POST", "/suppressions"): KeyRole.ADMIN,
    ("DELETE", "/suppressions/{suppression_id}"): KeyRole.ADMIN,
    ("POST", "/bounces"): KeyRole.SERVICE,
    ("POST", "/recipients/{user_id}/push-link"): KeyRole.SERVICE,
    ("POST", "/campaigns"): KeyRole.SERVICE,
    ("GET", "/campaigns"): KeyRole.SERVICE,
    ("POST", "/campaigns/estimate"): KeyRole.SERVICE,
    ("GET", "/campaigns/{campaign_id}"): KeyRole.SERVICE,
    ("GET", "/campaigns/{campaign_id}/estimate"): KeyRole.SERVICE,
    ("POST", "/campaigns/{campaign_id}/recipients"): KeyRole.SERVICE,
    ("POST", "/campaigns/{campaign_id}/start"): KeyRole.SERVICE,
    ("POST", "/campaigns/{campaign_id}/pause"): KeyRole.SERVICE,
    ("POST", "/campaigns/{campaign_id}/resume"): KeyRole.SERVICE,
    ("POST", "/campaigns/{campaign_id}/cancel"): KeyRole.SERVICE,
    ("GET", "/promos"): KeyRole.SERVICE,
    ("POST", "/promos"): KeyRole.ADMIN,
    ("PUT", "/promos/order"): KeyRole.ADMIN,
    ("POST", "/promos/preview"): KeyRole.SERVICE,
    ("GET", "/promos/{promo_id}"): KeyRole.SERVICE,
    ("PATCH", "/promos/{promo_id}"): KeyRole.ADMIN,
    ("DELETE", "/promos/{promo_id}"): KeyRole.ADMIN,
    ("POST", "/promos/{promo_id}/enable"): KeyRole.ADMIN,
    ("POST", "/promos/{promo_id}/disable"): KeyRole.ADMIN,
    ("POST", "/promos/{promo_id}/preview"): KeyRole.SERVICE,
    ("GET", "/promos/{promo_id}/chart.svg"): KeyRole.SERVICE,
    ("GET", "/promo-stats"): KeyRole.SERVICE,
    ("GET", "/promo-stats.csv"): KeyRole.SERVICE,
    ("GET", "/promo-log.csv"): KeyRole.SERVICE,
    ("GET", "/promo-log"): KeyRole.SERVICE,
    ("GET", "/clicks"): KeyRole.SERVICE,
    ("GET", "/clicks/stats"): KeyRole.SERVICE,
    ("GET", "/clicks/posts"): KeyRole.SERVICE,
    ("GET", "/clicks/series"): KeyRole.SERVICE,
    ("PATCH", "/clicks/{click_id}"): KeyRole.SERVICE,
    ("GET", "/status"): KeyRole.SERVICE,
    ("GET", "/plan"): KeyRole.SERVICE,
    ("GET", "/schedules"): KeyRole.SERVICE,
    ("POST", "/schedules"): KeyRole.ADMIN,
    ("GET", "/schedules/{schedule_id}"): KeyRole.SERVICE,
    ("PATCH", "/schedules/{schedule_id}"): KeyRole.ADMIN,
    ("DELETE", "/schedules/{schedule_id}"): KeyRole.ADMIN,
    ("GET", "/schedules/{schedule_id}/plan"): KeyRole.SERVICE,
    ("POST", "/schedules/{schedule_id}/pause"): KeyRole.ADMIN,
    ("POST", "/schedules/{schedule_id}/resume"): KeyRole.ADMIN,
    ("POST", "/schedules/{schedule_id}/start"): KeyRole.ADMIN,
    ("POST", "/schedules/{schedule_id}/stop"): KeyRole.ADMIN,
    ("GET", "/guides"): KeyRole.SERVICE,
    ("POST", "/guides"): KeyRole.ADMIN,
    ("GET", "/guides/{guide_id}"): KeyRole.SERVICE,
    ("PATCH", "/guides/{guide_id}"): KeyRole.ADMIN,
    ("POST", "/broadcasts"): KeyRole.ADMIN,
    ("GET", "/broadcasts"): KeyRole.ADMIN,
    ("GET", "/broadcasts/{broadcast_id}"): KeyRole.ADMIN,
    ("PUT", "/broadcasts/{broadcast_id}"): KeyRole.ADMIN,
    ("GET", "/broadcasts/{broadcast_id}/preview"): KeyRole.ADMIN,
    ("GET", "/broadcasts/{broadcast_id}/audience"): KeyRole.ADMIN,
    ("POST", "/broadcasts/{broadcast_id}/test"): KeyRole.ADMIN,
    ("POST", "/broadcasts/{broadcast_id}/send"): KeyRole.ADMIN,
    ("POST", "/broadcasts/{broadcast_id}/cancel"): KeyRole.ADMIN,
    ("GET", "/audit"): KeyRole.OWNER,
    ("GET", "/dead-letters"): KeyRole.ADMIN,
    ("GET", "/dead-letters/{number}"): KeyRole.OWNER,
    ("DELETE", "/dead-letters/{number}"): KeyRole.OWNER,
    ("POST", "/dead-letters/{number}/replay"): KeyRole.OWNER,
    ("POST", "/dead-letters/replay"): KeyRole.OWNER,
    ("POST", "/dead-letters/discard"): KeyRole.OWNER,
}
NAMES = {"guide_id": "some_id", "number": "1", "promo_id": "some_promo"}


def path_of(route: Route) -> str:
    """Return a path that the route matches."""
    return PLACEHOLDER.sub(lambda found: NAMES.get(found[1], SOME_ID), route.path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_in_the_matrix(route: Route) -> None:
    """A new route is given its role on purpose: here and there."""
    assert MATRIX.get((route.method, route.path)) == route.role


async def test_roles(gateway: Any) -> None:
    """Every route by every role: no key, a wrong or a revoked one, too low a role, and enough of one.

    Who may is looked at: nobody answers, or something is wrong with what they ask.
    """
    assert len(MATRIX) == len(ROUTES)
    keys = Keys(gateway.database)
    known, revoked = await keys.create_key(secrets.token_bytes(32), "gone", KeyRole.OWNER)
    await keys.revoke_key(known.id)
    strangers = ["", f"Bearer {revoked}", f"Bearer crl_{'x' * 43}"]

    async def status_of(route: Route, authorization: str) -> int:
        headers = {"Authorization": authorization} if authorization else {}
        url = f"{gateway.url}/api/v1{path_of(route)}"
        body = {"json": {"no": "such field"}} if route.method != "GET" else {}
        async with gateway.http.request(route.method, url, headers=headers, **body) as response:
            await response.read()
            return int(response.status)

    async def check(route: Route) -> None:
        where = f"{route.method} {route.path}"
        for stranger in strangers:
            assert await status_of(route, stranger) == 401, where
        for role in KeyRole:
            status = await status_of(route, f"Bearer {gateway.keys[role]}")
            if role < MATRIX[route.method, route.path]:
                assert status == 403, (where, role)
            else:
                assert status not in (401, 403, 500), (where, role)

    for first in range(0, len(ROUTES), 8):
        await asyncio.gather(*(check(route) for route in ROUTES[first : first + 8]))


MALFORMED = [
    "",
    "Bearer",
    "Bearer ",
    "Basic abc",
    "Bearer crl_short",
    f"Bearer {'x' * 4000}",
    f"Bearer crl_{'é' * 43}",
]


async def test_malformed_keys(gateway: Any) -> None:
    """Whatever stands in Authorization, the answer is 401 with a challenge."""
    for header in MALFORMED:
        url = f"{gateway.url}/api/v1/promos"
        async with gateway.http.get(url, headers={"Authorization": header}) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer ")
            assert (await response.json(content_type="application/problem+json"))["title"] == "Unauthorized"


async def test_keys_are_hashed_used_and_revoked(gateway: Any) -> None:
    """Of a key only its SHA-256 is kept; a revoked one is refused from the next request on."""
    keys = Keys(gateway.database)
    known, key = await keys.create_key(secrets.token_bytes(32), "ci", KeyRole.SERVICE)
    assert len(key) == 47
    stored = await gateway.database.rows(text("SELECT * FROM api_keys"))
    assert key not in str([dict(row) for row in stored])
    headers = {"Authorization": f"bearer {key}"}
    path = f"/recipients/{SOME_ID}"
    assert (await gateway.call("GET", path, role=None, headers=headers))[0] == 404
    assert {each.name: each.last_used_at is not None for each in await keys.list_keys()}["ci"]
    revoked = await keys.revoke_key(known.id)
    assert revoked.revoked_at is not None
    assert (await keys.revoke_key(known.id)).revoked_at == revoked.revoked_at
    assert (await gateway.call("GET", path, role=None, headers=headers))[0] == 401
    with pytest.raises(UnknownKey):
        await keys.revoke_key(ids.derived("no key"))


async def test_a_key_is_used_so_often_and_no_more(database: Any) -> None:
    """A key's limit is one for all replicas: so many calls at once, then as many as time brings."""
    one, other = Keys(database), Keys(database)
    _, key = await one.create_key(secrets.token_bytes(32), "ci", KeyRole.SERVICE)
    _, neighbour = await one.create_key(secrets.token_bytes(32), "other", KeyRole.SERVICE)
    rate = Rate(0.001, 3)
    for keys in (one, other, one):
        assert await keys.use_key(key, rate)
    with pytest.raises(TooOften) as refused:
        await other.use_key(key, rate)
    assert 500 < refused.value.seconds <= 1000
    assert await other.use_key(neighbour, rate)
    assert await one.use_key(key), "without a limit it is not asked for"
    assert await one.use_key(key, Rate(1e5, 900_000_000)), "time, not refusals, is what it waits for"


async def test_many_calls_at_once(database: Any) -> None:
    """Calls at the same moment cannot share a place."""
    keys = Keys(database)
    _, key = await keys.create_key(secrets.token_bytes(32), "ci", KeyRole.SERVICE)
    done = await asyncio.gather(
        *(keys.use_key(key, Rate(0.001, 5)) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, ApiKey) for each in done) == 5
    assert sum(isinstance(each, TooOften) for each in done) == 15


async def test_a_key_that_is_locked_holds_up_no_other(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many calls wait for a row of their key's, those of others go on; theirs end in a while."""
    monkeypatch.setattr("services.gateway.store.turns.PATIENCE_SECONDS", PATIENCE)
    keys = Keys(database)
    known, key = await keys.create_key(secrets.token_bytes(32), "ci", KeyRole.SERVICE)
    _, neighbour = await keys.create_key(secrets.token_bytes(32), "other", KeyRole.SERVICE)
    rate = Rate(1000, 100)
    assert await keys.use_key(key, rate)
    async with database.begin() as holding:
        await holding.execute(text("SELECT 1 FROM api_key_rates FOR UPDATE"))
        waiting = [asyncio.create_task(keys.use_key(key, rate)) for _ in range(12)]
        await until_blocked(database)
        async with asyncio.timeout(0.9 * PATIENCE):
            assert await keys.use_key(neighbour, rate)
        with pytest.raises(KeyHeld):
            await waiting[0]
    assert sum(isinstance(each, ApiKey) for each in await asyncio.gather(*waiting, return_exceptions=True))
    assert await keys.use_key(key, rate)
    never = text("UPDATE api_keys SET last_used_at = NULL WHERE id = :id")
    await database.execute(never, id=known.id)
    async with database.begin() as holding:
        await holding.execute(text("SELECT 1 FROM api_keys FOR UPDATE"))
        assert await keys.use_key(key, rate), "when it was used last is not worth waiting for"
    assert await keys.use_key(key, rate)
    assert [each.last_used_at is None for each in await keys.list_keys()] == [False, False]


async def test_too_many_calls(
    settings: GatewaySettings, keys: dict[KeyRole, str], peers: Any, http: aiohttp.ClientSession
) -> None:
    """A key beyond its limit gets 429 and when to come back; browsers may read what their origin may."""
    limited = settings.model_copy(
        update={"api_per_second": 0.01, "api_burst": 1, "cors_origins": ("https://app.example",)}
    )
    headers = {"Authorization": f"Bearer {keys[KeyRole.SERVICE]}", "Origin": "https://app.example"}
    async with app(limited, Service("gateway")):
        url = f"http://{limited.listen}/api/v1/recipients/{SOME_ID}"
        async with http.get(url, headers=headers) as response:
            assert response.status == 404
        async with http.get(url, headers=headers) as response:
            problem = await response.json(content_type="application/problem+json")
            assert (response.status, problem["status"]) == (429, 429)
            assert 1 <= int(response.headers["Retry-After"]) <= 100
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
        async with http.options(url, headers=asks) as response:
            assert response.status == 204
            assert "PUT" in response.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with http.options(url, headers={**asks, "Origin": "https://evil.example"}) as response:
            assert response.status == 204
            assert not any(name.startswith("Access-Control") for name in response.headers)
            assert response.headers["Vary"] == "Origin"


WRONG = [
    ("GET", "/", 404),
    ("GET", "/api/v1/nothing", 404),
    ("DELETE", "/api/v1/promos", 405),
    ("GET", "/api/v1/messaging/test", 405),
    ("POST", "/healthz", 405),
    ("GET", "/telegram//webhook", 404),
    ("GET", "/telegram/default/webhook", 405),
    ("POST", "/telegram/nobody/webhook", 403),
    ("PROPFIND", "/api/v1/promos", 405),
    ("TRACE", "/api/v1/promos", 405),
    ("OPTIONS", "/api/v1/nothing", 404),
]


async def test_errors_are_problems(gateway: Any) -> None:
    """Every error is an RFC 9457 document with the headers of all answers."""
    for method, path, expected in WRONG:
        async with gateway.http.request(method, gateway.url + path) as response:
            problem = await response.json(content_type="application/problem+json")
            assert (response.status, problem["status"], problem["type"]) == (
                expected,
                expected,
                "about:blank",
            )
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert "aiohttp" not in response.headers["Server"]
            assert ("Allow" in response.headers) == (expected == 405)
    # What the server refuses by itself, before any route, looks the same.
    for path in ("/api/v1/promos", "/nothing"):
        async with gateway.http.get(gateway.url + path, headers={"Expect": "a miracle"}) as response:
            problem = await response.json(content_type="application/problem+json")
            assert (response.status, problem["status"]) == (417, 417)
            assert response.headers["Referrer-Policy"] == "no-referrer"
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    async with gateway.http.options(f"{gateway.url}/api/v1/promos", headers=asks) as response:
        assert (response.status, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert not any(name.startswith("Access-Control") for name in response.headers)


async def test_operators_doors(gateway: Any) -> None:
    """Health, readiness and metrics need no key, and no metric is named after what somebody typed."""
    async with gateway.http.get(f"{gateway.url}/healthz") as response:
        assert (response.status, (await response.json())["status"]) == (200, "alive")
    async with gateway.http.get(f"{gateway.url}/readyz") as response:
        assert (await response.json())["missing"] == ["start"]  # the test runs the app without the runner
    async with gateway.http.get(f"{gateway.url}/some/invention") as response:
        assert response.status == 404
    async with gateway.http.get(f"{gateway.url}/metrics") as response:
        metrics = await response.text()
        assert "telegram_updates_total" in metrics
        assert "invention" not in metrics
