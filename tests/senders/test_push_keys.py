"""Subscriptions that were made under another key than ours, and a key that is wrong itself."""

from typing import Any
from uuid import UUID

from services.senders.domain.sending import PushTarget, Stopped
from shared.events import Channel, RecipientChanged
from shared.ids import derived

CHAIN = (Channel.PUSH, Channel.EMAIL)
ANOTHER = "BAnotherKey"
_PAUSED = "SELECT count(*) FROM governor WHERE key LIKE 'push:%' AND paused_until > now()"


async def push(house: Any, user_id: UUID) -> list[tuple[str, str, str | None]]:
    """Send somebody a message by push or mail; return its deliveries."""
    found = await house.handle(house.asked(user_id=user_id, channels=CHAIN))
    deliveries: list[tuple[str, str, str | None]] = await house.deliveries(found)
    return deliveries


async def is_paused(house: Any) -> bool:
    """Say whether any push service is paused."""
    async with house.database.begin() as connection:
        return bool((await connection.exec_driver_sql(_PAUSED)).scalar())


async def test_a_subscription_of_another_key_goes_alone(house: Any) -> None:
    """Who refuses our key while others of the push service take it is dropped: its message falls back."""
    ours, theirs = await house.recipient(), await house.recipient(email="ann@example.org")
    await house.subscribe(ours)
    await house.subscribe(theirs, ANOTHER)
    assert await push(house, ours) == [("push", "sent", None)]
    assert await push(house, theirs) == [("push", "failed", "foreign_subscription"), ("email", "sent", None)]
    assert not await is_paused(house)
    assert await house.recipients.subscriptions(theirs) == []
    await house.desk.announcer.recipients()
    assert {event.user_id: event.push_subscriptions for event in house.of(RecipientChanged)}[theirs] == 0
    assert await push(house, ours) == [("push", "sent", None)]


async def test_a_wrong_key_of_ours_stops_and_loses_nothing(house: Any) -> None:
    """Where nobody takes the key of today, pushes wait and all subscriptions stay, whatever worked before."""
    old, new = await house.recipient(), await house.recipient(email="ann@example.org")
    await house.subscribe(old)
    assert await push(house, old) == [("push", "sent", None)]
    await house.subscribe(new, ANOTHER)
    house.desk = house.replica(push_key=derived("vapid key", "the next one"))
    assert await push(house, new) == [("push", "pending", "vapid")]
    assert await is_paused(house)
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
