"""Trimmed streams: nothing that anybody has to read goes, and nothing that was said is missed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig
from sqlalchemy import text

from carillon.audit import audit
from shared.bus import Refusal
from shared.bus.dead_letters import BODY_LEFT, DURABLE, ORIGIN
from shared.database import Database
from shared.events import ButtonClicked, CampaignChanged, ClickAnnotated, click_annotation_id
from shared.ids import derived
from shared.record import keeping
from shared.record.ages import Ages
from shared.record.books import begin
from shared.record.trimmed import held
from shared.record.trimming import Unbalanced, plan
from tests.shared.record.conftest import NOW
from tests.shared.record.world import ALL_OF_IT, World, update

Press = Callable[[int], ButtonClicked]


def note(press: ButtonClicked) -> ClickAnnotated:
    """Return what became known of a press."""
    return ClickAnnotated(
        id=click_annotation_id(press.id, press.id), at=press.at, click_id=press.id,
        metadata={"conversion": "completed", "name": "Ada"},
    )  # fmt: skip


def campaign(version: int) -> CampaignChanged:
    """Return a state of a campaign."""
    return CampaignChanged(
        id=derived("campaign", version), at=NOW, campaign_id=derived("campaign"), version=version,
        status="running", intended=10, checksum="-", sent=version, failed=0, suppressed=0, ambiguous=0,
    )  # fmt: skip


async def some(world: World, press: Press, first: int) -> None:
    """Tell of a post, five presses, a note, two updates that are handled, and a campaign."""
    presses = [press(number) for number in range(first, first + 5)]
    await world.post(NOW - timedelta(hours=24 - first), presses[0].payload)
    await world.tell(
        *presses, note(presses[0]), *update(first, NOW), *update(first + 1, NOW), campaign(first + 1)
    )


async def test_what_is_unread_stays_and_nothing_is_missed(world: World, press: Press) -> None:
    """A stopped durable holds back its own stream from its place on; all that went is still accounted for."""
    await some(world, press, 0)
    await world.catch_up()
    await some(world, press, 5)
    await world.catch_up("senders_presses")

    done = {part.stream: part for part in (await world.trim()).parts}

    assert (done["CLICKS"].trimmed, done["CLICKS"].held_by) == (5, ("senders_presses",))
    # Durables that nothing more came for hold nobody up.
    assert {name: await world.bus.streams.count(name) for name in ("OUTCOMES", "PROMOS", "UPDATES")} == {
        "OUTCOMES": 0, "PROMOS": 0, "UPDATES": 0,
    }  # fmt: skip
    [left] = [each for each in await world.bus.streams.progress() if each.durable.name == "senders_presses"]
    assert left.waiting == 5
    await world.catch_up()
    assert await world.is_whole()

    await some(world, press, 10)
    await world.catch_up()
    assert await world.is_whole()
    assert sum(part.trimmed for part in (await world.trim()).parts) == 7 + 6 + 7
    assert await world.is_whole()
    assert (await world.trim()).events == 0


async def test_durables_of_another_release_hold_back_too(world: World, press: Press) -> None:
    """A durable that this release does not know holds back what it has not read; who reads once does not."""
    await some(world, press, 0)
    await world.catch_up()
    client = Client()
    await client.connect(str(world.system.nats_url))
    for name in ("clicks_later", None):
        config = ConsumerConfig(
            durable_name=name, filter_subject="clicks.pressed", ack_policy=AckPolicy.EXPLICIT,
            inactive_threshold=None if name else 60.0,
        )  # fmt: skip
        await client.jetstream().add_consumer("CLICKS", config)
    await client.close()

    done = {part.stream: part for part in (await plan(world.bus, ALL_OF_IT, datetime.now(UTC))).parts}

    assert (done["CLICKS"].events, done["CLICKS"].held_by) == (0, ("clicks_later",))
    assert done["UPDATES"].events > 0


async def test_only_what_is_old_goes(world: World, press: Press) -> None:
    """An age of days keeps what is younger, 0 days keep everything, and updates go by an age of their own."""
    await some(world, press, 0)
    await world.catch_up()
    middle = datetime.now(UTC)
    await some(world, press, 5)
    await world.catch_up()

    async def would_go(ages: Ages, now: datetime) -> dict[str, int]:
        found = await plan(world.bus, ages, now)
        return {part.stream: part.events for part in found.parts if part.events}

    assert await would_go(Ages(1.0, 1.0), middle + timedelta(days=1)) == {
        "PROMOS": 1, "CLICKS": 6, "OUTCOMES": 2, "UPDATES": 4,
    }  # fmt: skip
    assert await would_go(Ages(1.0, 1.0), middle) == {}
    assert await would_go(Ages(None, 1.0), middle + timedelta(days=1)) == {"UPDATES": 4}
    assert await would_go(Ages(None, None), middle + timedelta(days=1)) == {}
    assert await would_go(Ages(1.0, None), middle + timedelta(days=2)) == {
        "PROMOS": 2, "CLICKS": 12, "OUTCOMES": 4, "UPDATES": 8,
    }  # fmt: skip
    assert (await world.trim(Ages(1.0, 1.0))).events == 0


async def test_nothing_goes_while_something_is_unaccounted_for(world: World, press: Press) -> None:
    """A row that is missing is found before anything goes, also among many that came after the cut."""
    await some(world, press, 0)
    await world.catch_up()
    async with world.connect("clicks") as clicks:
        await clicks.execute("DELETE FROM marketing_clicks WHERE id = $1", press(1).id)
    await some(world, press, 5)
    await world.catch_up("senders_presses", "clicks_annotations")
    before = await world.bus.streams.count("CLICKS")
    async with world.connect("clicks") as clicks:
        await clicks.execute("DELETE FROM marketing_clicks WHERE id = $1", press(1).id)

    with pytest.raises(Unbalanced, match="clicks"):
        await world.trim()

    assert await world.bus.streams.count("CLICKS") == before
    await world.catch_up("senders_presses")
    assert (await world.trim()).events > 0


async def test_what_a_dead_letter_needs_stays(world: World, press: Press) -> None:
    """Dead letters are not trimmed, nor an event that one could not take along; who died is accounted for."""
    await some(world, press, 0)
    origin = (await world.bus.streams.cut())["CLICKS"] - 2
    client = Client()
    await client.connect(str(world.system.nats_url))
    dead = press(4)
    await client.jetstream().publish(
        "dlq.senders_presses", b"",
        headers={BODY_LEFT: "1", DURABLE: "senders_presses", ORIGIN: f"CLICKS:{origin}"},
    )  # fmt: skip
    await client.jetstream().publish("dlq.clicks_presses", dead.model_dump_json().encode())
    await client.close()
    await world.catch_up()

    done = {part.stream: part for part in (await world.trim()).parts}

    assert (done["CLICKS"].cut, done["CLICKS"].held_by) == (origin - 1, ("a dead letter",))
    assert await world.bus.streams.payload("CLICKS", origin)
    assert await world.bus.streams.count("DLQ") == 2
    balanced = await audit(world.system, world.bus)
    assert balanced.balanced, balanced.as_dict()
    assert ALL_OF_IT.limits(NOW).keys().isdisjoint({"DLQ", "DISCARDED", "ADVISORIES"})


async def test_nothing_goes_under_whoever_reads(
    world: World, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a rebuild or an audit may be reading, events stay; what they have seen so far stays true."""
    await some(world, press, 0)
    await world.catch_up()
    monkeypatch.setattr(keeping, "LOCK_TRIES", 1)
    async with held(world.system.database_urls["clicks"]):
        with pytest.raises(Refusal, match="reading"):
            await world.trim()
    async with Database.open(world.system.database_urls["gateway"]) as database, database.begin() as reading:
        await begin(reading)
        with pytest.raises(Refusal, match="reading"):
            await world.trim()
    assert await world.bus.streams.count("CLICKS") == 6

    assert (await world.trim()).events > 0
    assert await world.is_whole()


async def test_who_waits_for_a_cut_sees_it_moved(world: World) -> None:
    """Whoever begins to read while a cut is moved reads what was written down for it, not what was before."""
    async with (
        Database.open(world.system.database_urls["clicks"]) as database,
        world.connect("clicks") as moving,
    ):

        async def cuts() -> int:
            async with database.begin() as reading:
                await begin(reading)
                return int((await reading.execute(text("SELECT count(*) FROM trimmed.cuts"))).scalar_one())

        move = moving.transaction()
        await move.start()
        await moving.execute("INSERT INTO trimmed.cuts VALUES ('CLICKS', 1, now(), now())")
        waiting = asyncio.create_task(cuts())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await move.commit()

        assert await waiting == 1
