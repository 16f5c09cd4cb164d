"""A campaign to a list: expanded into messages whatever breaks, each sent once, at the full rate."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from services.senders import api, handlers
from services.senders.domain.limits import Limits
from shared.bus import BusUnavailable, Refusal, TooLarge
from shared.events import CampaignChanged, Channel, Event, MessageRequested, MessageSent
from shared.queries import (
    AddCampaignRecipients,
    CampaignRecipient,
    CreateCampaign,
    GetCampaign,
    ListedRecipient,
)


def campaign(house: Any, count: int) -> CreateCampaign:
    """Return a command to send to so many chats, from 1000 on."""
    for number in range(count):
        house.chat(1000 + number)
    return CreateCampaign.model_validate(
        {
            "campaign_id": uuid4(), "channels": (Channel.TELEGRAM,), "body": {"text": "News"},
            "expires_at": house.asked().expires_at,
            "recipients": [CampaignRecipient(address={"telegram_chat_id": 1000 + n}) for n in range(count)],
        }
    )  # fmt: skip


class Stream:
    """Takes what is published, and hands requests to the house, some side by side, each of them twice."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.published = 0
        self.away_at = -1
        self.tasks: set[asyncio.Task[Any]] = set()
        self.room = asyncio.Semaphore(8)

    async def publish(self, event: Event) -> None:
        """Take an event; the broker is away once, at the number that is set."""
        if isinstance(event, MessageRequested):
            self.published += 1
            if self.published == self.away_at:
                raise BusUnavailable("away")
            for _ in range(2):
                self.tasks.add(asyncio.create_task(self._handle(event)))
        else:
            self.house.told.append(event)

    async def _handle(self, event: MessageRequested) -> None:
        async with self.room:
            await self.house.handle(event)


def on_a_stream(house: Any, limits: Limits | None = None) -> Stream:
    """Put the house between a stream's two ends."""
    stream = Stream(house)
    announcer = handlers.Announcer(stream.publish, house.ledger, house.recipients, house.campaigns)
    house.desk = house.replica(limits, announcer=announcer, publish=stream.publish)
    return stream


async def done(house: Any, campaign_id: Any) -> Any:
    """Wait until a campaign is done, and return its view."""
    async with asyncio.timeout(180):
        while (view := await api.get_campaign(GetCampaign(campaign_id=campaign_id), house.campaigns)).pending:
            await asyncio.sleep(0.05)
        while not any(event.status == "done" for event in house.of(CampaignChanged)):
            await asyncio.sleep(0.05)
    return view


async def test_an_interrupted_expansion_neither_doubles_nor_skips(house: Any) -> None:
    """When the broker fails in mid-part and every request comes twice, each chat is told exactly once."""
    stream, command = on_a_stream(house, Limits(on=False)), campaign(house, 130)
    stream.away_at = 60
    await house.campaigns.add(command)
    async with house.rounds():
        view = await done(house, command.campaign_id)
        await asyncio.gather(*stream.tasks)
    assert (view.sent, view.intended) == (130, 130)
    assert stream.published > 130
    assert [len(house.texts(1000 + number)) for number in range(130)] == [1] * 130
    assert len(house.of(MessageSent)) == 130


@pytest.mark.slow
async def test_a_campaign_keeps_the_rate(house: Any) -> None:
    """100 chats at 40 per second take at least what the rate demands."""
    on_a_stream(house, Limits(bot_per_second=40))
    command = campaign(house, 100)
    await house.campaigns.add(command)
    async with asyncio.timeout(60), house.rounds():
        while house.telegram.cloud.records.sent.total < 100:
            await asyncio.sleep(0.02)
    moments = [sent.arrived.monotonic for _, sent in house.telegram.cloud.records.sent.since(0)]
    assert len(moments) == 100
    assert moments[-1] - moments[0] >= 99 / 40


async def test_a_campaign_that_fits_no_event_fails_and_stands_in_nobodys_way(house: Any) -> None:
    """What would be refused each time ends its own campaign, as invalid; the rounds and others go on."""
    stream, large, command = on_a_stream(house), campaign(house, 3), campaign(house, 5)
    take = house.desk.publish

    async def publish(event: Event) -> None:
        if isinstance(event, MessageRequested) and event.campaign_id == large.campaign_id:
            raise TooLarge("an event of too many bytes")
        await take(event)

    house.desk.publish = publish
    await house.campaigns.add(large)
    await house.campaigns.add(command)
    async with house.rounds():
        view = await done(house, command.campaign_id)
    found = await api.get_campaign(GetCampaign(campaign_id=large.campaign_id), house.campaigns)
    assert (found.status, found.reason) == ("failed", "invalid")
    assert (view.sent, stream.published) == (5, 5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"channels": ["email", "telegram", "email"]}, "channels names email"),
        ({"variables": {str(number): 1 for number in range(101)}}, "variables: at most 100"),
        ({"variables": {"greeting": "x" * 4097}}, "'greeting' is longer than 4096"),
        ({"variables": {str(number): "x" * 4000 for number in range(20)}}, "characters of variables"),
        ({"recipients": [{"address": {"telegram_chat_id": 5}, "variables": {"a": "x" * 4097}}]},
         "recipients[0], variables: 'a'"),
    ],
    ids=["channels", "many", "long", "all", "entry"],
)  # fmt: skip
async def test_what_no_message_can_be_made_of_is_refused_at_the_door(
    house: Any, wrong: dict[str, Any], named: str
) -> None:
    """A campaign that every one of its messages would fail for is refused by name, and not written down."""
    said = campaign(house, 1).model_dump(mode="json") | wrong
    command = CreateCampaign.model_validate(said)
    with pytest.raises(Refusal) as refused:
        await api.create_campaign(command, house.campaigns, house.desk.templates, house.estimates)
    assert refused.value.status == 422
    assert named in refused.value.detail
    assert await house.campaigns.get(command.campaign_id) is None


async def test_a_part_of_a_list_is_refused_by_its_line(house: Any) -> None:
    """A line whose variables fit no message is named, and nothing of its part is added."""
    command = campaign(house, 1).model_copy(update={"draft": True})
    await api.create_campaign(command, house.campaigns, house.desk.templates, house.estimates)
    entry = ListedRecipient(line=7, user_id=uuid4(), variables={"a": "x" * 4097})
    part = AddCampaignRecipients(cause=uuid4(), campaign_id=command.campaign_id, recipients=(entry,))
    with pytest.raises(Refusal, match="line 7, variables: 'a'"):
        await api.add_campaign_recipients(part, house.campaigns)
    assert (await house.campaigns.get(command.campaign_id))["intended"] == 1
