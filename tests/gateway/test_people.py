"""Recipients, suppressions and bounces over the API: what senders is told, and what is refused."""

from typing import Any

import pytest

from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import Channel
from shared.queries import (
    AddSuppression,
    BounceTold,
    DeletePushSubscription,
    ForgetRecipient,
    Forgotten,
    LiftSuppression,
    LinkUser,
    ListPushSubscriptions,
    ListRecipients,
    ListSuppressions,
    PushSubscriptionList,
    PutRecipient,
    RecipientPage,
    RecipientView,
    SuppressionPage,
    SuppressionView,
    TellBounce,
    UnlinkUser,
)

USER, OTHER = ids.derived("user", 1), ids.derived("other", 1)
ANN = RecipientView(user_id=USER, version=1)
ENTRY = SuppressionView.model_validate(
    {
        "id": OTHER, "channel": "email", "address": "gone@example.org", "reason": "bounced",
        "origin": "operator", "created_at": "2026-03-01T12:00:00Z",
    }
)  # fmt: skip


async def test_preferences_are_put_and_cleared(gateway: Any) -> None:
    """What is given is set, what is null becomes empty, and what is left out is not spoken of."""
    given = {
        "email": None, "muted": ["push"], "channel_order": ["telegram", "email"], "opted_out": None,
        "quiet_hours": {"start": "22:30", "end": "07:00", "zone": "Asia/Kolkata"},
    }  # fmt: skip
    status, view = await gateway.call("PUT", f"/recipients/{USER}", json=given)
    assert (status, view["muted"], view["channel_order"]) == (200, ["push"], ["telegram", "email"])
    assert view["quiet_hours"] == {"start": "22:30:00", "end": "07:00:00", "zone": "Asia/Kolkata"}
    [command] = gateway.peers.of(PutRecipient)
    assert (command.clear, command.opted_out, command.language) == (("email",), None, None)


@pytest.mark.parametrize(
    ("method", "path", "given", "query_class", "reply", "wanted"),
    [
        ("GET", "/recipients?role=ADMIN&limit=2", None, ListRecipients, RecipientPage(items=(ANN,)),
         {"role": "ADMIN", "limit": 2}),
        ("DELETE", f"/recipients/{USER}", None, ForgetRecipient, Forgotten(user_ids=(USER,), messages=2),
         {"user_id": USER}),
        ("POST", f"/recipients/{USER}/telegram", {"telegram_id": 2**40}, LinkUser, ANN,
         {"user_id": USER, "telegram_id": 2**40}),
        ("DELETE", f"/recipients/{USER}/telegram", None, UnlinkUser, ANN, {"user_id": USER}),
        ("GET", f"/recipients/{USER}/push-subscriptions", None, ListPushSubscriptions,
         PushSubscriptionList(items=()), {"user_id": USER}),
        ("DELETE", f"/recipients/{USER}/push-subscriptions/{OTHER}", None, DeletePushSubscription, ANN,
         {"user_id": USER, "subscription_id": OTHER}),
        ("GET", "/suppressions?channel=email&origin=bounce", None, ListSuppressions,
         SuppressionPage(items=(ENTRY,)), {"channel": Channel.EMAIL, "origin": "bounce"}),
        ("POST", "/suppressions", {"channel": "email", "address": "gone@example.org", "reason": "bounced"},
         AddSuppression, ENTRY, {"address": "gone@example.org", "reason": "bounced"}),
        ("DELETE", f"/suppressions/{OTHER}", None, LiftSuppression, ENTRY, {"suppression_id": OTHER}),
        ("POST", "/bounces", {"email": "gone@example.org"}, TellBounce, BounceTold(suppressed=True),
         {"email": "gone@example.org", "kind": "hard"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)  # fmt: skip
async def test_senders_is_asked(
    gateway: Any, method: str, path: str, given: Any, query_class: Any, reply: Any, wanted: dict[str, Any]
) -> None:
    """A route asks what it says and answers what senders says; the same Idempotency-Key is the same cause."""
    await gateway.peers.answer(query_class, lambda _: reply)
    body = {} if given is None else {"json": given}
    for _ in range(2):
        headers = {"Idempotency-Key": "one"}
        status, document = await gateway.call(method, path, role=KeyRole.ADMIN, headers=headers, **body)
        assert (status // 100, document) == (2, reply.model_dump(mode="json"))
    first, second = gateway.peers.of(query_class)
    assert first == second
    assert {name: getattr(first, name) for name in wanted} == wanted


async def test_a_refusal_of_senders_is_the_answer(gateway: Any) -> None:
    """What senders refuses is told as it says it; what is no request is refused before senders is asked."""

    def refuse(_: Any) -> None:
        raise Refusal(409, "Cannot be linked", "this user is linked with another Telegram user")

    await gateway.peers.answer(LinkUser, refuse)
    path = f"/recipients/{USER}/telegram"
    status, problem = await gateway.call("POST", path, json={"telegram_id": 5})
    assert (status, problem["title"]) == (409, "Cannot be linked")
    for wrong in (0, -1, 2**63, "5", True, None):
        assert (await gateway.call("POST", path, json={"telegram_id": wrong}))[0] == 422
    for given in ({"email": "nobody"}, {"email": "a@b.example", "kind": "late"}):
        assert (await gateway.call("POST", "/bounces", json=given))[0] == 422
    push = {"channel": "push", "address": "https://push.example/1", "reason": "bounced"}
    assert (await gateway.call("POST", "/suppressions", role=KeyRole.ADMIN, json=push))[0] == 422
