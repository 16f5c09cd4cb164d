"""Trimming the streams of a whole system that works on: nothing is missed, and nothing told twice."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from carillon.rebuild import PROJECTING
from tests.journeys.conftest import World

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.timeout(300), pytest.mark.slow]

MOMENT = "0.000001"
"""So many days are a tenth of a second."""
PERSON = {"id": 5_001, "is_bot": False, "first_name": "Ada-Secret"}


async def send(world: World, address: str, **more: Any) -> str:
    """Request an e-mail; return the message's id."""
    body = {"address": {"email": address}, "channels": ["email"], "body": {"text": "Words"}, **more}
    status, answer = await world.api("POST", "/messages", body, **{"Idempotency-Key": str(uuid4())})
    assert status == 202, answer
    found: str = answer["id"]
    return found


async def press(world: World, update_id: int) -> None:
    """Press a promo's button."""
    promo = await world.promo()
    data = promo["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
    chat = {"id": promo["chat_id"], "type": "channel"}
    message = {"message_id": promo["message_id"], "date": 1, "chat": chat}
    query = {"id": "1", "chat_instance": "1", "data": data, "from": PERSON, "message": message}
    assert await world.webhook({"update_id": update_id, "callback_query": query}) == 200


async def write(world: World, update_id: int, text: str) -> None:
    """Write to the bot."""
    message = {
        "message_id": update_id, "date": 1, "chat": {"id": PERSON["id"], "type": "private"}, "from": PERSON,
        "text": text,
    }  # fmt: skip
    assert await world.webhook({"update_id": update_id, "message": message}) == 200


async def is_whole(world: World) -> None:
    """Hold a system to its books, its projections, and to telling nothing again."""
    audit = world.running.audit()
    assert audit["balanced"], [line for line in audit["lines"] if line["difference"]] + audit["late"]
    for service in PROJECTING:
        rebuilt = json.loads(world.running.command("rebuild", service, "--json").stdout)
        assert rebuilt["same"], rebuilt
    told = json.loads(world.running.command("reconcile", "--json").stdout)
    assert [each["missing"] for each in told["streams"]] == [0] * len(told["streams"]), told


def trim(world: World) -> dict[str, Any]:
    """Trim all that has been read."""
    done = world.running.command("trim", "--days", MOMENT, "--update-text-days", MOMENT, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_system_is_trimmed_while_it_works(world: World) -> None:
    """Sums, rebuilds, waiting messages, why and forget are as before, over one trim and another."""
    message = await send(world, "first@example.com")
    await world.message(message)
    waiting = await send(
        world, "later@example.com", not_before=(datetime.now(UTC) + timedelta(seconds=25)).isoformat()
    )
    await press(world, 7_000_001)
    await write(world, 7_000_002, "/start")

    dry = world.running.command("trim", "--days", MOMENT, "--dry-run")
    first = trim(world)
    await is_whole(world)

    assert (dry.returncode, "Nothing was changed." in dry.stdout) == (0, True)
    assert first["trimmed"] >= 10
    assert {name: each["held_by"] for name, each in first["streams"].items() if each["held_by"]} == {}
    why = world.running.command("why", message)
    assert "email delivery: sent" in why.stdout
    assert "are trimmed: tables tell the rest" in why.stdout
    assert "are trimmed" in world.running.command("why", str(uuid4())).stderr

    await press(world, 7_000_003)
    await world.message(await send(world, "second@example.com"))
    assert (await world.message(waiting))["state"] == "sent"
    assert trim(world)["trimmed"] > 0
    await press(world, 7_000_004)

    forgotten = world.running.command("forget", str(PERSON["id"]), "--json")
    assert forgotten.returncode == 0, forgotten.stderr
    await is_whole(world)
    log = "FROM trimmed.telegram_webhooks AS line"
    assert await world.rows("gateway", f"SELECT count(*) {log}") >= 3
    about = f"SELECT count(*) {log} WHERE line::text LIKE '%Secret%' OR chat_id = 5001"
    assert await world.rows("gateway", about) == 0
    assert await world.rows("clicks", "SELECT count(*) FROM trimmed.marketing_clicks") == 2
    assert await world.rows("clicks", "SELECT count(telegram_id) FROM trimmed.marketing_clicks") == 0
    assert await world.rows("clicks", "SELECT count(*) FROM marketing_clicks") == 3
