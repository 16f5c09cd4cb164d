"""The test message: the order of its checks, and what it answers."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import Channel, Lane, MessageRequested
from shared.queries import GetMessage, MessageView, RecipientView

USER = ids.derived("user", 1)
TRIAL = {
    "user_id": str(USER),
    "channel": "email",
    "template_name": "letter",
    "template_vars": {"name": "Ann"},
}
KNOWN = RecipientView(user_id=USER, version=1, email="ann@example.org")


async def test_the_order_of_checks(gateway: Any) -> None:
    """Each fault is reported only when those before it are not there: 401, 403, 422, 404, 400, 400."""
    path = "/messaging/test"
    assert (await gateway.call("POST", path, role=None, json={}))[0] == 401
    assert (await gateway.call("POST", path, role=KeyRole.ADMIN, json={}))[0] == 403
    wrong = {**TRIAL, "user_id": str(ids.derived("nobody")), "channel": "push", "template_name": "nothing"}
    for missing in TRIAL:
        given = {name: value for name, value in wrong.items() if name != missing}
        status, problem = await gateway.call("POST", path, role=KeyRole.OWNER, json=given)
        assert (status, problem["errors"][0]["field"]) == (422, missing)
    status, _ = await gateway.call("POST", path, role=KeyRole.OWNER, json={**wrong, "channel": "fax"})
    assert status == 422
    status, problem = await gateway.call("POST", path, role=KeyRole.OWNER, json=wrong)
    assert (status, problem["title"]) == (404, "Unknown user")
    gateway.peers.recipients[USER] = KNOWN
    status, problem = await gateway.call(
        "POST", path, role=KeyRole.OWNER, json={**wrong, "user_id": str(USER)}
    )
    assert (status, problem["title"]) == (400, "No address")
    for change in ({"template_name": "nothing"}, {"template_vars": {}}):
        status, problem = await gateway.call("POST", path, role=KeyRole.OWNER, json={**TRIAL, **change})
        assert (status, problem["errors"][0]["field"]) == (400, next(iter(change)))
    assert gateway.published(MessageRequested) == []


@pytest.mark.parametrize(
    ("state", "reason", "channel", "expected"),
    [
        ("sent", None, "email", "sent"),
        ("failed", "recipient_refused", "email", "failed"),
        ("suppressed", "bounced", "email", "failed"),
        ("failed", "expired_subscription", "push", "no_subscription"),
        ("suppressed", "no_address", "push", "no_subscription"),
        ("ambiguous", "timeout", "email", "queued"),
    ],
)
async def test_outcomes(gateway: Any, state: str, reason: str | None, channel: str, expected: str) -> None:
    """The message goes the normal path, and the answer comes as soon as its outcome is known."""
    subscription = {"endpoint": "https://x/y", "p256dh": "a", "auth": "b"}
    gateway.peers.recipients[USER] = RecipientView.model_validate(
        {**KNOWN.model_dump(), "push_subscriptions": [subscription]}
    )
    looks = 0

    def answer(query: GetMessage) -> MessageView:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise Refusal(404, "Unknown message", "not known yet")
        return view_of(query, "pending" if looks == 2 else state, reason)

    await gateway.peers.answer(GetMessage, answer)
    given = {**TRIAL, "channel": channel}
    if channel == "push":
        given |= {"template_name": "position_failure_tp", "template_vars": {"instrument": "x", "side": "buy"}}
    status, document = await gateway.call("POST", "/messaging/test", role=KeyRole.OWNER, json=given)
    assert (status, document["status"], document["error"]) == (202, expected, reason)
    assert (document["delivery_time_ms"] is None) == (expected == "queued")
    (event,) = await gateway.eventually(MessageRequested)
    assert (str(event.id), event.lane) == (document["message_id"], Lane.TRANSACTIONAL)
    assert (event.channels, event.user_id) == ((Channel(channel),), USER)


async def test_no_outcome_in_time(gateway: Any) -> None:
    """After five seconds what is not known is queued, or told to wait for a limit."""
    gateway.peers.recipients[USER] = KNOWN
    waiting = [None, "rate_limit", "throttled"]
    reasons: dict[UUID, str | None] = {}

    def answer(query: GetMessage) -> MessageView:
        if query.message_id not in reasons:
            reasons[query.message_id] = waiting[len(reasons)]
        return view_of(query, "pending", reasons[query.message_id])

    await gateway.peers.answer(GetMessage, answer)
    started = asyncio.get_running_loop().time()
    calls = [gateway.call("POST", "/messaging/test", role=KeyRole.OWNER, json=TRIAL) for _ in waiting]
    answers = await asyncio.gather(*calls)
    assert 4.5 < asyncio.get_running_loop().time() - started < 30
    assert {status for status, _ in answers} == {202}
    assert {document["error"]: document["status"] for _, document in answers} == {
        None: "queued", "rate_limit": "rate_limited", "throttled": "rate_limited",
    }  # fmt: skip
    assert {document["delivery_time_ms"] for _, document in answers} == {None}


async def test_an_unforeseen_fault(gateway: Any) -> None:
    """What nobody foresaw is 500 with an error id and no words."""
    gateway.peers.recipients[USER] = KNOWN
    await gateway.peers.answer(GetMessage, lambda query: view_of(query, "failed", "dead_letter"))
    status, problem = await gateway.call("POST", "/messaging/test", role=KeyRole.OWNER, json=TRIAL)
    assert status == 500
    assert problem["error_id"]
    first = []

    def stumbled(query: GetMessage) -> MessageView:
        first.append(query.message_id)
        return view_of(query, "pending", "unforeseen")

    await gateway.peers.stack.aclose()
    await gateway.peers.answer_as_senders()
    await gateway.peers.answer(GetMessage, stumbled)
    status, problem = await gateway.call("POST", "/messaging/test", role=KeyRole.OWNER, json=TRIAL)
    assert (status, problem["error_id"]) == (500, str(first[0]))
    assert len(first) == 1


def view_of(query: GetMessage, state: str, reason: str | None) -> MessageView:
    """Return a message in a state."""
    return MessageView.model_validate(
        {
            "id": query.message_id, "lane": "transactional", "state": state, "reason": reason,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            "deliveries": [], "history": [],
        }
    )  # fmt: skip
