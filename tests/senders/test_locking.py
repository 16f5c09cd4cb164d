"""What changes several rows locks them in one order: two at once wait for each other's end, none fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders.domain.requests import Request
from services.senders.store.suppressions import spellings
from shared.events import Channel, PushSubscription, QuietHours
from shared.ids import derived
from shared.queries import AddPushSubscription, ForgetRecipient, PutRecipient
from tests.locks import free_behind_first
from tests.senders.conftest import SCHEDULE, SLOT
from tests.senders.test_campaign_lists import draft

MANY = 8
CHAT, GROUP = 4200, -4200
ANN, BEN = UUID(int=1), UUID(int=2)
Act = Callable[[], Awaitable[Any]]


async def written(house: Any, count: int = MANY, **fields: Any) -> list[UUID]:
    """Write messages down that wait to be sent; return their ids."""
    events = [house.asked(**fields) for _ in range(count)]
    for event in events:
        await house.ledger.accept(Request.of_message(event))
    return [event.id for event in events]


def forgetting(house: Any, user_id: UUID = ANN) -> Act:
    """Return what forgets somebody."""
    command = ForgetRecipient(cause=uuid4(), user_id=user_id)
    return lambda: house.recipients.forget(command, uuid4())


async def due_promos(house: Any) -> Act:
    """Let promos wait, and return what cancels them."""
    for _ in range(MANY):
        await house.ledger.accept(Request.of_promo(house.due()))
    return lambda: house.ledger.cancel_promos(uuid4(), SCHEDULE, None, SLOT)


async def quiet_people(house: Any) -> Act:
    """Let messages wait for the end of somebody's quiet hours, and return what changes these."""
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=ANN))
    await written(house, user_id=ANN)
    await house.database.execute(text("UPDATE deliveries SET reason = 'quiet_hours'"))
    quiet = QuietHours(start="22:00", end="07:00", zone="UTC")
    return lambda: house.recipients.put(PutRecipient(cause=uuid4(), user_id=ANN, quiet_hours=quiet))


async def messages_to_ann(house: Any) -> Act:
    """Let messages wait for somebody, and return what forgets her."""
    await written(house, user_id=ANN)
    return forgetting(house)


async def held_campaign(house: Any) -> Act:
    """Hold messages of a campaign that goes on, and return what makes them due."""
    made = await draft(house)
    await written(house, lane="campaign", campaign_id=made.id)
    await house.database.execute(text("UPDATE deliveries SET reason = 'campaign_paused'"))
    return house.campaigns.free_held


async def messages_to_her_chat(house: Any) -> Act:
    """Let messages name the chat of somebody who is forgotten, and return what looks for them."""
    await written(house, address={"telegram_chat_id": CHAT})
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=ANN, telegram_chat_id=CHAT))
    await forgetting(house)()
    return lambda: house.recipients.sweep(uuid4())


async def late_messages(house: Any) -> Act:
    """Let messages of before come after somebody was forgotten, and return what strips them."""
    events = [house.asked(user_id=ANN) for _ in range(MANY)]
    await forgetting(house)()
    for event in events:
        await house.ledger.accept(Request.of_message(event))
    return lambda: house.recipients.strip_late(uuid4())


async def reached_places(house: Any) -> Act:
    """Let a campaign reach somebody in several places, and return what forgets her."""
    made = await draft(house)
    await written(house, lane="campaign", campaign_id=made.id, user_id=ANN)
    rows = await house.database.rows(text("SELECT id FROM deliveries"))
    for row in rows:
        entry = {"key": derived("place", row["id"]), "id": row["id"]}
        add = "INSERT INTO campaign_reached (key, delivery_id) VALUES (:key, :id)"
        await house.database.execute(text(add), **entry)
    return forgetting(house)


async def places_to_drop(house: Any) -> Act:
    """Let a campaign end that has reached somebody who was forgotten, and return what drops the places."""
    await (await reached_places(house))()
    await house.database.execute(text("UPDATE campaigns SET status = 'done'"))
    return lambda: house.recipients.strip_late(uuid4())


async def people_of_a_group(house: Any) -> Act:
    """Let several people be reached in a group, and return what tells that it moved."""
    for number in range(MANY):
        command = PutRecipient(cause=uuid4(), user_id=UUID(int=number), telegram_chat_id=GROUP)
        await house.recipients.put(command)
    return lambda: house.recipients.migrate("default", GROUP, GROUP - 1)


async def left_mailbox(house: Any) -> Act:
    """Let campaigns be left by a mailbox in all its spellings, and return what takes that back."""
    email = "ann@example.org"
    await house.recipients.put(PutRecipient(cause=uuid4(), user_id=ANN, email=email, opted_out=True))
    for address in spellings(Channel.EMAIL, email):
        await house.recipients.suppress(Channel.EMAIL, address, "opted_out", "unsubscribe")
    return lambda: house.recipients.put(PutRecipient(cause=uuid4(), user_id=ANN, opted_out=False))


@pytest.mark.parametrize(
    ("table", "key", "prepare"),
    [
        ("deliveries", "id", due_promos),
        ("deliveries", "id", quiet_people),
        ("deliveries", "id", messages_to_ann),
        ("deliveries", "id", held_campaign),
        ("messages", "id", messages_to_ann),
        ("messages", "id", messages_to_her_chat),
        ("messages", "id", late_messages),
        ("campaign_reached", "key", reached_places),
        ("campaign_reached", "key", places_to_drop),
        ("recipients", "user_id", people_of_a_group),
        ("suppressions", "address, origin", left_mailbox),
    ],
)
async def test_rows_are_locked_in_one_order(
    house: Any, table: str, key: str, prepare: Callable[[Any], Awaitable[Act]]
) -> None:
    """Whoever waits for the first row has locked none behind it, so that nobody there can wait for him."""
    act = await prepare(house)
    rows = await house.database.value(text(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names of ours
    assert await free_behind_first(house.database, table, key, act) == rows - 1


async def test_a_success_waits_for_nobody_who_is_being_forgotten(house: Any) -> None:
    """A push that worked late waits for no lock, and neither keeps nor brings back whom it reached."""
    endpoints, key = [f"https://push.example/{number}" for number in range(2)], uuid4()
    for user_id, endpoint in zip((ANN, BEN), endpoints, strict=True):
        subscription = PushSubscription(endpoint=endpoint, p256dh="p", auth="a")
        command = AddPushSubscription(cause=uuid4(), user_id=user_id, subscription=subscription)
        await house.recipients.add_subscription(command)

    async def worked() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*(house.recipients.subscription_worked(each, key) for each in endpoints))

    async with house.database.begin() as forgetting_her:
        await forgetting_her.execute(text("DELETE FROM recipients WHERE user_id = :id"), {"id": ANN})
        await worked()
    await worked()

    rows = await house.database.rows(text("SELECT user_id, worked_with FROM push_subscriptions"))
    assert [tuple(row.values()) for row in rows] == [(BEN, key)]
    assert await house.recipients.view(ANN) is None
