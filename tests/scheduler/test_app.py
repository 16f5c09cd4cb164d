"""Scheduler as a whole, between a real broker and a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from devstack.nats import Nats
from services.scheduler.app import TEMPLATES, app, shipped_texts
from services.scheduler.domain.catalogue import SHIPPED
from services.scheduler.settings import SchedulerSettings
from shared import ids, markdown
from shared.bus import Bus
from shared.events import Channel, Lane, PromoPosted, PromoRef, outcome_id
from shared.queries import (
    ListPromoLog,
    ListPromos,
    ListSchedules,
    PromoLogEntry,
    StartSchedule,
    StopSchedule,
)
from shared.service import Service
from shared.templates import Templates
from tests.peers import answering

CHATS = (-1001234567890123, 42)


@pytest.fixture
async def settings(prepared_nats: Nats, fresh_database: Callable[[str], Awaitable[str]]) -> SchedulerSettings:
    """Return settings for a broker and a database of the test's own."""
    return SchedulerSettings(
        nats_url=prepared_nats.url,
        scheduler_database_url=await fresh_database("scheduler"),
        promo_chat_ids=CHATS,
    )


@pytest.fixture
async def bus(prepared_nats: Nats) -> AsyncIterator[Bus]:
    """Open the connection of another service."""
    async with Bus.open(prepared_nats.url, service="test") as opened, asyncio.timeout(60):
        yield opened


async def log_of(bus: Bus, count: int) -> tuple[PromoLogEntry, ...]:
    """Return the promo log as soon as it has so many slots that are not skipped."""
    while True:
        items = (await bus.ask(ListPromoLog())).items
        if len([each for each in items if each.skipped is None and each.intended == len(CHATS)]) == count:
            return items
        await asyncio.sleep(0.05)


async def test_three_replicas_post_once_and_commands_start_and_stop(
    settings: SchedulerSettings, bus: Bus
) -> None:
    """A first run posts once, a stop and a start post the next promo at once, and outcomes are logged."""
    async with AsyncExitStack() as replicas:
        for _ in range(3):
            await replicas.enter_async_context(app(settings, Service("scheduler")))
        await answering(bus)
        (first,) = await log_of(bus, 1)
        assert (first.promo_id, first.pending) == ("premium_signals", 2)
        assert (await bus.ask(StopSchedule(cause=uuid4()))).changed
        assert (await bus.ask(StartSchedule(cause=uuid4()))).schedule.active
        second, _ = await log_of(bus, 2)
        assert second.promo_id == "copy_trading"

        delivery_id = ids.delivery_of(uuid4(), "telegram")
        await bus.publish(
            PromoPosted(
                id=outcome_id(delivery_id, 1, "posted"), at=second.created_at, lane=Lane.PROMO, attempt=1,
                message_id=ids.derived("promo.due", second.schedule_id, second.slot, CHATS[0]),
                delivery_id=delivery_id, channel=Channel.TELEGRAM, type="promo", chat_id=CHATS[0],
                promo=PromoRef(schedule_id=second.schedule_id, slot=second.slot, promo_id="copy_trading"),
                provider_message_id="77",
            )
        )  # fmt: skip
        while (await log_of(bus, 2))[0].posted != 1:
            await asyncio.sleep(0.05)

        (schedule,) = (await bus.ask(ListSchedules())).items
        assert (schedule.last_run, schedule.chat_ids) == (second.slot, CHATS)
        assert [promo.id for promo in (await bus.ask(ListPromos())).items] == [each.id for each in SHIPPED]


async def test_a_restart_posts_nothing(settings: SchedulerSettings, bus: Bus) -> None:
    """Start means that a schedule is activated, not that a process starts."""
    for _ in range(2):
        async with app(settings, Service("scheduler")):
            await answering(bus)
            await log_of(bus, 1)
            await asyncio.sleep(0.3)
    async with app(settings, Service("scheduler")):
        await answering(bus)
        assert len(await log_of(bus, 1)) == 1


def test_what_ships_is_what_telegram_shows() -> None:
    """Each shipped promo is text that Telegram takes, with its title in bold."""
    texts = shipped_texts(Templates.load(TEMPLATES))
    for promo in SHIPPED:
        shown = markdown.check(texts[promo.id])
        assert shown.text.startswith(promo.title)
        bold = shown.entities[0]
        assert (bold.type, bold.offset, bold.length) == ("bold", 0, len(promo.title.encode("utf-16-le")) // 2)
