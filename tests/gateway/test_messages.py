"""Messages at the door of the API."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import Refusal
from shared.events import Channel, Lane, MessageRequested, State
from shared.queries import CancelMessage, GetMessage, MessageCancelled, MessageView

USER = str(ids.derived("user", 1))
TP = {
    "user_id": USER,
    "channels": ["telegram"],
    "template": "position_failure_tp",
    "variables": {"instrument": "EURUSD", "side": "buy", "profit_amount": 12.5},
}
BODY = {"address": {"telegram_chat_id": -100}, "channel": "telegram", "body": {"text": "Hello *you* (1.5)"}}


def hours_from_now(hours: float) -> str:
    """Return a time from now, as JSON carries it."""
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_one_message(gateway: Any) -> None:
    """An accepted message is in the stream of its lane and channel, complete, and expires in a day."""
    status, answer = await gateway.call("POST", "/messages", json=TP)
    assert status == 202
    assert answer["status"] == "accepted"
    (event,) = await gateway.eventually(MessageRequested)
    assert event.id == UUID(answer["id"])
    assert (event.lane, event.channels, event.template) == (
        Lane.TRANSACTIONAL,
        (Channel.TELEGRAM,),
        "position_failure_tp",
    )
    assert event.variables == TP["variables"]
    assert event.user_id == UUID(USER)
    assert timedelta(hours=23.9) < event.expires_at - event.at <= timedelta(hours=24)


async def test_everything_of_a_message(gateway: Any) -> None:
    """Every field that may be given arrives; the id given is the message's."""
    wanted = {
        "id": str(ids.derived("wanted")),
        "address": {"email": "ann@example.org"},
        "channel": "email",
        "body": {
            "text": "Read *this*",
            "format": "markdown_v2",
            "subject": "News",
            "buttons": [[{"text": "Open", "url": "https://example.org"}]],
        },
        "lane": "campaign",
        "bot": "default",
        "reply_to_message_id": 2**40,
        "not_before": hours_from_now(1),
        "expires_at": hours_from_now(2),
        "metadata": {"a": [1, None, "b"]},
    }
    status, answer = await gateway.call("POST", "/messages", json=wanted)
    assert (status, answer) == (202, {"id": wanted["id"], "status": "accepted"})
    (event,) = await gateway.eventually(MessageRequested)
    assert event.subject() == "messages.campaign.email"
    assert event.address is not None
    assert event.body is not None
    assert (event.address.email, event.body.subject, event.bot) == ("ann@example.org", "News", "default")
    assert event.body.buttons[0][0].url == "https://example.org"
    assert (event.reply_to_message_id, event.metadata) == (2**40, {"a": [1, None, "b"]})
    assert event.not_before is not None
    assert event.not_before < event.expires_at


async def test_the_default_chain(gateway: Any) -> None:
    """Without channels the chain is senders' default, and every channel's variables are needed."""
    status, problem = await gateway.call(
        "POST", "/messages", json={**TP, "channels": [], "variables": {"instrument": "x"}}
    )
    assert (status, problem["errors"]) == (
        422,
        [{"field": "variables", "message": "missing: side, profit_amount"}],
    )
    push = {**TP, "channels": ["push"], "variables": {"instrument": "x", "side": "buy"}}
    assert (await gateway.call("POST", "/messages", json=push))[0] == 202


REFUSED = [
    ({"template": "nobody"}, "template", "unknown template"),
    ({"template": "letter"}, "template", "telegram"),
    ({"template": None}, "", "exactly one of template and body"),
    ({"body": {"text": "x"}}, "", "exactly one of template and body"),
    ({"user_id": None}, "", "user_id or address"),
    ({"user_id": "5"}, "user_id", "UUID"),
    ({"address": {}}, "address", "telegram_chat_id or email"),
    ({"address": {"telegram_chat_id": 2**63}}, "address.telegram_chat_id", "less than"),
    ({"address": {"telegram_chat_id": "5"}}, "address.telegram_chat_id", "integer"),
    ({"address": {"email": "ann"}}, "address.email", "local@domain"),
    ({"address": {"phone": "5"}}, "address.phone", "unknown field"),
    ({"channels": ["fax"]}, "channels.0", "'telegram', 'email' or 'push'"),
    ({"channels": ["email", "email"]}, "", "twice"),
    ({"channel": "email"}, "", "one of channel and channels"),
    ({"lane": "promo"}, "lane", "'transactional' or 'campaign'"),
    ({"bot": "nobody"}, "bot", "unknown bot"),
    ({"colour": "red"}, "colour", "unknown field"),
    ({"variables": {"instrument": "x", "side": "buy", "profit_amount": [1]}}, "variables", ""),
    ({"variables": {"instrument": "x" * 5000, "side": "buy", "profit_amount": 1}}, "variables", "longer"),
    ({"variables": {"instrument": "x", "side": None}}, "variables", "side, profit_amount"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "within"),
    ({"expires_at": "2026-01-01T00:00:00"}, "expires_at", "timezone"),
    ({"not_before": "2100-01-01T00:00:00Z"}, "not_before", "before the message expires"),
    ({"metadata": {str(n): n for n in range(60)}}, "metadata", "at most 50"),
]


async def test_refused_at_the_door(gateway: Any) -> None:
    """What senders could not send is refused with 422, naming the field; nothing is published."""
    for change, field, words in REFUSED:
        status, problem = await gateway.call("POST", "/messages", json={**TP, **change})
        assert status == 422
        assert any(each["field"].startswith(field) and words in each["message"] for each in problem["errors"])
        assert words in problem["detail"], change
    assert (await gateway.call("POST", "/messages", json=TP))[0] == 202
    assert len(await gateway.eventually(MessageRequested)) == 1


REFUSED_TEXTS = [
    (
        {"text": "Hello *you", "format": "markdown_v2"},
        "Can't find end of Bold entity",
    ),
    ({"text": "1.5", "format": "markdown_v2"}, "Character '.' is reserved"),
    ({"text": "  "}, "is blank"),
    ({"text": "x" * 4097}, "message is too long"),
    ({"text": "x" * 40_000}, "at most 32768"),
    ({"text": "x", "buttons": [[{"text": "y", "data": "z" * 65}]]}, "BUTTON_DATA_INVALID"),
    ({"text": "x", "buttons": [[{"text": "y", "url": "javascript:x"}]]}, "URL"),
    ({"text": "x", "buttons": [[{"text": "y"}]]}, "exactly one of url, data and payload"),
    ({"text": "x", "buttons": [[{"text": "y", "data": "z", "call": 1}]]}, "unknown field"),
    ({"text": "x", "format": "html"}, "'plain' or 'markdown_v2'"),
]


async def test_texts_that_telegram_would_refuse(gateway: Any) -> None:
    """A text that Telegram would refuse is refused when it is handed in, in Telegram's own words."""
    for body, words in REFUSED_TEXTS:
        status, problem = await gateway.call("POST", "/messages", json={**BODY, "body": body})
        assert status == 422
        assert any(words in each["message"] for each in problem["errors"]), problem


async def test_a_text_for_e_mail_alone_has_other_limits(gateway: Any) -> None:
    """Telegram's limits hold where Telegram is in the chain."""
    long = {"address": {"email": "ann@example.org"}, "channel": "email", "body": {"text": "x" * 5000}}
    assert (await gateway.call("POST", "/messages", json=long))[0] == 202


async def test_a_batch(gateway: Any) -> None:
    """Many messages are accepted in their order, given as a list or as `messages`."""
    batch = [TP, BODY, {**TP, "channels": ["email"]}]
    status, first = await gateway.call("POST", "/messages", json={"messages": batch})
    status_of_list, second = await gateway.call("POST", "/messages", json=batch)
    assert (status, status_of_list) == (202, 202)
    accepted = {
        each["id"]: number for answer in (first, second) for number, each in enumerate(answer["messages"])
    }
    events = await gateway.eventually(MessageRequested, 6)
    assert accepted.keys() == {str(event.id) for event in events}
    for event in events:
        assert (event.template is None) == (accepted[str(event.id)] == 1)


async def test_a_batch_with_bad_items_is_refused_whole(gateway: Any) -> None:
    """One bad item refuses all; the indexes are named, and nothing is published."""
    batch = [TP, {**TP, "template": "nobody"}, TP, 5, {**BODY, "body": {"text": ""}}]
    status, problem = await gateway.call("POST", "/messages", json=batch)
    assert (status, problem["indexes"]) == (422, [1, 3, 4])
    assert {each["index"] for each in problem["errors"]} == {1, 3, 4}
    same = str(ids.derived("same"))
    status, problem = await gateway.call("POST", "/messages", json=[{**TP, "id": same}, {**BODY, "id": same}])
    assert (status, problem["indexes"]) == (422, [1])
    for nothing in ([], {"messages": []}, {"messages": 5}, {"messages": [TP], "other": 1}, [TP] * 1001):
        assert (await gateway.call("POST", "/messages", json=nothing))[0] == 422
    assert (await gateway.call("POST", "/messages", json=TP))[0] == 202
    assert len(await gateway.eventually(MessageRequested)) == 1


async def test_the_same_idempotency_key(gateway: Any) -> None:
    """A repeated request gets the same answer and sends nothing more; another body is refused."""
    headers = {"Idempotency-Key": "order-17"}
    first = await gateway.call("POST", "/messages", json=[TP, BODY], headers=headers)
    assert first[0] == 202
    assert await gateway.call("POST", "/messages", json=[TP, BODY], headers=headers) == first
    status, problem = await gateway.call("POST", "/messages", json=[TP], headers=headers)
    assert (status, problem["title"]) == (422, "Idempotency key reused")
    # Another caller's key of the same name is another key.
    other = await gateway.call("POST", "/messages", json=[TP], headers=headers, role=KeyRole.ADMIN)
    assert other[0] == 202
    await gateway.eventually(MessageRequested, 3)
    await gateway.call("POST", "/messages", json=BODY)
    assert len(await gateway.eventually(MessageRequested, 4)) == 4


async def test_bad_requests_do_not_use_a_key_up(gateway: Any) -> None:
    """After a refusal the corrected request may come under the same key."""
    headers = {"Idempotency-Key": "order-18"}
    assert (await gateway.call("POST", "/messages", json={}, headers=headers))[0] == 422
    assert (await gateway.call("POST", "/messages", json=TP, headers=headers))[0] == 202
    for key in ("x" * 256, "a b", "ü"):
        status, _ = await gateway.call("POST", "/messages", json=TP, headers={"Idempotency-Key": key})
        assert status == 422


async def test_requests_at_once_under_one_key(gateway: Any) -> None:
    """However many come at once, one body under a key is published, once."""
    headers = {"Idempotency-Key": "order-19"}
    answers = await asyncio.gather(
        *(gateway.call("POST", "/messages", json=each, headers=headers) for each in (TP, BODY) * 8)
    )
    accepted = {answer["id"] for status, answer in answers if status == 202}
    assert len(accepted) == 1
    assert {status for status, _ in answers} == {202, 422}
    await gateway.call("POST", "/messages", json=BODY)
    assert len(await gateway.eventually(MessageRequested, 2)) == 2


async def test_bodies_that_are_no_requests(gateway: Any) -> None:
    """What is not JSON is 400, another content type 415, too large 413, too deep 422."""
    headers = {"Content-Type": "application/json"}
    for data, expected in (
        (b"", 400), (b"{", 400), (b'{"a": NaN}', 400), (b"[" * 300 + b"]" * 300, 422), (b"5", 422),
        (io.BytesIO(b'"' + b"a" * (1 << 20) + b'"'), 413),
    ):  # fmt: skip
        status, _ = await gateway.call("POST", "/messages", data=data, headers=headers)
        assert status == expected
    status, _ = await gateway.call("POST", "/messages", data=b"{}", headers={"Content-Type": "text/plain"})
    assert status == 415


async def test_nul_and_surrogates_do_not_reach_the_stream(gateway: Any) -> None:
    """What PostgreSQL refuses is replaced at the door."""
    data = (
        b'{"address": {"telegram_chat_id": 5}, "channel": "telegram", "body": {"text": "a\\u0000\\ud800b"}}'
    )
    headers = {"Content-Type": "application/json"}
    assert (await gateway.call("POST", "/messages", data=data, headers=headers))[0] == 202
    (event,) = await gateway.eventually(MessageRequested)
    assert event.body is not None
    assert event.body.text == "a\ufffd\ufffdb"


async def test_a_message_is_cancelled(gateway: Any) -> None:
    """200 says that nothing was sent, 202 that nothing more will be; what has ended otherwise is 409."""
    states: dict[str, State | None] = {
        str(ids.derived("waits")): State.SUPPRESSED,
        str(ids.derived("unknown")): None,
        str(ids.derived("under way")): State.PENDING,
    }

    def cancel(command: CancelMessage) -> MessageCancelled:
        if str(command.message_id) not in states:
            raise Refusal(409, "Too late", "the message has ended: sent")
        return MessageCancelled(id=command.message_id, state=states[str(command.message_id)])

    assert (await gateway.call("DELETE", f"/messages/{USER}"))[0] == 503
    await gateway.peers.answer(CancelMessage, cancel)
    answers = [(await gateway.call("DELETE", f"/messages/{each}"))[0] for each in states]
    assert answers == [200, 202, 202]
    assert (await gateway.call("DELETE", f"/messages/{USER}"))[0] == 409
    assert (await gateway.call("DELETE", "/messages/five"))[0] == 404


async def test_what_became_of_a_message(gateway: Any) -> None:
    """State and history are senders' answer; an unknown id is 404, and so is what is no id."""
    view = MessageView.model_validate(
        {
            "id": USER, "lane": "transactional", "state": "sent", "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z", "deliveries": [], "history": [],
        }
    )  # fmt: skip

    def answer(query: GetMessage) -> MessageView:
        if str(query.message_id) != USER:
            raise Refusal(404, "Unknown message", "not known")
        return view

    assert (await gateway.call("GET", f"/messages/{USER}"))[0] == 503
    await gateway.peers.answer(GetMessage, answer)
    assert await gateway.call("GET", f"/messages/{USER}") == (200, view.model_dump(mode="json"))
    assert (await gateway.call("GET", f"/messages/{ids.derived('nobody')}"))[0] == 404
    assert (await gateway.call("GET", "/messages/five"))[0] == 404


async def test_a_forgotten_key_with_another_body_is_another_message(gateway: Any) -> None:
    """Keys are forgotten after a week; used again for something else, nothing old is taken for it."""
    headers = {"Idempotency-Key": "order-20"}
    ids_of = []
    for body in (TP, BODY, TP):
        status, answer = await gateway.call("POST", "/messages", json=body, headers=headers)
        assert status == 202
        ids_of.append(answer["id"])
        await gateway.database.execute(text("DELETE FROM idempotency_keys"))
    assert ids_of[0] == ids_of[2] != ids_of[1]


async def test_a_key_for_what_cannot_be_written_again(gateway: Any) -> None:
    """A lone surrogate beside an integer beyond 64 bits is a request like any other."""
    data = (
        b'{"address": {"telegram_chat_id": 5}, "channel": "telegram", "body": {"text": "\\ud800"},'
        b' "metadata": {"n": 99999999999999999999999}}'
    )
    headers = {"Content-Type": "application/json", "Idempotency-Key": "order-21"}
    statuses = {(await gateway.call("POST", "/messages", data=data, headers=headers))[0] for _ in range(2)}
    assert len(statuses) == 1
    assert statuses < {202, 422}
