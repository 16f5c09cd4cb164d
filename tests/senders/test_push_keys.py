"""Subscriptions that were made under another key than ours, and a key that is wrong itself."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import text

from services.senders.domain.sending import PushTarget, Stopped
from shared.events import Channel, RecipientChanged
from shared.ids import derived

CHAIN = (Channel.PUSH, Channel.EMAIL)
ANOTHER = "BAnotherKey"
_PAUSED = "SELECT count(*) FROM governor WHERE key LIKE 'push:%' AND paused_until IS NOT NULL"


async def push(house: Any, user_id: UUID) -> list[tuple[str, str, str | None]]:
    """Send somebody a message by push or mail; return its deliveries."""
    found = await house.handle(house.asked(user_id=user_id, channels=CHAIN))
    deliveries: list[tuple[str, str, str | None]] = await house.deliveries(found)
    return deliveries


async def was_paused(house: Any) -> bool:
    """Say whether any push service is paused, or was."""
    async with house.database.begin() as connection:
        return bool((await connection.exec_driver_sql(_PAUSED)).scalar())


async def test_a_subscription_of_another_key_goes_alone(house: Any) -> None:
    """Who refuses our key again, after others took it meanwhile, is dropped: its message falls back."""
    ours, theirs = await house.recipient(), await house.recipient(email="ann@example.org")
    await house.subscribe(ours)
    await house.subscribe(theirs, ANOTHER)
    assert await push(house, ours) == [("push", "sent", None)]
    found = await house.handle(house.asked(user_id=theirs, channels=CHAIN))
    assert await house.deliveries(found) == [("push", "pending", "vapid")]
    assert not await was_paused(house)
    assert await push(house, ours) == [("push", "sent", None)]
    async with house.rounds():
        await house.until("sent", found)
    assert await house.deliveries(found) == [
        ("push", "failed", "foreign_subscription"), ("email", "sent", None),
    ]  # fmt: skip
    assert not await was_paused(house)
    assert await house.recipients.subscriptions(theirs) == []
    await house.desk.announcer.recipients()
    assert {event.user_id: event.push_subscriptions for event in house.of(RecipientChanged)}[theirs] == 0


async def test_a_bad_moment_of_the_push_service_costs_no_subscription(house: Any) -> None:
    """One refusal proves nothing: nothing is dropped, its message waits and is sent; nobody else waits."""
    ours, new = await house.recipient(), await house.recipient()
    await house.subscribe(ours)
    name = await house.subscribe(new, ANOTHER)
    browser = house.push.memory.subscriptions[name]
    assert await push(house, ours) == [("push", "sent", None)]
    found = await house.handle(house.asked(user_id=new, channels=CHAIN))
    assert await house.deliveries(found) == [("push", "pending", "vapid")]
    browser.key = None
    assert await push(house, ours) == [("push", "sent", None)]
    async with house.rounds():
        await house.until("sent", found)
    assert await house.deliveries(found) == [("push", "sent", None)]
    browser.key = ANOTHER  # another bad moment, much later: it begins anew
    assert await push(house, new) == [("push", "pending", "vapid")]
    assert len(await house.recipients.subscriptions(new)) == 1


async def test_what_worked_when_keys_were_not_noted_is_ours(house: Any) -> None:
    """A subscription that worked under a key that nobody noted is not foreign: its refusal stops."""
    ours, old = await house.recipient(), await house.recipient()
    await house.subscribe(ours)
    name = await house.subscribe(old)
    assert await push(house, old) == [("push", "sent", None)]
    await house.database.execute(text("UPDATE push_subscriptions SET worked_with = NULL"))
    house.push.memory.subscriptions[name].key = ANOTHER
    assert await push(house, ours) == [("push", "sent", None)]
    assert await push(house, old) == [("push", "pending", "vapid")]
    assert await was_paused(house)
    assert len(await house.recipients.subscriptions(old)) == 1


async def test_a_key_that_nobody_takes_any_more_stops_before_long(house: Any) -> None:
    """Where nobody took our key since a first refusal, the next one stops: the key is in doubt."""
    ours, new = await house.recipient(), await house.recipient()
    await house.subscribe(ours)
    await house.subscribe(new, ANOTHER)
    assert await push(house, ours) == [("push", "sent", None)]
    assert await push(house, new) == [("push", "pending", "vapid")]
    assert not await was_paused(house)
    await asyncio.sleep(house.desk.policy.stopped_seconds)
    assert await push(house, new) == [("push", "pending", "vapid")]
    assert await was_paused(house)
    assert len(await house.recipients.subscriptions(new)) == 1


async def test_a_wrong_key_of_ours_stops_and_loses_nothing(house: Any) -> None:
    """Where nobody takes the key of today, pushes wait and all subscriptions stay, whatever worked before."""
    old, new = await house.recipient(), await house.recipient(email="ann@example.org")
    await house.subscribe(old)
    assert await push(house, old) == [("push", "sent", None)]
    await house.subscribe(new, ANOTHER)
    house.desk = house.replica(push_key=derived("vapid key", "the next one"))
    assert await push(house, new) == [("push", "pending", "vapid")]
    assert await was_paused(house)
    assert len(await house.recipients.subscriptions(new)) == 1


async def test_a_key_that_was_taken_from_us_stops(house: Any) -> None:
    """A subscription that took our key and now does not says that the key is refused; so do all after it."""
    ours, new = await house.recipient(), await house.recipient()
    name = await house.subscribe(ours)
    await house.subscribe(await house.recipient())
    assert await push(house, ours) == [("push", "sent", None)]
    house.push.memory.subscriptions[name].key = ANOTHER
    assert await push(house, ours) == [("push", "pending", "vapid")]
    await house.subscribe(new, ANOTHER)
    [subscription] = await house.recipients.subscriptions(new)
    target = PushTarget(subscription)
    assert await house.desk.lessons.learn_of_subscription(target, Stopped("vapid")) == Stopped("vapid")
    assert await house.recipients.subscriptions(new) == [subscription]
