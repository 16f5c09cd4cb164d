"""Pacing: slots that pass unused, lanes that do not wait for each other, keys that nobody needs."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.senders.channels.telegram import TelegramChannel
from services.senders.domain.limits import Limit, Limits, Reach, Reservation
from services.senders.domain.requests import Request
from services.senders.handlers.pacing import Lead, Pacing, Slot
from services.senders.handlers.rounds import WORKERS
from services.senders.store import Governor
from shared import metrics
from shared.bots import Bot
from shared.database import Database
from shared.events import Channel, Lane
from shared.ids import delivery_of
from tests.senders.conftest import TOKEN

_LOCK = text("SELECT 1 FROM deliveries FOR UPDATE")


def counted(use: str) -> float:
    """Return how many slots of bots were used or lost."""
    return metrics.RATE_LIMIT_SLOTS.labels(key="bot", use=use)._value.get()


async def test_a_slot_that_has_passed_is_lost() -> None:
    """A slot is used between its time and the next one's, and not after."""
    now = time.monotonic()
    assert await Slot("bot", 0.0, now + 0.05, now + 60).use()
    assert time.monotonic() >= now + 0.05
    assert not await Slot("bot", 0.0, now - 0.2, now - 0.1).use()


async def test_an_attempt_that_missed_its_slot_takes_another(house: Any) -> None:
    """A claim that takes too long is given back; the message goes out once, later, as its first try."""
    house.desk = house.replica(Limits(private_chat_per_second=1000))
    lost, used = counted("lost"), counted("used")
    event = house.asked()
    async with house.database.begin() as connection:
        await house.ledger.accept(Request.of_message(event))
        await connection.execute(_LOCK)
        sending = asyncio.create_task(house.desk.send(delivery_of(event.id, Channel.TELEGRAM)))
        await house.until_blocked()
        # Its claim waits for the lock: now its slot passes.
        await asyncio.sleep(0.4)
    await sending
    assert counted("lost") - lost >= 1
    assert counted("used") - used == 1
    assert await house.deliveries(event.id) == [("telegram", "sent", None)]
    assert (len(house.texts()), house.told[0].attempt) == (1, 1)


async def test_an_outage_leaves_no_limit_shut(database: Database) -> None:
    """Who fails while asking for a slot is not waited for, however many there are of them."""
    limits, shared = Limits(), Limits().email()
    pacing = Pacing(Governor(database), limits)
    await database.execute(text("ALTER TABLE governor RENAME TO away"))
    for _ in range(3):
        with pytest.raises(DBAPIError):
            await pacing.slot(Lane.TRANSACTIONAL, [shared])
    await database.execute(text("ALTER TABLE away RENAME TO governor"))
    assert isinstance(await pacing.slot(Lane.TRANSACTIONAL, [shared]), Slot)


class Far(Governor):
    """A governor whose database is 40 ms away."""

    async def reserve(self, limits: Sequence[Limit], reach: Reach, lead: float = 0.0) -> Reservation:
        """Reserve, with the way there and back."""
        await asyncio.sleep(0.04)
        try:
            return await super().reserve(limits, reach, lead)
        finally:
            await asyncio.sleep(0.04)


async def test_a_far_database_leaves_slots_to_use(database: Database) -> None:
    """A way to the database that takes longer than a slot is good for costs precision and not the slots."""
    limits = Limits()
    pacing = Pacing(Far(database), limits)
    slots = [await pacing.slot(Lane.TRANSACTIONAL, [limits.bot("far")]) for _ in range(5)]
    assert all(isinstance(slot, Slot) and slot.until > slot.at for slot in slots)


def test_the_lead_follows_what_claims_take() -> None:
    """Slow claims are begun earlier, and a single hiccup is soon forgotten."""
    lead = Lead()
    for _ in range(50):
        lead.took(0.2)
    assert 0.2 <= lead.seconds < 0.25
    lead.took(0.9)
    for _ in range(50):
        lead.took(0.01)
    assert lead.seconds < 0.05
    lead.took(1000.0)
    assert lead.seconds <= 1.0


async def test_a_hanging_lane_holds_up_no_higher_one(house: Any) -> None:
    """With every campaign worker at a provider that hangs, an alert goes out at once."""
    bots = {"default": Bot("default", SecretStr(TOKEN))}
    chats = range(100, 140)
    house.telegram.cloud.faults.add("hidden_wait", method="sendMessage", seconds=60, times=WORKERS)
    async with TelegramChannel.open(bots, house.telegram.api_url, seconds=90) as channel:
        house.desk = house.replica(senders={Channel.TELEGRAM: channel})
        for chat_id in chats:
            house.chat(chat_id)
            event = house.asked(lane=Lane.CAMPAIGN, address={"telegram_chat_id": chat_id})
            await house.handle(event.model_copy(update={"not_before": event.at - timedelta(seconds=1)}))
        alert = house.asked()
        async with house.rounds():
            async with asyncio.timeout(60):
                while house.telegram.cloud.faults.in_force:
                    await asyncio.sleep(0.02)
            await house.handle(alert.model_copy(update={"not_before": alert.at - timedelta(seconds=1)}))
            await house.until("sent", alert.id)
            assert all(not house.texts(chat_id) for chat_id in chats)
            house.telegram.cloud.clock.advance(120)


async def test_keys_that_nobody_uses_are_forgotten(house: Any) -> None:
    """Limits and cancellations leave nothing behind for ever."""
    governor, bot = house.desk.governor, Limits().bot("default")
    await governor.reserve([bot], Reach(1.0))
    await governor.pause_key("chat:default:42", 30)
    await house.database.execute(
        text("INSERT INTO governor (key, tat) VALUES ('old', now() - interval '2 h')")
    )
    await house.database.execute(
        text("INSERT INTO message_cancellations VALUES (gen_random_uuid(), now() - interval '92 days')")
    )
    await governor.forget()
    await house.ledger.forget_cancellations()
    rows = await house.database.rows(text("SELECT key FROM governor ORDER BY key"))
    assert [row["key"] for row in rows] == ["bot:default", "chat:default:42"]
    assert await house.database.value(text("SELECT count(*) FROM message_cancellations")) == 0
