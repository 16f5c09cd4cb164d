"""A campaign's list reaches each address once, whoever of it the address belongs to."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders.domain.limits import Limits
from services.senders.domain.policy import Again, Finish
from services.senders.domain.requests import Request
from shared.events import Address, Channel, Lane, MessageRequested, State, campaign_item_id
from shared.ids import delivery_of, user_of_telegram
from shared.queries import ForgetRecipient, LinkUser, PutRecipient
from tests.senders.conftest import asked
from tests.senders.test_campaign_lists import draft

ANN = 42
DUE_IN = text(
    "SELECT CAST(extract(epoch FROM due_at - now()) AS float8) FROM deliveries WHERE message_id = :id"
)
TAKE = text("INSERT INTO campaign_reached (key, delivery_id) VALUES (:key, :id)")
LOOK_AGAIN = text("UPDATE deliveries SET due_at = now() WHERE state = 'pending' AND reason = 'duplicate'")
PLACES = text("SELECT count(*) FROM campaign_reached")


@pytest.fixture
async def campaign_id(house: Any) -> UUID:
    """A campaign to be of."""
    made: UUID = (await draft(house)).id
    return made


def item(campaign_id: UUID, position: int, **fields: Any) -> MessageRequested:
    """Return the message to one entry of a campaign's list."""
    own = {"id": campaign_item_id(campaign_id, position), "lane": Lane.CAMPAIGN, "campaign_id": campaign_id}
    return asked(**own, campaign_position=position, **fields)


async def until(house: Any, state: str, message_id: UUID) -> None:
    """Wait until a message has ended so; whoever waits for a rival looks at once, and not in 15 seconds."""
    async with asyncio.timeout(60):
        while (await house.deliveries(message_id))[-1][1] != state:
            await house.database.execute(LOOK_AGAIN)
            await asyncio.sleep(0.1)


async def ends(house: Any, *ids: UUID) -> list[tuple[str, str, str | None]]:
    """Return how the last delivery of each message ended."""
    return [(await house.deliveries(each))[-1] for each in ids]


async def test_who_was_listed_under_both_ids_and_linked_later_gets_one(house: Any, campaign_id: UUID) -> None:
    """Two entries that turn out to be one person are one message; the other is suppressed as a duplicate."""
    person = user_of_telegram(ANN)
    user_id = await house.recipient(email="ann@example.org")
    await house.recipients.put(
        PutRecipient(cause=uuid4(), user_id=person, telegram_chat_id=ANN, bot="default")
    )
    first, second = (item(campaign_id, at, user_id=who) for at, who in enumerate((person, user_id)))
    await house.recipients.link(LinkUser(cause=uuid4(), user_id=user_id, telegram_id=ANN))

    ids = [await house.handle(each) for each in (first, second, first, second)]

    assert len(house.texts(ANN)) == 1
    assert await ends(house, *ids[:2]) == [
        ("telegram", "sent", None),
        ("telegram", "suppressed", "duplicate"),
    ]
    assert [each.last for each in house.told if each.name == "message.suppressed"] == [True]


async def test_an_address_that_two_entries_have_gets_one(house: Any, campaign_id: UUID) -> None:
    """A chat or mailbox that is named and is also somebody's gets one, and no other channel instead."""
    chain = (Channel.EMAIL, Channel.TELEGRAM)
    both = {"telegram_chat_id": ANN, "email": "ann@example.org"}
    ann, ben = await house.recipient(**both), await house.recipient(**both)
    named = Address(email="Ann@Example.org")
    entries = [
        item(campaign_id, 0, user_id=ann, channels=chain),
        item(campaign_id, 1, user_id=ben, channels=chain),
        item(campaign_id, 2, address=named, channels=(Channel.EMAIL,)),
        item(campaign_id, 3, address=Address(telegram_chat_id=ANN)),
    ]
    house.desk = house.replica(unsubscribe_url=lambda _: "https://carillon.example/u/x")
    ids = [await house.handle(each) for each in entries]
    assert await ends(house, *ids) == [
        ("email", "sent", None),
        ("email", "suppressed", "duplicate"),
        ("email", "suppressed", "duplicate"),
        ("telegram", "sent", None),
    ]


async def test_browsers_of_one_person_get_one(house: Any, campaign_id: UUID) -> None:
    """Over Web Push the address is the person: who has two browsers and two entries sees it once in each."""
    person, user_id = user_of_telegram(ANN), await house.recipient()
    await house.recipients.link(LinkUser(cause=uuid4(), user_id=user_id, telegram_id=ANN))
    for _ in range(2):
        await house.subscribe(user_id)
    entries = [
        item(campaign_id, at, user_id=who, channels=(Channel.PUSH,))
        for at, who in enumerate((user_id, person))
    ]
    ids = [await house.handle(each) for each in entries]
    assert [end[1] for end in await ends(house, *ids)] == ["sent", "suppressed"]


async def test_only_the_list_of_one_campaign_is_meant(house: Any, campaign_id: UUID) -> None:
    """Another campaign, a message that joins one, and what is no campaign reach the same chat again."""
    other = (await draft(house)).id
    joining = {"lane": Lane.CAMPAIGN, "campaign_id": campaign_id}
    for each in (item(campaign_id, 0), item(other, 0), asked(**joining), asked(**joining), asked()):
        await house.handle(each)
    assert len(house.texts()) == 5


async def test_entries_that_are_tried_at_once_send_one(house: Any, campaign_id: UUID) -> None:
    """Of many entries with one address, on several replicas at the same moment, exactly one is sent."""
    entries = [item(campaign_id, at) for at in range(12)]
    desks = [house.replica() for _ in range(3)]
    for each in entries:
        await house.ledger.accept(Request.of_message(each))
    await asyncio.gather(
        *(desks[at % 3].send(delivery_of(each.id, Channel.TELEGRAM)) for at, each in enumerate(entries))
    )
    async with house.rounds():
        async with asyncio.timeout(60):
            for each in entries:
                while (await ends(house, each.id))[0][1] == "pending":
                    await house.database.execute(LOOK_AGAIN)
                    await asyncio.sleep(0.1)
    assert sorted(end[1:] for end in await ends(house, *(each.id for each in entries))) == sorted(
        [("sent", None), *[("suppressed", "duplicate")] * 11], key=str
    )
    assert len(house.texts()) == 1


@pytest.mark.parametrize(
    ("end", "second"),
    [
        (Finish(State.SENT, provider_message_id="1"), ("suppressed", "duplicate")),
        (Finish(State.AMBIGUOUS, "timeout"), ("suppressed", "duplicate")),
        (Finish(State.FAILED, "blocked"), ("sent", None)),
        (Finish(State.SUPPRESSED, "expired"), ("sent", None)),
    ],
)
async def test_who_comes_second_waits_for_what_comes_of_the_first(
    house: Any, campaign_id: UUID, end: Finish, second: tuple[str, str | None]
) -> None:
    """While it is not known whether it was shown the second waits; only what never was gives its place up."""
    ledger, entries = house.ledger, [item(campaign_id, at) for at in range(2)]
    delivery_id = await ledger.accept(Request.of_message(entries[0]))
    delivery = await ledger.load(delivery_id)
    reached = {"bot": "default", "chat_id": ANN}
    place = await _place(house, delivery)
    attempt = await ledger.claim(delivery, **reached, place=place)
    assert attempt == 1

    await house.handle(entries[1])
    assert await ends(house, entries[1].id) == [("telegram", "pending", "duplicate")]
    assert house.texts() == []

    await ledger.finish(delivery, attempt, end)
    async with house.rounds():
        await until(house, second[0], entries[1].id)
    assert await ends(house, entries[1].id) == [("telegram", *second)]
    assert len(house.texts()) == (second[0] == "sent")


async def test_an_attempt_after_another_keeps_its_place(house: Any, campaign_id: UUID) -> None:
    """What is tried again, because the first try had no effect, is not its own duplicate."""
    house.telegram.cloud.faults.add("retry_after", method="sendMessage", seconds=1)
    entry = item(campaign_id, 0)
    await house.handle(entry)
    async with house.rounds():
        await house.until("sent", entry.id)
    assert len(house.texts()) == 1


async def test_forgetting_takes_the_places_when_the_campaign_has_ended(house: Any, campaign_id: UUID) -> None:
    """What stands for a forgotten person's address stays while others may have it, and then goes."""
    ann, ben = [await house.recipient(telegram_chat_id=ANN) for _ in range(2)]
    await house.handle(item(campaign_id, 0, user_id=ann))
    await house.recipients.forget(ForgetRecipient(cause=uuid4(), user_id=ann), uuid4())
    await house.recipients.strip_late(uuid4())
    await house.handle(item(campaign_id, 1, user_id=ben))
    assert (len(house.texts(ANN)), await house.database.value(PLACES)) == (1, 1)
    await house.database.execute(text("UPDATE campaigns SET status = 'done'"))
    await house.recipients.strip_late(uuid4())
    assert await house.database.value(PLACES) == 0


async def test_one_failure_is_stepped_into_once(house: Any, campaign_id: UUID) -> None:
    """Where one entry was never shown, many that look at once send one: the slower drive nobody out."""
    for chat in range(1000, 1008):
        house.chat(chat)
        named = Address(telegram_chat_id=chat)
        entries = [item(campaign_id, 100 * chat + at, address=named) for at in range(12)]
        first = await house.ledger.load(await house.ledger.accept(Request.of_message(entries[0])))
        place = await _place(house, first)
        assert await house.ledger.claim(first, bot="default", chat_id=chat, place=place) == 1
        await house.ledger.finish(first, 1, Finish(State.FAILED, "unreachable"))
        await asyncio.gather(*(house.ledger.accept(Request.of_message(each)) for each in entries[1:]))
        desks = [house.replica() for _ in range(3)]

        async def go(desk: Any, entry: MessageRequested) -> None:
            for _ in range(3):
                await desk.send(delivery_of(entry.id, Channel.TELEGRAM))

        await asyncio.gather(*(go(desks[at % 3], each) for at, each in enumerate(entries[1:])))
        assert len(house.texts(chat)) == 1


async def test_a_place_is_taken_over_only_from_whom_was_looked_at(house: Any, campaign_id: UUID) -> None:
    """Who saw that one entry failed does not drive out another that has stepped into its place since."""
    entries = [item(campaign_id, at) for at in range(3)]
    failed, slow, fast = [
        await house.ledger.load(await house.ledger.accept(Request.of_message(each))) for each in entries
    ]
    at = {"bot": "default", "chat_id": ANN, "place": await _place(house, failed)}
    assert await house.ledger.claim(failed, **at) == 1
    await house.ledger.finish(failed, 1, Finish(State.FAILED, "unreachable"))
    async with house.database.begin() as connection:
        await connection.execute(
            text("SELECT 1 FROM deliveries WHERE id = :id FOR UPDATE"), {"id": failed.id}
        )
        waiting = asyncio.create_task(house.ledger.rival(slow, at["place"]))
        await house.until_blocked()
        await connection.execute(text("DELETE FROM campaign_reached"))
        await connection.execute(TAKE, {"key": at["place"], "id": fast.id})
    await waiting
    assert await house.ledger.claim(slow, **at) is None
    assert await house.ledger.claim(fast, **at) == 1


async def greylisted(house: Any, entry: MessageRequested, seconds: float) -> None:
    """Let a letter be tried once, and wait."""
    delivery = await house.ledger.load(await house.ledger.accept(Request.of_message(entry)))
    place = await _place(house, delivery)
    assert await house.ledger.claim(delivery, bot=None, chat_id=None, place=place) == 1
    await house.ledger.wait(delivery, 1, Again(seconds, "greylisted", counted="greylist"))


async def test_who_moves_away_gives_the_place_up(house: Any, campaign_id: UUID) -> None:
    """An address that is put right between two tries is free for whoever else has it."""
    house.desk = house.replica(unsubscribe_url=lambda _: "https://carillon.example/u/x")
    mail = {"channels": (Channel.EMAIL,)}
    ann, ben = [await house.recipient(email="ben@example.org") for _ in range(2)]
    entries = [item(campaign_id, at, user_id=who, **mail) for at, who in enumerate((ann, ben))]
    await greylisted(house, entries[0], 0.0)
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=ann, email="ann@example.org"))
    async with house.rounds():
        await house.until("sent", entries[0].id)
    await house.handle(entries[1])
    assert [end[1] for end in await ends(house, *(each.id for each in entries))] == ["sent"] * 2


async def test_two_whose_addresses_are_swapped_both_get_theirs(house: Any, campaign_id: UUID) -> None:
    """Nobody waits for ever for a place that another one no longer means."""
    house.desk = house.replica(unsubscribe_url=lambda _: "https://carillon.example/u/x")
    ann, ben = [await house.recipient(email=f"{name}@example.org") for name in ("ben", "ann")]
    entries = [
        item(campaign_id, at, user_id=who, channels=(Channel.EMAIL,)) for at, who in enumerate((ann, ben))
    ]
    for each in entries:
        await greylisted(house, each, 0.0)
    for who, name in ((ann, "ann"), (ben, "ben")):
        await house.recipients.put(PutRecipient(cause=uuid4(), user_id=who, email=f"{name}@example.org"))
    async with house.rounds():
        for each in entries:
            await until(house, "sent", each.id)


async def test_who_waits_for_another_takes_no_slot_and_holds_nobody_back(
    house: Any, campaign_id: UUID
) -> None:
    """A duplicate waits without asking all the time, uses nothing of the limits, and lets later ones pass."""
    house.desk = house.replica(Limits(), unsubscribe_url=lambda _: "https://carillon.example/u/x")
    ann, ben = [await house.recipient(email="ann@example.org") for _ in range(2)]
    mail = {"channels": (Channel.EMAIL,)}
    await greylisted(house, item(campaign_id, 0, user_id=ann, **mail), 300.0)
    second, later = item(campaign_id, 1, user_id=ben, **mail), asked(user_id=ben, lane=Lane.CAMPAIGN, **mail)
    for at, each in enumerate((second, later), 1):
        await house.ledger.accept(Request.of_message(each), sequence=at)
    await house.desk.send(delivery_of(second.id, Channel.EMAIL))
    assert await house.database.value(text("SELECT count(*) FROM governor")) == 0
    assert await house.database.value(DUE_IN, id=second.id) > 10
    await house.desk.send(delivery_of(later.id, Channel.EMAIL))
    assert [end[1] for end in await ends(house, second.id, later.id)] == ["pending", "sent"]


async def test_a_delivery_is_claimed_once_whatever_the_place(house: Any, campaign_id: UUID) -> None:
    """Two who claim the same delivery for two places in the same moment get one attempt."""
    delivery = await house.ledger.load(await house.ledger.accept(Request.of_message(item(campaign_id, 0))))
    claims = [house.ledger.claim(delivery, bot="default", chat_id=ANN, place=uuid4()) for _ in range(2)]
    assert sorted(await asyncio.gather(*claims), key=str) == [1, None]


async def _place(house: Any, delivery: Any) -> UUID:
    """Return the place of a delivery, as the desk finds it."""
    prepared = await house.desk._prepare(delivery)
    place: UUID = prepared[0].place_of(delivery.request)
    return place
