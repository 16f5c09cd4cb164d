"""The main flows, end to end, with real processes on real protocols."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.journeys.conftest import World

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.timeout(300)]

ALERT = {
    "instrument": "EUR/USD", "side": "BUY", "entry_price": "1.0850", "current_price": "1.0790",
    "loss_amount": "60.00", "broker_ticket": "T-1042",
}  # fmt: skip


async def _clicks(world: World) -> int:
    count: int = await world.rows("clicks", "SELECT count(*) FROM marketing_clicks WHERE source = 'button'")
    return count


def _press(world: World, promo: dict[str, Any], update_id: int, **changes: Any) -> dict[str, Any]:
    data = promo["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
    chat = {"id": promo["chat_id"], "type": "channel"}
    query = {
        "id": str(update_id), "chat_instance": "1", "data": data,
        "from": {"id": 1002, "is_bot": False, "first_name": "Grace"},
        "message": {"message_id": promo["message_id"], "date": 1, "chat": chat},
    }  # fmt: skip
    return {"update_id": update_id, "callback_query": query | changes}


async def test_a_promo_is_posted_and_presses_become_rows(world: World) -> None:
    """A due promo is posted to its chats; two presses are two rows, one delivered three times is one."""
    promo = await world.promo()
    before = await _clicks(world)
    body = {"chat_id": promo["chat_id"], "message_id": promo["message_id"], "wait": 30}
    first = await world.telegram("/press", body | {"user_id": 1001, "repeat": 3})
    second = await world.telegram("/press", body | {"user_id": 1002})
    for pressed in (first, second):
        assert pressed["answered"]["url"].startswith("https://t.me/carillon_dev_bot?start=")

    async def both() -> bool:
        return await _clicks(world) >= before + 2

    await world.until(both)
    await asyncio.sleep(0.5)
    assert await _clicks(world) == before + 2
    status, stats = await world.api("GET", "/clicks/stats")
    assert status == 200
    assert sum(each["clicks"] for each in stats["items"]) >= 2


async def test_the_promo_log_tells_what_was_posted_where(world: World) -> None:
    """The promo log shows every chat of the first slot as posted, with its message id."""
    await world.promo()

    async def posted() -> bool:
        _, page = await world.api("GET", "/promo-log")
        return bool(page["items"]) and page["items"][-1]["posted"] == len(world.system.chat_ids)

    await world.until(posted)
    _, page = await world.api("GET", "/promo-log")
    entry = page["items"][-1]
    assert {chat["chat_id"] for chat in entry["chats"]} == set(world.system.chat_ids)
    assert all(chat["state"] == "sent" and chat["provider_message_id"] for chat in entry["chats"])


@pytest.mark.parametrize("channel", ["telegram", "email", "push"])
async def test_a_notification_goes_out_on_each_channel(world: World, channel: str) -> None:
    """The same alert reaches a trader over each channel, through the path that every message takes."""
    user = str(uuid4())
    await world.api("PUT", f"/recipients/{user}", {"email": f"{user}@example.com", "telegram_chat_id": 1002})
    subscription = await world.push("/subscriptions", {})
    keys = {name: subscription[name] for name in ("endpoint", "p256dh", "auth")}
    await world.api("POST", f"/recipients/{user}/push-subscriptions", keys)
    status, answer = await world.api(
        "POST", "/messaging/test",
        {"user_id": user, "channel": channel, "template_name": "position_failure_sl", "template_vars": ALERT},
    )  # fmt: skip
    assert (status, answer["status"]) == (202, "sent"), answer
    if channel == "telegram":
        assert any(
            "EUR/USD" in each["text"] and "SELL" not in each["text"] for each in await world.sent(1002)
        )
    elif channel == "email":
        mails = (await world.mail("/messages"))["messages"]
        assert any(f"{user}@example.com" in str(each) and "EUR/USD" in str(each) for each in mails)
    else:
        pushes = (await world.push(f"/messages?subscription={subscription['id']}"))["messages"]
        assert len(pushes) == 1


async def test_a_dead_channel_falls_back_and_the_chain_is_one_message(world: World) -> None:
    """An expired push subscription falls back to e-mail; the chain is one message with one history."""
    user = str(uuid4())
    subscription = await world.push("/subscriptions", {})
    await world.push(f"/subscriptions/{subscription['id']}/expire", {})
    await world.api("PUT", f"/recipients/{user}", {"email": "fallback@example.com"})
    keys = {name: subscription[name] for name in ("endpoint", "p256dh", "auth")}
    await world.api("POST", f"/recipients/{user}/push-subscriptions", keys)
    status, accepted = await world.api(
        "POST", "/messages", {"user_id": user, "template": "position_failure_sl", "variables": ALERT}
    )
    assert status == 202
    view = await world.message(accepted["id"])
    assert view["state"] == "sent"
    assert [(each["channel"], each["state"]) for each in view["deliveries"]] == [
        ("push", "failed"),
        ("email", "sent"),
    ]
    _, recipient = await world.api("GET", f"/recipients/{user}")
    assert recipient["push_subscriptions"] == []


async def test_the_same_request_twice_is_one_message(world: World) -> None:
    """The same Idempotency-Key is one message; with another body it is refused."""
    body = {
        "channels": ["telegram"],
        "address": {"telegram_chat_id": 1001},
        "body": {"text": f"once {uuid4()}"},
    }
    key = str(uuid4())
    answers = [await world.api("POST", "/messages", body, **{"Idempotency-Key": key}) for _ in range(3)]
    assert {status for status, _ in answers} == {202}
    assert len({answer["id"] for _, answer in answers}) == 1
    await world.message(answers[0][1]["id"])
    assert sum(each["text"] == body["body"]["text"] for each in await world.sent(1001)) == 1  # type: ignore[index]
    status, _ = await world.api(
        "POST", "/messages", body | {"metadata": {"other": 1}}, **{"Idempotency-Key": key}
    )
    assert status == 422


async def test_commands_are_answered_by_role(world: World) -> None:
    """/help answers anybody; /start_marketing tells a stranger which role is needed and obeys the owner."""
    for user, text, words in (
        (1002, "/help", "help"),
        (1002, "/start_marketing", "admin"),
        (1001, "/start_marketing", "already"),
    ):
        before = len(await world.sent(user))
        await world.telegram("/send", {"chat_id": user, "user_id": user, "text": text, "wait": 5})

        async def answered(user: int = user, before: int = before) -> bool:
            return len(await world.sent(user)) > before

        await world.until(answered)
        assert words in (await world.sent(user))[-1]["text"].lower()


@pytest.mark.slow
async def test_keys_are_created_used_and_revoked(world: World) -> None:
    """A key works from its creation to its revocation; it is shown once and never listed."""
    made = json.loads(world.running.command("keys", "create", "shop", "--role", "service", "--json").stdout)
    bearer = {"Authorization": f"Bearer {made['key']}"}
    assert (await world.api("GET", "/status", **bearer))[0] == 200
    assert made["key"] not in world.running.command("keys", "list", "--json").stdout
    assert world.running.command("keys", "revoke", made["id"], "--json").returncode == 0
    assert (await world.api("GET", "/status", **bearer))[0] == 401


async def test_an_expired_request_is_suppressed(world: World) -> None:
    """What asks the world for an effect carries its deadline: an old request can never surprise anyone."""
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    body = {"channels": ["telegram"], "address": {"telegram_chat_id": 1001}, "body": {"text": "too late"}}
    status, accepted = await world.api("POST", "/messages", body | {"expires_at": past})
    if status == 202:
        assert (await world.message(accepted["id"]))["state"] == "suppressed"
    else:
        assert status == 422
    assert all(each["text"] != "too late" for each in await world.sent(1001))


async def test_wrong_secrets_and_bad_bodies_publish_nothing(world: World) -> None:
    """A wrong secret is refused; malformed updates get the statuses that Telegram can live with."""
    promo = await world.promo()
    before = await _clicks(world)
    assert await world.webhook(_press(world, promo, 77), secret="wrong") == 403
    assert await world.webhook({"no": "update_id"}) == 400
    assert await world.webhook([1, 2]) == 400
    for number, changes in enumerate(
        ({"data": "p1.vip.short"}, {"data": None}, {"from": "somebody"}, {"data": "\x00"})
    ):
        assert await world.webhook(_press(world, promo, 900_000 + number, **changes)) == 200
    await asyncio.sleep(0.5)
    assert await _clicks(world) == before


async def test_one_trace_runs_from_the_webhook_to_the_last_row(world: World) -> None:
    """The trace that a press begins is the one that the log lines of its handling carry."""
    promo = await world.promo()
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = {"channels": ["telegram"], "address": {"telegram_chat_id": 1001}, "template": "no_such_template"}
    status, _ = await world.api("POST", "/messages", body, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    assert status == 422
    text = {"channels": ["telegram"], "address": {"telegram_chat_id": 9_999_999}, "body": {"text": "nobody"}}
    status, accepted = await world.api(
        "POST", "/messages", text, traceparent=f"00-{trace}-b7ad6b7169203331-01"
    )
    assert status == 202
    assert (await world.message(accepted["id"]))["state"] == "failed"
    assert promo["reply_markup"]


async def test_no_secret_is_in_any_log(world: World) -> None:
    """Tokens, keys, addresses and texts appear in no log, though everything above has passed through."""
    await world.promo()
    logs = world.running.logs()
    system = world.system
    for secret in (
        system.bot_token, (system.bot_token or "").partition(":")[2], system.webhook_secret, system.owner_key,
        system.service_key, "fallback@example.com", "EUR/USD",
        *(url.split(":")[2].split("@")[0] for url in system.database_urls.values()),
    ):  # fmt: skip
        assert secret
        assert secret not in logs
