"""A message that is cancelled: before it came, while it waits, under way, and too late."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.senders.api import cancel_message
from shared.bus import Refusal
from shared.events import MessageAmbiguous, MessageSuppressed, State
from shared.queries import CancelMessage

_DUE = text("UPDATE deliveries SET due_at = now() - interval '1 minute'")


async def cancel(house: Any, message_id: UUID) -> State | None:
    """Cancel a message as the API does; return the state that is answered."""
    command = CancelMessage(cause=uuid4(), message_id=message_id)
    return (await cancel_message(command, house.ledger, house.desk.announcer.outcome)).state


async def test_what_waits_is_not_sent(house: Any) -> None:
    """A waiting message ends as suppressed, told once; cancelling it again says the same."""
    event = house.asked()
    message_id = await house.handle(event.model_copy(update={"not_before": event.at + timedelta(minutes=30)}))
    assert [await cancel(house, message_id) for _ in range(2)] == [State.SUPPRESSED] * 2
    await house.database.execute(_DUE)
    await house.rounds_have_passed()
    assert await house.deliveries(message_id) == [("telegram", "suppressed", "cancelled")]
    assert ([each.reason for each in house.of(MessageSuppressed)], house.texts()) == (["cancelled"], [])


async def test_what_is_still_to_come_is_not_sent(house: Any) -> None:
    """A cancellation that is faster than its message waits for it."""
    event = house.asked()
    assert await cancel(house, event.id) is None
    await house.handle(event)
    assert await house.deliveries(event.id) == [("telegram", "suppressed", "cancelled")]
    assert house.texts() == []


async def test_what_is_under_way_is_not_sent_again(house: Any) -> None:
    """A send cannot be called back; but what comes of it leads to no second attempt, and stays in doubt."""
    house.telegram.cloud.faults.add("late_success", method="sendMessage", seconds=60)
    event = house.asked()
    sending = asyncio.create_task(house.handle(event))
    async with asyncio.timeout(60):
        while house.telegram.cloud.faults.in_force:
            await asyncio.sleep(0.005)
    assert await cancel(house, event.id) is State.PENDING
    house.telegram.cloud.clock.advance(60)
    await sending
    assert await house.deliveries(event.id) == [("telegram", "ambiguous", "cancelled")]
    assert (len(house.texts()), len(house.of(MessageAmbiguous))) == (1, 1)


async def test_what_is_sent_cannot_be_cancelled(house: Any) -> None:
    """A message that has ended stays as it is, and the command says so."""
    message_id = await house.handle(house.asked())
    with pytest.raises(Refusal) as refused:
        await cancel(house, message_id)
    assert refused.value.status == 409
    assert await house.deliveries(message_id) == [("telegram", "sent", None)]
