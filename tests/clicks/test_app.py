"""Clicks as a whole, between a real broker and a real database."""

import asyncio
from collections.abc import Awaitable, Callable

from devstack.nats import Nats
from services.clicks.app import app
from services.clicks.settings import ClicksSettings
from shared import ids
from shared.bus import Bus
from shared.events import ButtonClicked, PromoPosted
from shared.queries import CountClicks, ListClicks
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
        asyncio.timeout(20),
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
