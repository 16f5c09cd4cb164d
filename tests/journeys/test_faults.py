"""Faults, with real processes: kill -9, outages, poison; nothing is lost and nothing doubled."""

import asyncio
import json
import os
import signal
from collections import Counter
from typing import Any
from uuid import uuid4

import nats
import nats.js.errors
import pytest

from tests.journeys.conftest import World

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.timeout(300)]


async def _press_many(world: World, first: int, count: int) -> list[int]:
    """Press as Telegram would: again and again until it is accepted. Return the accepted update ids."""
    promo = await world.promo()
    data = promo["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
    chat = {"id": promo["chat_id"], "type": "channel"}

    async def press(update_id: int) -> None:
        person = {"id": 20_000 + update_id % 7, "is_bot": False, "first_name": "Somebody"}
        message = {"message_id": promo["message_id"], "date": 1, "chat": chat}
        query = {"id": str(update_id), "chat_instance": "1", "data": data, "from": person, "message": message}
        for _ in range(480):
            if await world.webhook({"update_id": update_id, "callback_query": query}) == 200:
                return
            await asyncio.sleep(0.25)
        raise AssertionError(f"update {update_id} was never accepted")

    updates = list(range(first, first + count))
    for start in range(0, count, 20):
        await asyncio.gather(*(press(update_id) for update_id in updates[start : start + 20]))
    return updates


async def _stored(world: World, updates: list[int]) -> int:
    rows: int = await world.rows(
        "gateway", "SELECT count(*) FROM telegram_webhooks WHERE update_id = ANY($1)", updates
    )
    return rows


async def _balanced(world: World) -> None:
    audit = world.running.audit()
    assert audit["balanced"], json.dumps(
        [line for line in audit["lines"] if line["difference"]] + audit["late"]
    )
    assert audit["lost"] == []


def _kill(world: World, name: str) -> None:
    os.kill(world.system.pids[name][0], signal.SIGKILL)


@pytest.mark.parametrize(
    "service",
    ["gateway", *(pytest.param(each, marks=pytest.mark.slow) for each in ("clicks", "scheduler"))],
)
async def test_presses_survive_a_killed_service(world: World, service: str) -> None:
    """Kill -9 of a service in the middle of presses: every accepted press is one row, once."""
    before: int = await world.rows("clicks", "SELECT count(*) FROM marketing_clicks")
    first = {"gateway": 1_000_000, "clicks": 2_000_000, "scheduler": 3_000_000}[service]
    pressing = asyncio.create_task(_press_many(world, first, 200))
    await asyncio.sleep(0.3)
    _kill(world, service)
    updates = await pressing
    await world.ready()

    async def all_rows() -> bool:
        rows: int = await world.rows("clicks", "SELECT count(*) FROM marketing_clicks")
        return rows >= before + 200 and await _stored(world, updates) == 200

    await world.until(all_rows)
    assert await world.rows("clicks", "SELECT count(*) FROM marketing_clicks") == before + 200
    await _balanced(world)


async def test_a_campaign_survives_killed_senders_without_a_duplicate(world: World) -> None:
    """Kill -9 of senders, twice, in mid-campaign: nobody gets it twice; what is in doubt is counted."""
    text = f"campaign {uuid4()}"
    people = range(30_001, 30_101)
    for person in people:
        await world.telegram("/chats", {"type": "private", "user_id": person})
    recipients = [{"address": {"telegram_chat_id": person}} for person in people]
    status, campaign = await world.api(
        "POST", "/campaigns", {"channels": ["telegram"], "body": {"text": text}, "recipients": recipients}
    )
    assert status == 202, campaign

    async def seen() -> list[dict[str, Any]]:
        return [each for each in await world.sent() if each["text"] == text]

    for least in (15, 45):

        async def begun(least: int = least) -> bool:
            return len(await seen()) >= least

        await world.until(begun)
        _kill(world, "senders")
        await asyncio.sleep(0.5)

    view: dict[str, Any] = {}

    async def done() -> bool:
        status, body = await world.api("GET", f"/campaigns/{campaign['id']}")
        view.update(body if status == 200 else {})
        return view.get("pending") == 0

    await world.until(done)
    times = Counter(each["chat_id"] for each in await seen())
    assert max(times.values()) == 1
    assert view["sent"] + view["ambiguous"] == 100
    assert view["sent"] <= len(times) <= 100
    await _balanced(world)


async def test_an_outage_of_the_broker_loses_nothing(world: World) -> None:
    """Kill -9 of the broker: updates are refused until it is back, then all are accepted and none is lost."""
    pressing = asyncio.create_task(_press_many(world, 4_000_000, 100))
    await asyncio.sleep(0.1)
    _kill(world, "nats")
    updates = await pressing
    await world.ready()

    async def stored() -> bool:
        return await _stored(world, updates) == 100

    await world.until(stored)
    await _balanced(world)


async def test_an_outage_of_the_database_buries_nothing(world: World) -> None:
    """The database is away: updates are accepted all the same, no try is burnt, and all is caught up."""
    letters = world.running.audit()["dead_letters"]
    _kill(world, "postgres")
    updates = await _press_many(world, 5_000_000, 100)
    await world.ready()

    async def stored() -> bool:
        return await _stored(world, updates) == 100

    await world.until(stored)
    await _balanced(world)
    assert world.running.audit()["dead_letters"] == letters


async def test_poison_ends_in_the_dead_letters_and_is_replayed_by_command(world: World) -> None:
    """An update that fails every time is buried, shown, and after its cause is gone replayed, once."""
    await world.run(
        "gateway",
        """
        CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF NEW.update_id = 6000001 THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER poison BEFORE INSERT ON telegram_webhooks FOR EACH ROW EXECUTE FUNCTION poison()""",
    )
    chat = {"id": 1002, "type": "private", "first_name": "Grace"}
    person = {"id": 1002, "is_bot": False, "first_name": "Grace"}
    for update_id in (6_000_001, 6_000_002):
        message = {"message_id": update_id, "date": 1, "chat": chat, "from": person, "text": "hello"}
        assert await world.webhook({"update_id": update_id, "message": message}) == 200

    def letters() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(world.running.command("dlq", "list", "--json").stdout)
        return [each for each in found if each["durable"] == "gateway_updates"]

    async def buried() -> bool:
        return len(letters()) == 1

    await world.until(buried)
    [letter] = letters()
    assert letter["reason"] == "failed"
    assert await _stored(world, [6_000_001, 6_000_002]) == 1
    shown = json.loads(world.running.command("dlq", "show", str(letter["number"]), "--json").stdout)
    assert shown["payload"]["update_id"] == 6_000_001
    await world.run("gateway", "DROP TRIGGER poison ON telegram_webhooks; DROP FUNCTION poison()")
    assert world.running.command("dlq", "replay", str(letter["number"]), "--json").returncode == 0

    async def replayed() -> bool:
        return await _stored(world, [6_000_001, 6_000_002]) == 2

    await world.until(replayed)
    assert letters() == []
    await _balanced(world)


@pytest.mark.slow
async def test_garbage_that_bypasses_the_door_is_accounted_for(world: World) -> None:
    """Whatever is put straight onto a subject ends as a dead letter or an outcome, and the books balance."""
    client = await nats.connect(str(world.system.nats_url))
    stream = client.jetstream()
    expires = {"at": "2026-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z", "channels": ["telegram"]}
    unwritable = {**expires, "address": {"telegram_chat_id": 1001}, "template": "no_such_template"}
    letters = world.running.audit()["dead_letters"]
    for subject in (
        "promos.due", "promos.cancelled", "clicks.pressed", "messages.transactional.telegram",
        "messages.campaign.email", "outcomes.sent.telegram", "updates.5",
    ):  # fmt: skip
        for body in (b"", b"1", b"null", b"{}", b"\xff\x00", b'{"id": "x"}'):
            await stream.publish(subject, body)
        await stream.publish(subject, b"{}", headers={"Carillon-Event": "made.up"})
    for _ in range(2):
        body = json.dumps({**unwritable, "id": str(uuid4())}).encode()
        await stream.publish("messages.transactional.telegram", body)
    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await stream.publish("messages.transactional.fax", b"{}")
    await client.close()
    await _balanced(world)
    audit = world.running.audit()
    assert audit["dead_letters"] >= letters + 7 * 7
    assert world.running.command("dlq", "discard", "--reason", "unparsable", "--json").returncode == 0


@pytest.mark.slow
async def test_the_audit_finds_a_row_that_is_gone(world: World) -> None:
    """A negative control: a deleted click is a difference, and the audit's exit code says so."""
    await _press_many(world, 7_000_000, 5)

    async def stored() -> bool:
        return await _stored(world, list(range(7_000_000, 7_000_005))) == 5

    await world.until(stored)
    await _balanced(world)
    await world.run("clicks", "CREATE TABLE kept AS SELECT * FROM marketing_clicks LIMIT 1")
    await world.run("clicks", "DELETE FROM marketing_clicks WHERE id IN (SELECT id FROM kept)")
    done = world.running.command("audit", "--json")
    assert done.returncode == 1
    lines = {line["name"]: line["difference"] for line in json.loads(done.stdout)["lines"]}
    assert lines["clicks"] == 1
    await world.run("clicks", "INSERT INTO marketing_clicks SELECT * FROM kept; DROP TABLE kept")
    await _balanced(world)
