"""Clicks as a whole, between a real broker and a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from devstack.nats import Nats
from services.clicks.app import app
from services.clicks.settings import ClicksSettings
from shared import ids
from shared.bus import Bus, Refusal
from shared.events import ButtonClicked, PromoPosted
from shared.queries import AnnotateClick, CountClicks, ListClicks
from shared.service import Service

Press = Callable[..., ButtonClicked]
Post = Callable[..., PromoPosted]


async def test_presses_become_answers(
    prepared_nats: Nats, fresh_database: Callable[[str], Awaitable[str]], press: Press, post: Post
) -> None:
    """A press and its post, published, are listed and counted when another service asks."""
    settings = ClicksSettings(nats_url=prepared_nats.url, clicks_database_url=await fresh_database("clicks"))
    service = Service("clicks")
    async with (
        app(settings, service),
        Bus.open(prepared_nats.url, service="test") as bus,
        asyncio.timeout(60),
    ):
        delivery_id = ids.derived("delivery", 1)
        await bus.publish(press(1, 1, delivery_id=delivery_id))
        await bus.publish(press(1, 1, delivery_id=delivery_id))
        await bus.publish(post("premium_signals", "premium", delivery_id))
        while not (items := (await bus.ask(ListClicks(promo_id="premium_signals"))).items):
            await asyncio.sleep(0.05)
        assert [item.id for item in items] == [press(1).id]
        (sums,) = (await bus.ask(CountClicks())).items
        assert (sums.promo_id, sums.clicks, sums.posts) == ("premium_signals", 1, 1)
        await annotations(bus, items[0].id)


async def annotations(bus: Bus, click_id: UUID) -> None:
    """What became known is told as an event, is there when the answer is, and repeated changes nothing."""
    first = AnnotateClick(
        cause=ids.derived("cause", 1), click_id=click_id, metadata={"conversion": "started", "order": "1\x00"}
    )
    second = AnnotateClick(
        cause=ids.derived("cause", 2), click_id=click_id, metadata={"conversion": "completed"}
    )
    await bus.ask(first)
    merged = {"conversion": "completed", "order": "1\ufffd"}
    assert (await bus.ask(second)).metadata == merged
    assert (await bus.ask(first)).metadata == merged
    assert (await bus.ask(ListClicks())).items[0].metadata == merged
    assert (await bus.ask(CountClicks())).items[0].conversion_rate == 1
    with pytest.raises(Refusal) as refused:
        await bus.ask(first.model_copy(update={"click_id": ids.derived("click", "nobody's")}))
    assert (refused.value.status, refused.value.title) == (404, "Unknown click")
