"""Campaigns from status to status: scheduled, held, resumed, cancelled, ended; and true sums."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders import api
from services.senders.domain.limits import Limits
from services.senders.domain.requests import Request
from services.senders.handlers.pacing import Pacing
from services.senders.handlers.rounds import MOVE_SECONDS
from services.senders.store import Proof
from services.senders.store.sums import RECOMPUTED
from shared.bus import Refusal
from shared.events import CampaignChanged, Channel, MessageSuppressed, campaign_item_id
from shared.queries import (
    CampaignView,
    CancelCampaign,
    CreateCampaign,
    GetCampaign,
    PauseCampaign,
    ResumeCampaign,
    StartCampaign,
)
from tests.senders.conftest import FAST
from tests.senders.test_campaign_lists import draft, part
from tests.senders.test_campaigns import campaign, on_a_stream

_RECOMPUTED = text(RECOMPUTED)
_RUN = text("""
    UPDATE campaigns SET status = 'running', expires_at = now() + interval '1 hour' WHERE id = :id""")
_EXPIRE = text("""
    UPDATE campaigns SET scheduled_at = now() - interval '2 h', expires_at = now() - interval '1 h'
    WHERE id = :id""")
_AN_HOUR_AGO = text("UPDATE campaigns SET scheduled_at = scheduled_at - interval '1 hour' WHERE id = :id")
_HELD = text("SELECT count(*) FROM deliveries WHERE reason = 'campaign_paused'")
_MOVES = {"pause": (PauseCampaign, api.pause_campaign), "resume": (ResumeCampaign, api.resume_campaign),
          "cancel": (CancelCampaign, api.cancel_campaign)}  # fmt: skip


async def view(house: Any, campaign_id: UUID) -> CampaignView:
    """Return what a campaign has come to; its sums are what the ledger says, and add up."""
    while True:
        before = await api.get_campaign(GetCampaign(campaign_id=campaign_id), house.campaigns)
        rows = await house.database.rows(_RECOMPUTED)
        found = await api.get_campaign(GetCampaign(campaign_id=campaign_id), house.campaigns)
        if before.model_copy(update={"elapsed_seconds": None, "remaining_seconds": None}) == found.model_copy(
            update={"elapsed_seconds": None, "remaining_seconds": None}
        ):
            break
    ledger = {row["state"]: row["messages"] for row in rows if row["campaign_id"] == campaign_id}
    assert found.intended == found.sent + found.failed + found.suppressed + found.ambiguous + found.pending
    for state in ("sent", "failed", "ambiguous"):
        assert getattr(found, state) == ledger.get(state, 0)
    assert found.suppressed >= ledger.get("suppressed", 0)
    return found


async def move(house: Any, word: str, campaign_id: UUID) -> CampaignView:
    """Pause, resume or cancel a campaign, as the API does."""
    command, answer = _MOVES[word]
    return await answer(command(cause=uuid4(), campaign_id=campaign_id), house.campaigns)  # type: ignore[operator]


async def until(house: Any, campaign_id: UUID, **wanted: Any) -> CampaignView:
    """Wait until a campaign is so."""
    async with asyncio.timeout(120):
        while True:
            found = await view(house, campaign_id)
            if all(getattr(found, name) == value for name, value in wanted.items()):
                return found
            await asyncio.sleep(0.05)


async def told(house: Any, status: str) -> CampaignChanged:
    """Wait until a status is told."""
    async with asyncio.timeout(120):
        while not (events := [each for each in house.of(CampaignChanged) if each.status == status]):
            await asyncio.sleep(0.05)
    return events[-1]


async def last_told(house: Any, found: CampaignView) -> None:
    """Wait until what was told last of a campaign is what it has come to."""
    states = ("intended", "sent", "failed", "suppressed", "ambiguous")
    wanted = [getattr(found, state) for state in states]
    async with asyncio.timeout(120):
        while [getattr(house.of(CampaignChanged)[-1], state) for state in states] != wanted:
            await asyncio.sleep(0.05)


async def test_a_campaign_that_is_over_is_told_again_when_its_sums_change(house: Any) -> None:
    """A doubt that a press settles after the end is told: who counts by events ends equal to the ledger."""
    command = campaign(house, 2)
    on_a_stream(house)
    house.telegram.cloud.faults.add("reset_after", method="sendMessage")
    await house.campaigns.add(command)
    async with house.rounds():
        await until(house, command.campaign_id, status="done", sent=1, ambiguous=1)
        assert (await told(house, "done")).ambiguous == 1
        [row] = await house.ledger.in_doubt(2)
        delivery = (await house.ledger.message(row["message_id"]))[1][0]
        await house.ledger.settle([Proof(delivery["id"], delivery["bot"], delivery["chat_id"], 5)])
        await last_told(house, await until(house, command.campaign_id, sent=2))


async def test_pause_holds_and_resume_goes_on(house: Any) -> None:
    """A paused campaign sends nothing more, also of what is expanded; resumed, each is told once."""
    stream, command = on_a_stream(house, Limits(bot_per_second=1.5)), campaign(house, 25)
    await house.campaigns.add(command)
    sent = house.telegram.cloud.records.sent
    async with house.rounds():
        async with asyncio.timeout(120):
            while sent.total < 2:
                await asyncio.sleep(0.02)
        for _ in range(2):
            assert (await move(house, "pause", command.campaign_id)).status == "paused"
        await asyncio.gather(*stream.tasks)
        async with asyncio.timeout(120):
            while await house.database.value(_HELD) + sent.total < 25:
                await asyncio.sleep(0.05)
        held = sent.total
        await asyncio.sleep(1.0)
        assert sent.total == held < 25
        found = await view(house, command.campaign_id)
        assert (found.status, found.pending) == ("paused", 25 - held)
        house.desk.limits, house.desk.pacing = FAST, Pacing(house.desk.governor, FAST)
        for _ in range(2):
            assert (await move(house, "resume", command.campaign_id)).status == "running"
        await until(house, command.campaign_id, status="done", sent=25)
        with pytest.raises(Refusal) as refused:
            await move(house, "pause", command.campaign_id)
        event = await told(house, "done")
    assert refused.value.status == 409
    assert [len(house.texts(1000 + number)) for number in range(25)] == [1] * 25
    assert (event.sent, event.intended, event.reason) == (25, 25, None)


async def test_cancel_ends_what_is_unsent(house: Any) -> None:
    """Of a cancelled campaign what is expanded is suppressed, with its outcome; the rest never begins."""
    stream, command = on_a_stream(house, Limits(bot_per_second=5)), campaign(house, 120)
    await house.campaigns.add(command)
    async with house.rounds():
        async with asyncio.timeout(120):
            while house.telegram.cloud.records.sent.total < 2:
                await asyncio.sleep(0.02)
        for _ in range(2):
            assert (await move(house, "cancel", command.campaign_id)).status == "cancelled"
        found = await until(house, command.campaign_id, pending=0)
        await asyncio.gather(*stream.tasks)
        found = await until(house, command.campaign_id, pending=0)
        sent = house.telegram.cloud.records.sent.total
        accepted = await house.database.value(text("SELECT count(*) FROM messages"))
        async with asyncio.timeout(120):
            while len({each.message_id for each in house.of(MessageSuppressed)}) < accepted - sent:
                await asyncio.sleep(0.05)
        await last_told(house, found)
    assert found.sent == sent < 120
    assert (found.suppressed, found.status) == (120 - found.sent, "cancelled")
    assert {each.reason for each in house.of(MessageSuppressed)} == {"cancelled"}
    with pytest.raises(Refusal):
        await move(house, "resume", command.campaign_id)


async def test_a_schedule_begins_when_it_is_due(house: Any) -> None:
    """A scheduled campaign begins at its time, not before; held over it, when it is resumed."""
    on_a_stream(house)
    house.chat(7)
    made = await draft(house)
    await api.add_campaign_recipients(part(made.id, 7), house.campaigns)
    at = house.asked().at + timedelta(minutes=30)
    command = StartCampaign(cause=uuid4(), campaign_id=made.id, scheduled_at=at)
    assert (await api.start_campaign(command, house.campaigns, house.estimates)).status == "scheduled"
    async with house.rounds():
        await asyncio.sleep(2 * MOVE_SECONDS)
        assert (await move(house, "pause", made.id)).started_at is None
        await house.database.execute(_AN_HOUR_AGO, id=made.id)
        await asyncio.sleep(2 * MOVE_SECONDS)
        assert ((await view(house, made.id)).status, house.texts(7)) == ("paused", [])
        found = await move(house, "resume", made.id)
        assert found.started_at is not None
        found = await until(house, made.id, status="done")
    assert (house.texts(7), found.scheduled_at) == (["News"], at - timedelta(hours=1))


async def test_what_is_late_is_not_begun(house: Any) -> None:
    """A schedule whose day is over has failed; what a list was not in time for stays unsent."""
    late, slow = await draft(house), campaign(house, 3)
    await api.add_campaign_recipients(part(late.id, 7), house.campaigns)
    at = house.asked().at + timedelta(hours=1)
    await house.campaigns.start(late.id, scheduled_at=at, predicted_seconds=1)
    await house.campaigns.add(slow)
    fields = {"lane": "campaign", "campaign_id": slow.campaign_id, "campaign_position": 0}
    await house.handle(house.asked(id=campaign_item_id(slow.campaign_id, 0), **fields))
    for each in (late.id, slow.campaign_id):
        await house.database.execute(_EXPIRE, id=each)
    await house.campaigns.begin_due()
    await house.campaigns.end()
    found = await view(house, late.id)
    assert (found.status, found.reason, found.suppressed) == ("failed", "expired", 1)
    found = await view(house, slow.campaign_id)
    assert (found.status, found.reason, found.sent, found.suppressed) == ("done", "expired", 1, 2)
    assert await house.campaigns.expanding(10) is None


async def test_nobody_reached_is_failed(house: Any) -> None:
    """A campaign of which no message arrived and some failed has failed, and says why."""
    stream = on_a_stream(house)
    command = CreateCampaign.model_validate(
        {
            "campaign_id": uuid4(), "channels": ["telegram"], "template": "position_failure_tp",
            "expires_at": house.asked().expires_at, "recipients": [{"address": {"telegram_chat_id": 42}}],
        }
    )  # fmt: skip
    await house.campaigns.add(command)
    async with house.rounds():
        found = await until(house, command.campaign_id, status="failed")
        await asyncio.gather(*stream.tasks)
        event = await told(house, "failed")
    assert (found.reason, found.failed) == ("nobody_reached", 1)
    assert (event.reason, event.failed) == ("nobody_reached", 1)


async def test_sums_follow_every_turn(house: Any) -> None:
    """Fallbacks, doubts that a press settles, replayed dead letters and strangers' messages count right."""
    house.desk = house.replica(Limits(on=False))  # no slot to miss: nothing is put off
    reader = await house.recipient(email="reader@carillon.example", telegram_chat_id=42)
    made = await draft(house, channels=["push", "email", "telegram"])
    await house.database.execute(_RUN, id=made.id)
    chain = (Channel.PUSH, Channel.EMAIL, Channel.TELEGRAM)
    fields = {"lane": "campaign", "campaign_id": made.id, "expires_at": house.asked().expires_at}
    await house.handle(house.asked(user_id=reader, channels=chain, **fields))
    assert (await view(house, made.id)).sent == 1
    house.telegram.cloud.faults.add("reset_after", method="sendMessage")
    doubtful = await house.handle(house.asked(**fields))
    found = await view(house, made.id)
    assert (found.intended, found.sent, found.ambiguous) == (2, 1, 1)
    await house.campaigns.fold()
    row = (await house.ledger.message(doubtful))[1][0]
    await house.ledger.settle([Proof(row["id"], row["bot"], row["chat_id"], 5)])
    found = await view(house, made.id)
    assert (found.sent, found.ambiguous) == (2, 0)
    dead = house.asked(**fields)
    await house.ledger.bury(Request.of_message(dead))
    assert (await view(house, made.id)).failed == 1
    await house.handle(dead, replay=1)
    found = await view(house, made.id)
    assert (found.sent, found.failed, found.intended) == (3, 0, 3)
    await house.campaigns.fold()
    assert await house.database.value(text("SELECT count(*) FROM campaign_tallies")) == 0
    assert await view(house, made.id) == found
