"""Campaigns through deaths and broken connections: nobody is told twice, and every doubt is counted."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from carillon.up.outside import post
from shared.bus import Bus, NoAnswer, Refusal
from shared.events import Body, Channel
from shared.queries import CampaignRecipient, CampaignView, CreateCampaign, GetCampaign, ListMessages
from tests.senders.deaths.conftest import Street

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deaths"), pytest.mark.timeout(1200)]

KILLS = 20
PATIENT = {"SEND_LIMITS": "off", "TELEGRAM_TIMEOUT_SECONDS": "10", "SEND_LEASE_SECONDS": "15"}
"""At full speed: an answer that a busy machine keeps back is no doubt, and would be counted as one."""
SENDING = "SELECT count(*) FROM deliveries WHERE state = 'sending'"
ATTEMPTED = """
    SELECT count(*) FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE m.campaign_id = $1 AND d.state <> 'pending'"""
DONE = "SELECT status = 'done' FROM campaigns WHERE id = $1"


async def begin(bus: Bus, people: range, text: str) -> UUID:
    """Begin a campaign to these people."""
    command = CreateCampaign.model_validate(
        {
            "campaign_id": uuid4(), "channels": (Channel.TELEGRAM,), "body": Body(text=text),
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "recipients": [CampaignRecipient(address={"telegram_chat_id": each}) for each in people],
        }
    )  # fmt: skip
    await bus.ask(command, timeout=30)
    return command.campaign_id


async def view(bus: Bus, campaign_id: UUID) -> CampaignView:
    """Return what a campaign has come to."""
    return await bus.ask(GetCampaign(campaign_id=campaign_id), timeout=30)


async def test_kills_in_mid_campaign_lose_and_double_nothing(street: Street) -> None:
    """Killed 20 times during 5,000 messages at full speed: each is sent once or in doubt, as many as flew."""
    people, text, flying = await street.people(100_000, 5000), "killed", 0
    async with Bus.open(street.stack.outside.nats_url, service="tests") as bus:
        async with street.senders(**PATIENT) as process:
            await _answers(bus)
            campaign_id = await begin(bus, people, text)
        for kill in range(KILLS):
            async with street.senders(**PATIENT) as process:
                least = (kill + 1) * len(people) // (KILLS + 2)
                async with asyncio.timeout(180):
                    while await street.value(ATTEMPTED, campaign_id) < least:
                        await asyncio.sleep(0.05)
                process.kill()
                await process.wait()
                flying += await street.value(SENDING)
        async with street.senders(**PATIENT):
            await street.until(DONE, True, campaign_id, seconds=300)
            found = await view(bus, campaign_id)
            books = await street.books()
    times = Counter(await street.texts(text))
    assert max(times.values()) == 1
    assert found.sent + found.ambiguous == len(people)
    assert found.ambiguous <= flying
    assert found.sent <= len(times)
    assert books.balanced, [line for line in books.lines if line.difference] + books.late
    assert books.lost == []


async def test_a_death_after_an_expansion_neither_doubles_nor_skips(street: Street) -> None:
    """A part of a list that is in the stream, and not noted so, is published again under the same ids."""
    people, text = await street.people(300_000, 250), "expanded"
    async with Bus.open(street.stack.outside.nats_url, service="tests") as bus:
        async with street.senders(**PATIENT, SENDERS_FAILPOINT="after_expansion") as dying:
            await _answers(bus)
            campaign_id = await begin(bus, people, text)
            assert await asyncio.wait_for(dying.wait(), 120) == -9
        async with street.senders(**PATIENT):
            await street.until(DONE, True, campaign_id, seconds=120)
            found = await view(bus, campaign_id)
            books = await street.books()
    times = Counter(await street.texts(text))
    assert (len(times), max(times.values())) == (len(people), 1)
    assert (found.sent, found.ambiguous) == (len(people), 0)
    assert books.balanced, [line for line in books.lines if line.difference] + books.late


async def test_broken_connections_are_doubts_and_not_duplicates(street: Street) -> None:
    """1,000 messages, 100 connections reset after the effect: 100 in doubt, and nobody is told twice."""
    people, text = await street.people(200_000, 1000), "reset"
    for person in people[::10]:
        fault = {"kind": "reset_after", "method": "sendMessage", "chat_id": person}
        await post(str(street.stack.outside.telegram_control_url), "/faults", fault)
    async with street.senders(**PATIENT), Bus.open(street.stack.outside.nats_url, service="t") as bus:
        await _answers(bus)
        campaign_id = await begin(bus, people, text)
        await street.until(DONE, True, campaign_id, seconds=300)
        found = await view(bus, campaign_id)
        listed = await bus.ask(ListMessages(state="ambiguous", campaign_id=campaign_id, limit=500))
        books = await street.books()
    times = Counter(await street.texts(text))
    assert len({each.message_id for each in listed.items}) == 100
    assert (len(times), max(times.values())) == (1000, 1)
    assert (found.sent, found.ambiguous) == (900, 100)
    assert books.balanced, [line for line in books.lines if line.difference] + books.late


async def _answers(bus: Bus) -> None:
    """Wait until senders answers."""
    async with asyncio.timeout(180):
        while True:
            try:
                await bus.ask(GetCampaign(campaign_id=uuid4()), timeout=1)
            except NoAnswer:
                continue
            except Refusal:
                return
