"""Idempotency keys over all of the API: one key is for one request."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from services.gateway.api.route import PLACEHOLDER, Media
from services.gateway.api.routes import ROUTES
from services.gateway.domain.keys import digest_of
from services.gateway.domain.roles import KeyRole
from shared import ids
from tests.gateway.conftest import BROWSER_KEYS
from tests.locks import until_blocked

SOME_ID = str(ids.derived("somebody"))
MESSAGE = {"address": {"email": "a@b.c"}, "channel": "email", "body": {"text": "x"}}
TRIAL = {"user_id": SOME_ID, "channel": "email", "template_name": "letter", "template_vars": {"name": "Ann"}}
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
GUIDE = {"id": "a", "category": "risk", "difficulty": "beginner", "title": "A", "text": "A"}
REQUESTS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("POST", "/messages"): (MESSAGE, MESSAGE | {"body": {"text": "y"}}),
    ("POST", "/messaging/test"): (TRIAL, TRIAL | {"template_vars": {"name": "Bob"}}),
    ("PUT", "/recipients/{user_id}"): ({"language": "en"}, {"language": "es"}),
    ("POST", "/recipients/{user_id}/telegram"): ({"telegram_id": 1}, {"telegram_id": 2}),
    ("POST", "/recipients/{user_id}/push-subscriptions"): (
        {"endpoint": "https://a.b/1", **BROWSER_KEYS}, {"endpoint": "https://a.b/2", **BROWSER_KEYS},
    ),
    ("POST", "/suppressions"): (
        {"channel": "email", "address": "a@b.c", "reason": "bounced"},
        {"channel": "email", "address": "b@b.c", "reason": "bounced"},
    ),
    ("POST", "/bounces"): ({"email": "a@b.c"}, {"email": "b@b.c"}),
    ("POST", "/campaigns"): (
        {"channel": "email", "body": {"text": "x"}, "draft": True},
        {"channel": "email", "body": {"text": "y"}, "draft": True},
    ),
    ("POST", "/campaigns/estimate"): ({"audience": {}}, {"audience": {"language": "en"}}),
    ("POST", "/campaigns/{campaign_id}/start"): ({}, {"scheduled_at": SOON}),
    ("POST", "/promos"): ({"id": "a", "title": "A"}, {"id": "b", "title": "B"}),
    ("PUT", "/promos/order"): ({"promo_ids": ["a"]}, {"promo_ids": ["b"]}),
    ("PATCH", "/promos/{promo_id}"): ({"title": "A"}, {"title": "B"}),
    ("POST", "/promos/preview"): ({"title": "A"}, {"title": "B"}),
    ("POST", "/promos/{promo_id}/preview"): ({"title": "A"}, {"title": "B"}),
    ("PATCH", "/clicks/{click_id}"): ({"metadata": {"a": 1}}, {"metadata": {"a": 2}}),
    ("POST", "/schedules"): ({"name": "a"}, {"name": "b"}),
    ("PATCH", "/schedules/{schedule_id}"): ({"interval_seconds": 3600}, {"interval_seconds": 7200}),
    ("POST", "/schedules/{schedule_id}/pause"): ({"until": SOON}, {"until": SOON.replace("+00:00", "Z")}),
    ("POST", "/broadcasts"): ({"text": "a"}, {"text": "b"}),
    ("PUT", "/broadcasts/{broadcast_id}"): ({"text": "a"}, {"text": "b"}),
    ("POST", "/broadcasts/{broadcast_id}/test"): (
        {"user_id": SOME_ID}, {"user_id": str(ids.derived("somebody else"))},
    ),
    ("POST", "/broadcasts/{broadcast_id}/send"): ({}, {"scheduled_at": SOON}),
    ("POST", "/guides"): (GUIDE, GUIDE | {"title": "B"}),
    ("PATCH", "/guides/{guide_id}"): ({"title": "A"}, {"title": "B"}),
    ("POST", "/dead-letters/replay"): ({"all": True}, {"reason": "failed"}),
    ("POST", "/dead-letters/discard"): ({"all": True}, {"reason": "failed"}),
}  # fmt: skip


async def test_every_route_refuses_a_key_that_was_used_for_another_body(gateway: Any) -> None:
    """Whatever a route is for: the same key with another body is 422, with the same one it is no error."""
    recipient = {"email": "a@b.c"}
    await gateway.call("PUT", f"/recipients/{SOME_ID}", json=recipient)
    _, broadcast = await gateway.call("POST", "/broadcasts", role=KeyRole.OWNER, json={"text": "a"})
    _, first, *_ = (await gateway.call("GET", "/guides"))[1]["items"]
    named = {
        "broadcast_id": broadcast["id"],
        "guide_id": first["id"],
        "promo_id": "a",
        "schedule_id": "default",
    }
    bodies = {(each.method, each.path) for each in ROUTES if each.body and not isinstance(each.body, Media)}
    assert bodies == set(REQUESTS)
    wrong = []
    for (method, path), (body, other) in REQUESTS.items():
        url = PLACEHOLDER.sub(lambda found: named.get(found[1], SOME_ID), path)
        more = {"role": KeyRole.OWNER, "headers": {"Idempotency-Key": f"key-{method}-{path}"}}
        before, document = await gateway.call(method, url, json=body, **more)
        status, problem = await gateway.call(method, url, json=other, **more)
        if (status, problem.get("title")) != (422, "Idempotency key reused"):
            wrong.append((method, path, before, document, status))
        again, repeated = await gateway.call(method, url, json=body, **more)
        if again != before or (again < 300 and method == "POST" and repeated != document):
            wrong.append((method, path, "again", again, repeated))
    assert wrong == []


async def test_a_key_that_is_locked_holds_up_no_other_here_either(gateway: Any) -> None:
    """While somebody has an API key's row, its requests end as 503 in a while, and those of others go on."""

    async def post(name: str, role: KeyRole = KeyRole.SERVICE) -> int:
        headers = {"Idempotency-Key": name}
        return int((await gateway.call("POST", "/messages", json=MESSAGE, headers=headers, role=role))[0])

    assert {await post("first", role) for role in (KeyRole.SERVICE, KeyRole.ADMIN)} == {202}
    mine = {"sha256": digest_of(gateway.keys[KeyRole.SERVICE])}
    async with gateway.database.begin() as holding:
        await holding.execute(text("SELECT 1 FROM api_keys WHERE sha256 = :sha256 FOR UPDATE"), mine)
        waiting = [asyncio.create_task(post(f"held-{number}")) for number in range(12)]
        await until_blocked(gateway.database)
        async with asyncio.timeout(8):  # in less than anybody waits for a connection
            assert await post("second", KeyRole.ADMIN) == 202
        assert await waiting[0] == 503
    assert set(await asyncio.gather(*waiting)) <= {202, 503}
    assert await post("held-0") == 202
